"""The seven steps, on policies of a few rows, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from pdp.identity.attempts import Refuses
from pdp.model import (
    ANONYMOUS,
    Action,
    Credentials,
    Entity,
    Identity,
    Method,
    Outcome,
    Query,
    Reason,
    Rejected,
    Verdict,
    nobody,
)
from pdp.pipeline import decide, judge
from pdp.policy.facts import Instant
from pdp.policy.settings import ConcealmentSettings, LayerSettings, PolicySettings
from pdp.policy.snapshot import Credentialing, Snapshot, build_snapshot, revision

NOW = 1_768_478_400.0
CONFIGURED = Credentialing(configured=True)


def model(request: str, policy: str, effect: str, matcher: str, roles: str = "") -> str:
    heading = f"[role_definition]\n{roles}\n" if roles else ""
    return (
        f"[request_definition]\nr = {request}\n[policy_definition]\np = {policy}\n{heading}"
        f"[policy_effect]\ne = {effect}\n[matchers]\nm = {matcher}\n"
    )


DENY_OVERRIDE = "!some(where (p.eft == deny))"
ALLOW_OVERRIDE = "some(where (p.eft == allow))"
BOTH = f"{ALLOW_OVERRIDE} && {DENY_OVERRIDE}"
IP_GUARD = model("ip", "net, eft", DENY_OVERRIDE, "ipMatch(r.ip, p.net)")
PAGE_GUARD = model(
    "obj, ip", "obj, net, eft", DENY_OVERRIDE, "keyMatch2(r.obj, p.obj) && ipMatch(r.ip, p.net)"
)
AGE_GUARD = model("sub, obj", "obj, eft", DENY_OVERRIDE, "r.obj == p.obj && r.sub.age < 18")
RBAC = model(
    "sub, obj, act",
    "sub, obj, act",
    ALLOW_OVERRIDE,
    "g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act",
    "g = _, _",
)
ACL = model("sub, obj, act", "sub, obj, eft", BOTH, "r.sub == p.sub && keyMatch2(r.obj, p.obj)")
RBAC_ROWS = """\
p, anonymous, /docs/*, GET
p, member, /invoices/:id, GET
p, admin, /admin, GET
p, admin, /admin/*, GET
p, member, /bar, GET
g, alice, member
g, carol, admin
g, admin, member
"""
ACL_ROWS = (
    "p, mallory, /invoices/*, deny\np, anonymous, /secret, deny\np, erin, /invoices/*, allow\n"
)


@dataclass(frozen=True)
class Layer:
    name: str
    kind: str
    model: str
    rows: str
    request: Mapping[str, str] = field(default_factory=dict)
    reason: str = "guard_denied"


NETWORK = Layer("network", "guard", IP_GUARD, "p, 198.51.100.0/24, deny\n")
OFFICE = Layer(
    "office",
    "guard",
    PAGE_GUARD,
    "p, /reports, 203.0.113.0/24, deny\np, /admin, 192.0.2.66, deny\n",
)
AGES = Layer("ages", "guard", AGE_GUARD, "p, /bar, deny\np, /admin/bar, deny\n")
GRANT = Layer("rbac", "grant", RBAC, RBAC_ROWS)
NAMES = Layer("acl", "grant", ACL, ACL_ROWS)
ALL = (AGES, OFFICE, NETWORK, GRANT, NAMES)


def snapshot_of(
    layers: tuple[Layer, ...] = ALL,
    credentialing: Credentialing = CONFIGURED,
    entities: bytes = b"[]",
    **concealment: Any,
) -> Snapshot:
    files = {"entities.json": entities}
    for layer in layers:
        files[f"{layer.name}.conf"] = layer.model.encode()
        files[f"{layer.name}.csv"] = layer.rows.encode()
    settings = PolicySettings(
        layers=tuple(
            LayerSettings(
                name=layer.name,
                kind=layer.kind,  # type: ignore[arg-type]
                model=f"{layer.name}.conf",
                policy=f"{layer.name}.csv",
                request=dict(layer.request),
                reason=layer.reason,  # type: ignore[arg-type]
            )
            for layer in layers
        ),
        concealment=ConcealmentSettings(**({"resources": ("/admin", "/admin/*")} | concealment)),
    )
    snapshot, problems = build_snapshot(files, settings, credentialing, "pdp.toml")
    assert snapshot is not None, problems
    return snapshot


SNAPSHOT = snapshot_of()


def query(resource: str, action: str = "GET", ip: str | None = "192.0.2.1", **more: Any) -> Query:
    context = {"ip": ip} if ip else {}
    return Query(Action(action), Entity("resource", resource), context, **more)


def known(sub: str, **more: Any) -> Identity:
    return Identity(sub, method=Method.BEARER, **more)


BAD = Rejected(Reason.TOKEN_EXPIRED)
BLOCKED, OUTSIDE, HELD = "198.51.100.7", "203.0.113.9", "192.0.2.66"
ALICE, CAROL, MALLORY, ERIN = (
    known(name, claims={"age": 30}) for name in ("alice", "carol", "mallory", "erin")
)
KID = known("alice", claims={"age": 17})


@pytest.mark.parametrize(
    ("asked", "who", "status", "reason", "where"),
    [
        # step 2: refused before anybody is authenticated, whoever asks for whatever
        (query("/docs/a", ip=BLOCKED), ANONYMOUS, 403, "guard_denied", "network network.csv:1"),
        (query("/invoices/7", ip=BLOCKED), ALICE, 403, "guard_denied", "network network.csv:1"),
        (query("/invoices/7", ip=BLOCKED), BAD, 403, "guard_denied", "network network.csv:1"),
        (query("/admin", ip=BLOCKED), CAROL, 403, "guard_denied", "network network.csv:1"),
        (query("/admin", ip=BLOCKED), ALICE, 403, "guard_denied", "network network.csv:1"),
        (query("/ghost", ip=BLOCKED), ALICE, 403, "guard_denied", "network network.csv:1"),
        (query("/docs/a", ip=None), ANONYMOUS, 403, "guard_denied", "network network.csv:1"),
        # … and by resource, if the resource is not concealed
        (query("/reports", ip=OUTSIDE), ANONYMOUS, 403, "guard_denied", "office office.csv:1"),
        (query("/reports", ip=OUTSIDE), BAD, 403, "guard_denied", "office office.csv:1"),
        # one that would reveal waits: 401, 404, and 403 for those who may know
        (query("/admin", ip=HELD), ANONYMOUS, 401, "credentials_missing", "office office.csv:2"),
        (query("/admin", ip=HELD), BAD, 401, "token_expired", ""),
        (query("/admin", ip=HELD), ALICE, 404, "concealed", "office office.csv:2"),
        (query("/admin", ip=HELD), CAROL, 404, "concealed", "office office.csv:2"),
        # step 3: a bad credential is the same 401 for everything
        (query("/docs/a"), BAD, 401, "token_expired", ""),
        (query("/invoices/7"), BAD, 401, "token_expired", ""),
        (query("/admin"), BAD, 401, "token_expired", ""),
        (query("/ghost"), BAD, 401, "token_expired", ""),
        # step 5: guards that depend on the subject
        (query("/bar"), KID, 403, "guard_denied", "ages ages.csv:1"),
        (query("/bar"), known("alice"), 403, "guard_denied", "ages ages.csv:1"),
        (query("/bar"), ANONYMOUS, 401, "credentials_missing", "ages ages.csv:1"),
        (query("/admin/bar"), KID, 404, "concealed", "ages ages.csv:2"),
        # step 6: grants
        (query("/invoices/7"), ALICE, 200, "granted", "rbac rbac.csv:2"),
        (query("/invoices/7"), CAROL, 200, "granted", "rbac rbac.csv:2"),
        (query("/invoices/7"), ERIN, 200, "granted", "acl acl.csv:3"),
        (query("/invoices/7"), MALLORY, 403, "explicitly_denied", "acl acl.csv:1"),
        (
            query("/invoices/7"),
            known("mallory", roles=("member",)),
            403,
            "explicitly_denied",
            "acl acl.csv:1",
        ),
        (query("/docs/a"), ANONYMOUS, 200, "public", "rbac rbac.csv:1"),
        (query("/docs/a"), ALICE, 200, "public", "rbac rbac.csv:1"),
        (query("/docs/a"), MALLORY, 200, "public", "rbac rbac.csv:1"),
        # step 7: refusals
        (query("/invoices/7"), ANONYMOUS, 401, "credentials_missing", ""),
        (query("/admin"), ANONYMOUS, 401, "credentials_missing", ""),
        (query("/ghost"), ANONYMOUS, 401, "credentials_missing", ""),
        (query("/secret"), ANONYMOUS, 401, "credentials_missing", "acl acl.csv:2"),
        (query("/secret"), ALICE, 403, "not_granted", ""),
        (query("/invoices/7", "DELETE"), ALICE, 403, "not_granted", ""),
        (query("/docs/a", "DELETE"), ALICE, 403, "not_granted", ""),
        (query("/admin"), ALICE, 404, "concealed", ""),
        (query("/admin/ghost"), ALICE, 404, "concealed", ""),
        (query("/admin"), CAROL, 200, "granted", "rbac rbac.csv:3"),
        (query("/admin", "DELETE"), CAROL, 403, "not_granted", ""),
        (query("/admin", "DELETE"), ALICE, 404, "concealed", ""),
        (query("/admin", "DELETE", HELD), CAROL, 404, "concealed", "office office.csv:2"),
        (query("/ghost"), ALICE, 404, "resource_unknown", ""),
        (query("/ghost"), CAROL, 404, "resource_unknown", ""),
    ],
)
def test_a_question_gets_its_verdict(
    asked: Query, who: Identity | Rejected, status: int, reason: str, where: str
) -> None:
    verdict = decide(asked, who, SNAPSHOT, NOW)
    assert (verdict.status, verdict.reason.value) == (status, reason)
    found = f"{verdict.layer} {verdict.rule}" if verdict.rule else verdict.layer or ""
    assert found == where


def test_guards_are_sorted_by_what_they_depend_on() -> None:
    assert [layer.name for layer in SNAPSHOT.early_guards] == ["network", "office"]
    assert [layer.name for layer in SNAPSHOT.late_guards] == ["ages"]
    assert [layer.name for layer in SNAPSHOT.layers] == ["network", "office", "ages", "rbac", "acl"]
    renamed = Layer("net", "guard", IP_GUARD, NETWORK.rows, {"ip": "{subject.properties.ip}"})
    assert snapshot_of((renamed, GRANT)).late_guards[0].name == "net"


@pytest.mark.parametrize("who", [ANONYMOUS, ALICE, CAROL, BAD])
@pytest.mark.parametrize("resource", ["/admin", "/invoices/7", "/ghost"])
def test_a_guard_that_waits_hides_no_guard_that_refuses_everything(
    who: Identity | Rejected, resource: str
) -> None:
    everywhere = Layer("office", "guard", PAGE_GUARD, "p, /admin, 0.0.0.0/0, deny\n")
    snapshot = snapshot_of((everywhere, NETWORK, GRANT))
    verdict = decide(query(resource, ip=BLOCKED), who, snapshot, NOW)
    assert (verdict.status, verdict.layer) == (403, "network")


class Recorder:
    """An authenticator that says `answer`, and counts how often it was asked."""

    def __init__(self, answer: Identity | Rejected) -> None:
        self.answer, self.asked = answer, 0

    async def __call__(self, _: Credentials, now: float, refuses: Refuses) -> Identity | Rejected:
        self.asked += 1
        assert now == NOW
        assert refuses(ALICE) is None
        return self.answer


@pytest.mark.parametrize(
    ("asked", "times"),
    [(query("/docs/a"), 1), (query("/docs/a", ip=BLOCKED), 0), (query("/admin", ip=HELD), 1)],
)
async def test_nobody_is_authenticated_behind_a_guard_that_refused(
    asked: Query, times: int
) -> None:
    chain = Recorder(ALICE)
    verdict = await judge(asked, Credentials(), chain, SNAPSHOT, NOW)
    assert chain.asked == times
    assert verdict == decide(asked, ALICE, SNAPSHOT, NOW)


@pytest.mark.parametrize("vouched", [True, False])
@pytest.mark.parametrize("name", ["anonymous", "member", "admin", "asserted", "known", "idp:x"])
def test_an_authenticated_id_that_could_be_a_role_is_refused_whoever_asks(
    name: str, vouched: bool
) -> None:
    credentialing = Credentialing(True, "known", frozenset({"asserted"}), ("idp:",))
    snapshot = snapshot_of(credentialing=credentialing)
    verdict = decide(query("/docs/a", vouched=vouched), known(name), snapshot, NOW)
    assert (verdict.status, verdict.reason) == (401, Reason.TOKEN_INVALID)
    assert verdict.identity is None


def test_what_the_subject_is_called_in_a_layer_is_no_role_either() -> None:
    layer = Layer("rbac", "grant", RBAC, RBAC_ROWS, {"sub": "{subject.properties.login}"})
    snapshot = snapshot_of((layer,))
    assert (
        decide(query("/invoices/7"), known("7", claims={"login": "alice"}), snapshot, NOW).status
        == 200
    )
    assert (
        decide(query("/invoices/7"), known("7", claims={"login": "member"}), snapshot, NOW).status
        == 401
    )
    assert (
        decide(query("/invoices/7"), known("7", claims={"login": ["member"]}), snapshot, NOW).status
        == 403
    )
    assert decide(query("/invoices/7"), known("7"), snapshot, NOW).status == 403


@pytest.mark.parametrize(
    ("template", "rows", "claims"),
    [
        ("{subject.properties.email}", "p, idp:boss, /x, GET\n", {"email": "idp:boss"}),
        ("{subject.id}@{context.domain}", "p, 7@d, /x, GET\ng, root@d, 7@d\n", {}),
        ("{subject.type}:{subject.id}", "p, user:7, /x, GET\ng, user:1, user:7\n", {}),
    ],
    ids=["an open prefix", "with a domain", "with the type"],
)
def test_the_name_that_a_layer_makes_is_no_role_either(
    template: str, rows: str, claims: dict[str, str]
) -> None:
    layer = Layer("rbac", "grant", RBAC, rows, {"sub": template})
    credentialing = Credentialing(True, None, frozenset(), ("idp:",))
    asked = query("/x")
    asked = Query(asked.action, asked.resource, {"domain": "d"})
    verdict = decide(asked, known("7", claims=claims), snapshot_of((layer,), credentialing), NOW)
    assert (verdict.status, verdict.reason) == (401, Reason.TOKEN_INVALID)


def test_roles_of_the_credential_are_not_those_of_whom_an_attribute_names() -> None:
    matcher = "g(r.sub.manager, p.sub) && r.obj == p.obj"
    by_manager = model("sub, obj", "sub, obj", ALLOW_OVERRIDE, matcher, "g = _, _")
    snapshot = snapshot_of((Layer("rbac", "grant", by_manager, "p, director, /x\n"),))
    asks = known("kim", roles=("director",), claims={"manager": "bob"})
    assert decide(query("/x"), asks, snapshot, NOW).status == 403
    manager = known("kim", claims={"manager": "director"})
    assert decide(query("/x"), manager, snapshot, NOW).status == 200


def test_a_role_of_one_domain_is_not_shown_in_another() -> None:
    rbac = model(
        "sub, dom, obj",
        "sub, dom, obj",
        ALLOW_OVERRIDE,
        "g(r.sub, p.sub, r.dom) && r.obj == p.obj",
        "g = _, _, _",
    )
    snapshot = snapshot_of((Layer("rbac", "grant", rbac, "p, admin, acme, /x\n"),))
    asks = known("kim", roles=("admin",), domain="acme")
    found = {}
    for domain in ("acme", "evil", ["acme"] * 50_000):
        asked = Query(Action("GET"), Entity("resource", "/x"), {"domain": domain})
        verdict = decide(asked, asks, snapshot, NOW)
        found[str(domain)[:4]] = (verdict.status, verdict.roles)
    assert found == {"acme": (200, ("admin",)), "evil": (403, ()), "['ac": (403, ())}


def test_a_product_of_two_texts_is_unknown_before_it_is_made() -> None:
    product = model("obj, a, b", "obj", ALLOW_OVERRIDE, "r.obj == p.obj && r.a * r.b > 10")
    request = {"a": "{context.a}", "b": "{context.b}"}
    snapshot = snapshot_of((Layer("rbac", "grant", product, "p, /x\n", request),))
    asked = Query(Action("GET"), Entity("resource", "/x"), {"a": "y" * 10**6, "b": "z" * 10**6})
    assert decide(asked, known("kim"), snapshot, NOW).status == 403


def test_a_vouched_subject_may_be_a_role() -> None:
    vouched = Identity("member", method=Method.VOUCHED)
    asked = msgspec.structs.replace(query("/invoices/7"), vouched=True)
    assert decide(asked, vouched, SNAPSHOT, NOW).status == 200


def test_who_may_not_vouch_means_no_role_by_a_subject() -> None:
    named = Identity("member", method=Method.VOUCHED)
    verdict = decide(query("/invoices/7"), named, SNAPSHOT, NOW)
    assert (verdict.status, verdict.reason) == (401, Reason.TOKEN_INVALID)


@pytest.mark.parametrize(
    ("named", "status"),
    [
        (Entity("user", "alice"), 200),
        (Entity("user", "bob"), 403),
        (Entity("device", "alice"), 403),
    ],
)
def test_whom_the_asker_names_must_be_the_credentials_subject(named: Entity, status: int) -> None:
    verdict = decide(query("/invoices/7", subject=named), ALICE, SNAPSHOT, NOW)
    assert verdict.status == status
    assert (verdict.reason is Reason.SUBJECT_MISMATCH) == (status == 403)
    assert verdict.identity is ALICE


def test_a_mismatch_is_found_before_guards_of_the_subject_and_after_the_others() -> None:
    bob = Entity("user", "bob")
    assert decide(query("/bar", subject=bob), KID, SNAPSHOT, NOW).reason is Reason.SUBJECT_MISMATCH
    early = decide(query("/bar", subject=bob, ip=BLOCKED), KID, SNAPSHOT, NOW)
    assert early.reason is Reason.GUARD_DENIED
    assert decide(query("/bar", subject=bob), BAD, SNAPSHOT, NOW).reason is Reason.TOKEN_EXPIRED


def test_an_explicit_deny_wins_over_the_grants_of_other_layers_in_any_order() -> None:
    for layers in ((GRANT, NAMES), (NAMES, GRANT)):
        verdict = decide(
            query("/invoices/7"), known("mallory", roles=("member",)), snapshot_of(layers), NOW
        )
        assert verdict.reason is Reason.EXPLICITLY_DENIED


def test_what_is_public_does_not_open_what_is_denied_explicitly() -> None:
    rows = f"{RBAC_ROWS}p, anonymous, /invoices/:id, GET\n"
    snapshot = snapshot_of((Layer("rbac", "grant", RBAC, rows), NAMES))
    assert decide(query("/invoices/7"), MALLORY, snapshot, NOW).status == 403
    assert decide(query("/invoices/7"), known("bob"), snapshot, NOW).reason is Reason.PUBLIC
    assert decide(query("/invoices/7"), ANONYMOUS, snapshot, NOW).reason is Reason.PUBLIC
    assert decide(query("/invoices/7"), ALICE, snapshot, NOW).reason is Reason.GRANTED


def test_a_deny_of_anonymous_is_nobody_elses() -> None:
    rows = f"{ACL_ROWS}p, erin, /secret, allow\n"
    snapshot = snapshot_of((GRANT, Layer("acl", "grant", ACL, rows)))
    assert decide(query("/secret"), ERIN, snapshot, NOW).status == 200
    assert decide(query("/secret"), ALICE, snapshot, NOW).reason is Reason.NOT_GRANTED


def test_without_authentication_nobody_is_asked_to_log_in() -> None:
    snapshot = snapshot_of(credentialing=Credentialing())
    expected = {"/invoices/7": 403, "/admin": 404, "/ghost": 404, "/docs/a": 200}
    for resource, status in expected.items():
        assert decide(query(resource), ANONYMOUS, snapshot, NOW).status == status
    vouched = Identity("alice", method=Method.VOUCHED)
    assert decide(query("/invoices/7"), vouched, snapshot, NOW).status == 200


def test_the_reveal_must_pass_the_guards_too() -> None:
    assert decide(query("/admin", "DELETE"), CAROL, SNAPSHOT, NOW).status == 403
    barred = Layer("ages", "guard", AGE_GUARD, "p, /admin, deny\n")
    snapshot = snapshot_of((barred, GRANT))
    adult, kid = known("carol", claims={"age": 18}), known("carol", claims={"age": 17})
    assert decide(query("/admin", "DELETE"), adult, snapshot, NOW).status == 403
    assert decide(query("/admin", "DELETE"), kid, snapshot, NOW).status == 404


def test_any_action_can_be_the_one_that_reveals() -> None:
    rows = f"{RBAC_ROWS}p, member, /admin, OPTIONS\n"
    layers = (Layer("rbac", "grant", RBAC, rows),)
    assert decide(query("/admin"), ALICE, snapshot_of(layers), NOW).status == 404
    revealing = snapshot_of(layers, reveal_action="OPTIONS")
    assert decide(query("/admin"), ALICE, revealing, NOW).status == 403


def test_an_unknown_resource_may_be_a_403_where_nothing_is_concealed() -> None:
    snapshot = snapshot_of(resources=(), unknown_resource=403)
    verdict = decide(query("/ghost"), ALICE, snapshot, NOW)
    assert (verdict.outcome, verdict.reason) == (Outcome.FORBIDDEN, Reason.RESOURCE_UNKNOWN)


def test_the_authenticated_role_is_for_credentials_and_vouched_subjects() -> None:
    rows = f"{RBAC_ROWS}p, known, /home, GET\n"
    snapshot = snapshot_of((Layer("rbac", "grant", RBAC, rows),), Credentialing(True, "known"))
    verdict = decide(query("/home"), known("bob"), snapshot, NOW)
    assert (verdict.status, verdict.roles) == (200, ("known",))
    assert decide(query("/home"), ANONYMOUS, snapshot, NOW).status == 401


def test_a_verdict_says_what_it_rests_on() -> None:
    who = known("bob", roles=("admin",), issuer="https://idp.test/")
    verdict = decide(query("/invoices/7"), who, SNAPSHOT, NOW)
    assert verdict.identity is who
    assert verdict.roles == ("admin", "member")
    assert (verdict.layer, str(verdict.rule)) == ("rbac", "rbac.csv:2")
    assert verdict.revision == SNAPSHOT.revision
    assert verdict.revision.startswith("sha256:")
    refused = decide(query("/invoices/7"), BAD, SNAPSHOT, NOW)
    assert refused == Verdict(
        Outcome.UNAUTHENTICATED, Reason.TOKEN_EXPIRED, revision=SNAPSHOT.revision
    )


def test_a_revision_names_exactly_these_files() -> None:
    base = {"a": b"xy", "b": b""}
    others = [{"a": b"x", "b": b"y"}, {"ab": b"xy"}, {"a": b"xy"}, {"a": b"xy", "c": b""}]
    assert revision(dict(reversed(base.items()))) == revision(base)
    assert len({revision(files) for files in [base, *others]}) == 5


OWNERS = Layer(
    "owners",
    "grant",
    model(
        "sub, obj, act",
        "obj",
        ALLOW_OVERRIDE,
        "r.sub.team == r.obj.team && keyMatch2(r.obj, p.obj)",
    ),
    "p, /things/:id\n",
)
STORED = b"""[
  {"type": "user", "id": "alice", "properties": {"team": "red"}},
  {"type": "resource", "id": "/things/1", "properties": {"team": "blue"}}
]"""


@pytest.mark.parametrize(
    ("claims", "sent", "vouched", "status"),
    [
        ({}, {}, False, 403),
        ({"team": "blue"}, {}, False, 200),  # claims before entities.json
        ({}, {"team": "red"}, False, 403),  # entities.json before the request
        ({}, {"team": "red"}, True, 200),  # but not where the asker vouches
    ],
)
def test_properties_come_from_the_most_trusted_source(
    claims: dict[str, str], sent: dict[str, str], vouched: bool, status: int
) -> None:
    snapshot = snapshot_of((OWNERS,), entities=STORED)
    asked = Query(Action("GET"), Entity("resource", "/things/1", sent), vouched=vouched)
    assert decide(asked, known("alice", claims=claims), snapshot, NOW).status == status


@pytest.mark.parametrize("vouched", [True, False])
def test_only_who_vouches_may_give_properties_of_the_subject(vouched: bool) -> None:
    snapshot = snapshot_of((OWNERS,), entities=STORED)
    subject = Entity("user", "bob", {"team": "blue"})
    asked = Query(Action("GET"), Entity("resource", "/things/1"), {}, subject, vouched)
    assert (decide(asked, known("bob"), snapshot, NOW).status == 200) is vouched
    # and what is said of the subject is not said of `anonymous`
    assert decide(asked, ANONYMOUS, snapshot, NOW).status == 401


CLOCK = Layer(
    "clock",
    "grant",
    model("sub, obj", "obj", ALLOW_OVERRIDE, "r.context.time.hour == 12 && r.obj == p.obj"),
    "p, /noon\n",
)


@pytest.mark.parametrize(
    ("given", "vouched", "status"),
    [
        (None, False, 200),
        (Instant.at(NOW + 3600), False, 200),
        (Instant.at(NOW + 3600), True, 403),
        ("2026-01-15T13:00:00Z", True, 200),
    ],
)
def test_what_time_it_is_says_the_clock_or_who_vouches(
    given: Any, vouched: bool, status: int
) -> None:
    context = {} if given is None else {"time": given}
    asked = Query(Action("GET"), Entity("resource", "/noon"), context, vouched=vouched)
    assert decide(asked, known("alice"), snapshot_of((CLOCK,)), NOW).status == status


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (Rejected(Reason.CLIENT_BLOCKED, 600), 403),
        (Rejected(Reason.THROTTLED, 7), 429),
        (Rejected(Reason.REQUEST_INVALID, detail="two subjects"), 400),
        (Rejected(Reason.API_KEY_INVALID), 401),
        (Rejected(Reason.PASSWORD_INVALID), 401),
    ],
)
@pytest.mark.parametrize("resource", ["/docs/a", "/invoices/7", "/admin", "/ghost"])
def test_a_refused_credential_is_the_same_for_every_resource(
    refusal: Rejected, status: int, resource: str
) -> None:
    verdict = decide(query(resource), refusal, SNAPSHOT, NOW)
    assert (verdict.status, verdict.reason) == (status, refusal.reason)
    assert (verdict.retry_after, verdict.detail) == (refusal.retry_after, refusal.detail)
    assert (verdict.identity, verdict.layer, verdict.demands) == (None, None, ())


CLOSED = b"""[
  {"type": "user", "id": "alice", "properties": {"disabled": true}},
  {"type": "device", "id": "bob", "properties": {"disabled": true}},
  {"type": "user", "id": "bob", "properties": {"disabled": false}}
]"""
NO_GOOD = {
    Method.BEARER: (Reason.TOKEN_INVALID, Reason.ACCOUNT_DISABLED),
    Method.API_KEY: (Reason.API_KEY_INVALID, Reason.API_KEY_INVALID),
    Method.BASIC: (Reason.PASSWORD_INVALID, Reason.PASSWORD_INVALID),
}


@pytest.mark.parametrize("method", NO_GOOD)
@pytest.mark.parametrize("resource", ["/docs/a", "/invoices/7", "/admin", "/ghost"])
def test_a_right_guess_at_what_is_no_good_looks_like_a_wrong_one(
    method: Method, resource: str
) -> None:
    snapshot = snapshot_of(entities=CLOSED)
    for name, reason in zip(("member", "alice"), NO_GOOD[method], strict=True):
        verdict = decide(query(resource), Identity(name, method=method), snapshot, NOW)
        assert (verdict.status, verdict.reason, verdict.identity) == (401, reason, None)


def test_an_account_is_closed_by_its_whole_name() -> None:
    snapshot = snapshot_of(entities=CLOSED)
    assert decide(query("/docs/a"), known("bob"), snapshot, NOW).status == 200
    device = Identity("bob", "device", Method.BEARER)
    assert decide(query("/docs/a"), device, snapshot, NOW).reason is Reason.ACCOUNT_DISABLED


def test_nobody_vouches_for_a_closed_account() -> None:
    vouched = Identity("alice", method=Method.VOUCHED)
    verdict = decide(query("/invoices/7"), vouched, snapshot_of(entities=CLOSED), NOW)
    assert (verdict.status, verdict.reason) == (401, Reason.ACCOUNT_DISABLED)


COOKIES = [
    Identity("alice", method=Method.SESSION),  # whose account is closed
    Identity("member", method=Method.SESSION),  # a role's name
    Identity("anonymous", method=Method.SESSION),
    nobody(Rejected(Reason.SESSION_INVALID)),
]


@pytest.mark.parametrize("who", COOKIES)
@pytest.mark.parametrize(
    ("asked", "status", "reason", "layer"),
    [
        (query("/docs/a"), 200, Reason.PUBLIC, "rbac"),
        (query("/invoices/7"), 401, Reason.SESSION_INVALID, None),
        (query("/admin"), 401, Reason.SESSION_INVALID, None),
        (query("/ghost"), 401, Reason.SESSION_INVALID, None),
        (query("/bar"), 401, Reason.SESSION_INVALID, "ages"),
        (query("/admin", ip=HELD), 401, Reason.SESSION_INVALID, "office"),
        (query("/docs/a", ip=BLOCKED), 403, Reason.GUARD_DENIED, "network"),
        (query("/docs/a", subject=Entity("user", "bob")), 200, Reason.PUBLIC, "rbac"),
    ],
)
def test_a_cookie_that_is_no_good_counts_as_none(
    who: Identity, asked: Query, status: int, reason: Reason, layer: str | None
) -> None:
    verdict = decide(asked, who, snapshot_of(entities=CLOSED), NOW)
    assert (verdict.status, verdict.reason, verdict.layer) == (status, reason, layer)
    assert verdict.identity is None or verdict.identity.id == "anonymous"


STRONG = Layer(
    "strong",
    "guard",
    model(
        "sub, obj",
        "obj, acr, max_age, eft",
        DENY_OVERRIDE,
        "r.obj == p.obj && !(r.sub.acr == p.acr)",
    ),
    "".join(f"p, {at}, mfa, 300, deny\n" for at in ("/invoices/7", "/admin", "/docs/a", "/bar")),
    reason="step_up_required",
)
SCOPES = Layer(
    "scopes",
    "guard",
    model(
        "sub, obj", "obj, scope, eft", DENY_OVERRIDE, "r.obj == p.obj && !(p.scope in r.sub.scope)"
    ),
    "p, /invoices/7, invoices, deny\np, /admin, admin, deny\np, /ghost, ghosts, deny\n",
    reason="insufficient_scope",
)
DEMANDED = (("acr_values", "mfa"), ("max_age", "300"))
SCOPED = {"age": 30, "scope": ["invoices", "admin"]}


@pytest.mark.parametrize(
    ("resource", "who", "status", "reason"),
    [
        ("/invoices/7", known("alice", claims=SCOPED), 401, "step_up_required"),
        ("/invoices/7", known("alice", claims={**SCOPED, "acr": "mfa"}), 200, "granted"),
        ("/invoices/7", known("alice", claims={"acr": "mfa"}), 403, "insufficient_scope"),
        ("/invoices/7", ALICE, 403, "insufficient_scope"),
        ("/invoices/7", known("bob", claims=SCOPED), 403, "not_granted"),
        ("/invoices/7", known("mallory", claims=SCOPED), 403, "explicitly_denied"),
        ("/invoices/7", ANONYMOUS, 401, "credentials_missing"),
        ("/bar", known("alice", claims={"age": 17}), 403, "guard_denied"),
        ("/bar", ALICE, 401, "step_up_required"),
        ("/docs/a", known("bob"), 401, "step_up_required"),
        ("/docs/a", known("bob", claims={"acr": "mfa"}), 200, "public"),
        ("/docs/a", ANONYMOUS, 401, "credentials_missing"),
        ("/admin", known("carol", claims=SCOPED), 401, "step_up_required"),
        ("/admin", CAROL, 404, "concealed"),
        ("/admin", known("alice", claims=SCOPED), 404, "concealed"),
        ("/ghost", ALICE, 404, "resource_unknown"),
    ],
)
def test_a_stronger_login_is_asked_for_last_and_a_scope_before(
    resource: str, who: Identity, status: int, reason: str
) -> None:
    verdict = decide(query(resource), who, snapshot_of((STRONG, SCOPES, *ALL)), NOW)
    assert (verdict.status, verdict.reason.value) == (status, reason)
    if reason == "step_up_required":
        assert (verdict.layer, verdict.demands) == ("strong", DEMANDED)
    elif reason == "insufficient_scope":
        assert (verdict.layer, verdict.demands) == ("scopes", (("scope", "invoices"),))
    else:
        assert verdict.demands == ()  # they would tell one resource from another


@pytest.mark.parametrize("method", [Method.API_KEY, Method.BASIC, Method.SESSION])
def test_whom_the_asker_names_must_be_the_subject_of_any_credential(method: Method) -> None:
    alice, named = Identity("alice", method=method), Entity("user", "bob")
    verdict = decide(query("/invoices/7", subject=named), alice, SNAPSHOT, NOW)
    assert (verdict.status, verdict.reason) == (403, Reason.SUBJECT_MISMATCH)
