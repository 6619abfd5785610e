"""The judge: what a freshly built pycasbin enforcer says of a policy, beside what ours says."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import casbin
from casbin.persist import Adapter
from casbin.persist.adapter import load_policy_line
from casbin.util import SimpleEval, generate_g_function, util

from pdp.errors import Problem
from pdp.model import Action as AskedAction
from pdp.model import Entity, Identity, Method, Query
from pdp.policy.build import build_layer
from pdp.policy.effect import Decision
from pdp.policy.facts import Facts, gather
from pdp.policy.index.build import build_indexes
from pdp.policy.layer import Layer, Ruling
from pdp.policy.settings import LayerSettings
from pdp.policy.shape import read_shape
from pdp.policy.text import read_model, read_rows

ALLOW_OVERRIDE = "some(where (p.eft == allow))"
DENY_OVERRIDE = "!some(where (p.eft == deny))"
ALLOW_AND_DENY = "some(where (p.eft == allow)) && !some(where (p.eft == deny))"
PRIORITY = "priority(p.eft) || deny"
SUBJECT_PRIORITY = "subjectPriority(p.eft) || deny"


def model_text(
    matcher: str,
    *,
    request: str = "sub, obj, act",
    policy: str = "sub, obj, act",
    effect: str = ALLOW_OVERRIDE,
    roles: str = "",
) -> str:
    """A model from its parts; `roles` are whole lines, `g = _, _` and the like."""
    heading = f"[role_definition]\n{roles}\n\n" if roles else ""
    return (
        f"[request_definition]\nr = {request}\n\n[policy_definition]\np = {policy}\n\n"
        f"{heading}[policy_effect]\ne = {effect}\n\n[matchers]\nm = {matcher}\n"
    )


@dataclass(frozen=True)
class Policy:
    """A model with its rows, and how our layer is told to read them."""

    model: str
    rows: str
    section: str = ""
    request: Mapping[str, str] = field(default_factory=dict)
    role_matching: Mapping[str, str] = field(default_factory=dict)
    domain_matching: Mapping[str, str] = field(default_factory=dict)
    scan_limit: int = 10_000


@dataclass(frozen=True)
class Ask:
    """One question; `context` holds the facts that tokens beside sub, obj and act are filled of."""

    sub: str = "alice"
    obj: str = "/"
    act: str = "GET"
    context: Mapping[str, Any] = field(default_factory=dict)
    sub_properties: Mapping[str, Any] = field(default_factory=dict)
    obj_properties: Mapping[str, Any] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    domain: str | None = None


class Thing(str):  # noqa: SLOT000 - attributes are what it is for
    """A token as pycasbin gets it: the id, with the properties as attributes."""

    def __new__(cls, text: str, properties: Mapping[str, Any]) -> Thing:  # noqa: PYI034
        thing = super().__new__(cls, text)
        thing.__dict__.update(properties)
        return thing


class Unfilled:
    """A token that nothing fills: whatever looks at it fails."""

    __hash__ = object.__hash__

    def _fail(self, *_: object) -> NoReturn:
        raise TypeError

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __str__ = __bool__ = _fail
    __contains__ = __len__ = __getitem__ = _fail


class TextAdapter(Adapter):  # type: ignore[misc]
    """Casbin's FileAdapter without the file."""

    def __init__(self, text: str) -> None:
        self.text = text

    def load_policy(self, model: Any) -> None:
        for line in self.text.split("\n"):
            load_policy_line(line.strip(), model)


