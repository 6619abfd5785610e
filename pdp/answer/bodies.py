"""What a refusal says: the media type that `Accept` prefers, and the bytes, made beforehand."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, NamedTuple

from pdp.model import STATUS, Outcome, Reason, Verdict


class MediaType(StrEnum):
    """The forms a body can take; of equally good ones, the first is taken."""

    JSON = "application/json"
    PROBLEM = "application/problem+json"
    HTML = "text/html"


CONTENT_TYPE: Final[Mapping[MediaType, str]] = MappingProxyType(
    {
        MediaType.JSON: "application/json",
        MediaType.PROBLEM: "application/problem+json",
        MediaType.HTML: "text/html; charset=utf-8",
    }
)

_LONGEST_ACCEPT: Final = 1024  # browsers send less than 200
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_PARAMETER: Final = rf'{_WORD}=(?:{_WORD}|"(?:[^"\\]|\\.)*+")'
# Possessive throughout: whitespace that could belong to two places must not be tried in both.
_ELEMENT: Final = re.compile(
    rf"[ \t]*+(?:(?P<range>{_WORD}/{_WORD})"
    rf"(?P<parameters>(?:[ \t]*+;[ \t]*+(?:{_PARAMETER})?+)*+))?+[ \t]*+(?:,|\Z)"
)
_PARAMETERS: Final = re.compile(rf";[ \t]*+({_PARAMETER})")
_WEIGHT: Final = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_OURS: Final = frozenset({"charset=utf-8", 'charset="utf-8"'})  # true of every body here


_UNFIT: Final = (0.0, 0)  # refused or not mentioned, it is all the same


class _Range(NamedTuple):
    """A media range in lower case, and its weight in 0..1."""

    name: str
    weight: float


def choose(accept: str | None) -> MediaType:
    """The media type that an `Accept` value prefers (RFC 9110 §12.5.1).

    JSON where there is no value, where it is malformed or over-long, where it fits nothing, and
    wherever it leaves the choice to us.
    """
    if accept is None or accept == "*/*" or len(accept) > _LONGEST_ACCEPT:
        return MediaType.JSON
    try:
        ranges = {r.name: r.weight for r in _ranges(accept)}
    except ValueError:  # the client sees JSON
        return MediaType.JSON
    # `max` keeps the first of equals, so the order of the enumeration is our preference.
    return max(MediaType, key=lambda media: _quality(media, ranges))


def _quality(media: MediaType, ranges: Mapping[str, float]) -> tuple[float, int]:
    """The weight of the most specific range that fits, and how specific it is."""
    patterns = (media, f"{media.partition('/')[0]}/*", "*/*")
    for distance, pattern in enumerate(patterns):
        if pattern in ranges:
            weight = ranges[pattern]
            return (weight, -distance) if weight else _UNFIT
    return _UNFIT


def _ranges(accept: str) -> Iterator[_Range]:
    """Every media range that can fit a body of ours, or ValueError.

    Accept = [ ( media-range [ weight ] ) *( OWS "," OWS ( media-range [ weight ] ) ) ]
    """
    position = 0
    while position < len(accept):
        element = _ELEMENT.match(accept, position)
        if element is None:
            raise ValueError("malformed media range")
        position = element.end()
        if element["range"] is not None:
            yield from _range(element["range"].lower(), element["parameters"].lower())


def _range(name: str, parameters: str) -> Iterator[_Range]:
    weight, fits = 1.0, True
    for parameter in _PARAMETERS.findall(parameters):
        if parameter.startswith("q="):
            weight = _weight(parameter)
        else:
            fits = fits and parameter in _OURS
    if fits:
        yield _Range(name, weight)


def _weight(parameter: str) -> float:
    match = _WEIGHT.fullmatch(parameter)
    if match is None:
        raise ValueError("malformed weight")
    return float(match[1])


NONE: Final[Mapping[int, bytes]] = MappingProxyType({})


class _Text(NamedTuple):
    code: str
    message: str


# By outcome; a reason has a row of its own where the client can do something about it.
_TEXTS: Final[Mapping[Outcome | Reason, _Text]] = MappingProxyType(
    {
        Reason.INSUFFICIENT_SCOPE: _Text(  # RFC 6750 §3.1
            "insufficient_scope", "Your credential lacks a scope that this needs."
        ),
        Outcome.UNAUTHENTICATED: _Text("unauthenticated", "Valid credentials are required."),
        Outcome.FORBIDDEN: _Text("forbidden", "You may not do this."),
        Outcome.NOT_FOUND: _Text("not_found", "There is nothing here."),
        Outcome.THROTTLED: _Text("throttled", "Too many requests; try again later."),
        Outcome.BAD_REQUEST: _Text("invalid_request", "The request cannot be understood."),
        Outcome.FAULT: _Text("unavailable", "The request could not be decided; try again later."),
    }
)


def _json(_: int, text: _Text) -> bytes:
    return _dump({"error": text.code, "message": text.message})


def _problem(status: int, text: _Text) -> bytes:
    """RFC 9457; with the type `about:blank` the title is the status phrase (§4.2.1)."""
    title, detail = HTTPStatus(status).phrase, text.message
    return _dump({"type": "about:blank", "title": title, "status": status, "detail": detail})


def _page(status: int, text: _Text) -> bytes:
    title, message = f"{status} {HTTPStatus(status).phrase}", text.message
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<h1>{title}</h1>\n<p>{html.escape(message)}</p>\n</html>\n"
    ).encode()


def _dump(members: Mapping[str, str | int]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


_FORMS: Final = MappingProxyType(
    {MediaType.JSON: _json, MediaType.PROBLEM: _problem, MediaType.HTML: _page}
)


def _status(key: Outcome | Reason) -> int:
    return STATUS[key if isinstance(key, Outcome) else Outcome.FORBIDDEN]


def told(verdict: Verdict) -> Outcome | Reason:
    """What the client is told of a verdict: its outcome, or its reason if it can act on that."""
    wanting = verdict.outcome is Outcome.FORBIDDEN and verdict.reason is Reason.INSUFFICIENT_SCOPE
    return verdict.reason if wanting else verdict.outcome


class Bodies:
    """Every body that there can be.

    `pages` are the operator's own HTML, by status, and `forbidden` is what a 403 says instead.
    """

    def __init__(self, pages: Mapping[int, bytes] = NONE, forbidden: str | None = None) -> None:
        texts = dict(_TEXTS)
        if forbidden is not None:
            texts[Outcome.FORBIDDEN] = _Text(_TEXTS[Outcome.FORBIDDEN].code, forbidden)
        self._pages = pages
        # INVARIANT: made before any request is seen, so they hold no byte of one.
        self._made = {
            (key, media): self._form(media, _status(key), text)
            for key, text in texts.items()
            for media in MediaType
        }

    def of(self, told: Outcome | Reason, media: MediaType, message: str | None = None) -> bytes:
        """The bytes for a refusal, by its outcome, or by a reason that is `told`.

        `message` is a RequestError's text (the name of a field or header and what is wrong, never
        content); it stands in the body of a bad request only, and in no page of the operator's.
        """
        if message is not None and told is Outcome.BAD_REQUEST:
            return self._form(media, STATUS[told], _Text(_TEXTS[told].code, message))
        return self._made[told, media]

    def _form(self, media: MediaType, status: int, text: _Text) -> bytes:
        own = self._pages.get(status) if media is MediaType.HTML else None
        return _FORMS[media](status, text) if own is None else own


OURS: Final = Bodies()
