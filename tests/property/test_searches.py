"""Searches on generated policies: all that is known and allowed is found, and nothing else.

The judge is `decide`, asked of every entity that is known, one by one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import corpus_pools as pools
import pytest
from corpus import generate
from judge import DENY_OVERRIDE, Ask, Policy

from pdp.model import Action, Entity, Identity, Method, Outcome, Query
from pdp.pipeline import decide
from pdp.policy.facts import Source
from pdp.policy.search.known import Part, World
from pdp.policy.search.opening import opened
from pdp.policy.settings import LayerSettings, PolicySettings
from pdp.policy.snapshot import Credentialing, Snapshot, build_snapshot
from pdp.search import Page, search_actions, search_resources, search_subjects

NOW = 1_768_478_400.0
POLICIES, SEED = 400, 7
SOURCES = (Source.SUBJECT, Source.RESOURCE, Source.ACTION)
OPEN = (
    "[request_definition]\nr = obj\n[policy_definition]\np = obj\n"
    "[policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = keyMatch(r.obj, p.obj)\n"
)
PUBLIC = (
    "[request_definition]\nr = sub, obj\n[policy_definition]\np = sub, obj\n"
    "[policy_effect]\ne = some(where (p.eft == allow))\n"
    "[matchers]\nm = r.sub == p.sub && keyMatch(r.obj, p.obj)\n"
)
TEMPLATES = (
    {"obj": "/{resource.id}"},
    {"obj": "{resource.id}1"},
    {"sub": "{subject.id}{context.dom}"},
    {"sub": "{subject.properties.dept}"},
)
Judge = Callable[[str], bool]
Search = Callable[[str | None, int], Page[Any]]


def snapshots(seed: int, numbers: range) -> Iterator[tuple[Random, Snapshot, tuple[Ask, ...]]]:
    """Policies of the corpus, as grants where their effect lets them, some with a guard beside."""
    for number in numbers:
        rng = Random(f"{seed}:{number}:search")  # noqa: S311 - to be repeated
        samples = [generate(seed, number, 4), generate(seed, number + 50_000, 1)]
        policies = [("main", samples[0].policy)]
        if rng.random() < 0.4:
            policies.append(("second", samples[1].policy))
        snapshot = _snapshot(rng, policies)
        if snapshot is not None:
            yield rng, snapshot, samples[0].asks


def _snapshot(rng: Random, policies: list[tuple[str, Policy]]) -> Snapshot | None:
    files, layers = {"entities.json": _entities(rng)}, []
    for name, policy in policies:
        grants = name == "main" and DENY_OVERRIDE not in policy.model.split(" && ")
        grants = grants and f"e = {DENY_OVERRIDE}" not in policy.model
        files |= {f"{name}.conf": policy.model.encode(), f"{name}.csv": policy.rows.encode()}
        layers.append(_layer(rng, name, policy, "grant" if grants else "guard"))
    if all(layer.kind == "guard" for layer in layers):
        files |= {"open.conf": OPEN.encode(), "open.csv": b"p, *\n"}
        layers.append(_granting("open"))
    if rng.random() < 0.3:
        rows = f"p, anonymous, {rng.choice(('/a/*', '/a', '*'))}\n"
        files |= {"public.conf": PUBLIC.encode(), "public.csv": rows.encode()}
        layers.append(_granting("public"))
    role = rng.choice((None, None, "staff"))
    credentialing = Credentialing(authenticated_role=role)
    settings = PolicySettings(layers=tuple(layers))
    return build_snapshot(files, settings, credentialing, "pdp.toml")[0]


def _granting(name: str) -> LayerSettings:
    return LayerSettings(name=name, kind="grant", model=f"{name}.conf", policy=f"{name}.csv")


def _layer(rng: Random, name: str, policy: Policy, kind: Any) -> LayerSettings:
    request, matching = dict(policy.request), {}
    if rng.random() < 0.2:
        request |= rng.choice(TEMPLATES)
    if rng.random() < 0.3 and "g = " in policy.model:
        matching = {"g": rng.choice(("keyMatch", "keyMatch2", "regexMatch"))}
    return LayerSettings(
        name=name,
        kind=kind,
        model=f"{name}.conf",
        policy=f"{name}.csv",
        section=policy.section,  # type: ignore[arg-type]
        request=request,
        role_matching=matching,
    )


def _entities(rng: Random) -> bytes:
    """Some subjects and resources with some properties, also of names that rules have."""

    def some(type_: str, ids: tuple[str, ...], of: Any) -> list[dict[str, Any]]:
        chosen = rng.sample(ids, rng.randint(0, min(8, len(ids))))
        return [{"type": type_, "id": i, "properties": _properties(rng, of)} for i in chosen]

    subjects = (*pools.NAMES, *pools.ROLES[:-1], "dave", "eve", "c0", "d1")
    paths = tuple(path for path in pools.OBJECTS if "\n" not in path)
    types = rng.choice((("user", "resource"), ("user", "page"), ("member", "resource")))
    return json.dumps(
        some(types[0], subjects, pools.SUBJECT) + some(types[1], paths, pools.RESOURCE)
    ).encode()


def _properties(rng: Random, of: Any) -> dict[str, Any]:
    return {name: rng.choice(values) for name, values in of.items() if rng.random() < 0.7}


@dataclass(frozen=True)
class Asked:
    """One search, and who judges its results."""

    part: Part
    search: Search
    judge: Judge
    filled: tuple[Query, Identity]


def searches(snapshot: Snapshot, ask: Ask, rng: Random) -> Iterator[Asked]:
    """The three searches of a question, each with one part open."""
    subject = Entity(rng.choice(("user", "user", "member")), ask.sub, ask.sub_properties)
    resource = Entity(rng.choice(("resource", "page")), ask.obj, ask.obj_properties)
    query = Query(Action(ask.act), resource, ask.context, subject, vouched=rng.random() < 0.8)
    who = Identity(subject.id, subject.type, Method.VOUCHED)

    def judge(of: Callable[[str], tuple[Query, Identity]]) -> Judge:
        return lambda id_: decide(*of(id_), snapshot, NOW).outcome is Outcome.ALLOW

    def subjects(id_: str) -> tuple[Query, Identity]:
        asked = replace_query(query, subject=Entity(subject.type, id_))
        return asked, Identity(id_, subject.type, Method.VOUCHED)

    def resources(id_: str) -> tuple[Query, Identity]:
        return replace_query(query, resource=Entity(resource.type, id_)), who

    def actions(name: str) -> tuple[Query, Identity]:
        return replace_query(query, action=Action(name)), who

    def page_of(search: Any, *types: str) -> Search:
        return lambda after, limit: search(snapshot, query, *types, NOW, after=after, limit=limit)

    yield Asked(
        Part(Source.SUBJECT, subject.type),
        page_of(search_subjects, subject.type),
        judge(subjects),
        subjects(""),
    )
    yield Asked(
        Part(Source.RESOURCE, resource.type),
        page_of(search_resources, resource.type),
        judge(resources),
        resources(""),
    )
    yield Asked(Part(Source.ACTION), page_of(search_actions), judge(actions), actions(""))


def replace_query(query: Query, **changes: Any) -> Query:
    return Query(
        **{name: changes.get(name, getattr(query, name)) for name in query.__struct_fields__}
    )


def pages(search: Search, limit: int) -> list[str]:
    """The ids of all results, page by page."""
    found: list[str] = []
    after: str | None = None
    for _ in range(1_000):
        page = search(after, limit)
        assert len(page.results) <= limit
        found += [one if isinstance(one, str) else one.id for one in page.results]
        if page.cursor is None:
            return found
        assert after is None or page.cursor > after
        after = page.cursor
    raise AssertionError("there is no end to it")


def compare(snapshot: Snapshot, asked: Asked, limit: int) -> tuple[list[str], list[str]]:
    """What is found, and what of all that is known is allowed."""
    facts = opened(snapshot.facts(*asked.filled, NOW), asked.part.source, asked.part.type)
    known = {*snapshot.world.known(asked.part, facts).ids}
    if asked.part.source is not Source.ACTION:
        known |= {i for t, i in snapshot.entities if t == asked.part.type}
    return pages(asked.search, limit), [id_ for id_ in known if asked.judge(id_)]


@pytest.mark.parametrize("few", [0, 256])
def test_what_is_found_is_what_is_allowed(few: int) -> None:
    told: Counter[str] = Counter()
    for rng, built, asks in snapshots(SEED, range(POLICIES)):
        world = built.world
        snapshot = replace(
            built, world=World(world.layers, world.entities, world.reserved, world.prefixes, few)
        )
        for ask in asks:
            for asked in searches(snapshot, ask, rng):
                found, wanted = compare(snapshot, asked, rng.choice((1, 3, 100)))
                assert found == sorted(set(found))
                assert set(wanted) <= set(found), (ask, asked.part)
                assert all(asked.judge(id_) for id_ in found)
                told[f"{asked.part.source} {'some' if found else 'none'}"] += 1
    print(told)  # noqa: T201
    assert all(told[f"{source} some"] >= 0.1 * told[f"{source} none"] for source in SOURCES)
