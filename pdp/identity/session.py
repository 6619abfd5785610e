"""The session cookie: which of a browser's cookies is the credential (RFC 6265 §5.4)."""

from __future__ import annotations

import functools
import re
from typing import Final

import msgspec

from pdp.identity.issuer import Mistake, Mistakes

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[authentication.session]`: the name of the cookie that holds a token."""

    cookie: str


def mistakes(settings: SessionSettings, key: str) -> Mistakes:
    """Every mistake that the types of the section cannot see."""
    if not _NAME.fullmatch(settings.cookie):
        yield Mistake(
            "bad-cookie",
            f"`{key}.cookie` is no name that a cookie can have",
            "for example `__Host-session`, which browsers keep to one host and to https",
        )


def session_of(header: str, name: str) -> str | None:
    """The value of the named cookie in a Cookie header; None without it.

    Empty, which no session is, if there are several with different values: any of them may have
    been set by another host of the same domain.
    """
    values = {_bare(value.strip(" \t")) for value in _named(name).findall(header)}
    if not values:
        return None
    return values.pop() if len(values) == 1 else ""


@functools.lru_cache(maxsize=8)
def _named(name: str) -> re.Pattern[str]:
    """Finds the values of a cookie, and keeps nothing of the junk that they stand in."""
    return re.compile(rf"(?:^|;)[ \t]*+{re.escape(name)}[ \t]*+(?:=([^;]*+))?+(?=;|\Z)")


def _bare(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return value[1:-1] if quoted else value
