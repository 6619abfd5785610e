"""What lives beside the policy: credentials, limits, countries, pages; no reload replaces it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge

from pdp.answer.bodies import Bodies
from pdp.errors import Problem
from pdp.identity.chain import Authenticator
from pdp.identity.revocation import NONE, Revocations
from pdp.runtime.following import Followed, Watch
from pdp.runtime.geo import Countries, load_countries
from pdp.runtime.limits import Limits
from pdp.runtime.means import Equipment, load_equipment, measure
from pdp.runtime.pages import load_bodies
from pdp.runtime.revocations import RevocationFile, load_revocations
from pdp.runtime.sections import Operator
from pdp.runtime.sources import SETTINGS


@dataclass(frozen=True, slots=True)
class Beside:
    """All of that, as it was loaded; each part is followed on its own."""

    authenticator: Authenticator
    equipment: Equipment  # of the authenticator
    limits: Limits
    countries: Countries | None
    revocations: Revocations | None  # at start; None without a `revoked.csv`
    bodies: Bodies


def load_beside(
    operators: Operator,
    directory: Path,
    config: Path | None,
    environment: Mapping[str, str],
) -> tuple[Beside, list[Problem]]:
    """All that, read for the first time; paths are relative to the file that names them."""
    file, base = (config.name, config.parent) if config else (SETTINGS, directory)
    limits = Limits(operators.limits)
    settings = operators.authentication
    equipment, problems = load_equipment(settings, file, base, environment, limits)
    countries, found = load_countries(operators.server, base)
    bodies, wrong = load_bodies(operators.server, base)
    problems += found + wrong
    revocations, found = load_revocations(directory)
    authenticator = Authenticator(settings, equipment.means, revocations or NONE)
    beside = Beside(authenticator, equipment, limits, countries, revocations, bodies)
    return beside, problems + found


def watch(
    directory: Path,
    beside: Beside,
    registry: CollectorRegistry,
    more: Mapping[str, Sequence[Followed]],
) -> Watch:
    """Who follows the files, and `more` of them, with `registry` told how everything is."""
    authenticator, equipment = beside.authenticator, beside.equipment
    revocations = RevocationFile(directory, authenticator, expected=beside.revocations is not None)
    measure(equipment, registry)
    beside.limits.register(registry)
    gauge = Gauge("pdp_revocations", "Rows that are revoked.", registry=registry)
    gauge.set_function(lambda: authenticator.revocations.size)
    if beside.countries is not None:
        beside.countries.export(registry)
    return Watch(
        {
            "revocations": (revocations,),
            "keys": equipment.key_files,
            "credentials": equipment.files,
            "countries": (beside.countries,) if beside.countries else (),
            **more,
        },
        registry,
    )
