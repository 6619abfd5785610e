"""Random values that a literal or a pattern of a policy accepts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from random import Random
from typing import Final

from pdp.policy.matcher.functions import PATTERN_FUNCTIONS

_NAMED = re.compile(r":[^/]+")
_BRACED = re.compile(r"\{[^/{}]+\}")
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_WORD = re.compile(r"[A-Za-z0-9_]+")
# What stands for characters in a regular expression, the longest form first, and what to put there.
_CLASSES: Final = (
    (re.compile(r"\((?:\?[:P<>\w]*)?([^()|]*)(?:\|[^()]*)?\)[*+?]?"), None),  # first alternative
    (re.compile(r"\[[^\]]*\](?:[*+?]|\{[^}]*\})?|(?:\\[dw]|\.)[*+]"), "7"),
)


def segment(rng: Random) -> str:
    """A segment of a path, one of a million."""
    return str(rng.randrange(1_000_000))


def _literal(value: str, _rng: Random) -> str | None:
    return value


def _key_match(pattern: str, rng: Random) -> str | None:
    return pattern.replace("*", segment(rng))


def _named(pattern: str, rng: Random) -> str | None:
    return _key_match(_NAMED.sub(lambda _: segment(rng), pattern), rng)


def _braced(pattern: str, rng: Random) -> str | None:
    """Equal names get equal segments, as keyMatch4 wants it."""
    made: dict[str, str] = {}
    filled = _BRACED.sub(lambda name: made.setdefault(name.group(), segment(rng)), pattern)
    return _key_match(filled, rng)


def _regex(pattern: str, rng: Random) -> str | None:
    """A method or a word of the pattern that matches it, or a simple reading of the whole."""
    match = PATTERN_FUNCTIONS["regexMatch"](pattern)
    words: list[str] = [word for word in (*_METHODS, *_WORD.findall(pattern)) if match(word)]
    if words:
        return rng.choice(words)
    text = pattern.removeprefix("^").removesuffix("$")
    for form, filled in _CLASSES:
        text = form.sub(r"\1" if filled is None else segment(rng), text)
    text = text.replace("\\", "")
    return text if match(text) else None


def _ip(pattern: str, rng: Random) -> str | None:
    network = ip_network(pattern, strict=False)
    return str(network.network_address + rng.randrange(network.num_addresses))


# By what the matcher asks; what is not here is not filled on purpose.
VALUES: Final[Mapping[str, Callable[[str, Random], str | None]]] = {
    "==": _literal,
    "keyMatch": _key_match,
    "keyMatch2": _named,
    "keyMatch3": _braced,
    "keyMatch4": _braced,
    "keyMatch5": _braced,
    "globMatch": _key_match,
    "regexMatch": _regex,
    "ipMatch": _ip,
}
