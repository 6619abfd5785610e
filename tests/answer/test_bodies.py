import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.answer.bodies import OURS, Bodies, MediaType, choose
from pdp.model import STATUS, Outcome, Reason

JSON, PROBLEM, HTML = MediaType
BROWSER = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)
REFUSALS = [outcome for outcome in Outcome if outcome is not Outcome.ALLOW]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        pytest.param(None, JSON, id="absent"),
        pytest.param("", JSON, id="empty"),
        pytest.param("   ", JSON, id="blank"),
        pytest.param("*/*", JSON, id="anything"),
        pytest.param("application/*", JSON, id="any application type"),
        pytest.param("text/*", HTML, id="any text type"),
        pytest.param("text/html", HTML, id="html"),
        pytest.param("TEXT/HTML", HTML, id="types ignore case"),
        pytest.param(BROWSER, HTML, id="a browser"),
        pytest.param("application/problem+json", PROBLEM, id="problem"),
        pytest.param("application/problem+json, */*", PROBLEM, id="named before anything"),
        pytest.param("application/json, text/plain, */*", JSON, id="axios"),
        pytest.param("text/html, application/json", JSON, id="equals: ours decides"),
        pytest.param("text/html;q=0.5, application/json;q=0.4", HTML, id="weights decide"),
        pytest.param("text/html;q=0.500, application/json;q=0.501", JSON, id="three decimals"),
        pytest.param("text/html;Q=0.1, application/json;q=0.01", HTML, id="q ignores case"),
        pytest.param("text/html ; q=1.000 , */* ; q=0.9", HTML, id="optional whitespace"),
        pytest.param(",, text/html,,", HTML, id="empty elements"),
        pytest.param("text/html;;q=1;", HTML, id="empty parameters"),
        pytest.param("application/json;q=0, */*", PROBLEM, id="zero refuses the default"),
        pytest.param("application/*;q=0, */*", HTML, id="specific zero beats anything"),
        pytest.param("text/html;q=0", JSON, id="zero never chooses"),
        pytest.param("*/*;q=0", JSON, id="nothing is acceptable"),
        pytest.param("image/png", JSON, id="nothing fits"),
        pytest.param("text/html;level=1, application/problem+json;q=0.1", PROBLEM, id="level"),
        pytest.param("text/html; charset=utf-8", HTML, id="charset is ours"),
        pytest.param('text/html; charset="UTF-8"', HTML, id="charset is ours, quoted"),
        pytest.param("text/html;charset=latin1, image/png", JSON, id="charset is not ours"),
        pytest.param('image/png;a="x, text/html;q=1", */*;q=0.1', JSON, id="quoted comma"),
        pytest.param('text/html;a=";q=0\\"", image/png', JSON, id="quoted semicolon"),
        pytest.param("text/html;q=2", JSON, id="malformed: weight above one"),
        pytest.param("text/html;q=0.1234", JSON, id="malformed: four decimals"),
        pytest.param("text/html;q=.5", JSON, id="malformed: no digit"),
        pytest.param("text/html;q=nan", JSON, id="malformed: not a number"),
        pytest.param('text/html;q="1"', JSON, id="malformed: quoted weight"),
        pytest.param("text/html;q =1", JSON, id="malformed: space in a parameter"),
        pytest.param("text/html x", JSON, id="malformed: two words"),
        pytest.param("html", JSON, id="malformed: no slash"),
        pytest.param("text/html, /", JSON, id="malformed: one bad element spoils all"),
        pytest.param('text/html;a="', JSON, id="malformed: unclosed quote"),
        pytest.param("text/html" + ", a/b" * 300, JSON, id="over-long"),
    ],
)
def test_accept_chooses_the_media_type(accept: str | None, expected: MediaType) -> None:
    assert choose(accept) is expected


@given(st.text() | st.text('aq01.;=,/* \t"\\+', max_size=1100))
def test_any_accept_chooses_something(accept: str) -> None:
    assert choose(accept) in MediaType


