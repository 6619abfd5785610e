import string
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdp.errors import RequestError
from pdp.surfaces.target import parse_method, parse_target

FIELD = "X-Original-URI"


def parse(raw: str) -> str:
    return parse_target(raw, field=FIELD)


def parse_exempt(raw: str) -> str:
    return parse_target(raw, field=FIELD, exempt=lambda _: True)


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        pytest.param("/", "/", id="root"),
        pytest.param("/a/b", "/a/b", id="plain"),
        pytest.param("/a/", "/a/", id="trailing slash stays"),
        pytest.param("/A/b", "/A/b", id="case stays"),
        pytest.param("/a?", "/a", id="empty query is cut"),
        pytest.param("/a?b=/../c//d;%zz#?e", "/a", id="query is cut before judging"),
        pytest.param("/?x", "/", id="query of the root"),
        pytest.param("/a.b/.well-known/...", "/a.b/.well-known/...", id="dots that are names"),
        pytest.param("/..a/a../.a", "/..a/a../.a", id="dots beside letters"),
        pytest.param("/!$&'()*+,=:@-._~", "/!$&'()*+,=:@-._~", id="safe characters"),
        pytest.param("/%61%5a%30%2D%5f%7e", "/aZ0-_~", id="encoded unreserved are decoded"),
        pytest.param("/caf%c3%a9", "/caf%C3%A9", id="other encodings stay, in upper case"),
        pytest.param("/a%20b%3f%23%40", "/a%20b%3F%23%40", id="encoded reserved stay"),
        pytest.param("/" + "a" * 8191, "/" + "a" * 8191, id="8 kB"),
        pytest.param("/a?" + "b" * 9000, "/a", id="the bound is on the path"),
    ],
)
def test_a_target_becomes_its_canonical_path(raw: str, canonical: str) -> None:
    assert parse(raw) == canonical


