"""Takes blocks out of the documentation, and puts what they show into a policy directory."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pdp.answer.challenges import Challenges, schemes
from pdp.identity.settings import AuthenticationSettings
from pdp.runtime.load import Loaded, load

DOCS = Path(__file__).parent.parent / "docs"

GRANT = (
    '[[layers]]\nname = "grants"\nkind = "grant"\nmodel = "grants.conf"\npolicy = "grants.csv"\n'
)
ISSUER = """\
[[authentication.issuers]]
issuer = "https://idp.test/"
audiences = ["api"]
algorithms = ["EdDSA"]
public_key_file = "issuer.pem"
"""
_MODEL = """\
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act)
"""
_ROWS = "".join(
    f"p, {name}, {path}, ^.*$\n"
    for name in ("alice", "billing", "local:bea")
    for path in ("/invoices/:id", "/transfers/:id")
)


def blocks(page: str, language: str, heading: str = "") -> list[str]:
    """The fenced blocks of a page, or of one section of it."""
    text = (DOCS / page).read_text()
    if heading:
        section = text.split(f"\n## {heading}\n", 1)[1]
        text = re.split(r"^## ", section, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def named_files(page: str) -> dict[str, str]:
    """The blocks that stand below the name of their file."""
    found = re.findall(
        r"^`([\w.-]+)`:\n\n```\w+\n(.*?)^```$",
        (DOCS / page).read_text(),
        re.MULTILINE | re.DOTALL,
    )
    return dict(found)


def whole(text: str) -> str:
    """Settings as a page shows them, with the layer that a part of a layer belongs to."""
    shows_part = isinstance(tomllib.loads(text).get("layers"), dict)
    return GRANT + text if shows_part else text


def loaded(directory: Path, settings: str, files: Mapping[str, str]) -> Loaded:
    """A policy directory with these settings and files, and a grant for alice and two others."""
    given = {"pdp.toml": settings + GRANT, "grants.conf": _MODEL, "grants.csv": _ROWS}
    for name, text in {**given, **files}.items():
        (directory / name).write_text(text)
    return load(directory, None, {"IDP_CLIENT_SECRET": "a secret of these tests"})


def challenges(settings: AuthenticationSettings, *, on_403: bool = False) -> Challenges:
    """What a PDP with these settings asks for."""
    offered = schemes(
        bearer=settings.accepts("bearer"),
        api_key=settings.api_keys is not None,
        basic=settings.basic is not None,
        cookie=settings.session.cookie if settings.session else None,
    )
    return Challenges(settings.realm, offered, on_403=on_403)


def field(value: str | None) -> str:
    """The header field of a 401, as pages show it."""
    return f"WWW-Authenticate: {value}\n"
