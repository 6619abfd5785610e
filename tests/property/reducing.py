"""A difference made small: rows, questions, properties and sides of expressions are left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from corpus import Sample
from differential import Difference, Tally, compare
from judge import Ask
from oracle import definition
from trees import Tree, read_tree

MOST_TRIALS = 1_500
T = TypeVar("T")


def reduced(found: Difference) -> Difference:
    """The smallest difference that a bounded search finds; at worst `found` itself."""
    best, trials = found, 0
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(best.sample):
            trials += 1
            if trials > MOST_TRIALS:
                return best
            if (still := _difference(smaller)) is not None:
                best, progress = still, True
                break
    return best


def _difference(sample: Sample) -> Difference | None:
    try:
        compare(sample, Tally())
    except Difference as difference:
        return difference
    except Exception:  # noqa: BLE001 - what is left out may leave no policy that pycasbin loads
        return None
    return None


def _smaller(sample: Sample) -> Iterator[Sample]:
    for asks in _without(sample.asks):
        yield replace(sample, asks=asks)
    lines = tuple(sample.policy.rows.splitlines())
    for rows in _without(lines):
        yield _with_rows(sample, rows)
    matcher = definition(sample.policy.model, "m" + sample.policy.section)
    for tree in _simpler(read_tree(matcher)):
        model = sample.policy.model.replace(f" = {matcher}", f" = {tree}")
        yield replace(sample, policy=replace(sample.policy, model=model))
    yield from _with_simpler_rules(sample, lines)
    for number, ask in enumerate(sample.asks):
        for barer in _barer(ask):
            yield replace(sample, asks=(*sample.asks[:number], barer, *sample.asks[number + 1 :]))


def _without(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    """Without large parts first, then without each."""
    size = len(items) // 2
    while size:
        for start in range(0, len(items), size):
            kept = items[:start] + items[start + size :]
            if kept:
                yield kept
        size //= 2


def _with_rows(sample: Sample, rows: tuple[str, ...]) -> Sample:
    return replace(sample, policy=replace(sample.policy, rows="\n".join(rows) + "\n"))


def _simpler(tree: Tree) -> Iterator[Tree]:
    """The parts in place of the whole, then each part simpler."""
    yield from tree.parts
    if tree.kind in ("and", "or") and len(tree.parts) > 2:
        yield from (replace(tree, parts=parts) for parts in _without(tree.parts) if parts[1:])
    for index, part in enumerate(tree.parts):
        for simpler in _simpler(part):
            yield replace(tree, parts=(*tree.parts[:index], simpler, *tree.parts[index + 1 :]))


def _with_simpler_rules(sample: Sample, lines: tuple[str, ...]) -> Iterator[Sample]:
    """The texts of `eval`, which stand last in a row."""
    if "eval(" not in sample.policy.model:
        return
    columns = definition(sample.policy.model, "p" + sample.policy.section).count(",") + 1
    for number, line in enumerate(lines):
        head = re.match(rf"p\d*, (?:[^,]*, ){{{columns - 1}}}", line)
        for tree in _simpler(read_tree(line[head.end() :])) if head else ():
            yield _with_rows(
                sample, (*lines[:number], f"{line[: head.end()]}{tree}", *lines[number + 1 :])
            )


def _barer(ask: Ask) -> Iterator[Ask]:
    parts: dict[str, Callable[[], object]] = {
        name: lambda name=name: getattr(ask, name)  # type: ignore[misc]
        for name in ("context", "sub_properties", "obj_properties")
    }
    for name, read in parts.items():
        known = dict(read())  # type: ignore[call-overload]
        for key in known:
            yield replace(ask, **{name: {k: v for k, v in known.items() if k != key}})
