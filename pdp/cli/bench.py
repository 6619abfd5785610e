"""`pdp bench`: how fast a policy of one's own is loaded and decided."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Annotated, Any

import msgspec
import typer

from pdp.cli.check import count
from pdp.cli.directory import load_leniently
from pdp.cli.drawing import draw, read_source
from pdp.cli.options import Config, Directory, Format, policy_directory
from pdp.cli.plan import plan_lines
from pdp.cli.policy_files import read_policy_files
from pdp.cli.problems import show
from pdp.cli.terminal import say
from pdp.cli.timing import Figures, Timings, figures, resident, time_decisions
from pdp.policy.layer import Layer
from pdp.runtime.load import Loaded

app = typer.Typer(rich_markup_mode=None, add_completion=False)
_ENOUGH_TO_WEIGH = 10_000  # with fewer rows it would be the interpreter that is weighed

Seconds = Annotated[
    float, typer.Option("--seconds", min=0.1, max=600, help="How long to put questions.")
]
Seed = Annotated[int, typer.Option("--seed", help="The same seed draws the same questions.")]
Written = Annotated[Format, typer.Option("--format", help="How to write results down.")]


@dataclass(frozen=True, slots=True)
class Weight:
    """What loading took: `rows` are all `p` and `g` rows, `bytes` what the process grew by."""

    seconds: float
    rows: int
    roles: int
    bytes: int | None

    @property
    def per_row(self) -> float | None:
        """Bytes for each row, or None where that would say nothing."""
        told = self.bytes is not None and self.rows >= _ENOUGH_TO_WEIGH
        return (self.bytes or 0) / self.rows if told else None


@app.command("bench")
def bench(
    directory: Directory = None,
    *,
    config: Config = None,
    seconds: Seconds = 2.0,
    seed: Seed = 1,
    format_: Written = Format.TEXT,
) -> None:
    """Measure how fast a policy directory is loaded and decided, here.

    Questions are made of the policy's own rows; every fourth names a subject or a resource that
    it does not know. For example:

    pdp bench policies --seconds 5
    """
    loaded, weight, timings = _measure(policy_directory(directory), config, seconds, Random(seed))  # noqa: S311 - repeatable, not secret
    if format_ is Format.JSON:
        typer.echo(msgspec.json.format(msgspec.json.encode(_report(loaded, weight, timings))))
    else:
        _show(loaded, weight, timings)


def plan(layer: Layer) -> list[str]:
    """How the layer finds its rows, one line for each part of its matcher."""
    _, *lines = plan_lines(layer)
    return ["".join(part if isinstance(part, str) else part[0] for part in line) for line in lines]


def _measure(
    directory: Path, config: Path | None, seconds: float, rng: Random
) -> tuple[Loaded, Weight, Timings]:
    before, start = resident(), time.perf_counter()
    loaded = load_leniently(directory, config)
    spent, after = time.perf_counter() - start, resident()
    for problem in loaded.warnings:
        show(problem, error=True)
    shapes = list(read_policy_files(loaded).shapes())
    policies = {shape.policy.file: shape.policy.rows for shape in shapes}
    rows = [row for rows in policies.values() for row in rows]
    roles = sum(row.ptype.startswith("g") for row in rows)
    grown = None if before is None or after is None else max(0, after - before)
    sources = [source for source in (read_source(shape, rng) for shape in shapes) if source.rows]
    weight = Weight(spent, len(rows), roles, grown)
    del shapes, policies, rows  # a policy that is served holds its rows once
    timings = time_decisions(loaded.snapshot, partial(draw, sources, rng), seconds, time.time())
    return loaded, weight, timings


def _report(loaded: Loaded, weight: Weight, timings: Timings) -> dict[str, Any]:
    return {
        "load": {
            "seconds": weight.seconds,
            "rows": weight.rows,
            "role_rows": weight.roles,
            "bytes": weight.bytes,
            "bytes_per_row": weight.per_row,
        },
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "rows": len(layer.rows),
                **_microseconds(figures(timings.layers[layer.name])),
                "plan": plan(layer),
            }
            for layer in loaded.snapshot.layers
        ],
        "decision": {
            "count": len(timings.whole),
            **_microseconds(figures(timings.whole)),
            "per_second": timings.per_second,
            "outcomes": dict(timings.outcomes.most_common()),
        },
    }


def _microseconds(found: Figures) -> dict[str, float]:
    return {f"{name}_us": value for name, value in asdict(found).items()}


def _show(loaded: Loaded, weight: Weight, timings: Timings) -> None:
    layers = loaded.snapshot.layers
    held = f"{count(len(layers), 'layer')}, {count(weight.rows, 'row')}, {weight.roles} of roles"
    say(("loaded", "bold"), f" in {weight.seconds:.3f} s: {held}{_weighed(weight)}")
    width = max(len(name) for name in ("whole decision", *timings.layers))
    say(f"{'microseconds':{width}}  {'':5}  {'rows':>9}  {'p50':>9}  {'p99':>9}")
    for layer in layers:
        told = (
            f"  {layer.kind:5}  {len(layer.rows):9,}{_cells(figures(timings.layers[layer.name]))}"
        )
        say((f"{layer.name:{width}}", "bold"), told)
        for line in plan(layer):
            say(f"    {line}")
    say((f"{'whole decision':{width}}", "bold"), " " * 18 + _cells(figures(timings.whole)))
    number = len(timings.whole)
    came = ", ".join(f"{name} {n / number:.0%}" for name, n in timings.outcomes.most_common())
    say(f"{timings.per_second:,.0f} decisions per second on one core; of {number:,}: {came}")


def _weighed(weight: Weight) -> str:
    if weight.bytes is None:
        return ""
    each = "" if weight.per_row is None else f", {weight.per_row:,.0f} bytes a row"
    return f"; {weight.bytes / 1e6:,.1f} MB{each}"


def _cells(found: Figures) -> str:
    return f"  {found.p50:9,.1f}  {found.p99:9,.1f}"
