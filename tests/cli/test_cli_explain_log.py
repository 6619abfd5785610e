"""`pdp explain --decision`: a logged decision, put to the policy as it is now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import support
from cli_runs import STARTER, Ran, pdp, write_pair

from pdp.runtime.load import load

ID = "019bc1f5-5000-7000-8000-000000000001"
RECORD = {
    "decision_id": ID,
    "timestamp": "2026-01-15T12:00:00.000000Z",
    "surface": "native",
    "verdict": "forbidden",
    "status": 403,
    "reason": "not_granted",
    "duration_us": 31,
    "subject": {"id": "alice", "type": "user"},
    "method": "bearer",
    "action": "DELETE",
    "resource": "/invoices/7",
    "ip": "203.0.113.9",
    "policy_revision": load(STARTER).snapshot.revision,
}


BOB, NOBODY = ({"id": name, "type": "user"} for name in ("bob", "anonymous"))


def line(**changed: Any) -> str:
    return json.dumps({**RECORD, **changed}) + "\n"


def again(log: str, *args: object, decision: str = ID, directory: Path = STARTER) -> Ran:
    return pdp("explain", directory, "--decision", decision, "--log", "-", *args, stdin=log)


def told(log: str, *args: object, **more: Any) -> Any:
    found = again(log, *args, "--format", "json", **more)
    assert found.code == 0, found.err
    return found.json


def write_asking(directory: Path, more: str) -> Path:
    """A policy whose matcher asks for that in the place of the action."""
    write_pair(directory, "p, alice, /a, GET\n")
    model = directory / "model.conf"
    model.write_text(model.read_text().replace("r.act == p.act", more))
    return directory


def test_a_logged_decision_is_explained_again(tmp_path: Path) -> None:
    (tmp_path / "pdp.log").write_text(line(decision_id="another") + line())
    found = pdp("explain", STARTER, "--decision", ID, "--log", tmp_path / "pdp.log")
    out = found.out.splitlines()
    assert found.code == 0
    assert out[0] == "403 not_granted  as decided at 2026-01-15T12:00:00.000000Z"
    assert out[1:4] == [
        f"  decision    {ID}",
        "  verdict     the same now",
        "  policy      the same revision now",
    ]
    assert out[4].startswith("  note        the log holds what the policy of that time read")
    assert out[6:8] == ["403 forbidden  not_granted", "  question    DELETE /invoices/7"]
    assert "  near misses rbac.csv:12  member, /invoices/:id, ^(GET|HEAD)$" in out


def test_json_has_the_record_beside_the_explanation() -> None:
    found = told(line())
    assert (found["status"], found["reason"]) == (403, "not_granted")
    assert found["recorded"] == {
        "decision_id": ID,
        "time": RECORD["timestamp"],
        "status": 403,
        "reason": "not_granted",
        "policy_revision": RECORD["policy_revision"],
        "policy_changed": False,
        "verdict_changed": False,
        "subject_known": True,
        "note": found["recorded"]["note"],
    }
    assert found["time"] == 1_768_478_400.0


@pytest.mark.parametrize(
    ("changed", "first", "verdict", "policy"),
    [
        (
            {"policy_revision": "sha256:0"},
            "403 forbidden",
            "same",
            "changed since: it was sha256:0",
        ),
        ({"policy_revision": ""}, "403 forbidden", "same", "changed since: it was not recorded"),
        (
            {"subject": BOB},
            "200 allow",
            "another",
            "the same revision now",
        ),
        ({"reason": "explicitly_denied"}, "403 forbidden", "another", "the same revision now"),
        # without its token, carol is no administrator
        (
            {"subject": {"id": "carol", "type": "user"}, "status": 200, "reason": "granted"},
            "403 forbidden",
            "another",
            "the same revision now",
        ),
    ],
    ids=str,
)
def test_what_has_changed_is_told(
    changed: dict[str, Any], first: str, verdict: str, policy: str
) -> None:
    found = again(line(**changed))
    before, _, after = found.out.partition("\n\n")
    assert after.startswith(first)
    assert f"  verdict     {'the same now' if verdict == 'same' else 'another one now'}" in before
    assert f"  policy      {policy}" in before


def test_a_refused_credential_stays_refused() -> None:
    found = told(line(status=401, reason="token_expired", subject=None, verdict="unauthenticated"))
    assert (found["status"], found["reason"]) == (401, "token_expired")
    assert (found["recorded"]["verdict_changed"], found["recorded"]["subject_known"]) == (
        False,
        True,
    )


def test_a_subject_that_was_never_established_is_taken_for_nobody() -> None:
    record = line(reason="guard_denied", subject=None, ip="198.51.100.66")
    assert told(record)["recorded"]["verdict_changed"] is False
    assert "  subject     not recorded: taken for nobody" in again(record).out
    anonymous = told(line(status=401, reason="credentials_missing", subject=NOBODY))
    assert anonymous["status"] == 401
    assert anonymous["recorded"]["verdict_changed"] is False


@pytest.mark.parametrize(("method", "status"), [("bearer", 401), ("vouched", 200)])
def test_only_a_subject_that_was_named_may_be_a_role(method: str, status: int) -> None:
    member = {"id": "member", "type": "user"}
    asked = line(subject=member, method=method, action="GET", status=200, reason="granted")
    found = told(asked)
    assert found["status"] == status
    assert found["recorded"]["verdict_changed"] is (status != 200)


def test_time_and_facts_are_the_records_unless_given(tmp_path: Path) -> None:
    asks = 'r.context.time.year == 2026 && r.context.host == "h" && r.context.ip == "192.0.2.1"'
    directory = write_asking(tmp_path, asks)
    record = line(action="GET", resource="/a", ip=None)
    given = ("--context", '{"host": "h", "ip": "192.0.2.1"}')
    assert told(record, *given, directory=directory)["status"] == 200
    assert told(record, directory=directory)["status"] == 403
    assert told(record, *given, "--now", "0", directory=directory)["status"] == 403


@pytest.mark.parametrize(
    "noise",
    [
        f"not JSON {ID}\n",
        f'{{"decision_id": "{ID}"}}\n',
        f'{{"decision_id": "{ID}", "decision_id": "{ID}"}}\n',
        f'["{ID}"]\n',
        "[" * 100_000 + ID + "\n",
        "{" * 100_000 + ID + "\n",
        line(status="403"),
        line(reason="no such reason"),
        line(timestamp="soon"),
        line(decision_id="x", detail=ID),
        "\n",
    ],
    ids=lambda text: str(text)[:30],
)
def test_what_is_no_record_is_skipped(noise: str) -> None:
    assert told(noise + line())["status"] == 403
    assert again(noise).code == 1


def test_a_line_that_is_no_text_is_skipped(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(ID.encode() + b" \xff\n" + b'{"decision_id": "\xff' + line().encode())
    log.write_bytes(log.read_bytes() + b"\n" + line().encode().rstrip(b"\n"))
    assert pdp("explain", STARTER, "--decision", ID, "--log", log).code == 0


def test_what_a_container_runtime_puts_before_a_line_is_passed_over() -> None:
    assert told("pdp-1  | " + line())["status"] == 403
    assert told("2026-01-15T12:00:00Z stderr F " + line())["status"] == 403


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("", f"no decision `{ID}` in standard input"),
        (line(action=None), f"decision `{ID}` was a 400"),
        (
            line(status=400, reason="request_invalid", resource=None),
            f"decision `{ID}` was a 400",
        ),
    ],
    ids=["none", "no action", "bad request"],
)
def test_what_cannot_be_explained_is_1(log: str, message: str) -> None:
    found = again(log)
    assert (found.code, found.out) == (1, "")
    assert message in found.err


def test_an_unknown_id_names_the_file(tmp_path: Path) -> None:
    log = tmp_path / "pdp.log"
    log.write_text(line())
    found = pdp("explain", STARTER, "--decision", "other", "--log", log)
    assert found.code == 1
    assert f"error: no decision `other` in `{log}`" in found.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--decision", ID], "--decision and --log belong together"),
        (["--log", "-"], "--decision and --log belong together"),
        (["--decision", ID, "--log", "-", "--action", "GET"], "takes the question from the log"),
        (["--decision", ID, "--log", "-", "--subject", "bob"], "takes the question from the log"),
        (["--decision", ID, "--log", "/nowhere"], "cannot read `/nowhere`: no such file"),
        (["--decision", ID, "--log", "/"], "cannot read `/`: is a directory"),
        (["--action", "GET"], "give --action and --resource, or --decision and --log"),
        (["--resource", "/"], "give --action and --resource, or --decision and --log"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_2(args: list[str], message: str) -> None:
    found = pdp("explain", STARTER, *args, stdin=line())
    assert (found.code, message in found.err) == (2, True), found.err


def test_a_question_that_is_now_a_400_says_so() -> None:
    found = again(line(resource="/a/../b"))
    assert (found.code, "would answer 400" in found.err) == (2, True)


async def test_what_is_recorded_can_be_explained(policies: Path, tmp_path: Path) -> None:
    """From decisions that were really made: with the roles and claims of a token."""
    log = tmp_path / "decisions"
    signed = {"Authorization": f"Bearer {support.token('dora', roles=['admin'])}"}
    asked = {"X-Forwarded-Method": "GET", "X-Forwarded-For": "203.0.113.9"}
    target = {
        "X-Forwarded-Uri": "/invoices/7",
        "X-Forwarded-Host": "app.test",
        "X-Forwarded-Proto": "https",
    }
    async with support.pdp(policies, decision_log=str(log)) as server:
        for headers in (signed, {"Authorization": "Bearer x.y.z"}, {}):
            await server.ask("GET", "/authz/forward", headers={**asked, **target, **headers})
    for record in await support.decided(log, 3):
        found = told(log.read_text(), decision=record["decision_id"], directory=policies)
        assert (found["status"], found["reason"]) == (record["status"], record["reason"])
        assert found["recorded"]["verdict_changed"] is False


ATTRIBUTES = (
    'r.sub.level > 3 && r.obj.open && r.act.soft && r.context.host == "h" && r.act == p.act'
)


def test_what_the_policy_read_is_judged_again(tmp_path: Path) -> None:
    directory = write_asking(tmp_path, ATTRIBUTES)
    attributes = {"subject": {"level": 4}, "resource": {"open": True}, "action": {"soft": True}}
    asked = {"action": "GET", "resource": "/a", "context": {"host": "h"}, "attributes": attributes}
    assert told(line(**asked), directory=directory)["status"] == 200
    for entity in attributes:
        less = {**asked, "attributes": {k: v for k, v in attributes.items() if k != entity}}
        assert told(line(**less), directory=directory)["status"] != 200
    hidden = {**asked, "masked": ["attributes.subject.level"]}
    found = told(line(**hidden), directory=directory)
    assert found["status"] != 200
    assert "masked: attributes.subject.level" in found["recorded"]["note"]


@pytest.mark.parametrize("name", ["subject", "ip", "roles", "context", "attributes"])
def test_a_masked_value_is_taken_for_unknown(name: str) -> None:
    found = told(line(**{name: RECORD.get(name, {})}, masked=[name]))
    assert found["recorded"]["subject_known"] is (name != "subject")
    assert found["recorded"]["note"].endswith(f"masked: {name}")


def test_a_masked_resource_cannot_be_judged_again() -> None:
    found = again(line(resource="***", masked=["resource"]))
    assert (found.code, "which is masked" in found.err) == (1, True)


def test_whom_else_the_question_named_is_judged_again() -> None:
    record = line(reason="subject_mismatch", named={"id": "bob", "type": "user"})
    assert told(record)["recorded"]["verdict_changed"] is False
