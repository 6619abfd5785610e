"""Request targets that servers read differently, honest ones that look odd, and the readings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from urllib.parse import unquote

# Everybody may GET below these two; nobody who is asked about here may see the others.
PUBLIC, PROTECTED = ("/docs/", "/any/"), ("/admin", "/invoices")

# All want to reach /admin. Text is latin-1: each character is one byte.
HOSTILE = (
    "/docs/../admin", "/docs/./../admin", "/docs/a/../../admin", "/docs//../admin",
    "/docs/.//../admin", "/docs/a/.././../admin", "/./admin", "//admin", "//app.test/admin",
    "///admin", "/docs/../../admin", "/any/..//admin", "/docs/..", "/docs/.", "/docs/../",
    # encoded dots and slashes, in every mixture and case
    "/docs/%2e%2e/admin", "/docs/%2E%2e/admin", "/docs/.%2e/admin", "/docs/%2e./admin",
    "/docs/..%2fadmin", "/docs/..%2Fadmin", "/docs%2f..%2fadmin", "/docs/%2e%2e%2fadmin",
    "/docs/%2e%2e%2Fadmin", "/%2fadmin", "/docs/%2f../admin", "/%2e/admin", "/docs%2fa/../../admin",
    # twice and thrice
    "/docs/%252e%252e/admin", "/docs/..%252fadmin", "/docs/%252e%252e%252fadmin",
    "/docs/%25252e%25252e/admin", "/docs/%25%32%65%25%32%65/admin", "/%2561dmin",
    # backslashes
    "/docs/..\\admin", "/docs\\..\\admin", "/docs/..%5cadmin", "/docs/..%5Cadmin",
    "/docs/..%255cadmin", "\\admin", "/\\admin", "/docs/%5c../admin",
    # matrix parameters
    "/docs/..;/admin", "/docs/..;x=1/admin", "/docs/;/../admin", "/docs;/../admin", "/;/admin",
    "/docs/..%3b/admin", "/docs/a;/../../admin", "/;x/admin", "/docs/.;/../admin", "/admin;/docs/a",
    # fragments and queries where a server looks again after decoding
    "/docs/a#/../../admin", "/docs/#/../admin", "/docs/a%23/../../admin", "/docs/..#/admin",
    "/docs/a%3f/../../admin", "/docs/..%3f/admin", "/admin#/docs/a", "/admin?/docs/a",
    # NUL, controls, spaces
    "/docs/..%00/admin", "/docs/%00/../admin", "/admin%00/docs/a", "/docs/..%0d%0a/admin",
    "/docs/..%09/admin", "/docs/\x01../admin", "/docs/..\t/admin", "/docs/.. /admin",
    "/docs/a%0d%0aX-Auth-Subject:%20root/../../admin", "/docs/..%7f/admin",
    # overlong and foreign encodings
    "/docs/%c0%ae%c0%ae/admin", "/docs/..%c0%afadmin", "/docs/..%e0%80%afadmin",
    "/docs/..%f0%80%80%afadmin", "/docs/\xc0\xae\xc0\xae/admin", "/docs/..\xc0\xafadmin",
    "/docs/%u002e%u002e/admin", "/docs/..%u2215admin", "/docs/%ef%bc%8e%ef%bc%8e/admin",
    "/docs/..%ef%bc%8fadmin", "/docs/\xef\xbc\x8e\xef\xbc\x8e/admin", "/%ef%bd%81dmin",
    "/docs/%e2%80%a5/admin", "/docs/..%c1%9cadmin", "/docs/\xff/../admin",
    # malformed
    "/docs/%/../admin", "/docs/%zz/../admin", "/docs/%2/../admin", "/docs/%2%65%2%65/admin",
    # other forms of a target
    "http://app.test/admin", "http://app.test/docs/../admin", "http://evil.test/docs/../admin",
    "http:/admin", "http:///admin", "admin", "docs/../admin", "*", "app.test:80", "?/docs/a",
    "http://app.test", "http://app.test?/docs/a", "HTTP://app.test//admin",
    # the same page under another name
    "/admin/", "/admin/.", "/admin.", "/admin%20", "/admin%2e", "/ADMIN", "/Admin", "/%61dmin",
    "/admi%6e", "/%41dmin", "/docs/../ADMIN", "/admin/x/..", "/admin..", "/admin%3b", "/admin%2f",
)  # fmt: skip

# (target, what is judged). All are to be served: nothing here has two readings.
HONEST = (
    ("/docs/a", "/docs/a"),
    ("/docs/%61", "/docs/a"),
    ("/docs/%7Ejane", "/docs/~jane"),
    ("/docs/~jane", "/docs/~jane"),
    ("/docs/a%2Db%5Fc", "/docs/a-b_c"),
    ("/docs/v1.2.3/app.min.js", "/docs/v1.2.3/app.min.js"),
    ("/docs/.well-known", "/docs/.well-known"),
    ("/docs/..a", "/docs/..a"),
    ("/docs/a..b", "/docs/a..b"),
    ("/docs/...", "/docs/..."),
    ("/docs/caf%C3%A9", "/docs/caf%C3%A9"),
    ("/docs/caf%c3%a9", "/docs/caf%C3%A9"),
    ("/docs/%E6%97%A5%E6%9C%AC", "/docs/%E6%97%A5%E6%9C%AC"),
    ("/docs/a%20b", "/docs/a%20b"),
    ("/docs/a+b,c=d&e!f$g'h(i)*j:k@l", "/docs/a+b,c=d&e!f$g'h(i)*j:k@l"),
    ("/docs/%5Bid%5D", "/docs/%5Bid%5D"),
    ("/docs/100%25?", None),  # an encoded `%` has two readings: refused, not served
    ("/docs/a/", "/docs/a/"),
    ("/docs/a?", "/docs/a"),
    ("/docs/a?b=c&d=/../../admin", "/docs/a"),
    ("/docs/a?/../../admin", "/docs/a"),
    ("/docs/a?next=https%3A%2F%2Fapp.test%2Fadmin%00", "/docs/a"),
    ("/docs/a?" + "q=" * 3000, "/docs/a"),
    ("/docs/a??b=?", "/docs/a"),
    ("/docs/" + "a/" * 200 + "z", "/docs/" + "a/" * 200 + "z"),
    ("/docs/%41%42", "/docs/AB"),
    ("http://app.test/docs/a?b", "/docs/a"),
)

_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~."


def path_of(target: str) -> str:
    """The path of any form of target."""
    return re.sub(r"^[A-Za-z]+://[^/?#]*", "", target).partition("?")[0]


def canonical(target: str) -> str:
    """Unreserved characters decoded once, the rest in upper-case hex: nothing is resolved."""

    def once(match: re.Match[str]) -> str:
        char = chr(int(match[1], 16))
        return char if char in _UNRESERVED else match[0].upper()

    return re.sub("%([0-9A-Fa-f]{2})", once, path_of(target))


def _resolve(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)


def readings(target: str) -> Iterator[str]:
    """The paths that one server or another would serve for it."""
    switches = product((0, 1, 2, 3), (False, True), (False, True), (False, True), (False, True))
    for rounds, slashes, parameters, merge, cut in switches:
        path = path_of(target)
        for _ in range(rounds):
            path = unquote(path, encoding="latin-1")
        if slashes:
            path = path.replace("\\", "/")
        if parameters:
            path = re.sub(r";[^/]*", "", path)
        if merge:
            path = re.sub("//+", "/", path)
        if cut:
            path = re.split("[?#\0]", path)[0]
        yield _resolve(path)


def protected(target: str) -> bool:
    """Whether any server would serve something that is not public."""
    return any(
        path.rstrip(". ").lower().startswith(PROTECTED) or path == "/" for path in readings(target)
    )
