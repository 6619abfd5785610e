"""Credentials of every kind that are no good, and rows for what becomes of them."""

from __future__ import annotations

import jwt
from credentialed import MISSING, Presented, Row, basic, bearer, session
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

STRANGER = Ed25519PrivateKey.generate()
PAGE = "/invoices/7"


def allowed(number: str, presented: Presented, subject: str, resource: str = PAGE) -> Row:
    return Row(number, resource, 200, "granted", presented, subject=subject)


def public(number: str, presented: Presented, subject: str = "anonymous") -> Row:
    return Row(number, "/docs/a", 200, "public", presented, subject=subject)


def refused(
    number: str,
    presented: Presented,
    reason: str,
    challenge: str = MISSING,
    resource: str = PAGE,
) -> Row:
    return Row(number, resource, 401, reason, presented, challenge)


BAD_COOKIES = {
    "expired": session(exp=1),
    "forged": session(key=STRANGER),
    "of another audience": session(aud="other"),
    "unsigned": Presented(cookie="__Host-session=" + jwt.encode({"sub": "alice"}, "", "none")),
    "nonsense": Presented(cookie="__Host-session=nonsense"),
    "empty": Presented(cookie="__Host-session="),
    "two": session() | Presented(cookie=(session().cookie or "") + "; __Host-session=x"),
    "revoked": session("alice", jti="stolen"),
    "of a closed account": session("gone"),
    "of a disabled account": session("off"),
    "named like a role": session("member"),
    "named like nobody": session("anonymous"),
}
BAD_KEYS = {
    "unknown": "nobody",
    "disabled": "shut",
    "expired": "late",
    "of a closed account": "gone",
    "of a disabled account": "off",
    "named like a role": "posing",
}
BAD_PASSWORDS = {
    "unknown user": basic("nobody"),
    "wrong password": basic("bea", "password-of-dan"),
    "empty password": basic("bea", ""),
    "closed account": basic("gone"),
    "disabled account": basic("off"),
    "named like a role": basic("staff"),
}
BAD_TOKENS = {
    "revoked": (bearer(jti="stolen"), "token_revoked"),
    "of an expelled subject": (bearer("expelled"), "token_revoked"),
    "of a closed account": (bearer("gone"), "account_disabled"),
    "of a disabled account": (bearer("off"), "account_disabled"),
    "named like a role": (bearer("member"), "token_invalid"),
    "named like a password's role": (bearer("local:staff"), "token_invalid"),
    "forged": (bearer(key=STRANGER), "token_invalid"),
}
