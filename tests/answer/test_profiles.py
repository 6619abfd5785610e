import re
from functools import partial
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pdp.answer.bodies import OURS, MediaType
from pdp.answer.challenges import Challenges, schemes
from pdp.answer.identity_fields import IdentityFields, field_text
from pdp.answer.profiles import LOGIN_STATUS, STATUS_OF, Presentation, Profile, render
from pdp.model import (
    ANONYMOUS,
    ANONYMOUS_ID,
    STATUS,
    Answer,
    Identity,
    Method,
    Outcome,
    Reason,
    Rule,
    Verdict,
)

PLAIN, NGINX, ENVOY = Profile
PRESENTATION = Presentation(Challenges("api", schemes(bearer=True)), IdentityFields())
ACCEPTS = (None, "application/json", "application/problem+json", "text/html")
REFUSALS = [outcome for outcome in Outcome if outcome is not Outcome.ALLOW]
REASON = {
    Outcome.UNAUTHENTICATED: Reason.TOKEN_EXPIRED,
    Outcome.FORBIDDEN: Reason.NOT_GRANTED,
    Outcome.NOT_FOUND: Reason.CONCEALED,
    Outcome.THROTTLED: Reason.THROTTLED,
    Outcome.BAD_REQUEST: Reason.REQUEST_INVALID,
    Outcome.FAULT: Reason.INTERNAL_ERROR,
}
ALICE = Identity("alice", method=Method.BEARER)

answer = partial(render, profile=PLAIN, accept=None, presentation=PRESENTATION)


def refused(outcome: Outcome) -> Verdict:
    return Verdict(outcome, REASON[outcome], identity=ALICE, roles=("member",))


def allowed(identity: Identity | None, *roles: str) -> Verdict:
    return Verdict(Outcome.ALLOW, Reason.GRANTED, identity=identity, roles=roles)


def names(answered: Answer) -> list[str]:
    return [name for name, _ in answered.headers]


@pytest.mark.parametrize("profile", [PLAIN, ENVOY])
def test_plain_and_envoy_are_the_verdict_as_it_is(profile: Profile) -> None:
    assert {o: STATUS_OF[o, profile] for o in Outcome} == dict(STATUS)


@pytest.mark.parametrize(
    ("outcome", "status", "real"),
    [
        (Outcome.UNAUTHENTICATED, 401, None),
        (Outcome.FORBIDDEN, 403, "403"),
        (Outcome.NOT_FOUND, 403, "404"),
        (Outcome.THROTTLED, 403, "429"),
        (Outcome.BAD_REQUEST, 403, "400"),
        (Outcome.FAULT, 503, None),
    ],
)
def test_nginx_understands_the_status_and_finds_the_real_one_beside_a_403(
    outcome: Outcome, status: int, real: str | None
) -> None:
    got = answer(refused(outcome), profile=NGINX)
    assert got.status == status
    assert dict(got.headers).get("X-Authz-Status") == real


@pytest.mark.parametrize("outcome", REFUSALS)
@pytest.mark.parametrize("accept", ACCEPTS)
def test_nginx_gets_no_body(outcome: Outcome, accept: str | None) -> None:
    got = answer(refused(outcome), profile=NGINX, accept=accept)
    assert got.body == b""
    assert "Content-Type" not in names(got)


@pytest.mark.parametrize("profile", Profile)
def test_allow_is_exactly_200_with_an_empty_body_and_the_identity(profile: Profile) -> None:
    got = answer(allowed(ALICE, "member", "editor"), profile=profile, accept="text/html")
    fields = (("X-Auth-Subject", "alice"), ("X-Auth-Roles", "member,editor"))
    assert got == Answer(200, fields + got.headers[2:], b"")
    assert len(got.headers) == (3 if profile is ENVOY else 2)


def test_envoy_is_told_to_drop_other_spellings_of_the_identity() -> None:
    name, value = answer(allowed(None), profile=ENVOY).headers[-1]
    assert name == "X-Envoy-Auth-Headers-To-Remove"
    assert value == (
        "x-auth_subject,x_auth-subject,x_auth_subject,x-auth_roles,x_auth-roles,x_auth_roles"
    )


@pytest.mark.parametrize("accept", ACCEPTS)
def test_a_browser_that_may_log_in_is_sent_there(accept: str | None) -> None:
    got = answer(refused(Outcome.UNAUTHENTICATED), accept=accept, login="/login?x=%2F")
    refusal = (("Cache-Control", "no-store"), ("Vary", "Accept"))
    assert got == Answer(302, (*refusal, ("Location", "/login?x=%2F")), b"")


def test_nginx_finds_the_302_beside_a_403() -> None:
    got = answer(refused(Outcome.UNAUTHENTICATED), profile=NGINX, login="/login")
    fields = dict(got.headers)
    assert (got.status, fields["X-Authz-Status"], fields["Location"]) == (403, "302", "/login")
    assert "WWW-Authenticate" not in fields
    assert LOGIN_STATUS == {PLAIN: 302, NGINX: 403, ENVOY: 302}


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.UNAUTHENTICATED])
def test_nothing_but_a_401_leads_to_the_login(outcome: Outcome, profile: Profile) -> None:
    verdict = allowed(ALICE) if outcome is Outcome.ALLOW else refused(outcome)
    assert answer(verdict, profile=profile, login="/login") == answer(verdict, profile=profile)


