"""The models that the engine is measured on, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import engine_lists
import engine_rows
from engine_rows import Policy
from policies_made import NO_DENY, RBAC, conf


@dataclass(frozen=True, slots=True)
class Model:
    """A Casbin model; `key` are two fields by which pycasbin's FastEnforcer may filter, or None."""

    name: str
    about: str
    text: str
    build: Callable[[int, int], Policy]  # of so many rows and so many users
    kind: Literal["guard", "grant"] = "grant"
    key: tuple[int, ...] | None = None
    tokens: tuple[str, ...] = ("sub", "obj", "act")


_BY_ROLE = "g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act"

MODELS = {
    model.name: model
    for model in (
        Model(
            "acl",
            "subject, page and method, literally",
            conf("r.sub == p.sub && r.obj == p.obj && r.act == p.act"),
            engine_lists.acl,
            key=(0, 1),
        ),
        Model(
            "rbac",
            "users in teams, teams in a role for all",
            conf(_BY_ROLE, roles="_, _"),
            engine_rows.rbac,
            key=(1, 2),
        ),
        Model(
            "rest",
            "role, keyMatch2 path, regexMatch method; spread over roles",
            RBAC,
            engine_rows.rest,
        ),
        Model(
            "rest-one-role",
            "the same, one role owning all rows",
            RBAC,
            engine_rows.rest_one_role,
        ),
        Model(
            "domains",
            "roles in domains",
            conf(
                "g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj && r.act == p.act",
                "sub, dom, obj, act",
                "sub, dom, obj, act",
                roles="_, _, _",
            ),
            engine_rows.domains,
            key=(1, 2),
            tokens=("sub", "dom", "obj", "act"),
        ),
        Model(
            "ip",
            "a list of allowed networks",
            conf("ipMatch(r.ip, p.net)", "ip", "net"),
            engine_lists.ip,
            tokens=("ip",),
        ),
        Model(
            "deny-networks",
            "a guard: a list of denied networks",
            conf("ipMatch(r.ip, p.net)", "ip", "net, eft", NO_DENY),
            engine_lists.deny_networks,
            kind="guard",
            tokens=("ip",),
        ),
        Model(
            "deny-subjects",
            "a guard: a list of denied subjects",
            conf("r.sub == p.sub", "sub", "sub, eft", NO_DENY),
            engine_lists.deny_subjects,
            kind="guard",
            key=(0,),
            tokens=("sub",),
        ),
        Model(
            "priority",
            "explicit priorities, allow and deny, in a file of another order",
            conf(
                _BY_ROLE,
                policy="priority, sub, obj, act, eft",
                effect="priority(p.eft) || deny",
                roles="_, _",
            ),
            engine_rows.priority,
        ),
    )
}
