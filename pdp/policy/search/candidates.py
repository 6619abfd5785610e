"""From a question with one part open to what that part can be, by rules that could allow it.

Each rule that is left over by the look-ups of the known parts gives a clue; all clues together give
streams of candidates. Nobody who is permitted is left out, provided that the policy knows him.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pdp.policy.facts import Facts
from pdp.policy.index.branch import is_node
from pdp.policy.layer import Layer
from pdp.policy.matcher.terms import Frame, Row
from pdp.policy.search.clues import NO_CLUE, Clue, Kind, Vague, clue_of
from pdp.policy.search.known import Part, World, signature
from pdp.policy.search.origins import Origins
from pdp.policy.search.reading import Reader, scope_of
from pdp.policy.search.rows import TooMany, Tree, positions, tree_of
from pdp.policy.search.streams import Ids, Stream

MOST_ROWS: Final = 20_000  # that one question looks at one by one


def streams(
    world: World, part: Part, asked: Iterable[Facts], *, everybody: bool = False
) -> Sequence[Stream]:
    """Candidates for the open part of any of these facts, which are one question's.

    Where the rules do not narrow it down, or with `everybody`, these are all that are known, and
    whom the question itself names.
    """
    found: list[Stream] = []
    named: list[Stream] = []
    for facts in asked:
        search = _Search(world, part, facts)
        for layer, tree, clue in search.alternatives():
            if everybody and not clue.names:
                continue
            try:
                (named if clue.names else found).extend(search.of(layer, tree, clue))
            except (Vague, TooMany):
                everybody = True
        known = Ids(search.origins.known.ids)
    return [known, *named] if everybody else [*found, *named]


@dataclass(slots=True)
class _Search:
    world: World
    part: Part
    facts: Facts
    origins: Origins = field(init=False)
    looked_at: int = 0

    def __post_init__(self) -> None:
        self.origins = Origins.of(self.world, self.part, self.facts)

    def alternatives(self) -> Iterator[tuple[Layer, Tree, Clue]]:
        """What the matchers of all grants allow by, each with what it tells of the open part."""
        for layer in self.world.layers:
            if layer.kind == "grant":
                yield from ((layer, tree, clue) for tree, clue in self._alternatives(layer))

    def _alternatives(self, layer: Layer) -> Sequence[tuple[Tree, Clue]]:
        part = self.part
        key = "clues", part, layer.name, signature(layer, part, self.facts)

        def make() -> list[tuple[Tree, Clue]]:
            reader = Reader(scope_of(layer), part.source, self.facts)
            return [(tree, _best(tree, reader)) for tree in self._trees(layer)]

        return self.world.memo.get(key, make, len)

    def _trees(self, layer: Layer) -> Sequence[Tree]:
        source, branches = self.part.source, layer.indexes.allows.branches
        return self.world.memo.get(
            ("trees", layer.name, source),
            lambda: [tree_of(branch, source) for branch in branches],
            lambda trees: sum(tree.weight for tree in trees),
        )

    def of(self, layer: Layer, tree: Tree, clue: Clue) -> Iterator[Stream]:
        """The candidates of an alternative; Vague or TooMany if anything known may be one."""
        frame, told = layer.frame(self.facts), dict[str | None, list[Any]]()
        for node in tree.nodes(frame):
            rows = self._rows(tree, node)
            many = len(rows) > self.world.few
            if clue.single:  # then one rule that could allow is as good as all
                if many or any(self._could_allow(frame, tree, row) for row in rows):
                    _tell(told, clue, frame, ())
                    break
            elif many:
                yield from self._of_many(layer, frame, tree, clue, node)
            else:
                for row in rows:
                    if self._could_allow(frame, tree, row):
                        _tell(told, clue, frame, tree.rows[row].values)
        yield from self.origins.streams(layer, clue, told)

    def _could_allow(self, frame: Frame, tree: Tree, row: int) -> bool:
        self.looked_at += 1
        if self.looked_at > MOST_ROWS:
            raise TooMany
        return tree.could_allow(frame, tree.rows[row].values)

    def _rows(self, tree: Tree, node: Any) -> Sequence[int]:
        if isinstance(node, int):
            return (node,)
        if not is_node(node):
            rows: Sequence[int] = node
            return rows
        return self.world.memo.get(("rows", tree, id(node)), lambda: positions(node), len)

    def _of_many(
        self, layer: Layer, frame: Frame, tree: Tree, clue: Clue, node: Any
    ) -> Sequence[Stream]:
        """Candidates of many rules, kept: what else the rules ask for is left to the judge."""
        if clue.column is None:
            raise Vague
        try:
            domain = clue.of_domain(frame, ()) if clue.domain_column is None else None
        except LookupError:
            return ()
        place, own = clue.column, clue.domain_column

        def make() -> list[Stream] | None:
            told: dict[str | None, set[Any]] = {}
            for row in self._rows(tree, node):
                values = tree.rows[row].values
                told.setdefault(domain if own is None else values[own], set()).add(values[place])
            try:
                return list(self.origins.streams(layer, clue, told))
            except Vague:
                return None

        key = "many", self.part, self.origins.namings, tree, id(node), clue, domain
        found = self.world.memo.get(key, make, lambda f: sum(s.weight for s in f or ()))
        if found is None:
            raise Vague
        return found


def _best(tree: Tree, reader: Reader) -> Clue:
    """The clause that tells most of the open part."""
    clues = (clue_of(literal, reader) for literal in tree.about)
    return min(clues, key=lambda clue: clue.rank, default=replace(NO_CLUE, single=True))


def _tell(told: dict[str | None, list[Any]], clue: Clue, frame: Frame, row: Row) -> None:
    """Note what a rule gives."""
    if clue.kind is Kind.NONE:
        raise Vague
    try:
        domain = clue.of_domain(frame, row) if clue.kind is Kind.ROLE else None
    except LookupError:
        return
    told.setdefault(domain, []).extend(clue.values(frame, row))
