"""The pages hold the very samples that are run, and the overview says what the tests found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_fleet import GATEWAYS, Gateway
from gateway_machinery import SAMPLES

DOCS = SAMPLES.parents[1] / "docs"
OVERVIEW = DOCS / "gateways.md"
PAGES = {"envoy-http": "envoy", "envoy-grpc": "envoy"}  # directory -> page, where they differ
NOT_RUN = ("apisix/apisix.yaml", "istio/istio.yaml", "ingress-nginx/ingress.yaml", "compose.yaml")
DIRECTORIES = sorted(place.name for place in SAMPLES.iterdir() if place.is_dir())
FILES = sorted(file for file in SAMPLES.glob("*/*") if file.is_file())
VERDICTS = (200, 302, 400, 401, 403, 404, 429, 503)


def page(directory: str) -> Path:
    return DOCS / "gateways" / f"{PAGES.get(directory, directory)}.md"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.name}")
def test_the_page_holds_the_sample(file: Path) -> None:
    blocks = re.findall(
        r"^```\w*\n(.*?)^```$", page(file.parent.name).read_text(), re.MULTILINE | re.DOTALL
    )
    assert file.read_text() in blocks, f"{page(file.parent.name)} and {file} differ"


def test_every_page_is_of_a_sample_and_in_the_overview() -> None:
    found = {file.stem for file in (DOCS / "gateways").glob("*.md")}
    assert found == {page(directory).stem for directory in DIRECTORIES}
    linked = set(re.findall(r"\(gateways/([\w-]+)\.md\)", OVERVIEW.read_text()))
    assert linked == found


def test_every_gateway_that_is_run_has_its_sample_and_the_others_say_so() -> None:
    run = {gateway.directory for gateway in GATEWAYS}
    assert run | {"apisix", "istio"} == set(DIRECTORIES)
    for file in NOT_RUN:
        lines = (SAMPLES / file).read_text().split("\n")
        top = " ".join(line.removeprefix("#") for line in lines[:8] if line.startswith("#"))
        assert "Not run" in top, file


def seen() -> str:
    return OVERVIEW.read_text().split("## What the client sees\n", 1)[1].split("\n## ")[0]


def table() -> Iterator[list[str]]:
    for line in seen().splitlines():
        if line.startswith("| ["):
            yield [cell.strip() for cell in line.split("|")[1:-1]]


def cells(gateway: Gateway) -> list[str]:
    """A row of the overview, from what the other tests hold true."""
    name = f"[{gateway.name}](gateways/{page(gateway.directory).stem}.md)"
    statuses = ["application's", *map(str, VERDICTS[1:])]
    failures = [str(gateway.dead), f"{gateway.silent} in {gateway.bound:g} s"]
    return [name, *statuses, *failures]


def test_the_overview_says_what_the_client_sees() -> None:
    assert list(table()) == [cells(gateway) for gateway in GATEWAYS]


def test_the_overview_names_every_deviation() -> None:
    text = " ".join(seen().split())
    for gateway in GATEWAYS:
        for what, why in gateway.deviations.items():
            assert f"**{gateway.name}**, {what}: {why}" in text
    assert text.count("- **") == sum(len(gateway.deviations) for gateway in GATEWAYS)


def test_the_controllers_configuration_holds_the_annotations_snippets() -> None:
    ingress = yaml.safe_load((SAMPLES / "ingress-nginx" / "ingress.yaml").read_text())
    rendered = " ".join((SAMPLES / "ingress-nginx" / "nginx.conf").read_text().split())
    annotations: dict[str, str] = ingress["metadata"]["annotations"]
    snippets = [text for name, text in annotations.items() if name.endswith("-snippet")]
    assert len(snippets) == 3
    for snippet in snippets:
        assert " ".join(snippet.split()) in rendered
    prefix = "nginx.ingress.kubernetes.io/"
    assert f"set $target {annotations[prefix + 'auth-url']};" in rendered
    for number, name in enumerate(annotations[prefix + "auth-response-headers"].split(",")):
        assert f"proxy_set_header '{name}' $authHeader{number};" in rendered


def test_compose_mounts_what_there_is_and_starts_what_is_run() -> None:
    services: dict[str, Any] = yaml.safe_load((SAMPLES / "compose.yaml").read_text())["services"]
    mounts = [v.split(":")[0] for service in services.values() for v in service.get("volumes", [])]
    assert all((SAMPLES / mount).exists() for mount in mounts)
    assert len(mounts) >= 8
    profiles = {name for name, service in services.items() if service.get("profiles")}
    assert profiles == {g.directory for g in GATEWAYS} - {"ingress-nginx"}
