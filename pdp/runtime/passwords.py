"""Verifies passwords in a few threads of its own, so that neither the loop nor a queue suffers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from typing import Final

from pdp.errors import ConfigurationError, DeadlineExceeded, Problem, Unavailable
from pdp.runtime.extras import extra

Check = Callable[[bytes, str], bool]
Flight = asyncio.Future[bool]

_PACKAGES: Final = ("bcrypt", "argon2")
_BCRYPT_LONGEST: Final = 72  # bytes that it looks at
_NICER: Final = 10


def check_installed() -> list[Problem]:
    """The problem that the packages for `[authentication.basic]` cannot be imported, if so."""
    try:
        with extra("basic", "authentication.basic", "the packages for passwords"):
            for name in _PACKAGES:
                import_module(name)
    except ConfigurationError as error:
        return list(error.problems)
    return []


class PasswordThreads:
    """A PasswordVerifier with bounds: so many threads compute, and so many questions wait.

    Questions that are equal, as a browser's are that loads a page, share one computation.
    `computed` counts these. ImportError where the extra is missing, see `check_installed`.
    """

    def __init__(self, *, threads: int = 2, waiting: int = 16) -> None:
        self.computed = 0
        self._bcrypt, self._argon2 = _bcrypt(), _argon2()
        self._executor = ThreadPoolExecutor(threads, "pdp-password", _give_way)
        self._most = threads + waiting
        self._flights: dict[bytes, Flight] = {}
        self._key = secrets.token_bytes(32)
        self._stopped = False

    async def verify(self, password: bytes, encoded: str) -> bool:
        """Whether `encoded` is the hash of `password`; bcrypt has none of over 72 bytes or a NUL.

        DeadlineExceeded, at once, if the queue is full or this was stopped. Whoever gives up
        waiting does not end the computation.
        """
        # A digest: the repr of a future shows what its callbacks are given.
        asked = hashlib.blake2b(encoded.encode() + b"\0" + password, key=self._key).digest()
        flight = self._flights.get(asked) or self._begin(asked, password, encoded)
        try:
            return await asyncio.shield(flight)
        except asyncio.CancelledError:
            if flight.cancelled():  # by `stop`, not by whoever asked
                raise DeadlineExceeded("stopping") from None
            raise

    def _begin(self, asked: bytes, password: bytes, encoded: str) -> Flight:
        if self._stopped or len(self._flights) >= self._most:
            raise DeadlineExceeded("too many passwords wait to be verified")
        check = self._bcrypt if encoded.startswith("$2") else self._argon2
        loop = asyncio.get_running_loop()
        flight: Flight = loop.run_in_executor(self._executor, check, password, encoded)
        self.computed += 1
        self._flights[asked] = flight
        flight.add_done_callback(partial(self._landed, asked))
        return flight

    def _landed(self, asked: bytes, flight: Flight) -> None:
        del self._flights[asked]
        if not flight.cancelled():
            flight.exception()  # seen, even if nobody waits any more

    async def stop(self) -> None:
        """Compute what is begun, drop what waits, end the threads. Harmless if stopped before."""
        self._stopped = True
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)


def _give_way() -> None:
    """Let the loop's thread go first. Only Linux has a priority for each thread."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox: then the scheduler is fair, as ever
            me = threading.get_native_id()
            now = os.getpriority(os.PRIO_PROCESS, me)
            os.setpriority(os.PRIO_PROCESS, me, now + _NICER)  # the system caps it


def _bcrypt() -> Check:
    import bcrypt

    def check(password: bytes, encoded: str) -> bool:
        # The same work first: a NUL would let `a` pass for `a\0a`, and what is cut off for a match.
        whole = len(password) <= _BCRYPT_LONGEST and 0 not in password
        try:
            return bcrypt.checkpw(password[:_BCRYPT_LONGEST], encoded.encode()) and whole
        except ValueError:
            raise Unavailable("a hash cannot be computed") from None

    return check


def _argon2() -> Check:
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

    hasher = PasswordHasher()  # takes every parameter from the hash

    def check(password: bytes, encoded: str) -> bool:
        try:
            return hasher.verify(encoded, password)
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError):  # no memory, for one thing
            raise Unavailable("a hash cannot be computed") from None

    return check
