"""The questions: the verdict table as it can be asked over loopback, and their answers' shape."""

from __future__ import annotations

from pathlib import Path

from test_verdicts import ANYWHERE, Row, bearer

# Addresses of the verdict table -> addresses that a client here can have. 127.0.0.1 is left out:
# the PDP takes it for a proxy.
_ADDRESSES = {
    "198.51.100.0/24": "127.0.0.64/30",
    "192.0.2.0/24": "127.0.0.128/25",
    "192.0.2.66": "127.0.0.194",
    "::ffff:198.51.100.7": "127.0.0.66",
    "198.51.100.7": "127.0.0.66",
    "192.0.2.14": "127.0.0.130",
}
# Pages for everybody, with every method in capitals.
_OPEN = "p, anonymous, /any/*, ^[A-Z-]+$\n"
_SERVER = """
[server]
login_url = "/login"
preflight = ["/invoices/*"]

"""
# Pages that depend on the scheme alone: no gateway here speaks TLS, so it is always http.
_SCHEME_MODEL = """
[request_definition]
r = obj
[policy_definition]
p = obj, scheme
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.obj == p.obj && r.context.scheme == p.scheme
"""
_SCHEME = """
[[layers]]
name = "scheme"
kind = "grant"
model = "scheme.conf"
policy = "scheme.csv"
"""
_UNREADY = """
[[authentication.issuers]]
issuer = "https://unready.test/"
audiences = ["api"]
algorithms = ["EdDSA"]
jwks_url = "http://127.0.0.1:9/jwks.json"
subject_prefix = "unready:"

[[layers]]
name = "network\""""


def _moved(text: str) -> str:
    for there, here_ in _ADDRESSES.items():
        text = text.replace(there, here_)
    return text


def here(policies: Path) -> Path:
    """The policy of the verdict table, with those addresses and an issuer without keys."""
    for file in policies.glob("*.csv"):
        file.write_text(_moved(file.read_text()))
    rules = policies / "rbac.csv"
    rules.write_text(_OPEN + rules.read_text())
    (policies / "scheme.conf").write_text(_SCHEME_MODEL)
    (policies / "scheme.csv").write_text("p, /plain, http\np, /secure, https\n")
    manifest = policies / "pdp.toml"
    text = manifest.read_text()
    assert '\n[[layers]]\nname = "network"' in text
    assert "[server]" not in text
    text += _SCHEME
    manifest.write_text(_SERVER + text.replace('\n[[layers]]\nname = "network"', _UNREADY))
    return policies


def source(row: Row) -> str | None:
    """The address that a row is about; None for any."""
    return None if row.ip == ANYWHERE else _ADDRESSES[row.ip]


def fields(row: Row) -> list[tuple[str, str]]:
    found = [(name.title(), value) for name, value in row.context.items()]
    return [*found, *([("Authorization", row.authorization)] if row.authorization else [])]


ALICE = ("Authorization", bearer("alice"))
# What is asked, what the client sees: rows that only a gateway can have.
UNREADY = ("Authorization", bearer("alice", iss="https://unready.test/"))
