"""One conjunction over many rows: a tree whose levels are probes and whose leaves are rows.

Rows stand in the tree by the texts of the columns that the probes select among, the most telling
column first; few rows are a leaf at once. What no level has made sure of is evaluated row by row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pdp.gently import Wide, gently, growing, settled
from pdp.policy.facts import Source
from pdp.policy.index.probes import Probe
from pdp.policy.matcher.normal import Literal
from pdp.policy.matcher.terms import Frame, Truth, all_of
from pdp.policy.rows import PolicyRow

Leaf = int | tuple[int, ...]  # positions in ascending order; most leaves are one row
_FEW: Final = 3  # rows are evaluated rather than told apart further
_NODES: Final = (dict, Wide)

Rows = Sequence[PolicyRow]


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """The rows of one conjunction.

    `gates` read no row, `levels` are probes, `rest[depth]` are the literals that `depth` levels
    have not made sure of, `whole` are all. A `lenient` branch is after rows that are not false,
    which unknown ones are not; others are after rows that are true. `turned` are the same with
    another level on top, for where the first cannot tell. A `thorough` branch looks at all that
    are left, so that the time does not tell whether one matched. A branch with a `decoy` looks at
    that row where none is left, so that the time does not tell whether one was. `literals` are all
    of it, the first of them those of the levels: for those who want to know the plan.
    """

    rows: Rows
    positions: Sequence[int]
    gates: tuple[Truth, ...]
    levels: tuple[Probe, ...]
    root: Any
    rest: tuple[Truth | None, ...]
    whole: Truth | None
    lenient: bool
    thorough: bool
    literals: tuple[Literal, ...]
    decoy: int | None = None
    turned: tuple[Branch, ...] = ()

    def first(self, frame: Frame, best: int) -> int:
        """The first position before `best` whose row matches, or `best`."""
        for gate in self.gates:
            held = gate(frame, ())
            if held is False or (held is None and not self.lenient):
                return best
        return self._below(frame, self.root, 0, best)

    def _below(self, frame: Frame, node: Any, depth: int, best: int) -> int:
        levels = self.levels
        while node.__class__ in _NODES:
            selected = levels[depth].select(frame, node)
            if selected is None:
                return self._unsure(frame, node, depth, best)
            depth += 1
            if len(selected) == 1:
                node = selected[0]
                continue
            if not selected and self.decoy is not None:
                self._among(frame, self.decoy, self.rest[depth], self.decoy + 1)
            for child in selected:
                best = self._below(frame, child, depth, best)
            return best
        return self._among(frame, node, self.rest[depth], best)

    def _unsure(self, frame: Frame, node: Any, depth: int, best: int) -> int:
        """A level cannot tell: every row below it may be not false, and none is true."""
        if not self.lenient:
            return best
        if depth == 0:
            for branch in self.turned:
                if branch.levels[0].select(frame, branch.root) is not None:
                    return branch.first(frame, best)
            # In order, as the first row is likely to do.
            return self._among(frame, self.positions, self.whole, best)
        for leaf, _ in leaves(node):
            best = self._among(frame, leaf, self.whole, best)
        return best

    def _among(self, frame: Frame, leaf: Any, test: Truth | None, best: int) -> int:
        rows, lenient = self.rows, self.lenient
        for position in (leaf,) if leaf.__class__ is int else leaf:
            if position >= best and not self.thorough:
                break
            matched = test is None or test(frame, rows[position].values)
            if matched or (matched is None and lenient):
                if not self.thorough:
                    return position
                best = min(best, position)
        return best


def is_node(node: Any) -> bool:
    """Whether it is no leaf."""
    return node.__class__ in _NODES


def leaves(node: Any, depth: int = 0) -> Iterator[tuple[Sequence[int], int]]:
    """Every leaf below a node, with how many levels stand above it."""
    pending = [iter((node,))]
    while pending:
        for child in pending[-1]:
            if is_node(child):
                pending.append(iter(child.values()))
                break
            yield (child,) if child.__class__ is int else child, depth + len(pending) - 1
        else:
            pending.pop()


def _all(literals: Sequence[Literal], *, even: bool) -> Truth | None:
    """The conjunction of literals; None for none, which holds. An `even` one always asks all."""
    truths = [literal.truth for literal in literals]
    return (truths[0] if len(truths) == 1 else all_of(truths, even=even)) if truths else None


def grow(rows: Rows, positions: Sequence[int], levels: Sequence[Probe]) -> Any:
    """The tree of the rows at `positions`; deeper levels only where many rows are left."""
    if len(positions) == 1:
        return positions[0]
    if len(positions) <= _FEW or not levels:
        return tuple(positions) if levels or len(positions) < len(rows) else positions
    column, deeper = levels[0].column, levels[1:]
    groups = growing()
    for position in gently(positions):
        text = rows[position].values[column]
        group = groups.get(text)
        if group is None:
            groups[text] = [position]
        else:
            group.append(position)
    for text, group in gently(groups.items()):
        groups[text] = grow(rows, group, deeper)
    return settled(groups)


def branch_of(
    literals: Sequence[Literal],
    probes: Sequence[tuple[Literal, Probe]],
    rows: Rows,
    positions: Sequence[int],
    *,
    lenient: bool,
    even: bool,
    verify: Truth | None = None,
) -> Branch:
    """The branch of `literals` over the rows at `positions`, with `probes` of some as levels.

    With `verify` that is asked of every row that is left, instead of what is not yet sure. An
    `even` one takes the same calls for a value that one row speaks of as for one of which none
    does.
    """
    even = even and any(Source.RESOURCE in literal.depends for literal, _ in probes)
    branch = _branch(literals, probes, rows, positions, lenient, even, verify)
    others = range(1, len(probes)) if lenient else ()
    turned = ([probes[i], *probes[:i], *probes[i + 1 :]] for i in others)
    return replace(
        branch,
        turned=tuple(_branch(literals, p, rows, positions, lenient, even, verify) for p in turned),
    )


def _branch(
    literals: Sequence[Literal],
    probes: Sequence[tuple[Literal, Probe]],
    rows: Rows,
    positions: Sequence[int],
    lenient: bool,
    even: bool,
    verify: Truth | None,
) -> Branch:
    reading = [literal for literal in literals if literal.columns]
    sure = [literal for literal, _ in probes]
    levels = tuple(probe for _, probe in probes)
    return Branch(
        rows=rows,
        positions=positions,
        gates=tuple(literal.truth for literal in literals if not literal.columns),
        levels=levels,
        root=grow(rows, positions, levels),
        rest=tuple(
            verify or _all([o for o in reading if o not in sure[:depth]], even=even)
            for depth in range(len(levels) + 1)
        ),
        whole=verify or _all(reading, even=even),
        lenient=lenient,
        thorough=verify is not None,
        literals=tuple(dict.fromkeys([*sure, *literals])),
        decoy=positions[0] if even else None,
    )
