"""What is worked out quickly is what the plain way comes to, and grows with the rows alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pdp.policy.checks.chains import too_deep
from pdp.policy.order import RoleCycle, by_priority, by_subject_depth, subject_depths
from pdp.policy.settings import CASBIN_PAIR
from pdp.policy.shape import LayerText, read_shape
from pdp.policy.text import PolicyText, Row, read_model

MAX_EDGES = 9
MODEL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = priority, sub, obj
[role_definition]
g = _, _
"""
NAMES = st.sampled_from([f"n{i}" for i in range(14)])
DOMAINS = st.sampled_from([(), ("",), ("d",)])
LINKS = st.lists(st.tuples(NAMES, NAMES, DOMAINS).map(lambda t: (t[0], t[1], *t[2])), max_size=30)
CHAIN = [(f"n{i}", f"n{i + 1}") for i in range(12)]


def rows_of(links: Sequence[tuple[str, ...]]) -> list[Row]:
    return [Row("g", values, line) for line, values in enumerate(links, 1)]


def named(row: Row) -> tuple[tuple[str, str], tuple[str, str]]:
    domain = row.values[2] if len(row.values) > 2 else ""
    return (domain, row.values[0]), (domain, row.values[1])


def searched(rows: Sequence[Row]) -> Iterator[tuple[str, int]]:
    """A search from everybody who is nobody's role, and the first row beyond the bound."""
    roles = {named(row)[1] for row in rows}
    for start in dict.fromkeys(named(row)[0] for row in rows):
        if start in roles:
            continue
        steps, queue = {start: 0}, deque([start])
        beyond = []
        while queue:
            name = queue.popleft()
            for row in rows:
                member, role = named(row)
                if member == name and role not in steps:
                    steps[role] = steps[name] + 1
                    beyond += [row] if steps[role] == MAX_EDGES + 1 else []
                    queue.append(role)
        if beyond:
            yield start[1], beyond[0].line


@settings(max_examples=300, deadline=None)
@given(LINKS)
@example(CHAIN)
@example([*CHAIN, ("n0", "n5")])
@example([*CHAIN, ("n13", "n0"), ("n2", "n12", "")])
@example([*CHAIN[:5], *((a, b, "d") for a, b in CHAIN[5:])])
def test_chains_that_are_too_long_are_those_that_a_search_finds(
    links: list[tuple[str, ...]],
) -> None:
    rows = rows_of(links)
    assert [(start, row.line) for start, row in too_deep(rows)] == list(searched(rows))


def test_a_chain_that_is_too_long_is_found() -> None:
    assert [(name, row.line) for name, row in too_deep(rows_of(CHAIN))] == [("n0", 10)]
    assert list(too_deep(rows_of(CHAIN[:MAX_EDGES]))) == []


def in_rounds(links: Sequence[tuple[str, ...]]) -> dict[tuple[str, str], int]:
    """A round takes all names that are no role of a name still left."""
    edges = [named(row) for row in rows_of(links)]
    left = {name for edge in edges for name in edge}
    depths: dict[tuple[str, str], int] = {}
    for depth in range(len(links) + 1):
        taken = left - {role for _, role in edges}
        if edges and not taken:
            raise RoleCycle
        depths.update(dict.fromkeys(taken, depth))
        edges = [edge for edge in edges if edge[0] not in taken]
        left -= taken
    return depths


@settings(max_examples=300, deadline=None)
@given(LINKS)
@example(CHAIN)
@example([*CHAIN, ("n12", "n0")])
@example([("n0", "n0")])
@example([*CHAIN, *CHAIN, ("n3", "n9")])
def test_depths_are_those_that_rounds_come_to(links: list[tuple[str, ...]]) -> None:
    try:
        wanted = in_rounds(links)
    except RoleCycle:
        with pytest.raises(RoleCycle):
            subject_depths(links)
    else:
        assert subject_depths(links) == wanted


def text_of(rows: Sequence[Row]) -> LayerText:
    return read_shape(CASBIN_PAIR, read_model(MODEL, "m"), PolicyText("p", tuple(rows)))


@given(st.lists(st.integers(0, 5), max_size=30))
@example([i % 9_973 for i in range(20_000, 0, -1)])
def test_rules_are_sorted_as_python_sorts_them(priorities: list[int]) -> None:
    rows = [Row("p", (str(p), "a", "/"), line) for line, p in enumerate(priorities, 1)]
    assert by_priority(text_of(rows), rows) == sorted(rows, key=lambda row: int(row.values[0]))


def test_rules_of_the_most_specific_subjects_come_first() -> None:
    links = rows_of([("1", "2"), ("2", "3")])
    rules = [Row("p", (name, "a", "/"), line) for line, name in enumerate("321", 10)]
    found = by_subject_depth(text_of([*links, *rules]), rules)
    assert [row.line for row in found] == [12, 11, 10]


class Counted(str):
    """A name that counts how often it is hashed or compared."""

    __slots__ = ()
    times = 0

    def __hash__(self) -> int:
        Counted.times += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Counted.times += 1
        return super().__eq__(other)


def chain(count: int) -> list[tuple[str, ...]]:
    return [(Counted(f"n{i}"), Counted(f"n{i + 1}")) for i in range(count)]


def crowd(count: int) -> list[tuple[str, ...]]:
    """Very many members at the bottom of a chain that is too long."""
    return [*chain(12), *((Counted(f"m{i}"), Counted("n1")) for i in range(count))]


def work_of_depths(links: list[tuple[str, ...]]) -> int:
    Counted.times = 0
    subject_depths(links)
    return Counted.times


def work_of_chains(links: list[tuple[str, ...]]) -> int:
    rows = rows_of(links)
    Counted.times = 0
    assert list(too_deep(rows))
    return Counted.times


def test_the_work_for_depths_grows_with_the_rows_however_long_the_chain() -> None:
    assert 1_000 < work_of_depths(chain(10_000)) <= 11 * work_of_depths(chain(1_000))


@pytest.mark.parametrize("shape", [chain, crowd])
def test_the_work_for_chains_grows_with_the_rows(shape: object) -> None:
    assert callable(shape)
    assert 1_000 < work_of_chains(shape(10_000)) <= 11 * work_of_chains(shape(1_000))
