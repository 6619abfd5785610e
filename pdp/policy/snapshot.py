"""The live policy: immutable, with a revision, answering for layers, roles and concealment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pdp.errors import Problem, Severity
from pdp.gently import step, take_apart
from pdp.model import (
    ANONYMOUS_ID,
    INVALID,
    NO_PROPERTIES,
    Action,
    Identity,
    Method,
    Query,
    Reason,
    Rejected,
    rejected,
)
from pdp.policy.build import build_layer
from pdp.policy.checks import deep_checks
from pdp.policy.entities import FILE as ENTITIES
from pdp.policy.entities import read_entities
from pdp.policy.facts import Entities, Facts, Source, gather
from pdp.policy.layer import Layer
from pdp.policy.matcher.functions import Match, compile_key_match2
from pdp.policy.reads import Reads, reads_of
from pdp.policy.roles import RoleGraph
from pdp.policy.search.known import World
from pdp.policy.settings import (
    ConcealmentSettings,
    LayerSettings,
    PolicySettings,
    check_settings,
)
from pdp.policy.shape import LayerText, read_shape
from pdp.policy.text import decode_text, read_model, read_policy

Files = Mapping[str, bytes]

_PIECE: Final = 1 << 18  # bytes that are hashed in one go
_NONE: Final = Method.NONE
_STEP_UP: Final = Reason.STEP_UP_REQUIRED


@dataclass(frozen=True, slots=True)
class Credentialing:
    """What a policy must know of authentication, which is configured elsewhere.

    `asserted` are the roles that issuers may assert; ids that begin with one of
    `role_prefixes` could be such a role, too.
    """

    configured: bool = False
    authenticated_role: str | None = None
    asserted: frozenset[str] = frozenset()
    role_prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a decision reads. `revision` is `sha256:…` over all policy files."""

    revision: str
    early_guards: tuple[Layer, ...]  # judged before anybody is authenticated
    late_guards: tuple[Layer, ...]  # need to know the subject
    grants: tuple[Layer, ...]
    step_ups: tuple[Layer, ...]  # guards that want a stronger login, of whom all else allows
    role_layers: tuple[Layer, ...]  # of all of them, those that ask for roles of the subject
    alias_layers: tuple[Layer, ...]  # of those, where it may go by another name than its id
    role_patterns: tuple[RoleGraph, ...]  # roles that are patterns, of which `reserved` has none
    entities: Entities
    concealment: ConcealmentSettings
    hidden: tuple[Match, ...]
    revealing: Action  # who may do it has nothing hidden from them
    credentialing: Credentialing
    reserved: frozenset[str]
    world: World  # what searches go by
    reads: Reads  # what a record must tell so that the decision can be judged again

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, guards first."""
        return (*self.early_guards, *self.late_guards, *self.grants, *self.step_ups)

    @property
    def guards(self) -> tuple[Layer, ...]:
        """All guards but those that only want a stronger login."""
        return (*self.early_guards, *self.late_guards)

    def facts(self, query: Query, identity: Identity, now: float) -> Facts:
        """What is known when `identity` asks `query` at `now`, in Unix seconds."""
        return gather(query, identity, self.entities, now, self.credentialing.authenticated_role)

    def concealed(self, query: Query) -> bool:
        """Whether a refusal must not reveal that the resource exists."""
        return True in [match(query.resource.id) for match in self.hidden]

    def covered(self, facts: Facts) -> bool:
        """Whether some grant rule speaks of the resource, for whatever subject and action."""
        return True in [layer.covers(facts) for layer in self.grants]

    def roles(self, facts: Facts) -> tuple[str, ...]:
        """All roles that the subject holds in any layer, sorted."""
        layers = self.role_layers
        if len(layers) == 1 and not facts.asserted:
            return layers[0].roles(facts)
        held = {role for role, domain in facts.asserted if not isinstance(domain, str)}
        return tuple(sorted(held.union(*(layer.roles(facts) for layer in layers))))

    def refuses(self, query: Query, identity: Identity, facts: Facts) -> Rejected | None:
        """Why nobody may go by this identity, however good its credential; None if one may.

        Only an asker that may vouch for subjects can mean a role by a subject's name. No
        credential can, whoever presents it.
        """
        if identity.method is _NONE:
            return None
        entities = self.entities
        if entities and entities.get((identity.type, identity.id), NO_PROPERTIES).get("disabled"):
            return rejected(identity, Reason.ACCOUNT_DISABLED)
        if (identity.authenticated or not query.vouched) and self.names_a_role(identity, facts):
            return rejected(identity, INVALID[identity.method])
        return None

    def names_a_role(self, identity: Identity, facts: Facts) -> bool:
        """Whether an authenticated id could be taken for a role, or for `anonymous`."""
        names = {identity.id}
        for layer in self.alias_layers:
            names |= layer.subject_names(facts)
        reserved, prefixes = self.reserved, self.credentialing.role_prefixes
        for name in names:
            if name in reserved or name.startswith(prefixes):
                return True
            for graph in self.role_patterns:
                if graph.matches_role(name):
                    return True
        return False


def build_snapshot(
    files: Files, settings: PolicySettings, credentialing: Credentialing, settings_file: str
) -> tuple[Snapshot | None, list[Problem]]:
    """The snapshot of a policy directory's files; None if any problem is an error."""
    problems = check_settings(settings, settings_file)
    layers: list[Layer] = []
    hides = bool(settings.concealment.resources)
    for layer_settings in settings.layers:
        layer, found = _read_layer(files, layer_settings, settings_file, even=hides)
        problems += found
        layers += [layer] if layer else []
    entities, found = read_entities(files[ENTITIES]) if ENTITIES in files else ({}, [])
    problems += found
    if any(problem.severity is Severity.ERROR for problem in problems):
        held, layers, layer = layers, [], None
        take_apart(held)  # nothing else holds them now
        return None, problems
    guards = [layer for layer in layers if layer.kind == "guard"]
    # Those that ask for no resource come first: one that has to wait must not hide their refusal.
    guards.sort(key=lambda guard: Source.RESOURCE in guard.depends)
    reserved = _reserved(layers, credentialing)
    role_layers = tuple(layer for layer in layers if layer.subject_roles)
    snapshot = Snapshot(
        revision=revision(files),
        early_guards=tuple(g for g in guards if Source.SUBJECT not in g.depends),
        late_guards=tuple(
            g for g in guards if Source.SUBJECT in g.depends and g.reason is not _STEP_UP
        ),
        step_ups=tuple(g for g in guards if g.reason is _STEP_UP),
        grants=tuple(layer for layer in layers if layer.kind == "grant"),
        role_layers=role_layers,
        alias_layers=tuple(layer for layer in role_layers if layer.aliases),
        role_patterns=tuple(graph for layer in role_layers for graph in layer.role_patterns),
        entities=entities,
        concealment=settings.concealment,
        revealing=Action(settings.concealment.reveal_action),
        hidden=tuple(compile_key_match2(p) for p in settings.concealment.resources),
        credentialing=credentialing,
        reserved=reserved,
        world=World(tuple(layers), entities, reserved, credentialing.role_prefixes),
        reads=reads_of(layers),
    )
    return snapshot, problems


