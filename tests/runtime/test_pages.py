from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import copy_policies, pdp, token

from pdp.errors import ConfigurationError
from pdp.runtime.load import load
from pdp.runtime.pages import LARGEST

OWN = "<!doctype html><title>No</title><p>Nein \u2013 ask your administrator.".encode()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    target = copy_policies(tmp_path / "policies")
    (target / "pages").mkdir()
    return target


def problem(directory: Path, **server: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(directory, None, {}, {"html_pages": "pages", **server})
    (found,) = caught.value.problems
    return str(found)


async def test_a_browser_sees_the_operators_page_and_a_program_the_message(directory: Path) -> None:
    (directory / "pages" / "403.html").write_bytes(OWN)
    settings = {"html_pages": "pages", "forbidden_message": "Ask help@example.com."}
    headers = {
        "X-Forwarded-Method": "PATCH",
        "X-Forwarded-Uri": "/invoices/7",
        "X-Forwarded-Host": "app.test",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "Authorization": "Bearer " + token("bob"),
    }
    async with pdp(directory, **settings) as live:
        url = f"{live.url}/authz/forward"
        async with live.session.get(url, headers={**headers, "Accept": "text/html"}) as answer:
            assert answer.status == 403
            assert answer.content_type == "text/html"
            assert await answer.read() == OWN
        async with live.session.get(url, headers=headers) as answer:
            told = {"error": "forbidden", "message": "Ask help@example.com."}
            assert (answer.status, await answer.json()) == (403, told)
        del headers["Authorization"]
        async with live.session.get(url, headers={**headers, "Accept": "text/html"}) as answer:
            assert answer.status == 401
            assert b"<h1>401 Unauthorized</h1>" in await answer.read()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("403.html", b" \n", "pages/403.html empty-file is empty"),
        ("403.html", b"x" * (LARGEST + 1), "pages/403.html huge-file is over 65536 bytes"),
        ("403.html", b"\xff", "pages/403.html not-utf8 is not UTF-8"),
        ("302.html", OWN, "server.html_pages unknown-page `302.html` is the page of no refusal"),
        ("styles.css", OWN, "server.html_pages no-pages `pages` holds no page"),
    ],
)
def test_a_page_that_will_not_do_is_told(
    directory: Path, name: str, data: bytes, said: str
) -> None:
    (directory / "pages" / name).write_bytes(data)
    assert problem(directory) == said


def test_a_page_that_cannot_be_read_is_told(directory: Path) -> None:
    (directory / "pages" / "404.html").mkdir()
    assert problem(directory) == "pages/404.html missing-file is no regular file"


def test_a_directory_that_is_not_there_is_told(directory: Path) -> None:
    said = "server.html_pages no-pages `nowhere` cannot be read: no such file or directory"
    assert problem(directory, html_pages="nowhere") == said


@pytest.mark.parametrize("message", ["", "x" * 1_025, "a\nb"])
def test_a_message_that_will_not_do_is_told(directory: Path, message: str) -> None:
    with pytest.raises(ConfigurationError, match="forbidden_message"):
        load(directory, None, {}, {"forbidden_message": message})
