"""The figures of service.py as tables, as Markdown between two markers, and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from reporting import markdown_table, put_between, tell
from service_servers import Measured

PLOT = "throughput.svg"
LIMIT, OURS = "limit", "log in a file"
TURNS = ("requests/s", "of the limit", "per CPU second", "of the limit", "p50 ms", "p99 ms")
PEERS = ("requests/s", "of ours", "per CPU second", "of ours", "p50 ms", "p99 ms")
RELOADS = (
    *("questions/s", "reloads", "p50 ms", "p99 ms"),
    *("p99 with reloads", "times as long", "stolen %"),
)

Table = tuple[str, tuple[str, ...], list[list[str]]]  # heading, columns, cells
Turns = dict[tuple[str, str], list[Measured]]  # of a question and a server, round by round


@dataclass(frozen=True, slots=True)
class Round:
    """The same load twice: while nothing else happens, and while policies are replaced."""

    rate: float  # questions a second
    reloads: int
    quiet: tuple[float, float]  # p50 and p99, ms
    busy: tuple[float, float]
    stolen: float  # by the machine's host meanwhile: the share of a core


@dataclass
class Results:
    """All that was measured; `peers` are the names of other servers, with their versions."""

    turns: Turns = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)
    reloads: dict[tuple[str, str], list[Round]] = field(default_factory=dict)  # by rows and load


def questions(results: Results) -> list[str]:
    """The questions, in the order in which they were asked."""
    return list(dict.fromkeys(question for question, _ in results.turns))


def figures(turns: Sequence[Measured], beside: Sequence[Measured]) -> list[str]:
    """Medians; a ratio is one of two turns in the same round."""
    pairs = list(zip(turns, beside, strict=True))
    return [
        f"{median(turn.rate for turn in turns):,.0f}",
        f"{median(turn.rate / other.rate for turn, other in pairs):.2f}",
        f"{median(1 / turn.core for turn in turns):,.0f}",
        f"{median(other.core / turn.core for turn, other in pairs):.2f}",
        f"{median(turn.p50 for turn in turns) / 1_000:.2f}",
        f"{median(turn.p99 for turn in turns) / 1_000:.2f}",
    ]


def service_table(results: Results) -> Table:
    first = results.turns[questions(results)[0], LIMIT]
    cells = [
        [
            question,
            server,
            *figures(turns, results.turns[question, LIMIT]),
            figures(turns, first)[1],
        ]
        for (question, server), turns in results.turns.items()
        if server not in results.peers
    ]
    return "Beside a bare application", ("question", "server", *TURNS, "of the first limit"), cells


def peers_table(results: Results) -> Table:
    cells = []
    for (question, server), turns in results.turns.items():
        asked_of_peers = any((question, peer) in results.turns for peer in results.peers)
        if asked_of_peers and (server == OURS or server in results.peers):
            named = results.peers.get(server, "pdp")
            cells.append([named, *figures(turns, results.turns[question, OURS])])
    return "Beside other servers", ("server", *PEERS), cells


def reload_table(results: Results) -> Table:
    cells = [
        [
            *kind,
            f"{median(one.rate for one in rounds):,.0f}",
            f"{sum(one.reloads for one in rounds)}",
            f"{median(one.quiet[0] for one in rounds):.2f}",
            f"{median(one.quiet[1] for one in rounds):.2f}",
            f"{median(one.busy[1] for one in rounds):.2f}",
            f"{median(one.busy[1] / one.quiet[1] for one in rounds):.2f}",
            f"{median(100 * one.stolen for one in rounds):.1f}",
        ]
        for kind, rounds in results.reloads.items()
    ]
    return "While policies are replaced", ("rows", "load", *RELOADS), cells


def tables(results: Results) -> list[Table]:
    """Every table that has a row."""
    made = (service_table(results), peers_table(results), reload_table(results))
    return [table for table in made if table[2]]


def lines(table: Table) -> str:
    """A table as Markdown."""
    _, columns, cells = table
    words = columns.index(next(name for name in columns if name.endswith("/s")))
    return markdown_table(columns, cells, words)


def show(results: Results) -> None:
    """All tables on standard output."""
    for number, table in enumerate(tables(results)):
        tell("\n" * bool(number) + f"{table[0]}\n")
        tell(lines(table))


def markdown(results: Results, told: dict[str, str]) -> str:
    """What stands between the markers."""
    on = f"{told['cpu']}, one core for the server and one for the questions"
    parts = [
        f"Measured on {told['day']}: {on}, {told['python']}, {told['system']}.",
        f"![requests per second of each server, question by question]({PLOT})",
    ]
    for table in tables(results):
        parts += [f"### {table[0]}", lines(table)]
    return "\n\n".join(parts)


def write(results: Results, told: dict[str, str], page: Path) -> None:
    """The tables into the page, between its markers, and the plot beside it."""
    put_between(page, "service", markdown(results, told))
    plot(results, page.with_name(PLOT))


def plot(results: Results, file: Path) -> None:
    """A bar for each server, in a group for each question, by requests per second."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "pdp"  # the same figures make the same file
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panel = figure.subplots()
    asked = questions(results)
    servers = list(dict.fromkeys(server for _, server in results.turns))
    width = 0.85 / len(servers)
    for number, server in enumerate(servers):
        rates = {
            place + number * width: median(turn.rate for turn in results.turns[question, server])
            for place, question in enumerate(asked)
            if (question, server) in results.turns
        }
        named = {LIMIT: "bare application", **results.peers}.get(server, f"pdp, {server}")
        panel.bar(list(rates), list(rates.values()), width, label=named, color=f"C{number}")
    panel.set_xticks([place + 1.5 * width for place in range(len(asked))], asked)
    panel.set_ylabel("requests per second, by one core")
    panel.set_axisbelow(True)
    panel.grid(axis="y", alpha=0.3)
    panel.legend(fontsize=8)
    figure.savefig(file, format="svg", metadata={"Date": None})
