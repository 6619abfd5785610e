"""A client and a real PDP: evaluations, searches over all pages, verdicts, keys."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import support
from imposters import ALLOWED, imposter
from support import token

from pdp.client import (
    Action,
    BadQuestion,
    Decision,
    Evaluation,
    NotUnderstood,
    Pdp,
    Refused,
    Resource,
    Subject,
    request_id,
)

EXAMPLE = Path(__file__).parent.parent.parent / "docs" / "examples" / "search"
VIEW, EDIT, DELETE = Action("view"), Action("edit"), Action("delete")
BOB, DAN, ERIN = (Subject("user", name) for name in ("bob", "dan", "erin"))
RECORD = Resource("record", "105")
IP = {"ip": "203.0.113.9"}


@pytest.fixture
async def records() -> AsyncIterator[Pdp]:
    """A client of a PDP that serves the example of AuthZEN's search."""
    async with support.pdp(EXAMPLE) as server, Pdp(server.url, timeout=5) as asking:
        yield asking


@pytest.fixture
async def verdicts(server: support.Running) -> AsyncIterator[Pdp]:
    """A client of a PDP that serves the verdict table's policy."""
    async with Pdp(server.url, timeout=5) as asking:
        yield asking


async def test_a_decision_is_true_if_it_allows(records: Pdp) -> None:
    allowed = await records.evaluate(BOB, VIEW, RECORD)
    assert allowed
    assert (allowed.allowed, allowed.status, allowed.reason) == (True, 200, "granted")
    refused = await records.evaluate(BOB, EDIT, RECORD)
    assert not refused
    assert (refused.allowed, refused.status, refused.reason) == (False, 403, "not_granted")
    assert refused.decision_id != allowed.decision_id
    assert refused.context["reason_user"] == {"403": "You may not do this."}


async def test_properties_and_context_reach_the_policy(records: Pdp) -> None:
    other = Subject("user", "zoe", {"role": "manager"})
    assert await records.evaluate(other, VIEW, RECORD, {"ip": "203.0.113.9"})
    with pytest.raises(BadQuestion, match=r"context\.ip: is not an ip address"):
        await records.evaluate(other, VIEW, RECORD, {"ip": "nowhere"})


async def test_many_are_answered_in_order_with_what_they_have_in_common(records: Pdp) -> None:
    items = [Evaluation(action=a) for a in (VIEW, EDIT, DELETE)]
    items += [Evaluation(action=VIEW, resource=Resource("record", "999")), Evaluation()]
    found = await records.evaluate_many(items, subject=ERIN, resource=RECORD)
    assert [bool(decision) for decision in found] == [True, True, True, False, False]
    assert found[-1].status == 400
    assert found[-1].context["error"]["message"] == "evaluations[4].action: is required"


