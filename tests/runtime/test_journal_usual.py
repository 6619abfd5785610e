"""A usual record is the same, byte for byte, as one of which each value was looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_journal_values import NOW, snapshot

from pdp.model import (
    ANONYMOUS,
    Action,
    Entity,
    Identity,
    Method,
    Outcome,
    Query,
    Reason,
    Rule,
    Verdict,
)
from pdp.policy.snapshot import Snapshot
from pdp.runtime.journal_asking import NOBODY, Asking
from pdp.runtime.journal_record import Recorder
from pdp.runtime.journal_shapes import Entry
from pdp.runtime.journal_usual import NOTHING, usual
from pdp.runtime.journal_values import LONGEST, MOST, encode

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LONG = ("x" * (LONGEST + 1), "eyJhbGciOi." + "x" * LONGEST, "eyJ" + "x" * LONGEST + ".y")
ODD = ("", "a", 'q"\\', "é", "\u2028", "\x7f", "\ud800", "eyJhbGciOi.eyJzdWI", *LONG)
TEXT = st.sampled_from(ODD) | st.text(max_size=8)
NAMES = st.lists(TEXT, max_size=3).map(tuple) | st.just(("role",) * (MOST + 1))
RESOURCES = TEXT | st.sampled_from(("/a?b=c", "http://u:p@h/a#b", "/x" * LONGEST, "/y" * 5_000))
FACTS = st.sampled_from((None, 7, "203.0.113.9", ["a"])) | TEXT
CLAIMS = st.fixed_dictionaries({}, optional={"jti": TEXT | st.integers(), "team": TEXT})
PARTIES = st.builds(Entity, TEXT, TEXT)
IDENTITIES = st.just(ANONYMOUS) | st.builds(
    Identity,
    TEXT,
    TEXT,
    st.sampled_from(Method),
    CLAIMS,
    NAMES,
    st.none() | TEXT,
    st.none() | TEXT,
    st.none() | TEXT,
    st.none() | st.just(NOW + 60),
    st.none() | TEXT,
)
QUERIES = st.builds(
    Query,
    st.builds(Action, TEXT),
    st.builds(Entity, st.just("resource") | TEXT, RESOURCES),
    st.fixed_dictionaries({}, optional={"ip": FACTS, "country": FACTS, "host": FACTS}),
    st.none() | PARTIES,
)
VERDICTS = st.builds(
    Verdict,
    st.sampled_from(Outcome),
    st.sampled_from(Reason),
    st.none() | IDENTITIES,
    NAMES,
    st.none() | st.just("rbac"),
    st.none() | st.builds(Rule, st.just("rbac.csv"), st.integers(1, 9)),
    st.just("sha256:00") | st.just(""),
    st.just("") | TEXT,
)
ASKING = st.just(NOBODY) | st.builds(
    Asking,
    st.sampled_from(((), ("id-1",), ("a b",), ("a", "b"))),
    st.sampled_from(((), (TRACE,), ("00-0",))),
    st.none() | TEXT,
)


@pytest.fixture(scope="module", params=["r.sub == p.sub", "r.sub.team == p.sub && r.context.host"])
def policy(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    matcher: str = request.param
    directory: Path = tmp_path_factory.mktemp("policy")
    return snapshot(directory, matcher)


@pytest.fixture(scope="module", params=[1.0, 0.25], ids=["all", "sampled"])
def recorder(request: Any) -> Recorder:
    return Recorder((), request.param)


@st.composite
def entries(draw: st.DrawFn, policy: Snapshot) -> Entry:
    token = draw(st.none() | st.just("f" * 32))
    asked = draw(VERDICTS), "native", draw(ASKING), draw(st.none() | QUERIES)
    return Entry("id", NOW, 1e-5, *asked, policy, token)


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_lines_are_those_of_records_of_which_each_value_was_looked_at(
    policy: Snapshot, recorder: Recorder, data: st.DataObject
) -> None:
    decided = data.draw(st.lists(entries(policy), max_size=4))
    assert recorder.lines(decided) == [encode(recorder.record(entry)) for entry in decided]


def plain(policy: Snapshot, text: str = "/a") -> Entry:
    who = Identity("alice", method=Method.BEARER, claims={"jti": "1"}, expires=NOW + 60)
    query = Query(Action("GET"), Entity("resource", text), {"ip": "203.0.113.9"})
    verdict = Verdict(Outcome.ALLOW, Reason.GRANTED, who, ("a",), revision=policy.revision)
    return Entry("id", NOW, 1e-5, verdict, "native", NOBODY, query, policy)


def test_of_a_plain_decision_nothing_is_looked_at_twice(policy: Snapshot) -> None:
    entry = plain(policy)
    assert usual(entry, NOTHING, None) == Recorder((), 1).record(entry)


@pytest.mark.parametrize("odd", ["\ud800", "\x7f", "eyJhbGciOi.eyJzdWI", "/x" * 9_000, *LONG])
def test_the_lines_beside_an_odd_one_are_as_ever(policy: Snapshot, odd: str) -> None:
    recorder, entry = Recorder((), 1), plain(policy)
    line, strange, again = recorder.lines([entry, plain(policy, odd), entry])
    assert line == again == recorder.lines([entry])[0]
    assert strange != line
    assert strange == encode(recorder.record(plain(policy, odd)))


def test_what_is_masked_is_never_in_a_usual_line(policy: Snapshot) -> None:
    assert b"203.0.113.9" in Recorder((), 1).lines([plain(policy)])[0]
    assert b"203.0.113.9" not in Recorder(("ip",), 1).lines([plain(policy)])[0]
