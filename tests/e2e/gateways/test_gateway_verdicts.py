"""Every row of the verdict table through every gateway, as the client sees it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from gateway_cases import ALICE, UNREADY, fields, source
from gateway_processes import Live
from gateway_wire import Fields
from test_verdicts import TABLE, Row


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_the_client_gets_the_verdict(live: Live, row: Row) -> None:
    target = row.resource + "?q=1"
    response, decisions, seen = live.judge(row.action, target, fields(row), source=source(row))
    assert [d["reason"] for d in decisions] == [row.reason]
    # The numbers of rules move with the table's; the layer does not.
    layer = row.rule.partition(".")[0] if row.rule else decisions[0].get("layer")
    assert (decisions[0]["surface"], decisions[0].get("layer")) == (live.gateway.asks, layer)
    assert response.status == row.status
    assert len(response.all("WWW-Authenticate")) == (row.status == 401)
    assert row.challenge is None or response.get("WWW-Authenticate") == row.challenge
    assert len(seen) == (row.status == 200)
    if seen:
        assert response.get("Cache-Control") is None
        assert (seen[0]["method"], seen[0]["target"]) == (row.action, target)


@pytest.mark.parametrize("row", [row for row in TABLE if row.status in (401, 403, 404)], ids=str)
def test_a_refusal_is_not_stored(live: Live, row: Row) -> None:
    response, _, _ = live.judge(row.action, row.resource, fields(row), source=source(row))
    if row.status == 404 and "kept 404" in live.gateway.deviations:
        assert response.get("Cache-Control") is None
        return
    assert response.get("Cache-Control") == "no-store"


@pytest.mark.parametrize("accept", ["application/json", "text/html", "application/problem+json"])
@pytest.mark.parametrize(("method", "status"), [("GET", 401), ("DELETE", 403)])
def test_a_refusal_is_handed_on_whole_or_is_the_gateways_own(
    live: Live, method: str, status: int, accept: str
) -> None:
    asked = [("Accept", accept), *([ALICE] if status == 403 else [])]
    response, [decision], _ = live.judge(method, "/invoices/7", asked)
    assert response.status == status
    if live.gateway.whole:
        assert (response.get("Content-Type") or "").startswith(accept)
        assert response.get("Vary") == "Accept"
        assert response.all("X-Decision-Id") == [decision["decision_id"]]
    else:
        assert response.get("Content-Type") == "text/html"
        assert response.get("X-Decision-Id") is None
    assert b"alice" not in response.body


def test_a_fault_is_a_503_and_no_refusal(live: Live) -> None:
    response, decisions, seen = live.judge("GET", "/invoices/7", [UNREADY])
    assert [d["reason"] for d in decisions] == ["keys_unavailable"]
    assert (response.status, response.get("WWW-Authenticate"), seen) == (503, None, [])


def test_two_credentials_are_a_bad_request(live: Live) -> None:
    response, _, seen = live.judge("GET", "/docs/a", [ALICE, ("Authorization", "Basic YTpi")])
    assert (response.status, seen) == (400, [])


# Hidden, below what is hidden, absent from the policy; and absent from the application alone.
MISSING = ("/admin", "/admin/users", "/admin/ghost", "/ghost", "/a/b/c", "/docs/missing")
ACCEPTS = ("*/*", "application/json", "text/html", "application/problem+json")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("accept", ACCEPTS)
def test_hidden_and_absent_are_the_same_bytes(live: Live, accept: str, method: str) -> None:
    asked: Fields = [ALICE, ("Accept", accept)]
    answers = {path: live.ask(method, path, asked) for path in MISSING}
    if method == "HEAD":  # which anonymous may not do at /docs: a 403 there
        del answers["/docs/missing"]
    assert {path: a.status for path, a in answers.items()} == dict.fromkeys(answers, 404)
    assert {path: a.shown for path, a in answers.items()} == dict.fromkeys(
        answers, answers["/ghost"].shown
    )


def test_a_404_says_nothing_of_who_said_it(live: Live) -> None:
    hidden, missing = (live.ask("GET", path, [ALICE]) for path in ("/admin", "/docs/missing"))
    assert hidden.headers != ()
    assert [k for k, _ in hidden.headers] == [k for k, _ in missing.headers]


@pytest.mark.parametrize("credential", [[], [("Authorization", "Bearer x")]], ids=["none", "bad"])
def test_without_a_good_credential_every_resource_answers_alike(
    live: Live, credential: Fields
) -> None:
    paths = ("/invoices/7", "/admin", "/admin/ghost", "/ghost", "/bar", "/budget")
    answers = [live.ask("DELETE", path, credential).shown for path in paths]
    assert answers == [answers[0]] * len(paths)


def test_the_applications_own_faults_stay_its_own(live: Live) -> None:
    response = live.ask("GET", "/docs/broken")
    assert (response.status, response.body) == (500, b"the application's own 500")
    assert response.get("X-App") == "echo"


def test_the_applications_own_403_stays_its_own(live: Live) -> None:
    response = live.ask("GET", "/docs/forbidden")
    assert response.status == 403
    if "an application's 403" in live.gateway.deviations:
        assert response.get("Content-Type") == "text/html"
        return
    assert response.body == b"the application's own 403"
    assert (response.get("X-App"), response.get("Content-Type")) == ("echo", "text/plain")
    assert response.get("Cache-Control") is None


NAVIGATION = [("Accept", "text/html,application/xhtml+xml"), ("Sec-Fetch-Mode", "navigate")]


@pytest.mark.parametrize("path", ["/invoices/7?a=b&c=d", "/admin", "/ghost"])
def test_a_browser_is_sent_to_the_login_page(live: Live, path: str) -> None:
    response, decisions, seen = live.judge("GET", path, NAVIGATION)
    assert (response.status, seen) == (302, [])
    assert response.all("Location") == [f"/login?return_to={quote(path, safe='')}"]
    assert response.get("Cache-Control") == "no-store"
    assert [d["reason"] for d in decisions] == ["credentials_missing"]


def test_a_preflight_is_let_through_where_that_is_configured(live: Live) -> None:
    asked = [("Origin", "https://app.test"), ("Access-Control-Request-Method", "PUT")]
    response, _, seen = live.judge("OPTIONS", "/invoices/7", asked)
    assert (response.status, len(seen)) == (200, 1)
    for path, sent in (("/invoices/7", asked[:1]), ("/admin", asked), ("/invoices", asked)):
        response, _, seen = live.judge("OPTIONS", path, sent)
        assert (response.status, seen) == (401, [])
