"""The first half of a generated policy: its matcher, its effect, its roles, its values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

import corpus_pools as pools
from corpus_shapes import matcher, rule
from judge import SUBJECT_PRIORITY
from trees import Tree

ROLE_KINDS = {"G2": "_, _", "G3": "_, _, _", "GR": "_, _"}
_JUDGED = re.compile(r"(\w+)\(r\.[\w.]+, p\.obj\)")


@dataclass
class Draft:
    """A policy in the making: what its matcher and its rules need, and few values to share."""

    rng: Random
    effect: str
    matcher: str
    rules: tuple[str, ...]
    roles: dict[str, str]  # G2, G3, GR to the name of the definition
    section: str = ""
    subjects: tuple[str, ...] = ()
    values: dict[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    links: list[tuple[str, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join((self.matcher, *self.rules))

    def pick(self, pool: Mapping[str, Sequence[Any]], most: int) -> Mapping[str, Sequence[Any]]:
        """Some of a pool, so that several rows have the same value."""
        names = self.rng.sample(list(pool), min(len(pool), self.rng.randint(1, most)))
        return {name: pool[name] for name in names}


def draft_of(rng: Random) -> Draft:
    """The beginning of a policy."""
    path = rng.choice((*pools.PATHS, "keyMatch2"))
    effect = rng.choice(pools.EFFECTS)
    whole, symbolic = matcher(rng), rng.random() < 0.85
    texts = [_filled(whole, path, symbolic)]
    if "eval(" in texts[0]:
        texts += [_filled(rule(rng), path, symbolic) for _ in range(rng.randint(1, 4))]
    kinds = [kind for kind in ROLE_KINDS if any(f"{kind}(" in text for text in texts)]
    rng.shuffle(kinds)
    if effect == SUBJECT_PRIORITY and not kinds:
        kinds = ["G2"]
    roles = {kind: f"g{i or ''}" for i, kind in zip((0, 2, 3), kinds, strict=False)}
    for kind, name in roles.items():
        texts = [text.replace(f"{kind}(", f"{name}(") for text in texts]
    section = "2" if rng.random() < 0.12 else ""
    draft = Draft(rng, effect, texts[0], tuple(texts[1:]), roles, section)
    _choose_values(draft)
    return draft


def _filled(tree: Tree, path: str, symbolic: bool) -> str:
    text = tree.written(symbolic=symbolic)
    text = text.replace("PATH", f"{path}(r.obj, p.obj)")
    return text.replace("HOME", f"{path}(r.sub.home, p.obj)")


def _choose_values(draft: Draft) -> None:
    """The pools of this policy; a pattern must be one for each function that reads it."""
    rng = draft.rng
    judged = {name for name in _JUDGED.findall(draft.text) if name in pools.PATHS}
    special = [pools.PATHS[name] for name in judged]
    paths = {**pools.COMMON, **(special[0] if len(special) == 1 else {})}
    if len(judged) == 1 and not judged & {"globMatch", "regexMatch"}:
        paths.update(_composed(rng, *judged) for _ in range(rng.randint(0, 10)))
    actions = pools.ACTIONS if "regexMatch(" in draft.text else {**pools.ACTIONS, **pools.STAR}
    _choose_links(draft)
    draft.values = {
        "obj": draft.pick(paths if judged else pools.EXACT, 14),
        "act": draft.pick(actions, 4),
        "net": draft.pick(pools.NETS, 20),
        "dom": draft.pick(pools.DOMAINS, 5),
        "tenant": draft.pick(pools.TENANTS, 6),
        "kind": {kind: (kind,) for kind in pools.GROUPS},
        "start": dict.fromkeys(pools.TIMES, ()),
        "end": dict.fromkeys(pools.TIMES, ()),
    }


def _composed(rng: Random, function: str) -> tuple[str, Sequence[str]]:
    """A pattern of a few segments, with a value that it is meant for."""
    chosen = [rng.choice(pools.SEGMENTS) for _ in range(rng.randint(1, 4))]
    names = pools.NAMED.get(function, ("{id}", "{x}"))
    pattern = "".join(f"/{segment.replace('{}', rng.choice(names))}" for segment, _ in chosen)
    return pattern, ("".join(f"/{value}" for _, value in chosen),)


def _choose_links(draft: Draft) -> None:
    """Who is whose role: mostly a few, at times as deep as Casbin follows, or in a circle."""
    rng, acyclic = draft.rng, draft.effect == SUBJECT_PRIORITY
    subjects = [*rng.sample(pools.NAMES, rng.randint(1, 3)), *rng.sample(pools.ROLES, 2)]
    ranks = [*pools.NAMES, *pools.ROLES[:-1]]
    for _ in range(rng.randint(0, 6)):
        child, parent = rng.sample(ranks, 2)
        if acyclic and ranks.index(child) > ranks.index(parent):
            child, parent = parent, child
        draft.links.append((child, parent))
    if rng.random() < 0.25:
        deep = pools.CHAIN if acyclic or rng.random() < 0.3 else pools.CIRCLE
        draft.links += pairwise(deep)
        if deep is pools.CIRCLE:
            draft.links.append((deep[-1], deep[0]))
        subjects = [deep[0], *deep[8:], *subjects[:1]]
    draft.subjects = tuple(dict.fromkeys((*subjects, *["*"] * (rng.random() < 0.5))))
