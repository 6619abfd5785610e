"""Loads a whole PDP with wrk and tells how near it comes to a bare aiohttp application.

    python benchmarks/service.py             # about three minutes; --short in seconds
    python benchmarks/service.py --reload    # also what a reload adds to p99; nine minutes more
    python benchmarks/service.py --reload --write docs/throughput.md

Cerbos and OPA are measured beside it where they are found, on PATH or as given:

    npm install --prefix peers @cerbos/cerbos-linux-x64      # or -arm64
    python benchmarks/service.py --cerbos peers/node_modules/@cerbos/*/cerbos-*

Needs wrk (https://github.com/wg/wrk), and two cores: the servers have one, wrk the other. Servers
take turns in every round, and what is told are medians over the rounds. Ends by itself; exits with
1 if an answer was wrong. `--write` needs matplotlib, which `pip install '.[bench]'` brings.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
from functools import cache
from pathlib import Path

from peers import Peer, start_peers
from reporting import machine
from service_made import NEW, Scenario, scenarios, write_policy, write_script
from service_reload import measure_reloads
from service_report import OURS, Results, show, write
from service_servers import Server, check, load, start_limit, start_pdp

Asked = list[tuple[Scenario, Server, Path]]  # what is asked, of whom, and wrk's script for it


def plan(
    given: argparse.Namespace, place: Path, stack: contextlib.ExitStack
) -> tuple[Asked, list[Peer]]:
    """Every question with every server that is asked it; all of them are up and answer well."""
    peers = start_peers(stack, place, {"cerbos": given.cerbos, "opa": given.opa})

    @cache
    def pdps(*, new: bool) -> list[Server]:
        """New tokens push out those that are remembered: they have servers of their own."""
        log = place / f"decisions{'-new' * new}.jsonl"
        return [start_pdp(stack, place, OURS, str(log)), start_pdp(stack, place, "no log", "off")]

    limits: dict[str, Server] = {}
    planned = []
    for scenario in scenarios():
        if given.only and not scenario.path.endswith(given.only):
            continue
        asked = pdps(new=scenario.name == NEW)
        answer, *_ = [check(pdp, scenario) for pdp in asked]
        if scenario.limit not in limits:
            limits[scenario.limit] = start_limit(stack, place, answer)
        script = write_script(place, scenario)
        planned += [(scenario, server, script) for server in (limits[scenario.limit], *asked)]
        for peer in peers:
            if peer.scenario.name == scenario.name:
                check(peer.server, peer.scenario)
                planned.append((peer.scenario, peer.server, write_script(place, peer.scenario)))
    return planned, peers


def measure(given: argparse.Namespace, place: Path, stack: contextlib.ExitStack) -> Results:
    """Every question on every server, in turns."""
    planned, peers = plan(given, place, stack)
    results = Results(peers={peer.server.name: peer.version for peer in peers})
    for _ in range(given.rounds):
        for scenario, server, script in planned:
            turn = load(server, script, given.seconds, given.connections)
            results.turns.setdefault((scenario.name, server.name), []).append(turn)
    return results


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", help="the end of the one path that is asked")
    parser.add_argument("--cerbos", metavar="PROGRAM", help="where it is, if not on PATH")
    parser.add_argument("--opa", metavar="PROGRAM", help="where it is, if not on PATH")
    parser.add_argument("--reload", action="store_true", help="also what a reload adds to p99")
    parser.add_argument("--short", action="store_true", help="one round, and few rows to reload")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the tables there")
    return parser.parse_args()


def main() -> None:
    """Print the tables."""
    given = parse()
    if given.short:
        given.rounds = 1
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    if given.write and not given.write.is_file():
        raise SystemExit(f"{given.write}: no such page, in which tables could be replaced")
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        write_policy(place / "policies")
        with contextlib.ExitStack() as stack:
            results = measure(given, place, stack)
        if given.reload:
            measure_reloads(results, place / "reload", short=given.short)
    show(results)
    if given.write:
        write(results, machine(), given.write)


if __name__ == "__main__":
    main()
