"""The judge of role graphs with patterns: a pycasbin enforcer, built for one question."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache

import casbin
from casbin.util import builtin_operators

from pdp.policy.role_patterns import build_roles
from pdp.policy.roles import RoleGraph

MODEL = """\
[request_definition]
r = sub{more}
[policy_definition]
p = sub
[role_definition]
g = _, _{place}
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub{domain})
"""
PLAIN = MODEL.format(more="", place="", domain="")
DOMAINS = MODEL.format(more=", dom", place=", _", domain=", r.dom")
FUNCTIONS = {
    "keyMatch": builtin_operators.key_match_func,
    "keyMatch2": builtin_operators.key_match2_func,
    "keyMatch3": builtin_operators.key_match3_func,
    "keyMatch4": builtin_operators.key_match4_func,
    "keyMatch5": builtin_operators.key_match5_func,
    "regexMatch": builtin_operators.regex_match_func,
    "ipMatch": builtin_operators.ip_match_func,
    "globMatch": builtin_operators.glob_match_func,
}
Link = tuple[str, ...]


def graph_of(links: Sequence[Link], match: str | None, domain: str | None = None) -> RoleGraph:
    """The graph of rows in lines 1, 2, …; they have a domain if the first one has."""
    rows = [(link, line) for line, link in enumerate(links, 1)]
    has_domain = len(links[0]) > len(("member", "role"))
    return build_roles(rows, has_domain=has_domain, match=match, match_domain=domain)


def pycasbin_says(
    links: Sequence[Link], match: str | None, domain: str | None, ask: tuple[str, ...], role: str
) -> bool:
    """What an enforcer answers that was built for this question."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its parser warns of literals
        model = casbin.Enforcer.new_model(text=DOMAINS if len(ask) > 1 else PLAIN)
        enforcer = casbin.Enforcer(model)
        for link in links:
            enforcer.model.add_policy("g", "g", list(link))
        enforcer.model.add_policy("p", "p", [role])
        if match:
            enforcer.add_named_matching_func("g", FUNCTIONS[match])
        if domain:
            enforcer.add_named_domain_matching_func("g", FUNCTIONS[domain])
        enforcer.build_role_links()
        return bool(enforcer.enforce(*ask))


@cache
def matches(function: str, name: str, pattern: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bool(FUNCTIONS[function](name, pattern))
    except Exception:  # noqa: BLE001 - as Casbin takes it
        return False
