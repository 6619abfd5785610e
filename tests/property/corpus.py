"""Generated policies with their questions: number `n` of a seed is always the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import corpus_pools as pools
from corpus_draft import ROLE_KINDS, Draft, draft_of
from judge import ALLOW_OVERRIDE, SUBJECT_PRIORITY, Ask, Policy, model_text

ASKS = 50  # questions put to each policy
_COLUMN = re.compile(r"\bp\.(\w+)")
_TOKEN = re.compile(r"\br\.(\w+)")
RULES = ("rule", "rule2")  # columns that `eval` reads
_TEMPLATES = {"dom": "{context.dom}", "tenant": "{context.tenant}"}


@dataclass(frozen=True)
class Sample:
    """A policy and what it is asked."""

    policy: Policy
    asks: tuple[Ask, ...]


def generate(seed: int, number: int, asks: int = ASKS) -> Sample:
    """Policy `number` of a seed, with its questions."""
    draft = draft_of(Random(f"{seed}:{number}"))  # noqa: S311 - to be repeated, not to be secret
    rows = _rows(draft)
    policy = _policy(draft, rows)
    return Sample(policy, tuple(_ask(draft, rows) for _ in range(asks)))


def _rows(draft: Draft) -> list[dict[str, str]]:
    """Rows by column, the columns in the order of the model."""
    rng = draft.rng
    named = set(_COLUMN.findall(draft.text)) | {"sub", "obj"}
    columns = sorted(named - set(RULES))
    rng.shuffle(columns)
    columns += sorted(named & set(RULES))
    if draft.effect != ALLOW_OVERRIDE or rng.random() < 0.3:
        columns.insert(rng.randint(0, len(columns)), "eft")
    if rng.random() < 0.25:
        columns.insert(rng.randint(0, len(columns)), "priority")
    if draft.effect == SUBJECT_PRIORITY and rng.random() < 0.9:
        columns.insert(0, columns.pop(columns.index("sub")))
    denies = 0.0 if draft.effect == ALLOW_OVERRIDE else rng.choice((0.1, 0.3, 0.6))
    few, many = rng.choice(((1, 3), (4, 12), (4, 12), (8, 20), (20, 40), (30, 40)))
    urgency = rng.choice((3, 12, 100))

    def value(column: str) -> str:
        if column == "sub":
            return rng.choice(draft.subjects)
        if column == "eft":
            return "deny" if rng.random() < denies else "allow"
        if column == "priority":
            return str(rng.randint(0, urgency))
        return rng.choice(draft.rules if column in RULES else list(draft.values[column]))

    return [{c: value(c) for c in columns} for _ in range(rng.randint(few, many))]


def _policy(draft: Draft, rows: list[dict[str, str]]) -> Policy:
    rng, suffix = draft.rng, draft.section
    tokens = sorted(set(_TOKEN.findall(draft.text)) | {"sub", "obj"})
    if rng.random() < 0.5:
        rng.shuffle(tokens)
    lines = [", ".join((f"p{suffix}", *row.values())) for row in rows]
    lines += ["p, nobody"] * bool(suffix)
    lines += [line for kind, name in draft.roles.items() for line in _link_lines(draft, kind, name)]
    if rng.random() < 0.3:
        rng.shuffle(lines)  # roles between rules
    model = model_text(
        draft.matcher,
        request=", ".join(tokens),
        policy=", ".join(rows[0]),
        effect=draft.effect,
        roles="\n".join(f"{name} = {ROLE_KINDS[kind]}" for kind, name in draft.roles.items()),
    )
    text = "\n".join(lines) + "\n"
    request = {name: source for name, source in _TEMPLATES.items() if name in tokens}
    if not suffix:
        return Policy(model, text, "", request)
    text = re.sub(r"\b([rp])\.", r"\g<1>2.", text)
    return Policy(_in_section_two(model), text, "2", request)


def _in_section_two(model: str) -> str:
    """Everything a second time, as `r2`, `p2` and `m2`; pycasbin takes `e` for both."""
    return re.sub(r"(?m)^(?!g)(\w) = .*$", lambda m: _numbered(m[0]), model)


def _numbered(line: str) -> str:
    key, _, value = line.partition(" = ")
    first = {"r": "r = sub", "p": "p = sub", "e": line, "m": "m = r.sub == p.sub"}[key]
    if key == "e":
        return f"{first}\ne2 = {value}"
    return f"{first}\n{key}2 = " + re.sub(r"\b([rp])\.", r"\g<1>2.", value)


def _link_lines(draft: Draft, kind: str, name: str) -> list[str]:
    rng = draft.rng
    if kind == "GR":
        paths = rng.sample(pools.OBJECTS, 12)
        return [f"{name}, {p}, {rng.choice(pools.GROUPS)}" for p in paths if p and "\n" not in p]
    if kind == "G2":
        return [f"{name}, {child}, {parent}" for child, parent in draft.links]
    domain = rng.choice([*pools.DOMAINS])  # mostly one for all
    domains = [domain] * 9 + [rng.choice((domain, *pools.DOMAINS))]
    domains = domains[: rng.choice((1, 1, 10))]
    return [f"{name}, {a}, {b}, {rng.choice(domains)}" for a, b in draft.links]


def _ask(draft: Draft, rows: list[dict[str, str]]) -> Ask:
    """A question that some row is about, more or less."""
    rng = draft.rng
    row, unfilled = rng.choice(rows), rng.choice((0.0, 0.0, 0.4))

    def near(column: str, otherwise: Sequence[Any]) -> Any:
        values = draft.values[column].get(row.get(column, ""), ())
        return rng.choice(values if values and rng.random() < 0.75 else otherwise)

    context = {
        "ip": near("net", pools.MALFORMED),
        "dom": near("dom", pools.ODD_DOMAINS),
        "tenant": near("tenant", pools.ODD_TENANTS),
    }
    for name in context.copy():
        if rng.random() < unfilled:
            del context[name]
    return Ask(
        sub=_subject(draft, row["sub"]),
        obj=near("obj", pools.OBJECTS),
        act=near("act", ("GET", "POST", "GETX", "")),
        context=context,
        sub_properties=_properties(rng, pools.SUBJECT),
        obj_properties=_properties(rng, pools.RESOURCE),
    )


def _subject(draft: Draft, wanted: str) -> str:
    rng = draft.rng
    if rng.random() < 0.25 or wanted == "*":
        return rng.choice((*pools.NAMES, draft.subjects[0], ""))
    members = [child for child, parent in draft.links if parent == wanted]
    return rng.choice((wanted, *members, draft.subjects[0]))


def _properties(rng: Random, known: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Most of them, most as they should be."""
    missing = rng.choice((0.0, 0.1, 0.3, 0.9))
    return {
        name: rng.choice(values if rng.random() < 0.3 else values[:3])
        for name, values in known.items()
        if rng.random() >= missing
    }
