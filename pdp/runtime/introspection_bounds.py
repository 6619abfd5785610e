"""What keeps introspection cheap: answers that are remembered, and a circuit for dead endpoints."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pdp.identity.claims import Claims, is_date
from pdp.runtime.http_client import Failed

_BAD_REQUEST: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionBounds:
    """What asking an endpoint may cost, in seconds, bytes, requests and answers kept."""

    timeout: float = 0.8  # in all, below `authentication_seconds`
    size: int = 65_536
    requests: int = 32
    waiting: int = 128
    answers: int = 10_000
    inactive_seconds: float = 5.0
    failures: int = 3  # in a row, then the circuit opens
    pause: float = 1.0  # for which it does


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint said of a token, None meaning that it is not active, and until when.

    Both clocks must agree that it is still good: one may be set, the other may stand still.
    """

    claims: Claims | None = field(repr=False)
    until: float  # Unix seconds
    until_tick: float  # of the monotonic clock

    def is_good(self, now: float, tick: float) -> bool:
        """Whether it may still be given."""
        return now < self.until and tick < self.until_tick


def answer(claims: Claims | None, seconds: float, now: float, tick: float) -> Answer:
    """An answer for `seconds` from when it was asked for, but never past its `exp`."""
    expires = None if claims is None else claims.get("exp")
    end = expires if is_date(expires) else math.inf
    return Answer(claims, min(now + seconds, end), tick + seconds)


class Answers:
    """A bounded LRU of answers by the digest of their token; it never sees a token.

    Inactive tokens have one of their own: anybody can make them up, at nobody's expense.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._active: OrderedDict[bytes, Answer] = OrderedDict()
        self._inactive: OrderedDict[bytes, Answer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._active) + len(self._inactive)

    def get(self, digest: bytes, now: float, tick: float) -> Answer | None:
        """What was said last of this token, if that is still good."""
        # INVARIANT: a token is in one of the two at most.
        for kept in (self._active, self._inactive):
            found = kept.get(digest)
            if found is not None and found.is_good(now, tick):
                kept.move_to_end(digest)
                return found
            kept.pop(digest, None)
        return None

    def put(self, digest: bytes, found: Answer) -> None:
        """Keep what was said, at the expense of what was asked for the longest time ago."""
        kept, other = self._active, self._inactive
        if found.claims is None:
            kept, other = other, kept
        other.pop(digest, None)
        kept[digest] = found
        kept.move_to_end(digest)
        while len(kept) > self._size:
            kept.popitem(last=False)


class Circuit:
    """Closed until so many failures in a row; then one request a pause tries again.

    A request that was given up earlier than after `patience` seconds is none of the endpoint's.
    """

    def __init__(
        self, failures: int, pause: float, clock: Callable[[], float], patience: float = 0.0
    ) -> None:
        self.failures = 0
        self._patience = patience
        self._most = failures
        self._pause = pause
        self._clock = clock
        self._next = -math.inf

    @property
    def is_open(self) -> bool:
        """Whether nobody may ask now."""
        return self.failures >= self._most and self._clock() < self._next

    @contextmanager
    def asking(self) -> Iterator[None]:
        """One request; Failed at once if the circuit is open.

        An answer that may be due to the token says nothing against the endpoint: anybody can
        send any token.
        """
        if self.is_open:
            raise Failed("circuit_open")
        began = self._clock()
        self._next = began + self._pause
        alive, tells = False, True
        try:
            yield
            alive = True
        except Failed as error:
            alive = error.kind == "too_large" or error.status == _BAD_REQUEST
            raise
        except asyncio.CancelledError:  # too late, but most of the time may have passed in line
            tells = self._clock() - began >= self._patience
            raise
        finally:
            if tells:
                self.failures = 0 if alive else self.failures + 1
            self._next = self._clock() + self._pause
