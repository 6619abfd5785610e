from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.errors import RequestError
from pdp.model import Credentials
from pdp.surfaces.credentials import from_headers


def test_nothing_presented() -> None:
    assert from_headers([], [], []) == Credentials()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty is judged later"),
        pytest.param("Bearer", id="scheme alone"),
        pytest.param("Bearer a.b.c", id="bearer"),
        pytest.param("Bearer a,b", id="malformed token, not a second credential"),
        pytest.param("Bearer a, b==", id="malformed token with padding"),
        pytest.param('Digest username="a", realm="b", uri="/"', id="digest parameters"),
        pytest.param('Digest a="b" , c = "d",e= f', id="spaces around the equals sign"),
        pytest.param('Digest a="x, Basic y", b="z\\", Basic y"', id="quoted commas"),
        pytest.param('Digest a="x, Basic y', id="unclosed quote"),
        pytest.param('Digest a="x\\', id="unclosed quote and backslash"),
    ],
)
def test_one_credential_is_handed_on_as_it_came(value: str) -> None:
    assert from_headers([value], [], []) == Credentials(authorization=value)


@pytest.mark.parametrize(
    ("authorization", "api_key", "field"),
    [
        pytest.param(["Bearer a", "Bearer a"], [], "Authorization", id="two fields"),
        pytest.param(["", ""], [], "Authorization", id="two empty fields"),
        pytest.param(["Bearer a, Basic b"], [], "Authorization", id="joined"),
        pytest.param(["Bearer a,Bearer b"], [], "Authorization", id="joined without a space"),
        pytest.param(["Bearer a,\tBasic\tb"], [], "Authorization", id="joined with tabs"),
        pytest.param([",Bearer b"], [], "Authorization", id="joined behind an empty one"),
        pytest.param(['Digest a="b", Basic c'], [], "Authorization", id="joined behind digest"),
        pytest.param(['Basic c, Digest a="b"'], [], "Authorization", id="joined before digest"),
        pytest.param(["Bearer a"], ["k"], "Authorization", id="authorization and key"),
        pytest.param([""], ["k"], "Authorization", id="empty authorization and key"),
        pytest.param([], ["k", "k"], "X-API-Key", id="two keys"),
    ],
)
def test_two_credentials_at_once_are_refused(
    authorization: Sequence[str], api_key: Sequence[str], field: str
) -> None:
    with pytest.raises(RequestError) as caught:
        from_headers(authorization, api_key, [])
    assert caught.value.field == field


def test_an_api_key_alone() -> None:
    assert from_headers([], ["k"], []) == Credentials(api_key="k")


@pytest.mark.parametrize(
    ("cookie", "joined"), [(["a=1"], "a=1"), (["a=1", "b=2; c=3"], "a=1; b=2; c=3"), ([""], "")]
)
def test_cookies_are_joined_and_stand_beside_a_credential(
    cookie: Sequence[str], joined: str
) -> None:
    assert from_headers(["Bearer a"], [], cookie) == Credentials(
        authorization="Bearer a", cookie=joined
    )


@pytest.mark.parametrize(
    "value", ["," + '"\\' * 30_000, "," * 60_000, ", a" * 20_000, ",a " + " " * 60_000]
)
def test_a_hostile_field_takes_linear_time(value: str) -> None:
    assert from_headers([value], [], []).authorization == value


FIELDS = st.lists(st.text(',="\\ ABC\t\0é', max_size=40), max_size=3)


@given(FIELDS, FIELDS, FIELDS)
def test_only_a_request_error_is_raised_and_it_quotes_nothing(
    authorization: list[str], api_key: list[str], cookie: list[str]
) -> None:
    try:
        from_headers(authorization, api_key, cookie)
        problem = None
    except RequestError as error:
        problem = str(error)
    assert problem in {
        None,
        "Authorization: holds more than one credential",
        "Authorization: stands beside an X-API-Key",
        "X-API-Key: is repeated",
    }
