"""Casbin's example policies, written anew: which of them we take, and that pycasbin agrees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from judge import (
    Ask,
    Policy,
    allows,
    build,
    explained_by_pycasbin,
    fresh_enforcer,
    layer_of,
    silence,
)

FOLDER = Path(__file__).parent / "examples"
PEOPLE = ("alice", "bob", "carol", "chief", "jane", "kim", "lee", "admin", "root", "nobody")
THINGS = (
    *("ledger", "report", "memo", "file:open:1", "file:shut:1", "file:", "tool:pen"),
    *("/ledger", "/report", "/files", "/org", ""),
)
DOINGS = (
    "read",
    "write",
    "GET",
    "POST",
    "make",
    "org.create",
    "page.read",
    "manage",
    "delete",
    "GETX",
)
PATHS = (
    *("/alice/note1", "/alice/note2", "/alice/x/y", "/alice", "/bob/1", "/bob/12", "/carol"),
    *("/carol/a/b", "/alice2/1/with/2", "/alice2/1/with/1", "/alice2/?q=1", "/pen/1", "/book/2"),
)
ADDRESSES = ("192.168.2.123", "192.168.3.1", "10.0.255.1", "2001:db8::1", "2001:db9::1", "none")
DOMAINS = ("north", "south", "/site/1", "/site/2", "/site/1/2", "west", "*")
OWNERS: Mapping[str, Mapping[str, Any]] = {
    "alice": {"Age": 20, "Name": "alice"},
    "bob": {"Age": 16, "Name": "bob"},
    "carol": {"Age": 35, "Name": "bob"},
    "kim": {"Age": 71.5},
    "ledger": {"Owner": "alice", "Pages": 20},
    "report": {"Owner": "bob", "Pages": 200},
}
CANDIDATES: Mapping[str, Sequence[Any]] = {
    "sub": PEOPLE,
    "obj": (*PATHS, *THINGS),
    "act": DOINGS,
    "dom": DOMAINS,
    "ip": ADDRESSES,
    "subject": PEOPLE,
    "org": DOMAINS,
    "sub_level": (1, 2, 3.5),
    "obj_level": (1, 2, 3),
}
# What we do not take, and why: everything else compiles.
REFUSED = {
    "keymatch_custom": "unknown-function",  # a function that a program registers
    "mixed_definitions": "missing-definition",  # r2 and m2 with p and e: programs mix them
    "priority_indeterminate": "bad-effect-value",  # neither allow nor deny
    "rbac_with_temporal_roles": "conditional-role",  # conditions are set by programs
    "rbac_with_temporal_roles_and_domains": "conditional-role",
    "rule_or_word": "unknown-name",  # a word in the place of a rule, never to be evaluated
}
ONE_ANSWER = ("rbac_without_rules",)  # nobody may do anything


@dataclass(frozen=True)
class Settings:
    """What stands in `pdp.toml`, or in a program's code, beside the two files."""

    section: str = ""
    role_matching: Mapping[str, str] = field(default_factory=dict)
    domain_matching: Mapping[str, str] = field(default_factory=dict)


SETTINGS = {
    "mixed_definitions": Settings(section="2"),
    "rbac_with_all_pattern": Settings(
        role_matching={"g": "keyMatch2"}, domain_matching={"g": "keyMatch"}
    ),
    "rbac_with_domain_paths": Settings(domain_matching={"g": "keyMatch"}),
    "rbac_with_pattern": Settings(role_matching={"g2": "keyMatch2"}),
    "rbac_with_glob_pattern": Settings(role_matching={"g2": "globMatch"}),
    "rbac_with_domain_pattern": Settings(domain_matching={"g": "keyMatch"}),
    "rbac_with_domain_and_policy_pattern": Settings(domain_matching={"g": "keyMatch2"}),
}
SECOND = (*("one_effect_for_both", "rbac_with_several_definitions", "several_policy_definitions"),)
NAMES = sorted(path.stem for path in FOLDER.glob("*.conf"))
CASES = [(name, SETTINGS.get(name, Settings())) for name in NAMES if name not in REFUSED]
CASES += [(name, Settings(section="2")) for name in SECOND]


def policy_of(name: str, settings: Settings) -> Policy:
    model = (FOLDER / f"{name}.conf").read_text(encoding="utf-8")
    rows = (FOLDER / f"{name}.csv").read_text(encoding="utf-8")
    others = set(tokens(model, settings.section)) - {"sub", "obj", "act"}
    request = {token: f"{{context.{token}}}" for token in others}
    matching = settings.role_matching, settings.domain_matching
    return Policy(model, rows, settings.section, request, *matching)


def tokens(model: str, section: str) -> list[str]:
    found = re.search(rf"(?m)^r{section} ?= ?(.*)$", model)
    assert found
    return [token.strip() for token in found[1].split(",")]


def asks(policy: Policy) -> Iterator[Ask]:
    """Every question over the values that the tokens of the request may have."""
    names = tokens(policy.model, policy.section)
    for values in product(*(candidates(name, policy) for name in names)):
        given = dict(zip(names, values, strict=True))
        entities = {name: given.pop(name) for name in ("sub", "obj", "act") if name in given}
        yield Ask(
            **entities,
            context=given,
            sub_properties=OWNERS.get(entities.get("sub", ""), {}),
            obj_properties=OWNERS.get(entities.get("obj", ""), {}),
        )


def candidates(token: str, policy: Policy) -> list[Any]:
    """The values that a policy speaks of, paths if it has paths, and others."""
    text, known = policy.rows + policy.model, CANDIDATES[token]
    if not isinstance(known[0], str):
        return list(known)
    found = [value for value in known if re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text)]
    heads = tuple(head for head in ("/", "file:") if f", {head}" in policy.rows)
    paths = [v for v in known if v.startswith(heads) or token == "ip"]
    owned = [v for v in known if v in OWNERS and ("Age" in text or "Owner" in text)]
    return list(dict.fromkeys((*found, *paths, *owned, *known[-2:])))


@pytest.mark.parametrize(
    ("name", "settings"), CASES, ids=lambda value: getattr(value, "section", value)
)
def test_an_example_gets_the_answers_of_pycasbin(name: str, settings: Settings) -> None:
    policy, answers = policy_of(name, settings), set()
    layer, enforcer = layer_of(policy), fresh_enforcer(policy)
    patterns = bool(settings.role_matching or settings.domain_matching)
    with silence():
        for ask in asks(policy):
            if patterns:  # pycasbin takes what it was asked for a role from then on
                enforcer = fresh_enforcer(policy)
            says, _ = explained_by_pycasbin(enforcer, ask, settings.section)
            answers.add(says)
            if says is None:  # whoever has no age, and addresses that are none
                assert "eval(" in policy.model or "Owner" in policy.model or "ip" in policy.model
            else:
                assert allows(layer, ask) is says, ask
    assert answers >= ({False} if name in ONE_ANSWER else {True, False}), "too easy"


@pytest.mark.parametrize(("name", "code"), REFUSED.items())
def test_what_is_not_taken_is_refused_by_name(name: str, code: str) -> None:
    layer, problems = build(policy_of(name, SETTINGS.get(name, Settings())))
    assert layer is None
    assert code in {problem.code for problem in problems}


def test_nearly_all_examples_are_taken() -> None:
    assert set(REFUSED) < set(NAMES)
    assert len(CASES) >= 0.9 * (len(CASES) + len(REFUSED))