AMBIGUOUS = [
    pytest.param("", id="empty"),
    pytest.param("?/a", id="query only"),
    pytest.param("a/b", id="relative"),
    pytest.param("*", id="asterisk form"),
    pytest.param("http://h/a", id="absolute form"),
    pytest.param("h:443", id="authority form"),
    pytest.param("/" + "a" * 8192, id="over 8 kB"),
    pytest.param("//a", id="empty segment first"),
    pytest.param("/a//b", id="empty segment"),
    pytest.param("/a//", id="empty segment last"),
    pytest.param("/.", id="dot"),
    pytest.param("/./a", id="dot first"),
    pytest.param("/a/.", id="dot last"),
    pytest.param("/..", id="dots"),
    pytest.param("/a/../b", id="dots inside"),
    pytest.param("/a/..?b", id="dots before a query"),
    pytest.param("/a\\b", id="backslash"),
    pytest.param("/a#b", id="fragment"),
    pytest.param("/a#?b", id="fragment before a query"),
    pytest.param("/a b", id="space"),
    pytest.param("/a\tb", id="tab"),
    pytest.param("/a\n", id="line feed last"),
    pytest.param("/a\0", id="nul"),
    pytest.param("/a\x7f", id="delete"),
    pytest.param("/é", id="raw non-ascii"),
    pytest.param("/a\udcff", id="raw byte that is not utf-8"),
    pytest.param("/a%", id="percent last"),
    pytest.param("/a%2", id="percent with one digit"),
    pytest.param("/a%zz", id="percent without digits"),
    pytest.param("/a%%41", id="percent twice"),
    pytest.param("/a%u0041", id="percent u"),
    pytest.param("/%2e%2e/a", id="encoded dots"),
    pytest.param("/.%2E/a", id="half encoded dots"),
    pytest.param("/a%2eb", id="encoded dot in a name"),
    pytest.param("/a%00", id="encoded nul"),
    pytest.param("/a%0a", id="encoded line feed"),
    pytest.param("/a%1F", id="encoded control"),
    pytest.param("/a%7f", id="encoded delete"),
    pytest.param("/%ff", id="not utf-8"),
    pytest.param("/%c3", id="cut utf-8"),
    pytest.param("/%c0%af", id="overlong slash"),
    pytest.param("/%ed%a0%80", id="encoded surrogate"),
    pytest.param("/%EF%BD%81dmin", id="nfkc: full-width letter"),
    pytest.param("/a%EF%BC%8Fb", id="nfkc: full-width slash"),
    pytest.param("/%E2%80%A5/a", id="nfkc: two-dot leader"),
    pytest.param("/cafe%CC%81", id="nfkc: decomposed accent"),
    pytest.param("/a%C2%A0b", id="nfkc: no-break space"),
]
EXEMPTIBLE = [
    pytest.param("/npm/@s%2fn", "/npm/@s%2Fn", id="encoded slash"),
    pytest.param("/npm/a%5cb", "/npm/a%5Cb", id="encoded backslash"),
    pytest.param("/npm/100%25", "/npm/100%25", id="encoded percent"),
    pytest.param("/npm/a%2541", "/npm/a%2541", id="encoded percent is decoded once only"),
    pytest.param("/npm/a%3bb", "/npm/a%3Bb", id="encoded semicolon"),
    pytest.param("/npm/a;v=1/b", "/npm/a;v=1/b", id="semicolon"),
    pytest.param("/npm/a;", "/npm/a;", id="semicolon last"),
    pytest.param("/npm/a%2f", "/npm/a%2F", id="encoded slash last"),
    pytest.param("/npm/..a%2f.b", "/npm/..a%2F.b", id="dots that are names"),
]
NEVER_EXEMPT = [
    pytest.param("/npm/..%2fadmin", id="dots before an encoded slash"),
    pytest.param("/npm/a%2f..", id="dots after an encoded slash"),
    pytest.param("/npm/a%2f..%2fadmin", id="dots between encoded slashes"),
    pytest.param("/npm/a%2f./b", id="dot after an encoded slash"),
    pytest.param("/npm/..%5cadmin", id="dots before an encoded backslash"),
    pytest.param("/npm/..;/admin", id="dots before parameters"),
    pytest.param("/npm/..;a=b/admin", id="dots before a parameter"),
    pytest.param("/npm/..;", id="dots before a last semicolon"),
    pytest.param("/npm/..%3b/admin", id="dots before encoded parameters"),
    pytest.param("/npm/..%3fa", id="dots before an encoded question mark"),
    pytest.param("/npm/..%23a", id="dots before an encoded hash"),
    pytest.param("/npm/%252e%252e/admin", id="dots encoded twice"),
    pytest.param("/npm/..%252fadmin", id="slash encoded twice"),
    pytest.param("/npm/a%2f%2fb", id="empty segment of encoded slashes"),
    pytest.param("/npm/%2fadmin", id="empty segment half encoded"),
    pytest.param("/npm/;a/b", id="segment of parameters only"),
    pytest.param("/npm/a%2500", id="nul encoded twice"),
    pytest.param("/npm/a%25ff", id="not utf-8 when decoded twice"),
    pytest.param("/npm/a%25EF%25BC%258Fb", id="not nfkc when decoded twice"),
    pytest.param("/npm/a%2525252541", id="encoded over and over"),
]


@pytest.mark.parametrize("read", [parse, parse_exempt])
@pytest.mark.parametrize("raw", AMBIGUOUS + NEVER_EXEMPT)
def test_an_ambiguous_target_is_refused_exempt_or_not(raw: str, read: Callable[[str], str]) -> None:
    with pytest.raises(RequestError) as caught:
        read(raw)
    assert caught.value.field == FIELD
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("raw", "canonical"), EXEMPTIBLE)
def test_delimiters_are_refused_unless_the_canonical_path_is_exempt(
    raw: str, canonical: str
) -> None:
    assert parse_target(raw, field=FIELD, exempt=lambda path: path == canonical) == canonical
    with pytest.raises(RequestError):
        parse_target(raw, field=FIELD, exempt=lambda path: path != canonical)
    with pytest.raises(RequestError):
        parse(raw)


