"""Blocks after wrong passwords, throttling, and what an attacker makes of either."""

from __future__ import annotations

import re
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import parse
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from loopback import Clock
from prometheus_client import CollectorRegistry, generate_latest

from pdp.config import decode
from pdp.errors import ConfigurationError
from pdp.model import ANONYMOUS, Identity, Method
from pdp.runtime.limit_storage import SLICES, Blocks, BoundedStorage
from pdp.runtime.limits import Limits, LimitSettings, check_limits
from pdp.runtime.load import load

DOCS = Path(__file__).parents[2] / "docs" / "limits.md"
HERE, THERE = "192.0.2.1", "192.0.2.2"
ALICE = Identity("alice", method=Method.BEARER)


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


def three(clock: Clock, registry: CollectorRegistry | None = None, **settings: Any) -> Limits:
    """Limits that block for 60 s after more than 3 failures in 60 s, and nothing else."""
    given = {"failed_passwords": "3 per minute", "failed_passwords_per_address": "off"}
    limits = Limits(LimitSettings(**{**given, "block_seconds": 60, **settings}), clock=clock)
    if registry is not None:
        limits.register(registry)
    return limits


def fail(limits: Limits, times: int, account: str = "alice", address: str | None = HERE) -> None:
    for _ in range(times):
        limits.failed(account, address)


# Blocks


def test_the_failure_that_exceeds_blocks_and_none_before(clock: Clock) -> None:
    limits = three(clock)
    fail(limits, 3)
    assert limits.blocked("alice", HERE) is None
    fail(limits, 1)
    assert limits.blocked("alice", HERE) == 60


@pytest.mark.parametrize(("after", "left"), [(0, 60), (0.5, 60), (1, 59), (59.01, 1), (60, None)])
def test_a_block_ends_and_its_rest_is_rounded_up(
    clock: Clock, after: float, left: int | None
) -> None:
    limits = three(clock)
    fail(limits, 4)
    clock.now += after
    assert limits.blocked("alice", HERE) == left


def test_attempts_during_a_block_neither_extend_it_nor_count(clock: Clock) -> None:
    limits = three(clock)
    fail(limits, 4)
    clock.now += 59
    fail(limits, 100)
    assert limits.blocked("alice", HERE) == 1
    clock.now += 1
    fail(limits, 3)
    assert limits.blocked("alice", HERE) is None


def test_a_block_of_the_address_keeps_the_account_from_being_counted(clock: Clock) -> None:
    limits = three(clock, failed_passwords_per_address="1 per minute", block_seconds=1)
    fail(limits, 2)
    fail(limits, 50)
    clock.now += 1
    fail(limits, 1)  # the address is over its rate again, the account has its third failure
    clock.now += 1
    assert limits.blocked("alice", HERE) is None


def test_a_window_has_no_border_at_which_twice_as_many_fit(clock: Clock) -> None:
    for at in (59.8, 59.9, 60.0):
        clock.now = 1_000_020 + at
        limits = three(clock)
        fail(limits, 3)
        clock.now += 0.5
        fail(limits, 1)
        assert limits.blocked("alice", HERE) == 60


def test_a_failure_counts_until_the_window_has_passed(clock: Clock) -> None:
    for later, blocked in ((59.9, True), (60, False)):
        limits = three(clock)
        fail(limits, 3)
        clock.now += later
        fail(limits, 1)
        assert (limits.blocked("alice", HERE) is not None) is blocked


def test_failures_before_a_short_block_still_count_after_it(clock: Clock) -> None:
    limits = three(clock, block_seconds=1)
    fail(limits, 4)
    clock.now += 1
    assert limits.blocked("alice", HERE) is None
    fail(limits, 1)
    assert limits.blocked("alice", HERE) == 1


def test_every_rate_of_several_must_hold(clock: Clock) -> None:
    limits = three(clock, failed_passwords="3 per minute; 5 per hour")
    for _ in range(5):
        fail(limits, 1)
        clock.now += 61
    assert limits.blocked("alice", HERE) is None
    fail(limits, 1)
    assert limits.blocked("alice", HERE) == 60


