"""The path that a service asks about is the one that it serves."""

from __future__ import annotations

import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st
from imposters import ALLOWED, imposter, serving
from test_client_middleware import raw
from yarl import URL

from pdp.client import Pdp, require
from pdp.client.incoming import one_spelling
from pdp.errors import RequestError
from pdp.surfaces.target import parse_target

VISIBLE = [chr(n) for n in range(0x21, 0x7F) if chr(n) not in "?#%"]
LETTERS = st.sampled_from([*VISIBLE, "/", "/", "a", "\u00e9"])


def encoded(character: str, case: bool) -> str:
    text = "".join(f"%{byte:02X}" for byte in character.encode())
    return text if case else text.lower()


def served(raw_path: str) -> str:
    """What aiohttp looks for among its routes."""
    return URL.build(path=raw_path, encoded=True).path_safe


def judged(raw_path: str) -> str | None:
    """What a PDP decides on, None for nothing."""
    try:
        return parse_target(one_spelling(raw_path), field="resource", exempt=lambda _: True)
    except RequestError:
        return None


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, str]:
    """A path and another spelling of it."""
    text = draw(st.text(LETTERS, max_size=6))

    def spelled() -> str:
        forms = ((c, encoded(c, True), encoded(c, False)) for c in text)
        return "/" + "".join(draw(st.sampled_from(form)) for form in forms)

    return spelled(), spelled()


@given(spellings())
@example(("/files/a:b", "/files/a%3Ab"))
@example(("/files/a%7cb", "/files/a|b"))
@example(("/files/a%2Fb", "/files/a/b"))
def test_the_same_is_judged_if_and_only_if_the_same_is_served(pair: tuple[str, str]) -> None:
    first, second = pair
    found = judged(first), judged(second)
    if None not in found:
        assert (found[0] == found[1]) == (served(first) == served(second))


@pytest.mark.parametrize("character", [*(c for c in VISIBLE if c not in "./\\"), "\u00e9"])
def test_every_character_has_one_spelling(character: str) -> None:
    forms = (character, encoded(character, True), encoded(character, False))
    found = {judged(f"/a{form}b") for form in forms} - {None}
    assert len(found) == 1


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("/docs/a", "/docs/a"),
        ("/docs/a?b=/c", "/docs/a"),
        ("/docs/%61%2fb", "/docs/%61%2fb"),
        ("/docs/alice%40example.com", "/docs/alice@example.com"),
        ("//docs/a", "//docs/a"),
        ("/docs/../admin", "/docs/../admin"),
        ("/docs/%2e%2e/admin", "/docs/%2e%2e/admin"),
        ("http://other/docs/a", None),
        ("http://other", None),
        ("/docs/a#/b", None),
        ("/docs/\udcff", None),
        ("*", None),
    ],
)
async def test_the_raw_path_is_asked_about_or_nothing(target: str, asked: str | None) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response()

    async with imposter(ALLOWED) as other, Pdp(other.url, timeout=5) as asking:
        app = web.Application(middlewares=[require(asking)])
        app.router.add_route("*", "/{tail:.*}", handle)
        async with serving(app) as url:
            answer = await raw(url, target, method="OPTIONS")
    assert answer.split()[1] == (b"400" if asked is None else b"200"), answer
    assert [body["resource"]["id"] for _, _, body in other.asked] == [asked] * (asked is not None)