def test_the_exemption_is_asked_only_where_it_matters() -> None:
    asked: list[str] = []

    def exempt(path: str) -> bool:
        asked.append(path)
        return True

    for raw in ("/a", "/a/caf%c3%a9?b;c", "/a%2fb", "/a;b"):
        parse_target(raw, field=FIELD, exempt=exempt)
    assert asked == ["/a%2Fb", "/a;b"]


PIECES = st.sampled_from(
    [
        *"/.;\\?#% AZa0~_-@é\0\n\udc80",
        *("..", "//", "%2", "%2f", "%2E", "%5c", "%25", "%3B", "%41", "%7e"),
        *("%c3%a9", "%00", "%EF%BC%8F", "%252e", "%c0%af"),
    ]
)
TARGETS = st.lists(PIECES, max_size=12).map(lambda pieces: "/" + "".join(pieces)) | st.text()


@given(TARGETS, st.booleans())
@example("/a;..%2fb", True)
def test_a_canonical_path_parses_to_itself(raw: str, exempt: bool) -> None:
    try:
        canonical = parse_target(raw, field=FIELD, exempt=lambda _: exempt)
    except RequestError:
        return
    assert parse_target(canonical, field=FIELD, exempt=lambda _: exempt) == canonical


@given(TARGETS, st.booleans())
def test_a_canonical_path_holds_nothing_that_is_resolved_away(raw: str, exempt: bool) -> None:
    try:
        canonical = parse_target(raw, field=FIELD, exempt=lambda _: exempt)
    except RequestError:
        return
    assert canonical.startswith("/")
    assert canonical.isascii()
    assert canonical.isprintable()
    eager = canonical.upper().replace("%25", "%").replace("%2E", ".").replace("%2F", "/")
    segments = [s.split(";")[0].split("%3B")[0] for s in eager.replace("%5C", "/").split("/")]
    assert not {".", ".."} & set(segments)
    assert "" not in segments[1:-1]


@given(st.text(string.ascii_letters + string.digits + "._~!$&'()*+,=:@-/%", max_size=30))
def test_the_fast_path_and_the_slow_path_agree(path: str) -> None:
    """One encoded letter takes the slow path, and canonically it is that letter."""
    outcomes = []
    for raw in (f"/{path}x", f"/{path}%78"):
        try:
            outcomes.append(parse(raw))
        except RequestError:
            outcomes.append("")
    assert outcomes[0] == outcomes[1]


# No four characters in a row of this alphabet stand in a message.
@given(st.text("/.;\\?#%ABCDEFé\0", max_size=40).map(lambda text: "/" + text), st.booleans())
def test_no_error_quotes_the_target(raw: str, exempt: bool) -> None:
    problem = ""
    try:
        parse_target(raw, field=FIELD, exempt=lambda _: exempt)
    except RequestError as error:
        problem = str(error)
    assert not any(raw[i : i + 4] in problem for i in range(len(raw) - 3))


@pytest.mark.parametrize(
    "method", ["GET", "get", "PROPFIND", "M-SEARCH", "!#$%&'*+-.^_`|~", "A" * 64]
)
def test_a_method_stays_exactly_as_it_came(method: str) -> None:
    assert parse_method(method, field="X-Original-Method") == method


@pytest.mark.parametrize(
    "method", ["", " GET", "GET ", "GET\n", "GET,POST", "GÉT", "G/T", "G\0T", "\uff27ET", "A" * 65]
)
def test_what_is_not_a_token_is_no_method(method: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_method(method, field="X-Original-Method")
    assert str(caught.value) == "X-Original-Method: is not a method"
