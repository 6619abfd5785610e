"""Differences as files: written when one is found, kept, and replayed by every run of the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from corpus import Sample
from differential import ruling
from judge import Ask, Policy, explained_by_pycasbin, layer_of, silence
from oracle import Oracle

CASES = Path(__file__).parent.parent / "cases" / "differential"
_ASK = ("sub", "obj", "act", "context", "sub_properties", "obj_properties")
_ANSWERS = {True: "allow", False: "refuse", None: "raises"}


class _Text(str):
    """A text of several lines, to be written as it stands."""

    __slots__ = ()


class _Writer(yaml.SafeDumper):
    """YAML's own, with blocks for models and rows."""


_Writer.add_representer(
    _Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
)


def written(sample: Sample, about: str) -> str:
    """The file of a sample; what is expected comes from pycasbin and the oracle, not from us."""
    with silence():
        oracle = Oracle(sample.policy)
        asks = [{**_plain(ask), "expect": expected(oracle, ask)} for ask in sample.asks]
    document = {
        "about": about,
        "section": sample.policy.section,
        "request": dict(sample.policy.request),
        "model": _Text(sample.policy.model),
        "rows": _Text(sample.policy.rows),
        "asks": asks,
    }
    return yaml.dump(document, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=100)


def _plain(ask: Ask) -> dict[str, Any]:
    return {name: getattr(ask, name) for name in _ASK}


def expected(oracle: Oracle, ask: Ask) -> dict[str, Any]:
    """What must be answered, and what pycasbin says."""
    question = oracle.question(ask)
    (decision, line), covers = oracle.judge(question), oracle.covers(question)
    says, _ = explained_by_pycasbin(oracle.enforcer, ask, oracle.section)
    answers = {"decision": str(decision), "line": line, "covers": covers}
    return {**answers, "pycasbin": _ANSWERS[says]}


def read(path: Path) -> tuple[Sample, list[dict[str, Any]]]:
    """The sample of a file, and what is expected of each of its questions."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    policy = Policy(document["model"], document["rows"], document["section"], document["request"])
    asks = tuple(Ask(**{name: ask[name] for name in _ASK}) for ask in document["asks"])
    return Sample(policy, asks), [ask["expect"] for ask in document["asks"]]


def answered(sample: Sample) -> list[dict[str, Any]]:
    """What our engine says, as a file tells it."""
    layer, found = layer_of(sample.policy), []
    for ask in sample.asks:
        ours = ruling(layer, ask)
        assert not isinstance(ours, str), ours
        (decision, line), covers = ours
        found.append({"decision": str(decision), "line": line, "covers": covers})
    return found
