"""The operator's own HTML pages, read once."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Final

from pdp.answer.bodies import Bodies
from pdp.errors import Problem, Unusable
from pdp.model import STATUS, Outcome
from pdp.runtime.settings import ServerSettings
from pdp.runtime.sources import read_file

LARGEST: Final = 65_536  # bytes: a page goes out with every such refusal
_KEY: Final = "server.html_pages"
_NAMES: Final = {
    f"{status}.html": HTTPStatus(status)
    for outcome, status in STATUS.items()
    if outcome is not Outcome.ALLOW
}
_HELP: Final = f"pages are named {', '.join(sorted(_NAMES))}"


def load_bodies(server: ServerSettings, base: Path) -> tuple[Bodies, list[Problem]]:
    """What refusals say, with the pages in `html_pages`, a path relative to `base`."""
    pages: dict[int, bytes] = {}
    problems: list[Problem] = []
    try:
        found = [] if server.html_pages is None else _pages(base / server.html_pages)
    except Unusable as error:
        found, problems = [], [error.problem(_KEY)]
    for path in found:
        shown = f"{server.html_pages}/{path.name}"
        data, wrong = read_file(path, shown)
        problems += wrong
        try:
            if data is not None:
                pages[_NAMES[path.name]] = _page(data)
        except Unusable as error:
            problems.append(error.problem(shown))
    return Bodies(pages, server.forbidden_message), problems


def _pages(directory: Path) -> list[Path]:
    try:
        found = sorted(path for path in directory.iterdir() if path.suffix == ".html")
    except OSError as error:
        why = (error.strerror or "").lower()
        raise Unusable("no-pages", f"`{directory.name}` cannot be read: {why}", _HELP) from None
    unknown = [path.name for path in found if path.name not in _NAMES]
    if unknown:
        raise Unusable("unknown-page", f"`{unknown[0]}` is the page of no refusal", _HELP)
    if not found:
        raise Unusable("no-pages", f"`{directory.name}` holds no page", _HELP)
    return found


def _page(data: bytes) -> bytes:
    if not data.strip():
        raise Unusable("empty-file", "is empty", "remove it, for the page that is built in")
    if len(data) > LARGEST:
        raise Unusable("huge-file", f"is over {LARGEST} bytes", "put images and styles elsewhere")
    try:
        data.decode()
    except UnicodeDecodeError:
        raise Unusable("not-utf8", "is not UTF-8", "save the file as UTF-8") from None
    return data
