"""Who is let through, as header fields for the upstream: always all of them, and safe ones."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from pdp.identity.claims import search
from pdp.model import ANONYMOUS_ID, Identity, Method, Verdict

Fields = tuple[tuple[str, str], ...]

SUBJECT: Final = "X-Auth-Subject"
ROLES: Final = "X-Auth-Roles"
MOST: Final = 3072  # gateways have 4 kB, nginx at the least, for all fields of an answer


@dataclass(frozen=True, slots=True)
class IdentityFields:
    """The names of the fields; `claims` are further names with the JMESPath of their values.

    All values together have at most `most` bytes: in the order of `names`, what does not fit
    beside those before it is left out. It is never cut: half a role is another role.
    """

    subject: str = SUBJECT
    roles: str = ROLES
    claims: tuple[tuple[str, str], ...] = ()
    most: int = MOST

    @property
    def names(self) -> tuple[str, ...]:
        """Every field that an allow has."""
        return (self.subject, self.roles, *[name for name, _ in self.claims])

    def of(self, verdict: Verdict) -> Fields:
        """Every field, even when empty: the gateway overwrites what the client sent."""
        identity = verdict.identity
        if identity is None or _anonymous(identity):
            return tuple((name, "") for name in self.names)
        subject, roles = field_text(identity.id), _joined(verdict.roles)
        if not self.claims and len(subject) + len(roles) <= self.most:
            return (self.subject, subject), (self.roles, roles)
        claims = dict(identity.claims)
        values = [subject, roles, *[_text(search(e, claims)) for _, e in self.claims]]
        return tuple(zip(self.names, _fitting(values, self.most), strict=True))


@lru_cache(maxsize=256)  # of roles that somebody holds
def _joined(roles: tuple[str, ...]) -> str:
    return ",".join(map(field_text, roles))


def _fitting(values: Sequence[str], most: int) -> Sequence[str]:
    """Each value, which is ASCII, or nothing in its place if there is no room left for it."""
    if len("".join(values)) <= most:
        return values
    left, fitting = most, []
    for value in values:
        fits = len(value) <= left
        left -= len(value) * fits
        fitting.append(value if fits else "")
    return fitting


def _anonymous(identity: Identity) -> bool:
    return identity.method is Method.NONE or identity.id == ANONYMOUS_ID


def _text(found: object) -> str:
    """What a claim says: a text, a number, a truth, or a list of them, joined with commas."""
    return ",".join(map(field_text, _plain(found)))


def _plain(found: object) -> Iterator[str]:
    if isinstance(found, bool):
        yield "true" if found else "false"
    elif isinstance(found, str | int | float):
        yield str(found)
    elif isinstance(found, list) and not any(isinstance(item, list | dict) for item in found):
        yield from (text for item in found for text in _plain(item))


def respelled(names: tuple[str, ...]) -> tuple[str, ...]:
    """The spellings with `_` for `-`, in lower case, which many upstreams take for the same."""
    return tuple(
        spelled
        for name in names
        for spelled in _spellings(name.lower().split("-"))
        if "_" in spelled
    )


def _spellings(words: list[str]) -> Iterator[str]:
    for joints in itertools.product("-_", repeat=len(words) - 1):
        yield "".join(map("".join, zip(words, (*joints, ""), strict=True)))


_PLAIN_TEXT: Final = re.compile(r"[!-$&-+\--~]*")  # visible ASCII but `%` and `,`
_KEPT: Final = "".join(c for c in map(chr, range(0x20, 0x7F)) if c not in "%,")


def field_text(text: str) -> str:
    """A value that is safe in a comma-joined header field, and decodes to `text` again.

    Comma, `%`, controls and non-ASCII are percent-encoded as UTF-8. Spaces stay unless one stands
    at an end, where HTTP would trim it and make `admin` of ` admin`.
    """
    if _PLAIN_TEXT.fullmatch(text):
        return text
    kept = _KEPT if text == text.strip(" ") else _KEPT[1:]
    return quote(text, safe=kept, errors="surrogatepass")
