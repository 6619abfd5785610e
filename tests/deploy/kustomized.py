"""Builds the manifests of deploy/kubernetes as kustomize does, as far as these use it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
GATEWAYS = ("nginx", "envoy")
KNOWN = {"apiVersion", "kind", "resources", "patches", "configMapGenerator", "images"}
KEYED = {"containers", "initContainers", "volumes", "volumeMounts", "ports", "env"}

Manifest = dict[str, Any]


def read(path: Path) -> Manifest:
    found: Manifest = yaml.safe_load(path.read_text())
    return found


def merged(base: Any, patch: Any, name: str = "") -> Any:
    """A strategic merge: lists of named things by their names, others replaced."""
    if isinstance(base, dict) and isinstance(patch, dict):
        both = {key: merged(base[key], patch[key], key) for key in base.keys() & patch.keys()}
        return {**base, **patch, **both}
    if isinstance(base, list) and name in KEYED:
        old, new = ({item["name"]: item for item in items} for items in (base, patch))
        both = {key: merged(old[key], new[key]) for key in old.keys() & new.keys()}
        return [*({**new, **old, **both}).values()]
    return patch


def config_map(directory: Path, given: Manifest) -> Manifest:
    files = {Path(name).name: (directory / name).read_text() for name in given["files"]}
    name = given["name"]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": files}


def built(directory: Path) -> list[Manifest]:
    """All manifests of a kustomization."""
    told = read(directory / "kustomization.yaml")
    assert told.keys() <= KNOWN, "what this does not know of it does not build"
    found: list[Manifest] = []
    for name in told["resources"]:
        place = directory / name
        found += built(place) if place.is_dir() else [copy.deepcopy(read(place))]
    for patch in told.get("patches", []):
        wanted = read(directory / patch["path"])
        at = next(i for i, manifest in enumerate(found) if _same(manifest, wanted))
        found[at] = merged(found[at], wanted)
    return found + [config_map(directory, given) for given in told.get("configMapGenerator", [])]


def _same(one: Manifest, other: Manifest) -> bool:
    return (one["kind"], one["metadata"]["name"]) == (other["kind"], other["metadata"]["name"])
