import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.answer.challenges import challenge
from pdp.model import Reason

BEARER = ("Bearer",)
SILENT = (Reason.CREDENTIALS_MISSING, Reason.SCHEME_UNSUPPORTED)
GENERIC = [r for r in Reason if r not in {*SILENT, Reason.TOKEN_EXPIRED}]


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
    line = challenge(Reason.CREDENTIALS_MALFORMED, "api", ("Bearer", "ApiKey"))
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