def revision(files: Files) -> str:
    """A name for exactly these files: `sha256:` and a hash over names, lengths and bytes."""
    digest = hashlib.sha256()
    for name in sorted(files):
        data = memoryview(files[name])
        digest.update(f"{len(name)}:{name}{len(data)}:".encode())
        for start in range(0, len(data), _PIECE):
            step()
            digest.update(data[start : start + _PIECE])
    return f"sha256:{digest.hexdigest()}"


def check_deeply(files: Files, layers: Iterable[LayerSettings]) -> list[Problem]:
    """What rules that a snapshot could be built of say twice, in vain or against one another."""
    texts = (_read_text(files, layer)[0] for layer in layers)
    return list(dict.fromkeys(problem for text in texts if text for problem in deep_checks(text)))


def _read_layer(
    files: Files, settings: LayerSettings, settings_file: str, *, even: bool
) -> tuple[Layer | None, list[Problem]]:
    text, problems = _read_text(files, settings)
    if text is None:
        return None, problems
    built = build_layer(replace(text, even=even), settings_file)
    held = [text]
    del text
    take_apart(held)  # or a million rows would go in one go, and nothing else could run meanwhile
    return built


def _read_text(files: Files, settings: LayerSettings) -> tuple[LayerText | None, list[Problem]]:
    """One layer's two files. Those that are missing were reported by who read them."""
    if settings.model not in files or settings.policy not in files:
        return None, []
    model, problems = decode_text(files[settings.model], settings.model)
    policy, found = read_policy(files[settings.policy], settings.policy)
    if problems or found:
        return None, problems + found
    return read_shape(settings, read_model(model, settings.model), policy), []


def _reserved(layers: Iterable[Layer], credentialing: Credentialing) -> frozenset[str]:
    names = {ANONYMOUS_ID, *credentialing.asserted}
    if credentialing.authenticated_role:
        names.add(credentialing.authenticated_role)
    return frozenset(names).union(*(layer.role_names for layer in layers))