@pytest.mark.parametrize("accept", ["text/html" + "; " * 500, "\t" * 1024, 'a/b;a="' + "\\" * 999])
def test_a_hostile_accept_takes_linear_time(accept: str) -> None:
    assert choose(accept + "\0") is JSON


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.UNAUTHENTICATED, "unauthenticated"),
        (Outcome.FORBIDDEN, "forbidden"),
        (Outcome.NOT_FOUND, "not_found"),
        (Outcome.THROTTLED, "throttled"),
        (Outcome.BAD_REQUEST, "invalid_request"),
        (Outcome.FAULT, "unavailable"),
    ],
)
def test_json_names_the_outcome(outcome: Outcome, code: str) -> None:
    members = json.loads(OURS.of(outcome, JSON))
    assert list(members) == ["error", "message"]
    assert members["error"] == code
    assert members["message"]


@pytest.mark.parametrize("outcome", REFUSALS)
def test_problem_has_the_members_of_rfc_9457(outcome: Outcome) -> None:
    members = json.loads(OURS.of(outcome, PROBLEM))
    assert list(members) == ["type", "title", "status", "detail"]
    assert members["type"] == "about:blank"
    assert members["status"] == STATUS[outcome]
    assert members["detail"] == json.loads(OURS.of(outcome, JSON))["message"]


class Outline(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("outcome", REFUSALS)
def test_page_is_plain_and_self_contained(outcome: Outcome) -> None:
    outline = Outline()
    outline.feed(OURS.of(outcome, HTML).decode())
    assert outline.tags == ["html", "meta", "meta", "title", "h1", "p"]
    assert str(STATUS[outcome]) in outline.text


@pytest.mark.parametrize("told", [*REFUSALS, Reason.INSUFFICIENT_SCOPE])
@pytest.mark.parametrize("media", MediaType)
def test_a_body_is_made_once(told: Outcome | Reason, media: MediaType) -> None:
    assert OURS.of(told, media) is OURS.of(told, media)


@pytest.mark.parametrize("media", MediaType)
def test_a_bad_request_says_which_field(media: MediaType) -> None:
    assert b"X-Original-URI: is missing" in OURS.of(
        Outcome.BAD_REQUEST, media, "X-Original-URI: is missing"
    )


@pytest.mark.parametrize("outcome", [o for o in REFUSALS if o is not Outcome.BAD_REQUEST])
@pytest.mark.parametrize("media", MediaType)
def test_only_a_bad_request_shows_a_message(outcome: Outcome, media: MediaType) -> None:
    assert OURS.of(outcome, media, "X-Original-URI: is missing") == OURS.of(outcome, media)


def test_a_message_is_escaped_in_a_page() -> None:
    assert b"<b>" not in OURS.of(Outcome.BAD_REQUEST, HTML, "<b>&")


def test_a_403_says_what_the_operator_wants_said() -> None:
    bodies = Bodies(forbidden="Ask <help@example.com> for access.")
    assert json.loads(bodies.of(Outcome.FORBIDDEN, JSON)) == {
        "error": "forbidden",
        "message": "Ask <help@example.com> for access.",
    }
    assert b"Ask &lt;help@example.com&gt; for access." in bodies.of(Outcome.FORBIDDEN, HTML)
    for told in (*REFUSALS, Reason.INSUFFICIENT_SCOPE):
        if told is not Outcome.FORBIDDEN:
            assert bodies.of(told, JSON) == OURS.of(told, JSON)


def test_a_page_of_the_operators_replaces_ours_alone() -> None:
    bodies = Bodies({403: b"<h1>No.</h1>", 400: b"<h1>What?</h1>"})
    assert bodies.of(Outcome.FORBIDDEN, HTML) == b"<h1>No.</h1>"
    assert bodies.of(Reason.INSUFFICIENT_SCOPE, HTML) == b"<h1>No.</h1>"
    assert bodies.of(Outcome.BAD_REQUEST, HTML, "X-Original-URI: is missing") == b"<h1>What?</h1>"
    for media in (JSON, PROBLEM):
        assert bodies.of(Outcome.FORBIDDEN, media) == OURS.of(Outcome.FORBIDDEN, media)
    assert bodies.of(Outcome.NOT_FOUND, HTML) == OURS.of(Outcome.NOT_FOUND, HTML)