def test_a_block_is_of_account_and_address_together(clock: Clock) -> None:
    limits = three(clock)
    fail(limits, 100)
    assert limits.blocked("alice", HERE) is not None
    assert limits.blocked("alice", THERE) is None
    assert limits.blocked("bob", HERE) is None


def test_an_address_that_tries_many_accounts_is_blocked_for_all(clock: Clock) -> None:
    limits = three(clock, failed_passwords_per_address="5 per minute")
    for account in "abcdef":
        fail(limits, 1, account)
    assert limits.blocked("somebody else", HERE) == 60
    assert limits.blocked("a", THERE) is None


def test_without_an_address_nothing_is_counted(clock: Clock) -> None:
    limits = three(clock, failed_passwords_per_address="1 per minute")
    for nowhere in (None, "", "unix", "fe80::1%eth0", "192.0.2.1\0", "\u0661.1.1.1"):
        fail(limits, 10, address=nowhere)
        assert limits.blocked("alice", nowhere) is None
        assert limits.address_exceeded(nowhere) is None
    assert limits.blocked("alice", HERE) is None
    fail(limits, 4)
    assert limits.blocked("alice", HERE) is not None
    assert limits.blocked("alice", None) is None


# Addresses


@pytest.mark.parametrize(
    ("prefix", "one", "other", "same"),
    [
        (64, "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        (64, "2001:db8::1", "2001:db8:0:1::1", False),
        (56, "2001:db8::1", "2001:db8:0:ff::1", True),
        (128, "2001:db8::1", "2001:db8::2", False),
        (64, "::ffff:192.0.2.1", HERE, True),
        (64, "::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        (32, "c000:201::", HERE, False),
        (64, HERE, THERE, False),
    ],
)
def test_an_ipv6_network_counts_as_one_address(
    clock: Clock, prefix: int, one: str, other: str, *, same: bool
) -> None:
    limits = three(clock, ipv6_prefix=prefix, requests_per_address="1 per minute")
    fail(limits, 4, address=one)
    assert (limits.blocked("alice", other) is not None) is same
    assert limits.address_exceeded(one) is None
    assert (limits.address_exceeded(other) is not None) is same


NETWORKS = [HERE, THERE, "::1", "2001:db8::1", "2001:db8:0:1::1", "0.0.0.1", "255.255.255.255"]
texts = st.text(max_size=8)
steps = st.lists(st.tuples(texts, st.floats(0, 120)), max_size=30)


@given(st.permutations(NETWORKS), texts, steps)
def test_no_failures_from_one_address_ever_block_at_another(
    networks: list[str], account: str, failures: list[tuple[str, float]]
) -> None:
    clock = Clock()
    limits = three(clock, failed_passwords_per_address="4 per minute", max_tracked=4)
    attacker, *others = networks
    for name, seconds in failures:
        fail(limits, 5, name, attacker)
        fail(limits, 5, account, attacker)
        for address in others:
            assert limits.blocked(name, address) is None
            assert limits.blocked(account, address) is None
        clock.now += seconds


@given(texts, texts)
def test_no_failures_with_one_account_ever_block_another(account: str, other: str) -> None:
    limits = three(Clock())
    fail(limits, 4, account)
    assert (limits.blocked(other, HERE) is not None) is (account == other)


def test_any_text_can_be_an_account(clock: Clock) -> None:
    for account in ("", "\ud800", "\0", "a" * 1_000_000):
        limits = three(clock)
        fail(limits, 4, account)
        assert limits.blocked(account, HERE) == 60


# Requests


def test_requests_are_throttled_until_the_first_has_left_the_window(clock: Clock) -> None:
    limits = Limits(LimitSettings(requests_per_address="2 per 10 seconds"), clock=clock)
    assert limits.address_exceeded(HERE) is None
    clock.now += 3.5
    assert limits.address_exceeded(HERE) is None
    assert limits.address_exceeded(HERE) == 7
    assert limits.address_exceeded(THERE) is None
    clock.now += 6.5
    assert limits.address_exceeded(HERE) is None
    assert limits.address_exceeded(HERE) == 4


def test_requests_over_a_rate_use_up_no_other_rate(clock: Clock) -> None:
    limits = Limits(LimitSettings(requests_per_address="1 per second; 3 per hour"), clock=clock)
    for wait in (1, 1, 3598):
        assert limits.address_exceeded(HERE) is None
        assert limits.address_exceeded(HERE) == wait
        clock.now += 1
    assert limits.address_exceeded(HERE) == 3597


def identity(method: Method, name: str = "alice", **fields: Any) -> Identity:
    return Identity(name, method=method, **fields)


@pytest.mark.parametrize(
    ("setting", "first", "second", "same"),
    [
        ("subject", ALICE, ALICE, True),
        ("subject", ALICE, identity(Method.BASIC), True),
        ("subject", ALICE, identity(Method.SESSION), True),
        ("subject", ALICE, identity(Method.BEARER, "bob"), False),
        ("subject", ALICE, identity(Method.BEARER, type="service"), False),
        ("subject", ALICE, identity(Method.API_KEY, key_id="k1"), False),
        ("api_key", identity(Method.API_KEY, key_id="k1"),
         identity(Method.API_KEY, "bob", key_id="k1"), True),
        ("api_key", identity(Method.API_KEY, key_id="k1"),
         identity(Method.API_KEY, key_id="k2"), False),
        ("api_key", ALICE, ALICE, False),
        ("subject", ALICE, identity(Method.API_KEY), True),
        ("subject", ANONYMOUS, ANONYMOUS, False),
        ("subject", identity(Method.VOUCHED), identity(Method.VOUCHED), False),
    ],
)  # fmt: skip
def test_identities_count_by_key_or_by_subject(
    clock: Clock, setting: str, first: Identity, second: Identity, *, same: bool
) -> None:
    settings = LimitSettings(**{f"requests_per_{setting}": "1 per 20 seconds"})
    limits = Limits(settings, clock=clock)
    assert limits.identity_exceeded(first) is None
    assert limits.identity_exceeded(second) == (20 if same else None)


# Hypothesis makes short lists unless it is told; these fill windows and empty them again.
pauses_of = st.floats(0, 1) | st.floats(0, 0.01) | st.floats(20, 70)


@given(st.integers(1, 50), st.lists(pauses_of, min_size=100, max_size=200))
def test_no_window_ever_holds_more_than_its_limit(limit: int, pauses: list[float]) -> None:
    clock = Clock(0.0)
    storage = BoundedStorage(10, clock)
    limiter, rate = MovingWindowRateLimiter(storage), parse(f"{limit} per minute")
    taken: list[float] = []
    slack = 0.0 if limit <= SLICES else 60 / SLICES
    for pause in pauses:
        clock.now += pause
        if limiter.hit(rate, "key"):
            taken.append(clock.now)
            assert sum(at + 60 > clock.now for at in taken) <= limit
        else:
            assert sum(at + 60 + slack >= clock.now for at in taken) >= limit
        assert sum(len(counter) for counter in storage._counters.values()) <= 2 * (SLICES + 2)


@given(st.integers(1, 60), st.lists(st.integers(0, 5), min_size=80, max_size=150))
def test_after_the_time_to_wait_there_is_room(limit: int, pauses: list[int]) -> None:
    clock = Clock()
    limits = Limits(LimitSettings(requests_per_address=f"{limit} per minute"), clock=clock)
    for pause in pauses:
        clock.now += pause / 4
        wait = limits.address_exceeded(HERE)
        if wait is not None:
            clock.now += wait
            assert limits.address_exceeded(HERE) is None


def test_hits_of_a_high_limit_leave_a_slice_late_but_never_early() -> None:
    clock = Clock(0.0)
    storage = BoundedStorage(10, clock)
    # A slice has 2 seconds: both hits of the first one leave when the later one may at the latest.
    for at, amount, taken in ((0, 1, True), (1.9, 63, True), (65.8, 1, False), (66, 64, True)):
        clock.now = at
        assert storage.acquire_entry("key", 64, 64, amount) is taken


def test_a_rate_that_is_given_twice_counts_once(clock: Clock) -> None:
    rates = "2 per minute; 2 per minute"
    limits = Limits(LimitSettings(requests_per_address=rates), clock=clock)
    assert [limits.address_exceeded(HERE) for _ in range(3)] == [None, None, 60]


# Bounds on memory


@pytest.mark.parametrize("limit", [1, SLICES, SLICES + 1, 1_000, 1_000_000])
def test_a_counter_is_small_whatever_its_limit(limit: int) -> None:
    clock = Clock(0.0)
    storage = BoundedStorage(10, clock)
    for _ in range(5_000):
        storage.acquire_entry("key", limit, 60)
        clock.now += 0.05
        assert len(storage._counters.get("key", ())) <= 2 * (SLICES + 2)


@pytest.mark.no_cover  # the tracer would take most of the time
def test_a_million_keys_leave_as_many_counters_as_are_allowed() -> None:
    storage = BoundedStorage(1_000, Clock())
    for key in map(str, range(1_000_000)):
        storage.acquire_entry(key, 10, 600)
    assert len(storage) == 1_000
    assert storage.get_moving_window("999999", 10, 600)[1] == 1
    assert storage.get_moving_window("998999", 10, 600)[1] == 0


def addresses(count: int) -> list[str]:
    return [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(count)]


def test_all_limits_together_remember_no_more_than_the_setting_says(clock: Clock) -> None:
    registry = CollectorRegistry()
    limits = three(
        clock,
        registry,
        failed_passwords="1 per minute",
        failed_passwords_per_address="1 per minute",
        requests_per_address="1 per minute",
        requests_per_subject="1 per minute; 2 per hour",
        max_tracked=400,
    )
    for address in addresses(2_000):
        fail(limits, 2, address, address)
        limits.address_exceeded(address)
        limits.identity_exceeded(identity(Method.BEARER, address))
        assert (registry.get_sample_value("pdp_limits_tracked") or 0) <= 400
    assert registry.get_sample_value("pdp_limits_tracked") == 400
    assert len(limits._blocks) == 100


def test_requests_cannot_push_failures_out(clock: Clock) -> None:
    limits = three(clock, requests_per_address="1 per minute", max_tracked=100)
    fail(limits, 3)
    for address in addresses(1_000):
        limits.address_exceeded(address)
    fail(limits, 1)
    assert limits.blocked("alice", HERE) == 60


def test_failures_elsewhere_cannot_end_a_block_unless_they_are_blocks_themselves(
    clock: Clock,
) -> None:
    limits = three(clock, max_tracked=100)
    fail(limits, 4)
    for address in addresses(1_000):
        fail(limits, 3, address=address)
    assert limits.blocked("alice", HERE) == 60


def test_a_counter_that_was_pushed_out_begins_at_zero(clock: Clock) -> None:
    limits = three(clock, max_tracked=100)
    fail(limits, 3)
    for address in addresses(100):
        fail(limits, 1, address=address)
    fail(limits, 3)
    assert limits.blocked("alice", HERE) is None


def test_a_counter_in_use_is_not_the_one_that_is_pushed_out(clock: Clock) -> None:
    limits = three(clock, max_tracked=100)
    for n, address in enumerate(addresses(200)):
        fail(limits, 1, "mallory", address)
        if n % 40 == 0:
            fail(limits, 1)
    assert limits.blocked("alice", HERE) == 60


def test_counters_and_blocks_that_ran_out_make_room_by_themselves(clock: Clock) -> None:
    storage, blocks = BoundedStorage(1_000, clock), Blocks(1_000, 60, clock)
    for n in range(100):
        storage.acquire_entry(str(n), 1, 60)
        blocks.add(str(n))
    clock.now += 60
    for n in range(100, 150):
        storage.acquire_entry(str(n), 1, 60)
        blocks.add(str(n))
    assert len(storage) == len(blocks) == 50


def test_the_oldest_block_gives_way(clock: Clock) -> None:
    blocks = Blocks(2, 60, clock)
    for key in ("one", "two", "three"):
        blocks.add(key)
        clock.now += 1
    assert [blocks.left(key) for key in ("one", "two", "three")] == [0, 58, 59]


def test_no_thread_is_started(clock: Clock) -> None:
    before = threading.enumerate()
    fail(three(clock), 10)
    assert threading.enumerate() == before


def test_memory_holds_no_names(clock: Clock) -> None:
    limits = three(clock, requests_per_address="9 per day", requests_per_subject="9 per day")
    fail(limits, 4, "alice" * 1_000)
    limits.identity_exceeded(ALICE)
    limits.address_exceeded(HERE)
    every = [limits._by_account, *limits._requests.values()]
    keys = [key for limit in every if limit for key in limit.storage._counters]
    assert len(keys) == 3
    for key in (*keys, *limits._blocks._ends):
        assert len(key) < 60
        assert "alice" not in key
        assert HERE not in key


def test_names_are_hashed_with_a_key_of_each_process(clock: Clock) -> None:
    one, other = three(clock), three(clock)
    for limits in (one, other):
        fail(limits, 4)
    assert not {*one._blocks._ends} & {*other._blocks._ends}


def test_the_storage_can_be_cleared_and_has_no_fixed_windows(clock: Clock) -> None:
    storage = BoundedStorage(10, clock)
    for key in ("one", "two", "three"):
        storage.acquire_entry(key, 10, 60)
    storage.clear("two")
    assert (storage.check(), storage.reset(), len(storage)) == (True, 2, 0)
    assert storage.base_exceptions == ()
    fixed, rate = FixedWindowRateLimiter(storage), parse("1 per day")
    uses: list[Callable[..., Any]] = [fixed.hit, fixed.test, fixed.get_window_stats]
    for use in (*uses, lambda _, key: storage.get_expiry(key)):
        with pytest.raises(NotImplementedError):
            use(rate, "key")


# Settings, metrics and documentation


@pytest.mark.parametrize("off", [None, "", "off", " OFF "])
def test_off_means_off(off: str | None) -> None:
    def never() -> float:
        raise AssertionError

    keys = [f.name for f in msgspec.structs.fields(LimitSettings) if f.name.startswith(("f", "r"))]
    assert len(keys) == 5
    settings = LimitSettings(**dict.fromkeys(keys, off))
    assert check_limits(settings, "pdp.toml") == []
    limits = Limits(settings, clock=never)
    fail(limits, 1_000)
    assert limits.blocked("alice", HERE) is None
    assert limits.address_exceeded(HERE) is None
    assert limits.identity_exceeded(ALICE) is None
    assert limits.identity_exceeded(identity(Method.API_KEY, key_id="k1")) is None


def test_by_default_passwords_are_bounded_and_requests_are_not(clock: Clock) -> None:
    settings = LimitSettings()
    assert check_limits(settings, "pdp.toml") == []
    limits = Limits(settings, clock=clock)
    assert {limits.address_exceeded(HERE) for _ in range(1_000)} == {None}
    assert {limits.identity_exceeded(ALICE) for _ in range(1_000)} == {None}
    fail(limits, 10)
    assert limits.blocked("alice", HERE) is None
    fail(limits, 1)
    assert limits.blocked("alice", HERE) == 600
    for account in map(str, range(89)):
        fail(limits, 1, account)
    assert limits.blocked("bob", HERE) is None
    fail(limits, 1, "89")
    fail(limits, 1, "90")
    assert limits.blocked("bob", HERE) == 600


@pytest.mark.parametrize(
    ("rate", "fault"),
    [
        ("many", "is not a rate"),
        ("10", "is not a rate"),
        ("10 per fortnight", "is not a rate"),
        ("-1 per day", "is not a rate"),
        ("1.5 per day", "is not a rate"),
        ("10 per minute;", "is not a rate"),
        ("10 per minute; often", "is not a rate"),
        ("9" * 5_000 + " per day", "is not a rate"),
        ("0 per minute", "has a 0"),
        ("10 per 0 minutes", "has a 0"),
        ("10 per minute; 5 per 00 days", "has a 0"),
        ("1000001 per day", "allows more than 1000000"),
        ("10 per 361 days", "spans more than a year"),
        ("10 per " + "9" * 400 + " years", "spans more than a year"),
    ],
)
def test_what_is_no_rate_is_named_with_an_example(rate: str, fault: str) -> None:
    for key in ("failed_passwords", "requests_per_api_key"):
        [problem] = check_limits(LimitSettings(**{key: rate}), "pdp.toml")
        assert (problem.file, problem.code) == ("pdp.toml", "bad-rate")
        assert problem.message.startswith(f"`limits.{key}`: `{rate[:60]}` {fault}")
        assert "10 per 10 minutes" in problem.help


def test_a_directory_with_a_bad_rate_is_refused_with_its_other_mistakes(tmp_path: Path) -> None:
    (tmp_path / "pdp.toml").write_text('[limits]\nfailed_passwords = "ten"\n[server]\nlisten = ""')
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path)
    assert {"bad-rate", "bad-listen"} <= {problem.code for problem in raised.value.problems}


def test_with_a_bad_rate_the_defaults_hold() -> None:
    limits = Limits(LimitSettings(failed_passwords="ten", failed_passwords_per_address="off"))
    fail(limits, 11)
    assert limits.blocked("alice", HERE) == 600


def test_a_problem_is_one_line() -> None:
    [problem] = check_limits(LimitSettings(requests_per_subject="10\nper\nfoo"), "pdp.toml")
    assert "`10 per foo`" in problem.message


def test_every_mistake_is_reported() -> None:
    settings = LimitSettings(failed_passwords="x", requests_per_address="y")
    assert len(check_limits(settings, "pdp.toml")) == 2


@pytest.mark.parametrize(
    "table",
    [
        {"block_seconds": 0},
        {"block_seconds": 86_401},
        {"block_seconds": 1.5},
        {"max_tracked": 99},
        {"max_tracked": 10_000_001},
        {"ipv6_prefix": 31},
        {"ipv6_prefix": 129},
        {"failed_passwords": 10},
        {"requests": "10 per day"},
    ],
)
def test_values_out_of_bounds_are_refused(table: dict[str, object]) -> None:
    settings, problems = decode(LimitSettings, table, "pdp.toml", "limits")
    assert settings is None
    assert len(problems) == 1


def test_metrics_count_blocks_and_throttled_requests_without_naming_anybody(clock: Clock) -> None:
    registry = CollectorRegistry()
    limits = three(
        clock,
        registry,
        failed_passwords_per_address="5 per minute",
        **{f"requests_per_{by}": "1 per day" for by in ("address", "subject", "api_key")},
    )
    fail(limits, 20)
    for account in "abc":
        fail(limits, 1, account, THERE)
    for _ in range(3):
        limits.address_exceeded(HERE)
        limits.identity_exceeded(ALICE)
    limits.identity_exceeded(identity(Method.API_KEY, key_id="k1"))
    text = generate_latest(registry).decode()
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("pdp_"))
    assert {name: float(value) for name, value in samples.items() if "_created" not in name} == {
        'pdp_clients_blocked_total{by="account"}': 1,
        'pdp_clients_blocked_total{by="address"}': 0,
        'pdp_throttled_total{by="address"}': 2,
        'pdp_throttled_total{by="subject"}': 2,
        'pdp_throttled_total{by="api_key"}': 0,
        "pdp_limits_tracked": 9,
    }


def test_the_documented_section_is_good() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    settings, problems = decode(LimitSettings, tomllib.loads(example)["limits"], "x", "limits")
    assert settings is not None
    assert [*problems, *check_limits(settings, "x")] == []
    Limits(settings)


def test_every_setting_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S.*?) \|", DOCS.read_text(), re.MULTILINE)
    fields = msgspec.structs.fields(LimitSettings)
    defaults = [
        (f.name, "\u2013" if f.default is None else f"`{msgspec.json.encode(f.default).decode()}`")
        for f in fields
    ]
    assert rows[: len(fields)] == defaults
