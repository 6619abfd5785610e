"""How failed logins are counted, and who may not try again for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from pdp.model import Identity, Rejected

Refuses = Callable[[Identity], Rejected | None]


def refuses_nobody(_: Identity) -> None:
    """What a policy that refuses nobody says of an identity."""


class Asked(NamedTuple):
    """How a credential came: the client's address, if known, and when, in Unix seconds.

    `refuses` is why the policy has nobody go by an identity.
    """

    address: str | None
    now: float
    refuses: Refuses = refuses_nobody


class Attempts(Protocol):
    """Failed logins by account and by client address; bounded, and shared by all schemes.

    An account is the name that was presented, whether somebody has it or not: a block must not
    tell. `address` is None where the asker did not say it.
    """

    def blocked(self, account: str, address: str | None) -> int | None:
        """For how many more seconds this client may not try; None if it may."""
        ...

    def failed(self, account: str, address: str | None) -> None:
        """Count one failed login."""
        ...
