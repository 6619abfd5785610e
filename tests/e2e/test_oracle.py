"""Hidden, absent and forbidden paths cost the same judgements; a planted difference is found."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import Running, token

from pdp.policy.layer import Layer
from pdp.policy.snapshot import Snapshot

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
JUDGEMENTS = ("judge", "covers", "roles", "subject_names")  # what a layer does for a question
TIERS = ("early_guards", "late_guards", "grants", "step_ups")


class Counted:
    """A layer that notes what it is asked."""

    def __init__(self, layer: Layer, seen: Counter[str]) -> None:
        self._layer, self._seen = layer, seen

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._layer, name)
        if name not in JUDGEMENTS:
            return found

        def asked(*given: Any) -> Any:
            self._seen[f"{self._layer.name}.{name}"] += 1
            return found(*given)

        return asked


def counting(snapshot: Snapshot, seen: Counter[str]) -> Snapshot:
    """The same snapshot, whose layers count."""
    made = {id(layer): Counted(layer, seen) for layer in snapshot.layers}
    tiers: dict[str, Any] = {
        tier: tuple(made[id(layer)] for layer in getattr(snapshot, tier)) for tier in TIERS
    }
    roles: Any = tuple(made[id(layer)] for layer in snapshot.role_layers)
    return replace(snapshot, **tiers, role_layers=roles)


async def work(server: Running, path: str, action: str, ip: str) -> tuple[int, Counter[str]]:
    """The status of a path for alice, and what every layer was asked on the way."""
    live, seen = server.service.snapshot, Counter[str]()
    server.service.snapshot = counting(live, seen)
    headers = {
        "X-Forwarded-Method": action,
        "X-Forwarded-Uri": path,
        "X-Forwarded-Host": "app.test",
        "X-Forwarded-For": ip,
        "X-Forwarded-Proto": "https",
        "Authorization": f"Bearer {token('alice')}",
    }
    try:
        response, _ = await server.ask("GET", "/authz/forward", headers=headers)
    finally:
        server.service.snapshot = live
    return response.status, seen


# Hidden and there, hidden and not there, not there; and there, but with nothing in it for alice.
HIDDEN, ABSENT = ("/admin", "/admin/users", "/admin/ghost"), ("/ghost", "/a/b/c", "/")
FORBIDDEN = "/budget"


@pytest.mark.parametrize("ip", ["203.0.113.9", "192.0.2.66"], ids=["", "a guard refuses /admin"])
@pytest.mark.parametrize("action", ["GET", "DELETE", "PATCH"])
async def test_hidden_absent_and_forbidden_are_judged_by_the_same_layers(
    server: Running, action: str, ip: str
) -> None:
    expected = dict.fromkeys((*HIDDEN, *ABSENT), 404) | {FORBIDDEN: 403}
    found = {path: await work(server, path, action, ip) for path in expected}
    assert {path: status for path, (status, _) in found.items()} == expected
    works = [seen for _, seen in found.values()]
    assert all(seen == works[0] for seen in works), found
    assert {"rbac.judge", "rbac.roles", "acl.judge", "site.judge", "network.judge"} <= {*works[0]}


async def test_a_layer_that_is_asked_once_more_is_noticed(server: Running) -> None:
    allowed = await work(server, "/invoices/7", "GET", "203.0.113.9")
    refused = await work(server, "/ghost", "GET", "203.0.113.9")
    assert (allowed[0], refused[0]) == (200, 404)
    assert allowed[1] != refused[1]


@pytest.fixture(scope="module")
def oracle() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "oracle_statistics", BENCHMARKS / "oracle_statistics.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def noise(seed: int, shift: float = 0.0, count: int = 4_000) -> list[float]:
    """Times as they are measured: a long tail, and a floor."""
    generator = random.Random(seed)  # noqa: S311 - no secret
    return [200 + shift + generator.lognormvariate(4, 0.6) for _ in range(count)]


def test_the_statistics_tell_twenty_microseconds_from_none(oracle: ModuleType) -> None:
    for seed in range(5):
        times = {"a": noise(seed), "b": noise(seed + 100), "c": noise(seed + 200, 20)}
        assert not oracle.compare(times, "a", "b")["told_apart"]
        for some, other in (("c", "a"), ("a", "c")):
            assert oracle.compare(times, some, other)["told_apart"]
        assert 15 < oracle.compare(times, "c", "a")["median_us"] < 25


def test_equal_times_are_half_of_the_pairs(oracle: ModuleType) -> None:
    assert oracle.superiority([1, 2, 2, 3], [1, 2, 2, 3]) == (0.5, 0.0)
    assert oracle.superiority([2.0] * 10, [1.0] * 10)[0] == 1
    assert oracle.superiority([1.0] * 10, [2.0] * 10)[0] == 0


def test_a_planted_difference_is_found_at_a_real_server() -> None:
    command = [
        sys.executable,
        str(BENCHMARKS / "oracle.py"),
        "--samples",
        "600",
        "--plant",
        "hidden:2000",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    assert done.returncode == 1, done.stdout + done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["samples"] for line in told[:3]] == [600] * 3
    assert told[3]["told_apart"]
    assert not told[4]["told_apart"]
