"""The guards that the documentation shows for scopes and for stronger logins, deciding."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from documented import DOCS, ISSUER, blocks, challenges, field, loaded, named_files
from support import PEM

from pdp.answer.challenges import challenge, forbidden_challenge
from pdp.identity.claims import scoped
from pdp.model import (
    ANONYMOUS,
    RESOURCE_TYPE,
    Action,
    Entity,
    Identity,
    Method,
    Query,
    Verdict,
)
from pdp.pipeline import decide
from pdp.runtime.load import Loaded, load

NOW = 1_768_478_400.0
PAGE, SCOPES, STEP_UP = "policy.md", "Scopes", "Stronger or fresher logins"


def guarded(directory: Path, heading: str) -> Loaded:
    """The guard of one section, as it stands there, before the grants."""
    files = named_files(PAGE)
    (settings,) = blocks(PAGE, "toml", heading)
    for entities in blocks(PAGE, "json", heading):
        files["entities.json"] = entities
    (directory / "issuer.pem").write_bytes(PEM)
    return loaded(directory, ISSUER + settings, files)


def judged(found: Loaded, who: Identity, action: str, resource: str) -> Verdict:
    query = Query(Action(action), Entity(RESOURCE_TYPE, resource))
    return decide(query, who, found.snapshot, NOW)


def holder(**claims: Any) -> Identity:
    return Identity("alice", method=Method.BEARER, claims=scoped(claims))


def key_of(subject: str) -> Identity:
    return Identity(subject, method=Method.API_KEY, key_id="k")


READS = {"scope": "openid invoices:read"}
PASSWORD = Identity("local:bea", method=Method.BASIC)


@pytest.mark.parametrize(
    ("who", "action", "status", "reason"),
    [
        (holder(**READS), "GET", 200, "granted"),
        (holder(scp=["invoices:read"]), "HEAD", 200, "granted"),
        (holder(**READS), "DELETE", 403, "insufficient_scope"),
        (holder(scope="invoices:read invoices:write"), "DELETE", 200, "granted"),
        (holder(scope="invoices:reader"), "GET", 403, "insufficient_scope"),
        (holder(), "GET", 403, "insufficient_scope"),
        (holder(scope=7), "GET", 403, "insufficient_scope"),
        (holder(), "OPTIONS", 200, "granted"),
        (key_of("billing"), "GET", 200, "granted"),
        (key_of("billing"), "PUT", 403, "insufficient_scope"),
        (PASSWORD, "GET", 403, "insufficient_scope"),
        (ANONYMOUS, "GET", 401, "credentials_missing"),
    ],
)
def test_the_pages_guard_wants_scopes(
    tmp_path: Path, who: Identity, action: str, status: int, reason: str
) -> None:
    verdict = judged(guarded(tmp_path, SCOPES), who, action, "/invoices/7")
    assert (verdict.status, verdict.reason) == (status, reason)


def test_the_page_shows_how_a_missing_scope_is_told(tmp_path: Path) -> None:
    found = guarded(tmp_path, SCOPES)
    verdict = judged(found, holder(**READS), "PUT", "/invoices/7")
    told = forbidden_challenge(verdict, challenges(found.authentication, on_403=True))
    assert blocks(PAGE, "http", SCOPES) == [field(told)]
    assert forbidden_challenge(verdict, challenges(found.authentication)) is None


MFA = "urn:example:mfa"
TRANSFER = "/transfers/7"


@pytest.mark.parametrize(
    ("who", "resource", "status", "reason"),
    [
        (holder(acr=MFA, auth_time=NOW - 300), TRANSFER, 200, "granted"),
        (holder(acr=MFA, auth_time=NOW - 301), TRANSFER, 401, "step_up_required"),
        (holder(acr="urn:example:pwd", auth_time=NOW), TRANSFER, 401, "step_up_required"),
        (holder(acr=MFA), TRANSFER, 401, "step_up_required"),
        (holder(auth_time=NOW), TRANSFER, 401, "step_up_required"),
        (holder(), "/invoices/7", 200, "granted"),
        (holder(), "/ghost", 404, "resource_unknown"),
        (Identity("mallory", method=Method.BEARER), TRANSFER, 403, "not_granted"),
        (key_of("billing"), TRANSFER, 401, "step_up_required"),
        (PASSWORD, TRANSFER, 401, "step_up_required"),
        (ANONYMOUS, TRANSFER, 401, "credentials_missing"),
    ],
)
def test_the_pages_guard_wants_a_stronger_login(
    tmp_path: Path, who: Identity, resource: str, status: int, reason: str
) -> None:
    verdict = judged(guarded(tmp_path, STEP_UP), who, "GET", resource)
    assert (verdict.status, verdict.reason) == (status, reason)


def test_the_page_shows_how_a_stronger_login_is_asked_for(tmp_path: Path) -> None:
    found = guarded(tmp_path, STEP_UP)
    verdict = judged(found, holder(), "GET", TRANSFER)
    asked = challenge(verdict, challenges(found.authentication))
    assert blocks(PAGE, "http", STEP_UP) == [field(asked)]


def test_several_levels_can_be_good_enough(tmp_path: Path) -> None:
    (several,) = re.findall(r"`(r\.sub\.acr in [^`]+)`", (DOCS / PAGE).read_text())
    guarded(tmp_path, STEP_UP)
    model = tmp_path / "step-up.conf"
    model.write_text(model.read_text().replace("r.sub.acr == p.acr", several))
    found = load(tmp_path, None, {})
    for level, status in (("mfa", 200), ("key", 200), ("pwd", 401)):
        who = holder(acr=f"urn:example:{level}", auth_time=NOW)
        assert judged(found, who, "GET", TRANSFER).status == status
