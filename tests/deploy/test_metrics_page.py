"""The page on metrics, the alerts and the dashboard say no more and no less than a PDP exposes."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
import support
import yaml
from mmdb import country, mmdb
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from promql import Expression

from pdp import __version__
from pdp.model import Outcome
from pdp.runtime.worker import GroupMetrics
from pdp.surfaces import ops

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()
ALERTS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
SCRAPED = {"instance", "job", "__name__"}  # what Prometheus adds to every series
ISSUERS = """
[[authentication.issuers]]
issuer = "https://fetched.test/"
audiences = ["api"]
algorithms = ["EdDSA"]
jwks_url = "http://127.0.0.1:9/jwks"
subject_prefix = "fetched:"

[[authentication.issuers]]
issuer = "https://asked.test/"
audiences = ["api"]
introspection_url = "http://127.0.0.1:9/introspect"
client_id = "pdp"
client_secret_file = "secret"
subject_prefix = "asked:"
"""


def everything(directory: Path) -> Path:
    """A policy directory that uses all that has metrics of its own."""
    policies = support.copy_policies(directory, support.VERDICTS.parent / "credentials")
    settings = (policies / "pdp.toml").read_text()
    settings = settings.replace('country_header = "CF-IPCountry"', 'country_database = "c.mmdb"')
    settings = settings.replace("[authentication.api_keys]", ISSUERS + "[authentication.api_keys]")
    settings = settings.replace(
        'public_key_file = "issuer.pem"', 'public_key_file = "issuer.pem"\nsubject_prefix = "a:"'
    )
    (policies / "pdp.toml").write_text(settings)
    (policies / "c.mmdb").write_bytes(mmdb({"203.0.113.0/24": country("DE")}))
    (policies / "secret").write_text("s" * 32)
    return policies


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[support.Running]:
    async with support.pdp(everything(tmp_path), decision_log=str(tmp_path / "log")) as live:
        yield live


Exposed = dict[str, tuple[str, set[str]]]  # by name: the type, and the labels


async def exposition(live: support.Running) -> Exposed:
    _, body = await live.ask("GET", "/metrics", admin=True)
    return read(body)


def read(text: bytes) -> Exposed:
    found: Exposed = {}
    for family in text_string_to_metric_families(text.decode()):
        if family.name.endswith("_created"):
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = family.type, labels
    return found


async def busy(live: support.Running) -> Exposed:
    """What is exposed once everything that has labels has happened."""
    context = {"ip": "203.0.113.9"}
    question = {"action": "GET", "resource": "/docs/a", "context": context}
    for token in (support.token("alice"), "opaque-token-of-somebody"):
        await live.ask("POST", "/v1/decision", json={**question, "token": token})
    await live.ask("POST", "/v1/reload", admin=True)
    for _ in range(200):
        found = await exposition(live)
        if found["pdp_jwks_fetches_total"][1] and found["pdp_introspections_total"][1]:
            break
        await asyncio.sleep(0.02)
    return found


def documented() -> dict[str, tuple[str, set[str]]]:
    rows = re.findall(r"^\| `((?:pdp|process)_\w+)` \| (\w+) \| (.*?) \|", PAGE, re.MULTILINE)
    return {name: (kind, {*re.findall(r"`(\w+)`", labels)}) for name, kind, labels in rows}


NEVER_YET = {"pdp_connections_closed_total"}  # in this test: their labels are not seen


async def test_the_page_lists_every_metric_with_its_type_and_labels(
    running: support.Running,
) -> None:
    found = await busy(running)
    told = documented()
    assert found.keys() == told.keys()
    for name in NEVER_YET:
        assert found[name][1] <= told[name][1]
        found[name] = told[name]
    assert found == told


async def test_a_pdp_without_keys_of_an_issuer_is_not_ready(running: support.Running) -> None:
    value = running.service.metrics.registry.get_sample_value("pdp_ready")
    assert (ops.is_ready(running.service), value) == (False, 0)


async def test_a_pdp_with_all_its_keys_is_ready_until_it_stops(server: support.Running) -> None:
    value = server.service.metrics.registry.get_sample_value
    assert (ops.is_ready(server.service), value("pdp_ready")) == (True, 1)
    server.service.stopping = True
    assert (ops.is_ready(server.service), value("pdp_ready")) == (False, 0)


async def test_one_revision_is_live_at_a_time(server: support.Running) -> None:
    def revisions() -> dict[str, float]:
        families = server.service.metrics.registry.collect()
        (family,) = (family for family in families if family.name == "pdp_policy_info")
        return {sample.labels["revision"]: sample.value for sample in family.samples}

    before = server.service.snapshot.revision
    assert revisions() == {before: 1}
    rows = server.service.loaded.directory / "rbac.csv"
    rows.write_text(rows.read_text() + "p, member, /new, ^GET$\n")
    await server.ask("POST", "/v1/reload", admin=True)
    assert before != server.service.snapshot.revision
    assert revisions() == {server.service.snapshot.revision: 1}


async def test_the_version_is_told(server: support.Running) -> None:
    value = server.service.metrics.registry.get_sample_value
    assert value("pdp_build_info", {"version": __version__}) == 1


async def test_a_loop_that_is_held_up_shows(server: support.Running) -> None:
    def late() -> float:
        registry = server.service.metrics.registry
        count = registry.get_sample_value("pdp_event_loop_lag_seconds_count")
        quick = registry.get_sample_value("pdp_event_loop_lag_seconds_bucket", {"le": "0.25"})
        assert count is not None
        assert quick is not None
        return count - quick

    before = late()
    await asyncio.sleep(0.05)
    time.sleep(0.7)  # noqa: ASYNC251 - that is the point
    await asyncio.sleep(0.1)
    assert late() == before + 1


async def test_tokens_that_are_remembered_are_counted(server: support.Running) -> None:
    def remembered() -> float | None:
        return server.service.metrics.registry.get_sample_value("pdp_token_cache_tokens")

    assert remembered() == 0
    question = {"action": "GET", "resource": "/docs/a", "context": {"ip": "203.0.113.9"}}
    for sub in ("alice", "bob", "bob"):
        await server.ask("POST", "/v1/decision", json={**question, "token": support.token(sub)})
    assert remembered() in (2, 3)  # two tokens of one second are one


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of both files, with its place."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']} {target['refId']}", target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"]


def known(name: str, exposed: Mapping[str, tuple[str, set[str]]]) -> set[str]:
    """The labels of a series; KeyError if there is none of this name."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    histogram = exposed.get(base, ("", set()))[0] == "histogram"
    kind, labels = exposed[base if histogram else name]
    return labels | ({"le"} if kind == "histogram" else set()) | SCRAPED


