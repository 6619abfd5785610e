"""What the documentation shows of credentials, put to the PDP: settings, challenges, accounts."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from documented import DOCS, ISSUER, blocks, challenges, field, loaded, whole

from pdp.answer.challenges import Challenges, challenge, schemes
from pdp.identity.revocation import read_revocations
from pdp.model import (
    RESOURCE_TYPE,
    Action,
    Entity,
    Identity,
    Method,
    Outcome,
    Query,
    Reason,
    Verdict,
)
from pdp.pipeline import decide
from pdp.runtime.sections import read_sections

PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
SETTINGS = [(page, text) for page in PAGES for text in blocks(page, "toml")]
NOTHING_GOOD = Verdict(Outcome.UNAUTHENTICATED, Reason.CREDENTIALS_MISSING)


@pytest.mark.parametrize(("page", "text"), SETTINGS, ids=[page for page, _ in SETTINGS])
def test_every_block_of_settings_is_good(page: str, text: str) -> None:
    operator, policy, problems = read_sections(whole(text).encode(), None, {}, {})
    assert problems == [], page
    assert [operator, policy] != [*read_sections(None, None, {}, {})[:2]], page


def test_what_the_starter_policy_has_in_comments_is_good() -> None:
    text = (DOCS.parent / "policies" / "pdp.toml").read_text()
    hidden = text.split("# Other credentials", 1)[1]
    sections = re.sub(r"^#(   .*)$", r"\1", hidden, flags=re.MULTILINE).split("\n", 1)[1]
    settings = "[authentication]\n" + ISSUER + sections
    operator, _, problems = read_sections(settings.encode(), None, {}, {})
    assert problems == []
    kinds = operator.authentication
    assert None not in (kinds.api_keys, kinds.basic, kinds.session)
    assert operator.limits.requests_per_address == "50 per second"


AUTHENTICATION = blocks("authentication.md", "toml")
FILES = {"api-keys.csv": "# none\n", "users.htpasswd": "# none\n"}


@pytest.mark.parametrize("text", AUTHENTICATION)
def test_what_the_page_shows_of_authentication_loads(tmp_path: Path, text: str) -> None:
    found = loaded(tmp_path, text, FILES)
    assert found.authentication.configured
    assert [str(problem) for problem in found.warnings] == []


def test_the_page_shows_an_issuer_for_each_usual_provider() -> None:
    shown = [tomllib.loads(text)["authentication"]["issuers"][0] for text in AUTHENTICATION]
    assert [issuer["issuer"].split("/")[2] for issuer in shown] == [
        "idp.example.com",
        "idp.example.com",
        "keycloak.example.com",
        "TENANT.eu.auth0.com",
        "login.microsoftonline.com",
        "ORG.okta.com",
    ]


def test_the_page_shows_what_a_401_asks_for(tmp_path: Path) -> None:
    asked = challenges(loaded(tmp_path, AUTHENTICATION[0], FILES).authentication)
    assert blocks("authentication.md", "http") == [field(challenge(NOTHING_GOOD, asked))]


KINDS: list[tuple[dict[str, Any], Reason]] = [
    ({"bearer": True}, Reason.TOKEN_INVALID),
    ({"api_key": True}, Reason.API_KEY_INVALID),
    ({"basic": True}, Reason.PASSWORD_INVALID),
    ({"cookie": "NAME"}, Reason.SESSION_INVALID),
]


def test_the_table_has_the_challenge_and_the_reason_of_each_kind() -> None:
    text = (DOCS / "authentication.md").read_text()
    table = text.split("| credential |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    for row, (kind, reason) in zip(table, KINDS, strict=True):
        _, _, _, asked, refused, _ = (cell.strip() for cell in row.split("|"))
        whole_challenge = challenge(NOTHING_GOOD, Challenges("REALM", schemes(**kind)))
        assert asked == f"`{whole_challenge}`".replace("REALM", "…")
        assert refused.startswith(f"`{reason}`")


def test_the_pages_entity_is_an_account_that_is_disabled(tmp_path: Path) -> None:
    (entities,) = blocks("authentication.md", "json")
    found = loaded(tmp_path, AUTHENTICATION[0], {**FILES, "entities.json": entities})
    query = Query(Action("GET"), Entity(RESOURCE_TYPE, "/invoices/7"))
    shut = Identity("local:bob", method=Method.BASIC)
    verdict = decide(query, shut, found.snapshot, 0.0)
    assert (verdict.status, verdict.reason) == (401, "password_invalid")
    assert verdict.detail == "account_disabled"


def test_the_pages_revocations_are_good_and_all_there_are() -> None:
    (rows,) = blocks("revocations.md", "csv")
    found, problems = read_revocations(rows.encode())
    shown = [line.split(",")[0] for line in rows.splitlines() if not line.startswith("#")]
    assert problems == []
    assert found.size == len(shown)
    text = (DOCS / "revocations.md").read_text()
    told = re.findall(r"^\| `(\w+), ", text, re.MULTILINE)
    assert {*told} == {*shown} == {*found.__dataclass_fields__}
