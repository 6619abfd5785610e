"""HTTP Basic (RFC 7617): a name and a password, verified against the rows of `users.htpasswd`."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Final, Protocol

import msgspec

from pdp.identity.attempts import Asked, Attempts
from pdp.identity.htpasswd import Users, read_users
from pdp.identity.text import is_name
from pdp.model import ANONYMOUS_ID, Identity, Method, Reason, Rejected

__all__ = [
    "Basic",
    "BasicSettings",
    "PasswordVerifier",
    "UserSource",
    "Users",
    "parse",
    "read_users",
]

CacheSeconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
CacheSize = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")  # CTL, RFC 5234 appendix B.1
_MALFORMED: Final = Rejected(Reason.CREDENTIALS_MALFORMED)
_WRONG: Final = Rejected(Reason.PASSWORD_INVALID)


class BasicSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[authentication.basic]`: where the users are, and how long a success is remembered."""

    file: str = "users.htpasswd"
    subject_prefix: str = ""
    cache_seconds: CacheSeconds = 60.0
    cache_size: CacheSize = 10_000

    def __post_init__(self) -> None:
        if self.subject_prefix and not is_name(self.subject_prefix):
            raise ValueError("`subject_prefix` holds a control character, or is too long")


class PasswordVerifier(Protocol):
    """Computes hashes of passwords somewhere else than in the event loop."""

    async def verify(self, password: bytes, encoded: str) -> bool:
        """Whether `encoded`, a bcrypt or argon2 hash, is that of `password`.

        Passwords that the algorithm would cut off take the same work, and are wrong. Unavailable
        if it cannot be found out, DeadlineExceeded if too many wait already.
        """
        ...


class UserSource(Protocol):
    """Where the users come from."""

    def current(self) -> Users:
        """The users that may log in now, without waiting; replaced as a whole, never changed."""
        ...


class Basic:
    """Judges names and passwords, and remembers which it found good lately."""

    def __init__(
        self,
        settings: BasicSettings,
        users: UserSource,
        verifier: PasswordVerifier,
        attempts: Attempts,
        foreign: tuple[str, ...] = (),
    ) -> None:
        self._users = users
        self._prefix = settings.subject_prefix
        self._foreign = foreign  # how only others' subjects may begin
        self._verifier = verifier
        self._attempts = attempts
        self._key = secrets.token_bytes(32)
        self._successes = _Successes(settings.cache_size, settings.cache_seconds)

    async def authenticate(
        self,
        value: str,
        asked: Asked,
        unrevoked: Callable[[Identity], Identity | Rejected] = lambda identity: identity,
    ) -> Identity | Rejected:
        """Who presented `value`, the token68 behind `Basic`.

        `unrevoked` says whether the identity was taken back.

        INVARIANT: unknown names, wrong passwords, and right ones of whom nobody may go by take the
        same steps, and one verification each; a block takes none, whether the password is good or
        not.
        """
        presented = parse(value)
        if presented is None:
            return _MALFORMED
        name, password = presented
        blocked = self._blocked(name, asked.address)
        if blocked is not None:
            return blocked
        stored, decoy = self._stored(name), self._users.current().decoy(name, self._key)
        encoded = decoy if stored is None else stored
        proof = self._proof(name, password, encoded)
        known = self._successes.holds(proof, asked.now)
        if not known:
            good = await self._verifier.verify(password, encoded)
            # Others may have failed meanwhile: many guesses at once are not more guesses.
            blocked = self._blocked(name, asked.address)
            if blocked is not None:
                return blocked
            # The row may have changed meanwhile, too.
            if stored is None or not good or self._stored(name) != stored:
                return self._failed(name, asked, _WRONG)
        found = unrevoked(Identity(self._prefix + name, method=Method.BASIC))
        refused = found if isinstance(found, Rejected) else asked.refuses(found)
        if refused is not None:
            self._successes.drop(proof)
            return self._failed(name, asked, refused)
        if not known:
            self._successes.add(proof, asked.now)
        return found

    def _failed(self, name: str, asked: Asked, why: Rejected) -> Rejected:
        self._attempts.failed(name, asked.address)
        return why

    def _blocked(self, name: str, address: str | None) -> Rejected | None:
        seconds = self._attempts.blocked(name, address)
        return None if seconds is None else Rejected(Reason.CLIENT_BLOCKED, seconds)

    def _stored(self, name: str) -> str | None:
        """The user's hash; None for who would be `anonymous`, or another's subject."""
        subject = self._prefix + name
        if subject == ANONYMOUS_ID or subject.startswith(self._foreign):
            return None
        return self._users.current().find(name)

    def _proof(self, name: str, password: bytes, encoded: str) -> bytes:
        """What was verified against which row, by a digest that nobody else can compute.

        INVARIANT: neither a name nor a password holds a NUL.
        """
        text = b"\0".join((name.encode(), password, encoded.encode()))
        return hashlib.blake2b(text, key=self._key, digest_size=32).digest()


class _Successes:
    """A bounded LRU of what was verified, and when; it never sees a password."""

    def __init__(self, size: int, seconds: float) -> None:
        self._size = size
        self._seconds = seconds
        self._verified: OrderedDict[bytes, float] = OrderedDict()

    def holds(self, proof: bytes, now: float) -> bool:
        """Whether this was verified within the last seconds."""
        verified = self._verified.get(proof)
        if verified is None:
            return False
        if not 0 <= now - verified < self._seconds:  # a clock set back does not prolong
            del self._verified[proof]
            return False
        self._verified.move_to_end(proof)
        return True

    def drop(self, proof: bytes) -> None:
        """Forget this, if it is remembered."""
        self._verified.pop(proof, None)

    def add(self, proof: bytes, now: float) -> None:
        """Remember this, at the expense of the least recently used."""
        self._verified[proof] = now
        self._verified.move_to_end(proof)
        while len(self._verified) > self._size:
            self._verified.popitem(last=False)


def parse(value: str) -> tuple[str, bytes] | None:
    """The name and the password, or None if there are none to be read.

    `base64( user-id ":" password )` with padding, of UTF-8 without control characters (RFC 7617
    §2); each may be empty, and a password may hold colons.
    """
    try:
        data = base64.b64decode(value, validate=True)
        text = data.decode("utf-8")
    except ValueError:
        return None
    name, colon, password = text.partition(":")
    exact = base64.b64encode(data).decode("ascii") == value
    if not exact or not colon or _CONTROL.search(text):
        return None
    return name, password.encode()
