import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.answer.challenges import Challenges, forbidden_challenge, schemes
from pdp.answer.challenges import challenge as render
from pdp.model import Outcome, Reason, Verdict

BEARER = schemes(bearer=True)
SILENT = (
    *(Reason.CREDENTIALS_MISSING, Reason.SCHEME_UNSUPPORTED),
    *(Reason.API_KEY_INVALID, Reason.PASSWORD_INVALID, Reason.SESSION_INVALID),
)
OWN = {Reason.TOKEN_EXPIRED, Reason.STEP_UP_REQUIRED, Reason.INSUFFICIENT_SCOPE}
GENERIC = [r for r in Reason if r not in {*SILENT, *OWN}]


def challenge(reason: Reason, realm: str, accepted: tuple[tuple[str, str], ...]) -> str:
    return render(Verdict(Outcome.UNAUTHENTICATED, reason), Challenges(realm, accepted))


@pytest.mark.parametrize("reason", SILENT)
def test_who_presented_nothing_usable_is_told_no_error(reason: Reason) -> None:
    assert challenge(reason, "api", BEARER) == 'Bearer realm="api"'


def test_an_expired_token_is_told_apart() -> None:
    assert challenge(Reason.TOKEN_EXPIRED, "api", BEARER) == (
        'Bearer realm="api", error="invalid_token",'
        ' error_description="The access token has expired"'
    )


@pytest.mark.parametrize("reason", GENERIC)
def test_all_other_reasons_have_one_generic_description(reason: Reason) -> None:
    assert challenge(reason, "api", BEARER) == (
        'Bearer realm="api", error="invalid_token",'
        ' error_description="The access token is not valid"'
    )


def test_every_accepted_scheme_has_a_challenge_on_one_line() -> None:
    line = challenge(Reason.CREDENTIALS_MALFORMED, "api", schemes(bearer=True, api_key=True))
    assert line.startswith('Bearer realm="api", error="invalid_token", ')
    assert line.endswith(', ApiKey realm="api"')


@pytest.mark.parametrize(
    ("realm", "quoted"),
    [
        ("", '""'),
        ("my api, 100%", '"my api, 100%"'),
        ('a"b', r'"a\"b"'),
        ("a\\", r'"a\\"'),
        ("a\r\nb", '"a%0D%0Ab"'),
        ("é", '"%C3%A9"'),
        ("\ud800", '"%ED%A0%80"'),
    ],
)
def test_the_realm_is_quoted(realm: str, quoted: str) -> None:
    assert challenge(Reason.CREDENTIALS_MISSING, realm, BEARER) == f"Bearer realm={quoted}"


@given(st.text())
def test_no_realm_breaks_the_line(realm: str) -> None:
    line = challenge(Reason.CREDENTIALS_MISSING, realm, BEARER)
    quoted = line.removeprefix("Bearer realm=")
    assert line.isascii()
    assert line.isprintable()
    assert '"' not in quoted[1:-1].replace("\\\\", "").replace('\\"', "")


def test_schemes_stand_in_one_order_with_their_own_parameters() -> None:
    accepted = schemes(bearer=True, api_key=True, basic=True, cookie="__Host-sid")
    assert challenge(Reason.PASSWORD_INVALID, "api", accepted) == (
        'Bearer realm="api", ApiKey realm="api", Basic realm="api", charset="UTF-8",'
        ' Cookie realm="api", cookie-name="__Host-sid"'
    )


def test_a_step_up_says_what_it_wants() -> None:
    verdict = Verdict(
        Outcome.UNAUTHENTICATED,
        Reason.STEP_UP_REQUIRED,
        demands=(("acr_values", 'urn:"mfa"'), ("max_age", "300")),
    )
    assert render(verdict, Challenges("api", BEARER)) == (
        'Bearer realm="api", error="insufficient_user_authentication",'
        ' error_description="A stronger or more recent login is required",'
        ' acr_values="urn:\\"mfa\\"", max_age="300"'
    )


def test_the_metadata_of_the_resource_is_named_where_it_is_configured() -> None:
    url = "https://api.example.com/.well-known/oauth-protected-resource"
    asked = Challenges("api", BEARER, resource_metadata=url)
    missing = Verdict(Outcome.UNAUTHENTICATED, Reason.CREDENTIALS_MISSING)
    assert render(missing, asked) == f'Bearer realm="api", resource_metadata="{url}"'


LACKING = Verdict(
    Outcome.FORBIDDEN, Reason.INSUFFICIENT_SCOPE, demands=(("scope", "invoices:read"),)
)


def test_a_403_challenges_only_for_a_scope_and_only_if_told_to() -> None:
    telling = Challenges("api", BEARER, on_403=True)
    assert forbidden_challenge(LACKING, Challenges("api", BEARER)) is None
    assert forbidden_challenge(Verdict(Outcome.FORBIDDEN, Reason.NOT_GRANTED), telling) is None
    assert forbidden_challenge(LACKING, telling) == (
        'Bearer realm="api", error="insufficient_scope",'
        ' error_description="The access token lacks a scope that this needs",'
        ' scope="invoices:read"'
    )
