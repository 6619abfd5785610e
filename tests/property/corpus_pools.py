"""What generated policies and questions are made of: few values, so that rows share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from judge import ALLOW_AND_DENY, ALLOW_OVERRIDE, DENY_OVERRIDE, PRIORITY, SUBJECT_PRIORITY

EFFECTS = (ALLOW_OVERRIDE, DENY_OVERRIDE, ALLOW_AND_DENY, PRIORITY, SUBJECT_PRIORITY)
NAMES = ("alice", "bob", "root", "carol")
ROLES = ("admin", "staff", "audit", "alice")
# Domains and tenants, with what a request may fill a token of that is meant for a row.
DOMAINS: Mapping[str, Sequence[Any]] = {
    "d1": ("d1",),
    "d2": ("d2", "d1"),
    "1": ("1", 1, True, 1.0),
    "*": ("d1", "*"),
    "": ("", "d2"),
}
CHAIN = tuple(f"c{i}" for i in range(10))  # nine edges: as many as Casbin follows
CIRCLE = tuple(f"k{i}" for i in range(12))  # longer than that, and nobody's chain is too deep

# Patterns with values that they are meant for; what else they match is Casbin's to say.
COMMON: Mapping[str, Sequence[str]] = {
    "/a/*": ("/a/1", "/a/1/b/1", "/a/", "/a"),
    "/a/1": ("/a/1", "/a/1\n"),
    "/a": ("/a", "/a?x"),
    "/*": ("/", "/b.x", "/a/1", "x"),
    "/": ("/",),
    "/a/1/b/2": ("/a/1/b/2",),
    "/b.x": ("/b.x", "/bxx"),
    "": ("",),
}
PATHS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "keyMatch": {
        "/a*": ("/a", "/ab", "/a/1"),
        "/a/1/b/*": ("/a/1/b/2", "/a/1/b"),
        "*": ("", "/a", "x"),
        "/a/*/b": ("/a/1/c",),
        "/a/1/*": ("/a/1/b/1", "/a/1/", "/a/1"),
        "/a/:id": ("/a/:id",),
    },
    "keyMatch2": {
        "/a/:id": ("/a/1", "/a/é", "/a/", "/a/1\n"),
        "/a/:id/b/:id": ("/a/1/b/2", "/a/1/b/1/c"),
        "/:x": ("/a", "/b.x", "/"),
        "/:x/:y": ("/a/1", "/a/1/b"),
        "/a/:id/*": ("/a/1/b/1", "/a/1/", "/a/1"),
        "/a/1|/b.x": ("/a/1", "/a/1/b/1", "x/b.x"),
        "/a/*/b": ("/a/1/b", "/a/b"),
        "/(a|b)/1": ("/a/1", "/b/1"),
        "*": ("", "/a/1"),
        "/a*": ("/", "/a", "/aa"),
        "/a:id": ("/ab", "/a"),
        "/a/[0-9]": ("/a/1", "/a/x"),
    },
    "keyMatch3": {
        "/a/{id}": ("/a/1", "/a/", "/a/1/b"),
        "/a/{id}/b/{id}": ("/a/1/b/2", "/a/1/b/"),
        "/{x}/1": ("/a/1", "/b/1"),
        "/a/{id}/*": ("/a/1/b/1", "/a/1"),
        "/a-{x}": ("/a-1", "/a-"),
    },
    "keyMatch4": {
        "/a/{id}/b/{id}": ("/a/1/b/1", "/a/1/b/2"),
        "/a/{id}/b/{x}": ("/a/1/b/2", "/a/1/b/1"),
        "/a/{id}": ("/a/1", "/a/1\n"),
        "/{x}/{x}": ("/a/a", "/a/1"),
        "/{x}/*": ("/a/1", "/a"),
    },
    "keyMatch5": {
        "/a/{id}": ("/a/1?q=/z", "/a/1"),
        "/a/{id}/b/{id}": ("/a/1/b/2?x", "/a/1/b/2"),
        "/{x}": ("/a?", "/b.x?a?b"),
        "/a/{id}/*": ("/a/1/b/1?z", "/a/1"),
    },
    "globMatch": {
        "/a/**": ("/a", "/a/1/b/1"),
        "*/1": ("/a/1", "/1"),
        "/[ab]/1": ("/a/1", "/b/1"),
        "/a/[0-9]": ("/a/1", "/a/x"),
        "/b.?": ("/b.x", "/bxx"),
        "/**/1": ("/a/1", "/1"),
    },
    "regexMatch": {
        "^/a/[0-9]+$": ("/a/1", "/a/1\n", "/a/x"),
        "/a": ("/a", "/a/1", "b/a"),
        "/a/(1|2)": ("/a/1", "/a/2"),
        "": ("", "/a"),
        ".*1$": ("/a/1", "/b"),
        "(.*)(.*)(.*)1$": ("/a/1", "/b"),  # `re` would take cubic time
        "^(/[a1]+|/a)+$": ("/a/1", "/b", "/a/1\n"),
    },
}
EXACT = {text: (text,) for text in (*COMMON, "/b/1", "/a/é", "/a/1/b/1")}
OBJECTS = tuple(
    sorted({v for pool in (COMMON, *PATHS.values()) for values in pool.values() for v in values})
)
ACTIONS: Mapping[str, Sequence[str]] = {
    "GET": ("GET", "GETX"),
    "POST": ("POST",),
    "^GET$": ("GET", "GET\n"),
    "^(GET|POST)$": ("GET", "POST"),
    "GET|PUT": ("PUT", "GETX"),
    "(GET)|(PUT)": ("PUT", "get"),
    "P(OS|U)T": ("POST", "PUT"),
    "^(G|GE|GET)+T*T*T*$": ("GET", "GETX"),
    "": ("", "GET"),
    ".*": ("GET", "DELETE"),
}
STAR = {"*": ("GET", "*", "DELETE")}  # no regular expression
NETS: Mapping[str, Sequence[str]] = {
    "0.0.0.0/0": ("192.0.2.1", "::1"),
    "128.0.0.0/1": ("192.0.2.1", "127.255.255.255"),
    "10.0.0.0/7": ("11.1.1.1", "12.0.0.0"),
    "10.0.0.0/8": ("10.9.9.9", "11.0.0.0"),
    "10.0.0.0/9": ("10.127.0.1", "10.128.0.0"),
    "10.0.0.0/15": ("10.1.255.255", "10.2.0.0"),
    "10.0.0.0/16": ("10.0.255.255", "10.1.0.0"),
    "10.0.0.0/255.255.0.0": ("10.0.3.4",),
    "10.0.0.0/24": ("10.0.0.255", "10.0.1.0"),
    "10.0.1.0/24": ("10.0.1.7", "10.0.2.0"),
    "10.0.2.0/23": ("10.0.3.255", "10.0.4.0"),
    "192.0.2.0/24": ("192.0.2.255", "192.0.3.0"),
    "192.0.2.64/26": ("192.0.2.127", "192.0.2.128"),
    "10.0.0.0/25": ("10.0.0.127", "10.0.0.128"),
    "10.0.0.0/30": ("10.0.0.3", "10.0.0.4"),
    "10.0.0.0/31": ("10.0.0.1", "10.0.0.2"),
    "10.0.0.1/32": ("10.0.0.1", "10.0.0.0"),
    "10.0.0.1": ("10.0.0.1", "::ffff:10.0.0.1"),
    "::/0": ("::1", "10.0.0.1"),
    "2000::/3": ("2001:db8::1", "4000::1"),
    "2001:db8::/31": ("2001:db9::1",),
    "2001:db8::/32": ("2001:db8:ffff::1", "2001:db9::"),
    "2001:db8::/33": ("2001:db8:7fff::1", "2001:db8:8000::"),
    "2001:db8::/64": ("2001:db8::ffff:1", "2001:db8:0:1::"),
    "2001:db8::/127": ("2001:db8::1", "2001:db8::2"),
    "2001:db8::1/128": ("2001:DB8::1", "2001:db8::"),
    "::fffe:0:0/95": ("::ffff:10.0.0.1", "10.0.0.1"),
    "fe80::/10": ("fe80::1%1", "fe80::1"),
}
MALFORMED = ("bad", "", "10.0.0", "10.0.0.1/32", "010.0.0.1", " 10.0.0.1", "10.0.0.1\n")
TIMES = ("_", "_", "2000-01-01 00:00:00", "2999-01-01 00:00:00", "2010-06-01 12:00:00")
TENANTS: Mapping[str, Sequence[Any]] = {
    "t1": ("t1", ["t1"]),
    "t2": ("t2",),
    "*": ("t1", "*"),
    "": ("", None),
    "1": ("1", 1, True, 1.0),
    "T1": ("t1", "T1"),
}
# What a token may be filled of; a list or null is nobody's domain, so only tenants are such.
ODD_DOMAINS: Sequence[Any] = ("d1", "d2", 1, True, 1.5)
ODD_TENANTS: Sequence[Any] = ("t1", 1, 1.0, True, None, ["t1"], {"t1": 1}, "T1")
# Segments of composed patterns with a value for each; `{}` is a name, as each function writes it.
SEGMENTS = (
    *(("a", "a"), ("1", "1"), ("b", "b"), ("{}", "1"), ("{}", "a"), ("{}", "é"), ("*", "x/y")),
    *(("b.x", "b.x"), ("a{}", "a1"), ("x-{}", "x-"), ("é", "é"), ("*", ""), ("", "")),
)
NAMED = {"keyMatch2": (":id", ":x"), "keyMatch": (":id",)}  # the others write `{id}`
GROUPS = ("pages", "files")

# Properties: the first values are the usual ones, the others are to be met now and then.
SUBJECT: Mapping[str, Sequence[Any]] = {
    "age": (16, 18, 18, 70, 18.5, "18", None, 0, True),
    "dept": ("d1", "d2", "alice", "10.0.0.1", "", "d1\n"),
    "tags": (["d1"], ["d2", "d1"], "d1 d2", [], "d1", ["1", 1], {"d1": 1}, [["d1"], "*"]),
    "active": (True, True, False, 1, 0, "yes"),
    "score": (0.0, 1.5, 1.0, 1),
    "org": ({"name": "d1"}, {"name": "d2"}, {"title": "d1"}, "d1"),
    "home": ("/a/1", "/a/1\n", "/a", ["/a"], 7),
}
RESOURCE: Mapping[str, Sequence[Any]] = {
    "owner": ("alice", "bob", "root", "staff", 5, ["alice"]),
    "limit": (0, 17, 17, 18, "18"),
    "public": (True, False, True, False, 1),
    "kind": ("d1", "d2", "GET", "*", ""),
}
