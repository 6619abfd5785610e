"""Whatever stands in a question: one line, by the schema, within bounds, and no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pdp.model import Action, Entity, Identity, Method, Query
from pdp.pipeline import decide
from pdp.policy.snapshot import Snapshot
from pdp.runtime.ids import decision_id
from pdp.runtime.journal_asking import Asking
from pdp.runtime.journal_record import Recorder
from pdp.runtime.journal_shapes import Entry
from pdp.runtime.load import load

NOW = 1_768_478_400.25
SCHEMA = Path(__file__).parents[2] / "docs" / "decision-log.schema.json"
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text()))
HIDDEN = "hunter2-is-a-secret"
MODEL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.sub.said == r.obj.said && r.act.said == r.context.said && r.sub.deep.said
"""
LONGEST_LINE = 400_000


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    directory = tmp_path_factory.mktemp("policy")
    (directory / "m.conf").write_text(MODEL)
    (directory / "p.csv").write_text("p, alice, /a, GET\n")
    layer = '[[layers]]\nname = "one"\nkind = "grant"\nmodel = "m.conf"\npolicy = "p.csv"\n'
    (directory / "pdp.toml").write_text(layer)
    return load(directory).snapshot


hostile = st.one_of(
    st.sampled_from(
        [
            *("\n", "\r\n", "\u2028{}\u2029", "\x85", "\0", "\x1b[2J", "\x7f", "\ufeff", '"}\n{"'),
            *("\ud800", "a\udfff", "\ud800\udc00", "\\u000a", "\\", "*" * 3, "a" * 5_000),
            *("\u2028" * 9_000, "\ud800" * 9_000, "\x00" * 9_000, "\U0001f600" * 9_000),
            f"eyJhbGciOiJIUzI1NiJ9.{HIDDEN}.x",
        ]
    ),
    st.text(max_size=20),
    st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=8),
)
urls = st.sampled_from(
    [
        f"https://u:p@{HIDDEN}@host/x?token={HIDDEN}#{HIDDEN}",
        f"//u:{HIDDEN}@host/x?{HIDDEN}",
        f"/x?a={HIDDEN}",
    ]
)
value: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        *(hostile, urls, st.none(), st.booleans(), st.integers(), st.integers(2**52, 2**70)),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=70),
        st.dictionaries(hostile, inner, max_size=4),
        st.sampled_from(["token", "apiKey", "clientSecret", "x-api-key", "a.password"]).map(
            lambda name: {name: HIDDEN}
        ),
    ),
    max_leaves=8,
)
masks = st.lists(
    st.sampled_from(["subject", "roles", "resource", "attributes", "context.said", "detail"]),
    max_size=3,
    unique=True,
)


def lined(policy: Snapshot, mask: list[str], named: dict[str, Any], said: Any) -> bytes:
    """The line of a question of which everything is `said` or named so."""
    identity = Identity(
        named["id"],
        named["kind"],
        method=Method.BEARER,
        roles=(named["role"],),
        claims={"said": said, "deep": {"said": said}, "jti": named["id"]},
        issuer=named["issuer"],
        kid=named["issuer"],
    )
    query = Query(
        action=Action(named["action"], {"said": said}),
        resource=Entity(named["kind"], named["resource"], {"said": said}),
        context={"said": said, "ip": named["id"], "country": named["role"]},
        subject=Entity(named["kind"], named["role"]),
    )
    verdict = decide(query, identity, policy, NOW)
    by = Asking((named["id"],), (named["role"],), named["issuer"] or None)
    entry = Entry(decision_id(), NOW, 1e-5, verdict, "native", by, query, policy, None)
    return Recorder(mask, 1.0).line(entry)


NAMES = ("id", "kind", "role", "issuer", "action", "resource")


named_so = st.fixed_dictionaries(
    {**dict.fromkeys(NAMES, hostile), "resource": st.one_of(hostile, urls)}
)


@given(mask=masks, named=named_so, said=value)
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_it_is_one_line_by_the_schema_whatever_is_said(
    policy: Snapshot, mask: list[str], named: dict[str, Any], said: Any
) -> None:
    line = lined(policy, mask, named, said)
    text = line.decode()  # UTF-8, as no half of a surrogate pair is
    assert text.endswith("\n")
    assert text.splitlines() == [text.removesuffix("\n")]
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" for c in text[:-1])
    assert len(line) < LONGEST_LINE
    record = json.loads(text)
    assert [error.message for error in VALIDATOR.iter_errors(record)] == []
    assert HIDDEN not in text
    if "subject" in mask and record.get("subject"):
        assert record["subject"]["id"] in {"***", ""}
    if "resource" in mask and record.get("resource"):
        assert record["resource"] == "***"


@pytest.mark.parametrize(
    "name",
    [
        *("token", "accessToken", "access_token", "id-token", "ACCESS_TOKEN", "refresh.token"),
        *("apiKey", "api_key", "apikey", "x-api-key", "API-KEY", "private_key", "privateKey"),
        *("clientSecret", "client-secret", "password", "userPassword", "passwd", "pwd", "jwt"),
        *("Authorization", "proxy-authorization", "cookie", "Set-Cookie", "credentials"),
        *("passphrase", "\u2028token", "a\ntoken"),
    ],
)
def test_names_of_secrets_are_masked_however_they_are_joined(policy: Snapshot, name: str) -> None:
    named = dict.fromkeys(NAMES, "a")
    text = lined(policy, [], named, {"in": [{name: HIDDEN}]}).decode()
    assert HIDDEN not in text
    assert "context.said" in text.partition('"masked":')[2]


@pytest.mark.parametrize("name", ["token_use", "tokens_left", "monkey", "password_changed_at"])
def test_other_names_are_not(policy: Snapshot, name: str) -> None:
    named = dict.fromkeys(NAMES, "a")
    assert HIDDEN in lined(policy, [], named, {name: HIDDEN}).decode()


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{HIDDEN}@host/a",
        f"https://user:p@ss@{HIDDEN}@host/a",
        f"//user:{HIDDEN}@host/a",
        f"https://host/a?x={HIDDEN}",
        f"https://host/a#{HIDDEN}",
        f"/a?x={HIDDEN}",
        f"see https://user:{HIDDEN}@host/a",
    ],
)
def test_no_part_of_a_url_that_could_be_a_secret_is_recorded(policy: Snapshot, url: str) -> None:
    named = {**dict.fromkeys(NAMES, "a"), "resource": url}
    text = lined(policy, [], named, {"at": [url]}).decode()
    assert HIDDEN not in text
    assert "/a" in text
