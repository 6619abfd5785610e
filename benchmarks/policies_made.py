"""What policies of several benchmarks are made of: models, layers, an issuer, and a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pdp.policy.settings import LayerSettings, PolicySettings
from pdp.policy.snapshot import Credentialing, Snapshot, build_snapshot

ALLOW = "some(where (p.eft == allow))"
NO_DENY = "!some(where (p.eft == deny))"
BY_PATH = "g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act)"
ISSUER = "https://idp.example.com/"


def conf(
    matcher: str,
    request: str = "sub, obj, act",
    policy: str = "sub, obj, act",
    effect: str = ALLOW,
    roles: str = "",
) -> str:
    """The text of a model; with `roles`, such as `_, _`, it has role graphs."""
    heading = f"[role_definition]\ng = {roles}\n" if roles else ""
    return (
        f"[request_definition]\nr = {request}\n[policy_definition]\np = {policy}\n"
        f"{heading}[policy_effect]\ne = {effect}\n[matchers]\nm = {matcher}\n"
    )


RBAC = conf(BY_PATH, roles="_, _")
PAGES = conf("keyMatch2(r.obj, p.obj) && r.act == p.act", "obj, act", "obj, act")


def layer(name: str, kind: str = "grant") -> str:
    """A layer for `pdp.toml`, of the files NAME.conf and NAME.csv."""
    files = f'model = "{name}.conf"\npolicy = "{name}.csv"\n'
    return f'[[layers]]\nname = "{name}"\nkind = "{kind}"\n{files}'


def issuer(algorithm: str, keys: str) -> str:
    """The issuer for `pdp.toml`; `keys` is the line that says where its keys are."""
    return (
        f'[[authentication.issuers]]\nissuer = "{ISSUER}"\naudiences = ["api"]\n'
        f'algorithms = ["{algorithm}"]\n{keys}\n'
    )


SIGNED = issuer("EdDSA", 'public_key_file = "issuer.pem"')  # by what `write_issuer` returns


def write_issuer(directory: Path) -> Ed25519PrivateKey:
    """The key by which the issuer signs; the public one is written to issuer.pem."""
    key = Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (directory / "issuer.pem").write_bytes(pem)
    return key


def write_files(directory: Path, files: Mapping[str, str]) -> None:
    """These files, by name, in a directory that may have to be made."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text)


def build(files: Mapping[str, str], *layers: LayerSettings) -> Snapshot:
    """A snapshot of files in memory; SystemExit if they have problems."""
    data = {name: text.encode() for name, text in files.items()}
    settings = PolicySettings(layers=layers)
    made, problems = build_snapshot(data, settings, Credentialing(), "pdp.toml")
    if made is None:
        raise SystemExit(f"{layers[0].model} has problems: {problems[:3]}")
    return made
