"""A session's cookie that nobody can judge now is a fault only where it would have mattered."""

from __future__ import annotations

from minting import ISSUER, NOW, CountingKeys, default_ring, settings, sign

from pdp.identity.chain import Authenticator, Means
from pdp.identity.session import SessionSettings
from pdp.identity.settings import AuthenticationSettings
from pdp.model import Credentials, Identity, Outcome, Reason, Rejected

OTHER = "https://sessions.example.com/"


def chain() -> Authenticator:
    """The keys of sessions were never loaded; those of bearer tokens were."""
    bearer = settings(accepts=("bearer",))
    session = settings(issuer=OTHER, accepts=("cookie",), subject_prefix="s:")
    section = AuthenticationSettings(
        issuers=(bearer, session), session=SessionSettings(cookie="sid")
    )
    keys = {ISSUER: CountingKeys(default_ring()), OTHER: CountingKeys(None)}
    return Authenticator(section, Means(keys))


COOKIE = f"sid={sign({'iss': OTHER, 'aud': 'api', 'sub': 'alice', 'exp': NOW + 60})}"


async def test_alone_it_is_nobodys_until_nobody_is_not_enough() -> None:
    found = await chain().authenticate(Credentials(cookie=COOKIE), NOW)
    assert isinstance(found, Identity)
    assert not found.authenticated
    assert found.refused == Rejected(Reason.KEYS_UNAVAILABLE)
    assert found.refused.outcome is Outcome.FAULT


async def test_beside_a_credential_that_somebody_chose_it_does_not_matter() -> None:
    header = Credentials(authorization=f"Bearer {sign()}", cookie=COOKIE)
    found = await chain().authenticate(header, NOW)
    assert isinstance(found, Identity)
    assert found.id == "alice"
