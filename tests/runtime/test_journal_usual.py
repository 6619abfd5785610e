"""A record that was put together from parts is the same, byte for byte, as one made as a whole."""

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
from pdp.runtime.journal_values import LONGEST, MOST, encode

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ODD = ("", "a", 'q"\\', "é", "\u2028", "\x7f", "\ud800", "eyJhbGciOi.eyJzdWI", "x" * (LONGEST + 1))
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


@given(verdict=VERDICTS, query=QUERIES, asking=ASKING, presented=st.none() | st.just("f" * 32))
@settings(max_examples=400, deadline=None)
def test_what_is_made_of_parts_is_the_whole(
    policy: Snapshot,
    recorder: Recorder,
    verdict: Verdict,
    query: Query,
    asking: Asking,
    presented: str | None,
) -> None:
    entry = Entry("id", NOW, 1e-5, verdict, "native", asking, query, policy, presented)
    whole = encode(recorder.record(entry))
    assert recorder.line(entry) == whole
    assert recorder.at_once(entry) in {None, whole}
    assert recorder.at_once(entry) in {None, whole}  # of remembered parts


def test_the_usual_is_made_at_once_where_the_policy_reads_no_property(tmp_path: Path) -> None:
    recorder, who = Recorder((), 1), Identity("alice", method=Method.BEARER, expires=NOW + 60)
    query = Query(Action("GET"), Entity("resource", "/a"), {"ip": "203.0.113.9"})
    made = []
    for name, matcher in (("plain", "r.sub == p.sub"), ("reads", "r.sub.team == p.sub")):
        policy = snapshot(tmp_path / name, matcher)
        verdict = Verdict(Outcome.ALLOW, Reason.GRANTED, who, revision=policy.revision)
        entry = Entry("id", NOW, 1e-5, verdict, "native", NOBODY, query, policy)
        assert recorder.at_once(entry) is None  # what it reads is not known yet
        whole = recorder.line(entry)
        made.append(recorder.at_once(entry))
        assert made[-1] in {None, whole}
    assert [line is None for line in made] == [False, True]
    assert Recorder(("ip",), 1).at_once(entry) is None


def test_parts_of_one_identity_are_not_those_of_its_other_roles(tmp_path: Path) -> None:
    policy, recorder = snapshot(tmp_path, "r.sub == p.sub"), Recorder((), 1)
    who = Identity("alice", method=Method.BEARER, expires=NOW + 60)
    query = Query(Action("GET"), Entity("resource", "/a"))
    for roles in (("a",), ("b",), ("a", "b")):
        for presented in (None, "f" * 32):
            verdict = Verdict(Outcome.ALLOW, Reason.GRANTED, who, roles)
            entry = Entry("id", NOW, 0, verdict, "native", NOBODY, query, policy, presented)
            assert recorder.line(entry) == encode(recorder.record(entry))