async def test_alerts_and_dashboard_name_what_is_exposed(running: support.Running) -> None:
    exposed = await busy(running)
    exposed |= {name: documented()[name] for name in NEVER_YET}
    exposed |= read(generate_latest(GroupMetrics(workers=2, silent=0, restarts=1)))
    for place, text in expressions():
        parsed = Expression(text)
        assert parsed.selectors, place
        labels: set[str] = set()
        for selector in parsed.selectors:
            assert selector.labels.keys() <= known(selector.metric, exposed), (place, selector)
            labels |= known(selector.metric, exposed)
            verdict = selector.labels.get("verdict", "allow")
            assert verdict in [*Outcome], (place, verdict)
        assert parsed.grouped <= labels, place


@pytest.mark.parametrize(
    "text",
    [
        "rate(pdp_x)",
        "sum by (a (x)",
        "sum(x[5m])",
        "x{a=b}",
        "x y",
        "rate(x[5m]) >",
        "unknown(x)",
        'x{a="b"',
        "x[5]",
        "(x",
        "",
    ],
)
def test_what_is_no_expression_is_found_out(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Expression(text)


def test_every_alert_is_on_the_page_with_what_to_do() -> None:
    told = re.findall(r"^\| `(Pdp\w+)` \| .+ \| .+ \|$", PAGE, re.MULTILINE)
    assert sorted(told) == sorted(rule["alert"] for rule in RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        assert not rule.keys() - {"alert", "expr", "for", "labels", "annotations"}


def test_no_two_panels_share_a_place_or_a_number() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
