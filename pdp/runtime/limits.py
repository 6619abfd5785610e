"""Bounds abuse: wrong passwords block for a while, and requests are throttled.

INVARIANT: nobody can lock out another's account, nor an address that is not theirs. What is
counted and blocked is always an address, alone or together with an account; never an account
alone. Without an address nothing is counted.
"""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections.abc import Sequence
from hashlib import blake2b
from math import ceil
from typing import Annotated, Final

import msgspec
from limits import RateLimitItem, parse_many
from limits.strategies import MovingWindowRateLimiter
from prometheus_client import CollectorRegistry, Counter, Gauge

from pdp.errors import Problem, Severity
from pdp.model import Identity, Method
from pdp.runtime.limit_storage import Blocks, BoundedStorage, Clock

Rates = Sequence[RateLimitItem]


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[limits]`: how often is too often; a rate that is None, empty or `off` bounds nothing."""

    failed_passwords: str | None = "10 per 10 minutes"  # of one account from one address
    failed_passwords_per_address: str | None = "100 per 10 minutes"  # of whatever accounts
    block_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 600
    requests_per_address: str | None = None
    requests_per_subject: str | None = None
    requests_per_api_key: str | None = None
    max_tracked: Annotated[int, msgspec.Meta(ge=100, le=10_000_000)] = 100_000  # counters, in all
    ipv6_prefix: Annotated[int, msgspec.Meta(ge=32, le=128)] = 64  # of a network that counts as one


RATES: Final = (
    *("failed_passwords", "failed_passwords_per_address"),
    *("requests_per_address", "requests_per_subject", "requests_per_api_key"),
)
_EXAMPLE: Final = (
    'for example `"10 per 10 minutes"` or `"5 per second; 1000 per hour"`; `"off"` bounds nothing'
)
_OFF: Final = frozenset({"", "off"})
_MOST_SHOWN: Final = 60
_MOST_HITS: Final = 1_000_000
_LONGEST_SECONDS: Final = 360 * 86_400  # the library's year


def check_limits(settings: LimitSettings, file: str) -> list[Problem]:
    """What is wrong with `[limits]` beyond its types."""
    problems = []
    for key in RATES:
        text = getattr(settings, key)
        try:
            parse_rates(text)
        except ValueError as error:
            shown = " ".join(text.split())[:_MOST_SHOWN]  # a message is one line
            message = f"`limits.{key}`: `{shown}` {error}"
            problems.append(Problem(file, None, "bad-rate", message, _EXAMPLE))
    return problems


def check_guesses(settings: LimitSettings, file: str) -> list[Problem]:
    """A warning if passwords may be guessed without end."""
    rates = (settings.failed_passwords, settings.failed_passwords_per_address)
    if any(rate is not None and rate.strip().lower() not in _OFF for rate in rates):
        return []
    message = "`limits`: nothing bounds how often passwords are guessed"
    help_ = "leave `failed_passwords` at its default, unless the gateway bounds that"
    return [Problem(file, None, "unbounded-guesses", message, help_, Severity.WARNING)]


def parse_rates(text: str | None) -> Rates:
    """The rates of `N per [M] UNIT; …`, none where they are switched off; ValueError if neither."""
    if text is None or text.strip().lower() in _OFF:
        return ()
    try:
        rates = tuple(dict.fromkeys(parse_many(text)))
    except ValueError:
        raise ValueError("is not a rate") from None  # the library's message says no more
    # The library takes "per 0 minutes" for "per minute".
    if any(int(number) == 0 for number in re.findall("[0-9]+", text)):
        raise ValueError("has a 0, with which nothing would ever be let through")
    if any(rate.amount > _MOST_HITS for rate in rates):
        raise ValueError(f"allows more than {_MOST_HITS}, which bounds nothing")
    if any(rate.get_expiry() > _LONGEST_SECONDS for rate in rates):
        raise ValueError("spans more than a year")
    return rates


class Limits:
    """Counts and blocks, in the memory of one process; for its event loop, nothing here waits.

    `settings` with which `check_limits` is not content count for the defaults. `clock` is in
    seconds, from whenever: one that is never set back or forward keeps blocks as long as they
    should be. Addresses are text; what is no IP address is not counted. Every call takes
    microseconds, and none where the limit is off.
    """

    def __init__(
        self,
        settings: LimitSettings,
        clock: Clock = time.monotonic,
    ) -> None:
        if check_limits(settings, ""):  # told by who read them: all problems come at once
            settings = LimitSettings()
        rates = {key: parse_rates(getattr(settings, key)) for key in RATES}
        share = max(1, settings.max_tracked // max(1, sum(map(bool, rates.values()))))
        every = {key: _Limit(found, share, clock) for key, found in rates.items() if found}
        self._by_account = every.get("failed_passwords")
        self._by_address = every.get("failed_passwords_per_address")
        self._requests = {
            key: every.get(f"requests_per_{key}") for key in ("address", "subject", "api_key")
        }
        self.asks_who = any(self._requests[by] for by in ("subject", "api_key"))
        self._blocks = Blocks(share, settings.block_seconds, clock)
        self._prefix = settings.ipv6_prefix
        # Keyed hashes: a name of whatever length takes the same room, and a memory dump has none.
        self._secret = secrets.token_bytes(32)
        self._measure(tuple(every.values()))

    def register(self, registry: CollectorRegistry) -> None:
        """Have `registry` tell what was blocked and throttled."""
        for collector in self._collectors:
            registry.register(collector)

    def _measure(self, every: Sequence[_Limit]) -> None:
        blocked = Counter("pdp_clients_blocked", "Blocks that began.", ("by",), registry=None)
        throttled = Counter("pdp_throttled", "Requests beyond a limit.", ("by",), registry=None)
        tracked = Gauge("pdp_limits_tracked", "Counters that are remembered.", registry=None)
        self._collectors = (blocked, throttled, tracked)
        tracked.set_function(lambda: sum(len(limit.storage) for limit in every))
        self._blocked = {by: blocked.labels(by) for by in ("account", "address")}
        self._throttled = {by: throttled.labels(by) for by in self._requests}

    def blocked(self, account: str, address: str | None) -> int | None:
        """The seconds, rounded up, for which passwords for `account` are not looked at."""
        if not self._blocks:
            return None
        network = self._network(address)
        if network is None:
            return None
        keys = self._key(network, account), self._key(network)
        left = max(map(self._blocks.left, keys))
        return ceil(left) if left > 0 else None

    def failed(self, account: str, address: str | None) -> None:
        """Count a wrong password, whether there is such an account or not.

        What comes while the block holds (it was under way before) changes nothing.
        """
        if self._by_account is None and self._by_address is None:
            return
        network = self._network(address)
        if network is None or self.blocked(account, address) is not None:
            return
        for by, limit, key in (
            ("account", self._by_account, self._key(network, account)),
            ("address", self._by_address, self._key(network)),
        ):
            if limit is not None and limit.exceeded(key) is not None:
                self._blocks.add(key)
                self._blocked[by].inc()

    def address_exceeded(self, address: str | None) -> int | None:
        """Count a request from `address`; the seconds to wait if it is one too many."""
        if self._requests["address"] is None:
            return None
        network = self._network(address)
        return None if network is None else self._exceeded("address", network)

    def identity_exceeded(self, identity: Identity) -> int | None:
        """Count a request by API key, else by subject; the seconds to wait if one too many.

        Whom no credential stands behind is not counted.
        """
        if not self.asks_who or not identity.authenticated:
            return None
        if identity.method is Method.API_KEY and identity.key_id is not None:
            return self._exceeded("api_key", b"", identity.key_id)
        return self._exceeded("subject", b"", identity.type, identity.id)

    def _exceeded(self, by: str, network: bytes, *names: str) -> int | None:
        limit = self._requests[by]
        if limit is None:
            return None
        wait = limit.exceeded(self._key(network, *names))
        if wait is not None:
            self._throttled[by].inc()
        return wait

    def _network(self, address: str | None) -> bytes | None:
        """What counts as one address: an IPv4 address or an IPv6 network; None for neither."""
        if address is None:
            return None
        try:
            if ":" not in address:
                return socket.inet_pton(socket.AF_INET, address)
            packed = socket.inet_pton(socket.AF_INET6, address)
        except (OSError, ValueError):
            return None
        # Canonical addresses are unmapped. If one is not: all of IPv4 must not count as one.
        if packed.startswith(_MAPPED):
            return packed[len(_MAPPED) :]
        host_bits = 128 - self._prefix
        return (int.from_bytes(packed) >> host_bits).to_bytes(16)

    def _key(self, network: bytes, *names: str) -> str:
        # Lengths go first, so that no two lists of parts read the same.
        parts = [network, *(name.encode("utf-8", "surrogatepass") for name in names)]
        text = b"".join(len(part).to_bytes(4) + part for part in parts)
        return blake2b(text, digest_size=16, key=self._secret).hexdigest()


_MAPPED: Final = bytes(10) + b"\xff\xff"


class _Limit:
    """The rates of one setting, and what was counted by them."""

    def __init__(self, rates: Rates, bound: int, clock: Clock) -> None:
        self._rates = rates
        self._clock = clock
        self.storage = BoundedStorage(bound, clock)
        self._limiter = MovingWindowRateLimiter(self.storage)

    def exceeded(self, key: str) -> int | None:
        """Count one; seconds until the next one fits if it does not, and then it counts nowhere."""
        limiter, (*others, last) = self._limiter, self._rates
        if all(limiter.test(rate, key) for rate in others) and limiter.hit(last, key):
            for rate in others:
                limiter.hit(rate, key)
            return None
        now = self._clock()
        windows = (limiter.get_window_stats(rate, key) for rate in self._rates)
        resets = (window.reset_time for window in windows if window.remaining <= 0)
        # Time goes on meanwhile: what was full may have room by now.
        return max(1, ceil(max(resets, default=now) - now))
