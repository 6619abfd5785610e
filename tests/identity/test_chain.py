from __future__ import annotations

import time
from typing import Any

import pytest
from minting import (
    ISSUER,
    NOW,
    SECRET,
    CountingKeys,
    claims,
    default_ring,
    settings,
    sign,
)

from pdp.errors import KeysUnavailable
from pdp.identity.chain import Authenticator, Means
from pdp.identity.keys import ring_from_secret
from pdp.identity.settings import AuthenticationSettings
from pdp.model import ANONYMOUS, Credentials, Identity, Reason, Rejected

GOOD = sign()
INVALID = Rejected(Reason.TOKEN_INVALID)
MALFORMED = Rejected(Reason.CREDENTIALS_MALFORMED)
UNSUPPORTED = Rejected(Reason.SCHEME_UNSUPPORTED)


def authenticator(source: CountingKeys | None = None, **section: Any) -> Authenticator:
    given = AuthenticationSettings(**({"issuers": (settings(),)} | section))
    return Authenticator(given, Means({ISSUER: source or CountingKeys(default_ring())}))


@pytest.mark.parametrize("end", ["\xff", "\x7f", "é"])
async def test_a_long_run_of_spaces_is_read_once(end: str) -> None:
    started = time.monotonic()
    value = "Bearer" + " " * 60_000 + end
    found = await authenticator().authenticate(Credentials(authorization=value), NOW)
    assert found == Rejected(Reason.CREDENTIALS_MALFORMED)
    assert time.monotonic() - started < 0.5


async def test_nothing_presented_is_anonymous() -> None:
    chain = authenticator()
    assert await chain.authenticate(Credentials(), NOW) is ANONYMOUS
    assert await chain.authenticate(Credentials(cookie="session=x"), NOW) is ANONYMOUS
    assert chain.configured


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(token=GOOD),
        Credentials(token="garbage"),
        Credentials(authorization=""),
        Credentials(authorization="Bearer garbage"),
        Credentials(api_key="k"),
    ],
)
async def test_without_issuers_no_credential_is_evaluated(credentials: Credentials) -> None:
    chain = Authenticator(AuthenticationSettings(), Means())
    assert not chain.configured
    assert await chain.authenticate(credentials, NOW) is ANONYMOUS


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
async def test_a_bearer_token_is_accepted_however_the_scheme_is_spelled(scheme: str) -> None:
    who = await authenticator().authenticate(Credentials(authorization=scheme + GOOD), NOW)
    assert isinstance(who, Identity)
    assert who.id == "alice"
    assert who.authenticated


async def test_a_bare_token_and_a_cookie_beside_it_are_accepted() -> None:
    both = Credentials(token=GOOD, cookie="session=x")
    assert isinstance(await authenticator().authenticate(both, NOW), Identity)


REFUSED: list[tuple[Credentials, Rejected]] = [
    (Credentials(token=""), MALFORMED),
    (Credentials(token="x"), INVALID),
    (Credentials(token="\ud800"), INVALID),
    (Credentials(token=f"Bearer {GOOD}"), INVALID),
    (Credentials(api_key="k"), UNSUPPORTED),
    (Credentials(api_key=""), UNSUPPORTED),
    *(
        (Credentials(authorization=value), MALFORMED)
        for value in (
            "",
            " ",
            "Bearer",
            "Bearer ",
            f" Bearer {GOOD}",
            f"Bearer {GOOD} ",
            f"Bearer\t{GOOD}",
            f"Bearer {GOOD}\n",
            f"Bearer {GOOD}, Bearer {GOOD}",
            f"Bearer {GOOD} {GOOD}",
            f'Bearer token="{GOOD}"',
            "Bearer =",
            "Bearer a=b",
            "Bearer caf\u00e9",
            "B\u00e9arer abc",
            "Bearer:abc",
            "(Bearer) abc",
            "\x00",
        )
    ),
    *(
        (Credentials(authorization=value), UNSUPPORTED)
        for value in ("Basic YTpi", "Basic", "Digest a=b, c=d", f"DPoP {GOOD}", GOOD, "BearerX a")
    ),
    (Credentials(authorization="Bearer abc"), INVALID),
    (Credentials(authorization=f"Bearer {GOOD}=="), INVALID),
]


@pytest.mark.parametrize(("credentials", "expected"), REFUSED, ids=range(len(REFUSED)))
async def test_a_credential_that_is_not_good_is_refused(
    credentials: Credentials, expected: Rejected
) -> None:
    assert await authenticator().authenticate(credentials, NOW) == expected


async def test_credentials_are_in_no_repr() -> None:
    presented = Credentials(token=GOOD, authorization=GOOD, api_key=GOOD, cookie=GOOD)
    known = Identity("alice", claims={"secret": GOOD}, kid="k")
    for value in (presented, known):
        assert GOOD not in repr(value)
        assert GOOD not in repr(value.__rich_repr__())
    assert "id='alice'" in repr(known)
    assert "kid='k'" in repr(known)


async def test_missing_keys_are_no_refusal() -> None:
    with pytest.raises(KeysUnavailable):
        await authenticator(CountingKeys(None)).authenticate(Credentials(token=GOOD), NOW)


OTHER = "https://other.example.com/"


def two_issuers() -> Authenticator:
    other = settings(
        issuer=OTHER, subject_prefix="o:", jwks_file=None, secret_env="K", algorithms=("HS256",)
    )
    return Authenticator(
        AuthenticationSettings(issuers=(settings(), other)),
        Means(
            {ISSUER: CountingKeys(default_ring()), OTHER: CountingKeys(ring_from_secret(SECRET))}
        ),
    )


async def test_each_issuer_speaks_for_its_own_subjects() -> None:
    chain = two_issuers()
    token = sign(claims(iss=OTHER), {"alg": "HS256"}, alg="HS256", key=SECRET)
    who = await chain.authenticate(Credentials(token=token), NOW)
    assert isinstance(who, Identity)
    assert (who.id, who.issuer) == ("o:alice", OTHER)


@pytest.mark.parametrize(
    "token",
    [
        sign(claims(sub="o:alice")),
        sign(claims(iss=OTHER)),
        sign({**claims(), "iss": ISSUER}, {"alg": "HS256"}, alg="HS256", key=SECRET),
    ],
)
async def test_no_issuer_speaks_for_anothers_subjects(token: str) -> None:
    chain = two_issuers()
    assert await chain.authenticate(Credentials(token=token), NOW) == INVALID
    assert len(chain.tokens.cache) == 0