@pytest.mark.parametrize(
    "identity",
    [
        pytest.param(None, id="nobody"),
        pytest.param(ANONYMOUS, id="anonymous"),
        pytest.param(Identity(ANONYMOUS_ID, method=Method.VOUCHED), id="vouched anonymous"),
        pytest.param(Identity("alice"), id="nothing stands behind it"),
    ],
)
def test_an_anonymous_allow_empties_every_identity_header(identity: Identity | None) -> None:
    got = answer(allowed(identity, "anonymous"))
    assert got.headers == (("X-Auth-Subject", ""), ("X-Auth-Roles", ""))


def test_a_vouched_subject_is_an_identity() -> None:
    got = answer(allowed(Identity("alice", method=Method.VOUCHED)))
    assert got.headers == (("X-Auth-Subject", "alice"), ("X-Auth-Roles", ""))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("auth0|7@example.com", "auth0|7@example.com", id="visible ascii stays"),
        pytest.param("a,b", "a%2Cb", id="comma"),
        pytest.param("100%", "100%25", id="percent"),
        pytest.param("%2C", "%252C", id="percent that looks encoded"),
        pytest.param("a\r\nX-Auth-Roles: admin", "a%0D%0AX-Auth-Roles: admin", id="line break"),
        pytest.param("a\0\x7f\t", "a%00%7F%09", id="controls"),
        pytest.param("é", "%C3%A9", id="non-ascii"),
        pytest.param("\ud800", "%ED%A0%80", id="lone surrogate"),
        pytest.param("John Doe", "John Doe", id="inner space stays"),
        pytest.param(" admin", "%20admin", id="leading space"),
        pytest.param("admin ", "admin%20", id="trailing space"),
    ],
)
def test_what_would_break_a_header_is_percent_encoded(text: str, field: str) -> None:
    assert field_text(text) == field
    got = answer(allowed(Identity(text, method=Method.BEARER), "x", text, "y"))
    assert got.headers == (("X-Auth-Subject", field), ("X-Auth-Roles", f"x,{field},y"))


@given(st.text())
def test_encoded_fields_are_safe_and_decode_to_the_same_text(text: str) -> None:
    field = field_text(text)
    assert re.fullmatch(r"[ -~]*", field)
    assert "," not in field
    assert field == field.strip()
    assert unquote(field, errors="surrogatepass") == text


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("outcome", REFUSALS)
@pytest.mark.parametrize("accept", ACCEPTS)
def test_no_refusal_is_stored_or_names_the_subject(
    outcome: Outcome, profile: Profile, accept: str | None
) -> None:
    got = answer(refused(outcome), profile=profile, accept=accept)
    fields = dict(got.headers)
    assert fields["Cache-Control"] == "no-store"
    assert fields["Vary"] == "Accept"
    assert len(fields) == len(got.headers)
    assert not {"X-Auth-Subject", "X-Auth-Roles", "Server", "Content-Length"} & fields.keys()


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("outcome", REFUSALS)
def test_only_a_401_has_a_challenge(outcome: Outcome, profile: Profile) -> None:
    got = answer(refused(outcome), profile=profile)
    assert ("WWW-Authenticate" in names(got)) is (outcome is Outcome.UNAUTHENTICATED)


@pytest.mark.parametrize(
    ("accept", "media", "content_type"),
    [
        (None, MediaType.JSON, "application/json"),
        ("application/problem+json", MediaType.PROBLEM, "application/problem+json"),
        ("text/html", MediaType.HTML, "text/html; charset=utf-8"),
    ],
)
@pytest.mark.parametrize("outcome", REFUSALS)
def test_the_body_has_the_form_that_accept_prefers(
    outcome: Outcome, accept: str | None, media: MediaType, content_type: str
) -> None:
    got = answer(refused(outcome), accept=accept)
    assert dict(got.headers)["Content-Type"] == content_type
    assert got.body == OURS.of(outcome, media)


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("outcome", REFUSALS)
def test_retry_after_is_given_where_waiting_helps(outcome: Outcome, profile: Profile) -> None:
    got = answer(replace(refused(outcome), retry_after=7), profile=profile)
    helps = outcome in {Outcome.THROTTLED, Outcome.FAULT}
    assert dict(got.headers).get("Retry-After") == ("7" if helps else None)
    assert "Retry-After" not in names(answer(refused(outcome), profile=profile))


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("accept", ACCEPTS)
def test_concealed_and_unknown_are_the_same_bytes(profile: Profile, accept: str | None) -> None:
    concealed = Verdict(
        Outcome.NOT_FOUND, Reason.CONCEALED, ALICE, ("member",), "rbac", Rule("rbac.csv", 3)
    )
    unknown = Verdict(Outcome.NOT_FOUND, Reason.RESOURCE_UNKNOWN)
    show = partial(answer, profile=profile, accept=accept)
    assert show(replace(concealed, retry_after=1), message="x") == show(unknown)


@pytest.mark.parametrize("profile", Profile)
def test_a_bad_request_names_the_header(profile: Profile) -> None:
    got = answer(refused(Outcome.BAD_REQUEST), profile=profile, message="X-Original-URI: is bad")
    assert (b"X-Original-URI: is bad" in got.body) is (profile is not NGINX)


@given(
    outcome=st.sampled_from(REFUSALS),
    profile=st.sampled_from(Profile),
    accept=st.none() | st.text(),
    text=st.text(min_size=1),
)
def test_a_refusal_depends_on_nothing_that_was_asked(
    outcome: Outcome, profile: Profile, accept: str | None, text: str
) -> None:
    identity = Identity(text, method=Method.BEARER, claims={text: text}, kid=text)
    told = Verdict(
        outcome, REASON[outcome], identity, (text,), text, Rule(text, 1), text, detail=text
    )
    show = partial(answer, profile=profile, accept=accept)
    assert show(told) == show(Verdict(outcome, REASON[outcome]))
