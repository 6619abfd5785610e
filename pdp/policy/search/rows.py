"""Rules that could allow with one part of the question open, by the look-ups that are left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pdp.policy.facts import Source
from pdp.policy.index.branch import Branch, Rows, grow, is_node, leaves
from pdp.policy.index.probes import Probe
from pdp.policy.matcher.normal import Literal
from pdp.policy.matcher.terms import Frame, Row, Truth

MOST_NODES: Final = 20_000  # of the tree, that one question visits


class TooMany(Exception):
    """Raised where a question selects too much of the tree to go through for a page."""


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """The rows of one alternative that allow, by the look-ups that do not read the open part.

    `known` are the clauses that do not, `about` those that do.
    """

    rows: Rows
    known: tuple[Literal, ...]
    about: tuple[Literal, ...]
    levels: tuple[Probe, ...]
    root: Any
    weight: int  # of what is not shared with the engine's own index

    def nodes(self, frame: Frame) -> Iterator[Any]:
        """The parts of the tree that the known clauses select; TooMany if there is no end to it."""
        if not self._holds(frame, ()):
            return
        pending, visited = [(self.root, 0)], 0
        while pending:
            node, depth = pending.pop()
            if depth == len(self.levels) or not is_node(node):
                yield node
                continue
            selected = self.levels[depth].select(frame, node) or ()
            visited += len(selected)
            if visited > MOST_NODES:
                raise TooMany
            pending.extend((child, depth + 1) for child in selected)

    def could_allow(self, frame: Frame, row: Row) -> bool:
        """Whether no clause keeps a row from matching some candidate."""
        return self._holds(frame, row)

    def _holds(self, frame: Frame, row: Row) -> bool:
        """With an empty row, as far as clauses go that read none."""

        def asked(literals: Sequence[Literal]) -> Iterator[Truth]:
            return (one.truth for one in literals if bool(one.columns) is bool(row))

        return all(truth(frame, row) is True for truth in asked(self.known)) and all(
            truth(frame, row) is not False for truth in asked(self.about)
        )


def positions(node: Any) -> list[int]:
    """The rows below a node."""
    return [position for leaf, _ in leaves(node) for position in leaf]


def tree_of(branch: Branch, source: Source) -> Tree:
    """The tree of an engine's branch, for searches of one part.

    The engine's own is used as far as its first levels do not read that part.
    """
    reads = [source in one.depends for one in branch.literals[: len(branch.levels)]]
    levels = tuple(level for level, about in zip(branch.levels, reads, strict=True) if not about)
    own = any(reads[: len(levels)])
    root = grow(branch.rows, branch.positions, levels) if own else branch.root
    return Tree(
        rows=branch.rows,
        known=tuple(one for one in branch.literals if source not in one.depends),
        about=tuple(one for one in branch.literals if source in one.depends),
        levels=levels,
        root=root,
        weight=len(branch.positions) if own else 0,
    )
