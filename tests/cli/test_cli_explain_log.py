"""`pdp explain --decision`: a logged decision, put to the policy as it is now."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from cli_runs import STARTER, Ran, pdp, write_pair

from pdp.model import Action as ModelAction
from pdp.model import Credentials, Entity, Identity, Method, Outcome, Query
from pdp.runtime.load import load
from pdp.runtime.logs import JsonFormatter
from pdp.runtime.service import Service

ID = "019bc1f5-5000-7000-8000-000000000001"
RECORD = {
    "time": "2026-01-15T12:00:00.000Z",
    "level": "info",
    "logger": "pdp.decision",
    "message": "decision",
    "decision_id": ID,
    "surface": "native",
    "verdict": "forbidden",
    "status": 403,
    "reason": "not_granted",
    "subject": "alice",
    "action": "DELETE",
    "resource": "/invoices/7",
    "ip": "203.0.113.9",
    "layer": None,
    "rule": None,
    "policy_revision": load(STARTER).snapshot.revision,
    "duration_us": 31,
}


def line(**changed: Any) -> str:
    return json.dumps({**RECORD, **changed}) + "\n"


def again(log: str, *args: object, decision: str = ID, directory: Path = STARTER) -> Ran:
    return pdp("explain", directory, "--decision", decision, "--log", "-", *args, stdin=log)


def told(log: str, *args: object, **more: Any) -> Any:
    found = again(log, *args, "--format", "json", **more)
    assert found.code == 0, found.err
    return found.json


def test_a_logged_decision_is_explained_again(tmp_path: Path) -> None:
    (tmp_path / "pdp.log").write_text(line(decision_id="another") + line())
    found = pdp("explain", STARTER, "--decision", ID, "--log", tmp_path / "pdp.log")
    out = found.out.splitlines()
    assert found.code == 0
    assert out[0] == "403 not_granted  as decided at 2026-01-15T12:00:00.000Z"
    assert out[1:4] == [
        f"  decision    {ID}",
        "  verdict     the same now",
        "  policy      the same revision now",
    ]
    assert out[4].startswith("  note        the log holds no token: roles and other claims")
    assert out[6:8] == ["403 forbidden  not_granted", "  question    DELETE /invoices/7"]
    assert "  near misses rbac.csv:12  member, /invoices/:id, ^(GET|HEAD)$" in out


def test_json_has_the_record_beside_the_explanation() -> None:
    found = told(line())
    assert (found["status"], found["reason"]) == (403, "not_granted")
    assert found["recorded"] == {
        "decision_id": ID,
        "time": RECORD["time"],
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
        ({"subject": "bob"}, "200 allow", "another", "the same revision now"),
        ({"reason": "explicitly_denied"}, "403 forbidden", "another", "the same revision now"),
        # without its token, carol is no administrator
        (
            {"subject": "carol", "status": 200, "reason": "granted"},
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
    anonymous = told(line(status=401, reason="credentials_missing", subject="anonymous"))
    assert anonymous["status"] == 401
    assert anonymous["recorded"]["verdict_changed"] is False


def test_time_and_facts_are_the_records_unless_given(tmp_path: Path) -> None:
    directory = write_pair(tmp_path, "p, alice, /a, GET\n")
    model = (directory / "model.conf").read_text()
    more = 'r.context.time.year == 2026 && r.context.host == "h" && r.context.ip == "192.0.2.1"'
    (directory / "model.conf").write_text(model.replace("r.act == p.act", more))
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
        line(time="soon"),
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
            json.dumps({"decision_id": ID, "time": RECORD["time"], "status": 400}),
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


async def test_what_the_service_logs_can_be_explained() -> None:
    """The log's own format, from a decision that was really made."""
    loaded, stream = load(STARTER), io.StringIO()
    handler, log = logging.StreamHandler(stream), logging.getLogger("pdp.decision")
    handler.setFormatter(JsonFormatter())
    log.addHandler(handler)
    level = log.level
    log.setLevel(logging.INFO)
    try:
        service = Service(loaded)
        query = Query(ModelAction("DELETE"), Entity("resource", "/invoices/7"), {"ip": "192.0.2.1"})
        alice = Identity("alice", method=Method.VOUCHED)
        decision = await service.decide(query, alice, loaded.snapshot, "native")
        bad = await service.judge(query, Credentials(token="no token"), loaded.snapshot, "native")
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    assert decision.verdict.outcome is Outcome.FORBIDDEN
    found = told(stream.getvalue(), decision=decision.id)
    assert found["recorded"]["verdict_changed"] is False
    assert [miss["rule"]["rule"] for miss in found["near_misses"]] == ["rbac.csv:12", "rbac.csv:15"]
    assert told(stream.getvalue(), decision=bad.id)["reason"] == "token_invalid"
