"""The documentation is compared with what the code says of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from pdp.identity.api_keys import ApiKeySettings
from pdp.identity.basic import BasicSettings
from pdp.identity.issuer import IssuerSettings
from pdp.identity.session import SessionSettings
from pdp.identity.settings import AuthenticationSettings
from pdp.model import STATUS, Outcome, Reason
from pdp.policy.settings import ConcealmentSettings, LayerSettings
from pdp.policy.template import DEFAULTS
from pdp.runtime.journal_settings import DecisionLogSettings
from pdp.runtime.limits import LimitSettings
from pdp.runtime.sections import Operator, Policy
from pdp.runtime.settings import CallerSettings, ServerSettings
from pdp.surfaces.conventions import CONVENTIONS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DASH = "\u2013"


def rows(file: Path, heading: str = "") -> Iterator[list[str]]:
    """The cells of every table row below a heading, up to the next one."""
    text = file.read_text()
    if heading:
        text = re.split(r"^#+ ", text.split(heading + "\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[
            0
        ]
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_every_reason_is_documented_in_order() -> None:
    assert [cells[0].strip("`") for cells in rows(DOCS / "reasons.md")] == list(Reason)


SECTIONS = {
    ("settings.md", "## `[server]`"): ServerSettings,
    ("settings.md", "## `[authentication]`"): AuthenticationSettings,
    ("settings.md", "### `[[authentication.issuers]]`"): IssuerSettings,
    ("settings.md", "### `[authentication.api_keys]`"): ApiKeySettings,
    ("basic.md", "## Limits"): BasicSettings,
    ("settings.md", "### `[authentication.session]`"): SessionSettings,
    ("limits.md", "# Limits"): LimitSettings,
    ("decision-log.md", "## Settings"): DecisionLogSettings,
    ("settings.md", "## `[[callers]]`"): CallerSettings,
    ("settings.md", "## `[[layers]]`"): LayerSettings,
    ("settings.md", "## `[concealment]`"): ConcealmentSettings,
}


def shown(default: object) -> str:
    if default is msgspec.NODEFAULT:
        return "required"
    if default is None:
        return DASH
    return f"`{json.dumps(list(default) if isinstance(default, tuple) else default)}`"


@pytest.mark.parametrize(("place", "section"), SECTIONS.items(), ids=lambda v: str(v)[:40])
def test_every_setting_is_documented_with_its_default(
    place: tuple[str, str], section: type[msgspec.Struct]
) -> None:
    page, heading = place
    documented = {cells[0].strip("`"): cells[1] for cells in rows(DOCS / page, heading)}
    fields = {f.name: f for f in msgspec.structs.fields(section)}
    defaults = {
        name: shown(
            f.default_factory() if f.default_factory is not msgspec.NODEFAULT else f.default
        )
        for name, f in fields.items()
    }
    assert documented == defaults


def structs(section: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    """The sections that a section holds, and those that these hold."""
    for found in msgspec.structs.fields(section):
        for kind in (found.type, *get_args(found.type)):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                yield from (kind, *structs(kind))


def test_every_section_is_documented() -> None:
    assert {*structs(Operator), *structs(Policy)} == {*SECTIONS.values()}


def test_the_readmes_verdict_table_is_the_codes() -> None:
    table = {cells[0].strip("`"): cells[1] for cells in rows(ROOT / "README.md", "## The verdict")}
    assert table == {outcome.value: str(STATUS[outcome]) for outcome in Outcome}


def test_the_templates_defaults_are_documented() -> None:
    table = {
        cells[0].strip("`"): cells[1].strip("`")
        for cells in rows(DOCS / "policy.md", "## Request tokens")
    }
    assert table == dict(DEFAULTS)


def test_the_conventions_are_documented() -> None:
    table = {cells[0].strip("`"): cells[1:] for cells in rows(DOCS / "gateways.md", "# Gateways")}
    assert table == {
        c.path: [
            f"`{name}`" if name else DASH
            for name in (c.method, c.target, c.host, c.address, c.scheme)
        ]
        for c in CONVENTIONS
    }


LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")


def anchors(file: Path) -> set[str]:
    """What headings of a page can be linked to by, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize(
    "file", [ROOT / "README.md", *DOCS.rglob("*.md")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_every_link_leads_somewhere(file: Path) -> None:
    for name, anchor in LINK.findall(file.read_text()):
        target = file.parent / name if name else file
        assert target.exists(), name
        assert not anchor or anchor[1:] in anchors(target), name + anchor