@pytest.mark.parametrize(
    ("semantic", "expected"),
    [
        ("execute_all", [True, False, True]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
async def test_the_deciding_item_is_the_last_one(
    records: Pdp, semantic: str, expected: list[bool]
) -> None:
    items = [Evaluation(action=a, subject=BOB) for a in (VIEW, EDIT, VIEW)]
    found = await records.evaluate_many(items, semantic=semantic, resource=RECORD)  # type: ignore[arg-type]
    assert [decision.allowed for decision in found] == expected


async def test_no_items_are_no_allow(records: Pdp) -> None:
    with pytest.raises(BadQuestion, match="empty"):
        await records.evaluate_many([], subject=ERIN, resource=RECORD, action=VIEW)


@pytest.mark.parametrize("size", [None, 1, 2, 1000])
async def test_a_search_goes_over_all_pages(records: Pdp, size: int | None) -> None:
    who = [
        found.id async for found in records.search_subjects("user", VIEW, RECORD, page_size=size)
    ]
    assert who == ["alice", "bob", "carol", "dan", "erin"]
    search = records.search_resources(ERIN, VIEW, "record", page_size=size)
    assert {found async for found in search} == {
        Resource("record", i) for i in ("105", "111", "115", "117")
    }
    where = Resource("record", "115")
    what = [found async for found in records.search_actions(DAN, where, page_size=size)]
    assert what == [EDIT, VIEW]


async def test_what_a_search_finds_an_evaluation_permits(records: Pdp) -> None:
    async for found in records.search_subjects("user", EDIT, RECORD, page_size=1):
        assert await records.evaluate(found, EDIT, RECORD)


async def test_a_page_size_that_is_too_large_is_a_bad_question(records: Pdp) -> None:
    with pytest.raises(BadQuestion, match=r"page\.limit: must be from 1 to 1000"):
        _ = [found async for found in records.search_actions(DAN, RECORD, page_size=1001)]


async def test_every_page_is_asked_for_in_the_same_size() -> None:
    page = {"results": [{"name": "view"}], "page": {"next_token": "t"}}
    async with imposter(page) as other, Pdp(other.url, timeout=5) as asking:
        with pytest.raises(NotUnderstood, match="its own next one"):
            _ = [found async for found in asking.search_actions(DAN, RECORD, page_size=2)]
    pages = [body["page"] for _, _, body in other.asked]
    assert pages == [{"limit": 2}, {"token": "t", "limit": 2}]


async def test_a_verdict_has_all_that_a_service_needs(verdicts: Pdp) -> None:
    asked = {"action": Action("GET"), "resource": Resource("resource", "/invoices/7")}
    verdict = await verdicts.decide(**asked, context=IP, token=token("alice"))
    assert verdict
    assert (verdict.verdict, verdict.status, verdict.reason) == ("allow", 200, "granted")
    assert (verdict.subject, verdict.roles) == ("alice", ("authenticated", "member"))
    assert (verdict.layer, verdict.rule) == ("rbac", "rbac.csv:3")
    assert verdict.policy_revision.startswith("sha256:")


@pytest.mark.parametrize(
    ("path", "credential", "status"),
    [
        ("/docs/a", {}, 200),
        ("/invoices/7", {}, 401),
        ("/invoices/7", {"authorization": "Bearer no-token"}, 401),
        ("/invoices/7", {"authorization": f"Bearer {token('zoe')}"}, 403),
        ("/admin", {"token": token("alice")}, 404),
    ],
)
async def test_a_refusal_holds_the_response_to_send(
    verdicts: Pdp, path: str, credential: dict[str, str], status: int
) -> None:
    asked = {"action": Action("GET"), "resource": Resource("resource", path), "context": IP}
    verdict = await verdicts.decide(**asked, accept="text/html", **credential)
    assert (verdict.status, verdict.response.status, bool(verdict)) == (
        status,
        status,
        status == 200,
    )
    if status != 200:
        assert verdict.response.headers["Content-Type"].startswith("text/html")
        assert f"<h1>{status} " in verdict.response.body
    assert ("WWW-Authenticate" in verdict.response.headers) == (status == 401)


async def test_a_bad_question_says_what_is_wrong(verdicts: Pdp) -> None:
    with pytest.raises(BadQuestion, match=r"resource\.id: holds an empty segment"):
        await verdicts.decide(action=Action("GET"), resource=Resource("resource", "//"))
    resource = Resource("resource", "/docs/a")
    with pytest.raises(BadQuestion, match="cookie: is one credential too many, beside token"):
        await verdicts.decide(action=Action("GET"), resource=resource, token="t", cookie="c=d")


@pytest.fixture
async def guarded(policies: Path) -> AsyncIterator[str]:
    """The URL of a PDP with one caller, which may vouch."""
    digest = hashlib.sha256(b"secret-key").hexdigest()
    (policies / "app.sha256").write_text(f"{digest}\n")
    with (policies / "pdp.toml").open("a") as file:
        file.write('[[callers]]\nname = "app"\nkey_sha256_file = "app.sha256"\nvouch = true\n')
    async with support.pdp(policies) as running:
        yield running.url


async def test_a_key_is_shown_to_the_pdp_and_to_nobody_else(guarded: str) -> None:
    alice, get = Subject("user", "alice"), Action("GET")
    invoice = Resource("resource", "/invoices/7")
    async with Pdp(guarded, timeout=5, key="secret-key") as known:
        assert await known.evaluate(alice, get, invoice, IP)
        verdict = await known.decide(action=get, resource=invoice, subject=alice, context=IP)
        assert (bool(verdict), verdict.reason) == (True, None)
        assert "secret" not in repr(known)
    for key in (None, "other-secret"):
        async with Pdp(guarded, timeout=5, key=key) as stranger:
            with pytest.raises(Refused) as refusal:
                await stranger.evaluate(alice, get, invoice, IP)
            assert "secret" not in repr(refusal.value)


async def test_a_unix_socket_serves_as_well(policies: Path, tmp_path: Path) -> None:
    place = f"unix:{tmp_path / 's'}"
    async with support.pdp(policies, listen=place), Pdp(place, timeout=5) as asking:
        resource = Resource("resource", "/docs/a")
        assert await asking.decide(action=Action("GET"), resource=resource, context=IP)


async def test_a_lent_session_gives_its_connections_and_nothing_else() -> None:
    cookies = {"session": "of-another"}
    async with (
        imposter({"decision": True}) as other,
        aiohttp.ClientSession(cookies=cookies, headers={"X-Mine": "1"}) as lender,
    ):
        async with Pdp(other.url, timeout=5, session=lender) as asking:
            assert await asking.evaluate(BOB, VIEW, RECORD) == Decision(True)
        assert not lender.closed
        assert lender.connector is not None
        assert not lender.connector.closed
        _, headers, _ = other.asked[0]
        assert not {"Cookie", "X-Mine", "Authorization"} & headers.keys()


async def test_no_cookie_is_kept() -> None:
    async with imposter({"decision": True}, Set_Cookie="s=1; Path=/") as other:
        url = other.url.replace("127.0.0.1", "localhost")  # cookies of addresses are never kept
        async with Pdp(url, timeout=5) as asking:
            for _ in range(2):
                assert await asking.evaluate(BOB, VIEW, RECORD)
    assert [headers.get("Cookie") for _, headers, _ in other.asked] == [None, None]


async def test_only_what_is_given_is_sent() -> None:
    async with imposter(ALLOWED) as other, Pdp(other.url + "/below/", timeout=5) as asking:
        assert await asking.decide(action=VIEW, resource=RECORD, token="t")
    ((path, headers, body),) = other.asked
    assert path == "/below/v1/decision"
    resource = {"type": "record", "id": "105"}
    assert body == {"action": {"name": "view"}, "resource": resource, "token": "t"}
    assert "X-Request-ID" not in headers


async def test_a_request_id_is_handed_on_if_it_is_sound() -> None:
    async with imposter({"decision": True}) as other, Pdp(other.url, timeout=5) as asking:
        mark = request_id.set("abc-1")
        await asking.evaluate(BOB, VIEW, RECORD)
        assert other.asked[0][1]["X-Request-ID"] == "abc-1"
        for odd in ("", "a b", "a\r\nX-Evil: 1", "\u00e9", "x" * 201):
            request_id.set(odd)
            with pytest.raises(ValueError, match="visible ASCII"):
                await asking.evaluate(BOB, VIEW, RECORD)
        request_id.reset(mark)
        assert len(other.asked) == 1


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("ftp://pdp", {}),
        ("pdp:7373", {}),
        ("", {}),
        ("http://", {}),
        ("http://user:secret@pdp", {}),
        ("http://pdp/?a=b", {}),
        ("http://pdp/#a", {}),
        ("unix:relative", {}),
        ("http://[::1", {}),
        ("http://pdp", {"timeout": 0}),
        ("http://pdp", {"timeout": float("inf")}),
        ("http://pdp", {"timeout": True}),
        ("http://pdp", {"key": "secret\r\nX-Evil: 1"}),
        ("http://pdp", {"key": ""}),
    ],
)
def test_an_odd_setting_is_refused_unquoted(url: str, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"url|timeout|key") as refusal:
        Pdp(url, **{"timeout": 1.0, **options})  # type: ignore[arg-type]
    assert "secret" not in str(refusal.value)


async def test_a_client_asks_only_while_it_is_open() -> None:
    asking = Pdp("http://127.0.0.1:1", timeout=1)
    with pytest.raises(RuntimeError, match="not open"):
        await asking.evaluate(BOB, VIEW, RECORD)
    async with asking:
        with pytest.raises(RuntimeError, match="open already"):
            await asking.__aenter__()
    with pytest.raises(RuntimeError, match="not open"):
        await asking.evaluate(BOB, VIEW, RECORD)
    lender = aiohttp.ClientSession()
    await lender.close()
    with pytest.raises(RuntimeError, match="closed"):
        await Pdp("http://127.0.0.1:1", timeout=1, session=lender).__aenter__()
    with pytest.raises(ValueError, match="no Unix socket"):
        Pdp("unix:/s", timeout=1, session=lender)


def test_what_is_found_can_be_in_a_set() -> None:
    assert {Action("a"), Action("a"), Action("b")} == {Action("b"), Action("a")}
    assert len({Subject("a", "b"), Resource("a", "b"), Resource("a", "b", {"c": 1})}) == 3


def test_a_context_is_in_no_repr() -> None:
    assert "secret" not in repr(Evaluation(BOB, context={"token": "secret"}))