@contextmanager
def silence() -> Iterator[None]:
    """pycasbin logs every decision, and parses matchers with warnings about their literals."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def fresh_enforcer(policy: Policy) -> casbin.Enforcer:
    with silence():
        model = casbin.Enforcer.new_model(text=policy.model)
        enforcer = casbin.Enforcer(model, TextAdapter(policy.rows))
        functions = enforcer.fm.get_functions()
        for definition, name in policy.role_matching.items():
            enforcer.add_named_matching_func(definition, functions[name])
        for definition, name in policy.domain_matching.items():
            enforcer.add_named_domain_matching_func(definition, functions[name])
        if policy.role_matching or policy.domain_matching:
            enforcer.build_role_links()
        return enforcer


def build(policy: Policy, kind: str = "guard") -> tuple[Layer | None, list[Problem]]:
    """Our layer; as a guard, because a guard may have any of the five effects.

    Nobody asks a guard what it covers, but tests do: it gets the index for that, too.
    """
    settings = LayerSettings(
        name="layer",
        kind=kind,  # type: ignore[arg-type]
        model="model.conf",
        policy="policy.csv",
        section=policy.section,  # type: ignore[arg-type]
        request=dict(policy.request),
        role_matching=dict(policy.role_matching),
        domain_matching=dict(policy.domain_matching),
        scan_limit=policy.scan_limit,
    )
    text = read_shape(
        settings, read_model(policy.model, "model.conf"), read_rows(policy.rows, "policy.csv")
    )
    layer, problems = build_layer(text, "pdp.toml")
    return layer and covering(layer), problems


def covering(layer: Layer) -> Layer:
    indexes = build_indexes(layer.clause, layer.effect, layer.rows, layer.graphs, coverage=True)
    return replace(layer, indexes=indexes)


def layer_of(policy: Policy, kind: str = "guard") -> Layer:
    layer, problems = build(policy, kind)
    assert layer is not None, problems
    return layer


def facts_of(ask: Ask, authenticated_role: str | None = None) -> Facts:
    query = Query(
        AskedAction(ask.act),
        Entity("resource", ask.obj, ask.obj_properties),
        ask.context,
        Entity("user", ask.sub, ask.sub_properties),
        vouched=True,
    )
    identity = Identity(ask.sub, method=Method.VOUCHED, roles=ask.roles, domain=ask.domain)
    return gather(query, identity, {}, time.time(), authenticated_role)


def values_of(enforcer: casbin.Enforcer, ask: Ask, section: str = "") -> list[Any]:
    """What pycasbin is given for the tokens of its request definition."""
    known = {
        "sub": Thing(ask.sub, ask.sub_properties),
        "obj": Thing(ask.obj, ask.obj_properties),
        "act": ask.act,
    }
    tokens = [token.split("_", 1)[1] for token in enforcer.model["r"]["r" + section].tokens]
    return [known[t] if t in known else ask.context.get(t, Unfilled()) for t in tokens]


def context_of(enforcer: casbin.Enforcer, section: str) -> Any:
    """Which definitions pycasbin shall use; an effect without a number serves all sections."""
    context = enforcer.new_enforce_context(section)
    if context.etype not in enforcer.model["e"]:
        context.etype = "e"
    return context


def pycasbin_says(enforcer: casbin.Enforcer, ask: Ask, section: str = "") -> bool | None:
    """True or False, or None where it raises."""
    values = values_of(enforcer, ask, section)
    if section:
        values.insert(0, context_of(enforcer, section))
    try:
        with silence():
            return bool(enforcer.enforce(*values))
    except Exception:  # noqa: BLE001 - whatever it raises, it gave no answer
        return None


def explained_by_pycasbin(
    enforcer: casbin.Enforcer, ask: Ask, section: str = ""
) -> tuple[bool | None, list[str]]:
    """Its answer as above, and the last row that it found to match; to be asked in `silence`."""
    values = values_of(enforcer, ask, section)
    if section:
        values.insert(0, context_of(enforcer, section))
    try:
        answer, row = enforcer.enforce_ex(*values)
    except Exception:  # noqa: BLE001 - whatever it raises, it gave no answer
        return None, []
    return bool(answer), row


class Evaluator:
    """Single expressions as pycasbin's evaluator finds them, each parsed once."""

    def __init__(self, enforcer: casbin.Enforcer) -> None:
        self.functions = dict(enforcer.fm.get_functions())
        for key, assertion in (enforcer.model["g"] or {}).items():
            self.functions[key] = generate_g_function(assertion.rm)
        self.parsed: dict[str, SimpleEval] = {}

    def __call__(self, expression: str, names: Mapping[str, Any]) -> Any:
        """The value; raises whatever pycasbin raises."""
        if expression not in self.parsed:
            with silence():
                self.parsed[expression] = SimpleEval(
                    util.escape_assertion(expression), self.functions
                )
        return self.parsed[expression].eval(names)


def ours(layer: Layer, ask: Ask) -> Ruling:
    return layer.judge(facts_of(ask))


def allows(layer: Layer, ask: Ask) -> bool:
    return ours(layer, ask).decision is Decision.ALLOW
