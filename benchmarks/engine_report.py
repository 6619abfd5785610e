"""The engine's figures as text, as Markdown between two markers, and as a plot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine_models import MODELS
from engine_rows import KINDS
from reporting import aligned, markdown_table, put_between, tell

GROWTH = (1_000, 1_000_000)
DASH = "\u2013"
TIMES = "\u00d7"

Run = dict[str, Any]
Table = tuple[str, tuple[str, ...], list[list[str]]]  # heading, columns, cells


def slowest(figures: dict[str, Any]) -> float:
    """The p50 of the kind of question that is slowest at it."""
    return max(float(figures[kind]["p50"]) for kind in KINDS)


def micro(value: float) -> str:
    """Microseconds with three figures or none too many."""
    return f"{value:.1f}" if value < 1_000 else f"{value:,.0f}"


def ratio(casbin: float, ours: float) -> str:
    found = casbin / max(ours, 0.001)
    return f"{found:,.0f}{TIMES}" if found >= 10 else f"{found:.1f}{TIMES}"


def ours_table(runs: Iterable[Run]) -> Table:
    columns = ("model", "rows", "`g` rows", *KINDS, "p99", "`decide` p50", "p99", "load", "a row")
    cells = []
    for run in runs:
        engine, whole, weight = run["engine"], run["decide"], run["bytes_per_row"]
        cells.append(
            [
                run["model"],
                f"{run['rows']:,}",
                f"{run['role_rows']:,}",
                *(micro(engine[kind]["p50"]) for kind in KINDS),
                micro(engine["all"]["p99"]),
                micro(slowest(whole)),
                micro(whole["all"]["p99"]),
                f"{run['load_seconds']:.2f} s",
                f"{weight:,.0f} B" if weight else DASH,
            ]
        )
    return "Decisions, in microseconds", columns, cells


def casbin_table(runs: Iterable[Run]) -> Table:
    columns = ("model", "rows", "pdp", "`Enforcer`", "", "of calls", "`FastEnforcer`", "", "load")
    cells = []
    for run in runs:
        plain, fast = run.get("pycasbin"), run.get("fast")
        if plain:
            ours = slowest(run["engine"])
            row = [run["model"], f"{run['rows']:,}", micro(ours), micro(slowest(plain))]
            row += [ratio(slowest(plain), ours), f"{plain['all']['calls']:,}"]
            row += [micro(slowest(fast)), ratio(slowest(fast), ours)] if fast else [DASH, ""]
            cells.append([*row, f"{plain['load_seconds']:.2f} s"])
    return "Against pycasbin, in microseconds", columns, cells


def growth_table(runs: Iterable[Run]) -> Table:
    few, many = GROWTH
    by_size = {(run["model"], run["rows"]): slowest(run["engine"]) for run in runs}
    cells = [
        [model, micro(by_size[model, few]), micro(by_size[model, many]), grown]
        for model in MODELS
        if (model, few) in by_size and (model, many) in by_size
        for grown in [f"{by_size[model, many] / max(by_size[model, few], 0.001):.2f}{TIMES}"]
    ]
    return "Growth of p50", ("model", f"{few:,} rows", f"{many:,} rows", "growth"), cells


def tables(results: dict[str, Any]) -> list[Table]:
    order = list(MODELS)
    runs = sorted(results["runs"], key=lambda run: (order.index(run["model"]), run["rows"]))
    made = (ours_table(runs), casbin_table(runs), growth_table(runs))
    return [table for table in made if table[2]]


def show(results: dict[str, Any]) -> None:
    """All tables on standard output, aligned."""
    told = results["machine"]
    tell(f"{told['cpu']}, {told['python']}, {told['system']}, {told['day']}")
    for heading, columns, cells in tables(results):
        tell(f"\n{heading}")
        for line in aligned([[name.replace("`", "") for name in columns], *cells]):
            tell(line)


def markdown(results: dict[str, Any]) -> str:
    """What stands between the markers."""
    told = results["machine"]
    parts = [
        f"Measured on {told['day']}: {told['cpu']}, one core, {told['python']}, {told['system']}.",
        "![p50 of a decision against rows: pdp on the left, pycasbin on the right](engine.svg)",
    ]
    for heading, columns, cells in tables(results):
        parts += [f"### {heading}", markdown_table(columns, cells)]
    return "\n\n".join(parts)


def write(results: dict[str, Any], docs: Path) -> None:
    """The tables into benchmarks.md, between its markers, and the plot beside it."""
    put_between(docs / "benchmarks.md", "engine", markdown(results))
    plot(results["runs"], docs / "engine.svg")


def plot(runs: list[Run], file: Path) -> None:
    """Two panels with one scale: one line for each model, ours and pycasbin's."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "pdp"  # the same figures make the same file
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    titles = ("pdp", "pycasbin")
    for panel, title, place in zip(panels, titles, ("engine", "pycasbin"), strict=True):
        for number, model in enumerate(MODELS):
            points = sorted(
                (run["rows"], slowest(run[place]))
                for run in runs
                if run["model"] == model and place in run
            )
            if points:
                style = {"marker": "osD^v<>Xp"[number % 9], "markersize": 4, "linewidth": 1.3}
                panel.plot(*zip(*points, strict=True), label=model, color=f"C{number}", **style)
        panel.set(xscale="log", yscale="log", title=title, xlabel="policy rows")
        panel.grid(which="major", alpha=0.3)
    panels[0].set_ylabel("p50 of the slowest kind of question, microseconds")
    panels[0].legend(fontsize=8, ncols=2, loc="upper left")
    figure.savefig(file, format="svg", metadata={"Date": None})
