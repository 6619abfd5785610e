"""Times bearer tokens, remembered and new, and good requests while unknown keys are asked for.

    python benchmarks/tokens.py        # about a minute; --short in seconds, its times mean nothing

A new token is measured beside a bare `jwt.decode` of the same token, which checks less. The flood
hits a PDP in a process of its own, whose JWKS endpoint is slow and always being asked. Ends by
itself; exits with 1 if an answer was wrong.
"""

from __future__ import annotations

import argparse
import time
import uuid
from statistics import median

import jwt
import uvloop
from policies_made import ISSUER
from reporting import markdown_table, tell
from tokens_flood import flood
from tokens_made import KEYS, published, sign

from pdp.identity.chain import Authenticator, Means
from pdp.identity.issuer import IssuerSettings
from pdp.identity.jwks import ring_from_jwks
from pdp.identity.keys import StaticKeys, ring_from_secret
from pdp.identity.revocation import Revocations
from pdp.identity.settings import AuthenticationSettings
from pdp.model import Credentials, Identity

REVOKED = Revocations(jti=frozenset(str(uuid.uuid4()) for _ in range(1_000)))
PASSES = 9
COLUMNS = ("algorithm", "remembered", "new", "bare `jwt.decode`", "speed of new")


def authenticator(alg: str) -> Authenticator:
    """As `pdp serve` has it for one issuer, with a thousand tokens revoked."""
    issuer = IssuerSettings(
        issuer=ISSUER,
        audiences=("api",),
        algorithms=(alg,),
        jwks_file="jwks.json",
        roles_claim="realm_access.roles",
        roles=("member", "accountant"),
    )
    ring = ring_from_secret(KEYS[alg]) if alg == "HS256" else ring_from_jwks(published(alg))
    section = AuthenticationSettings(issuers=(issuer,))
    return Authenticator(section, Means({ISSUER: StaticKeys(ring)}), REVOKED)


async def round_of(alg: str, count: int) -> tuple[float, float, float]:
    """Microseconds of a remembered token, of a new one, and of a bare decode; medians."""
    judge, now = authenticator(alg).authenticate, time.time()
    key = KEYS[alg] if alg == "HS256" else KEYS[alg].public_key()
    tokens = [sign(alg) for _ in range(count)]
    presented = [Credentials(authorization=f"Bearer {token}") for token in tokens]
    clock, cold, bare = time.perf_counter_ns, [], []
    for token, credentials in zip(tokens, presented, strict=True):  # one beside the other
        began = clock()
        found = await judge(credentials, now, "192.0.2.1")
        middle = clock()
        jwt.decode(token, key, algorithms=[alg], audience="api", issuer=ISSUER)
        end = clock()
        if not isinstance(found, Identity) or len(found.roles) != 2:
            raise SystemExit(f"wrong answer: {found}")
        cold.append(middle - began)
        bare.append(end - middle)
    warm = []
    for _ in range(PASSES):
        began = clock()
        for credentials in presented:
            await judge(credentials, now, "192.0.2.1")
        warm.append((clock() - began) / count)
    return median(warm) / 1_000, median(cold) / 1_000, median(bare) / 1_000


async def algorithms(rounds: int, count: int) -> list[list[str]]:
    """A row for each algorithm; all take turns in every round, since the machine's speed varies."""
    found: dict[str, list[tuple[float, float, float]]] = {alg: [] for alg in KEYS}
    for _ in range(rounds):
        for alg in KEYS:
            found[alg].append(await round_of(alg, count))
    rows = []
    for alg, measured in found.items():
        warm, cold, bare = (median(values) for values in zip(*measured, strict=True))
        speed = median(bare / cold for _, cold, bare in measured)
        rows.append([alg, f"{warm:.1f}", f"{cold:.0f}", f"{bare:.0f}", f"{speed:.2f}"])
    return rows


async def main() -> None:
    """Print a table of the algorithms, and what good requests wait for in a flood."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=100, help="of each algorithm, in each round")
    parser.add_argument("--short", action="store_true", help="one round of a few")
    given = parser.parse_args()
    rounds, count, seconds = (1, 5, 0.2) if given.short else (given.rounds, given.tokens, 1.0)
    tell(markdown_table(COLUMNS, await algorithms(rounds, count)))
    tell()
    tell(await flood(rounds, seconds))


if __name__ == "__main__":
    uvloop.run(main())
