"""Loads what decides who may ask: callers, operators' keys, and the listeners' certificates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pdp.errors import Problem
from pdp.runtime.callers import Callers, KeyFile, load_callers, load_keys
from pdp.runtime.following import Followed
from pdp.runtime.sections import Operator
from pdp.runtime.tls import Certificates, load_tls


@dataclass(frozen=True, slots=True)
class Access:
    """All of that, as it was loaded; each file is followed, and no reload replaces it."""

    callers: Callers = field(default_factory=Callers)
    operators: KeyFile | None = None  # whose key opens `/v1/*` of the admin listener
    certificates: Certificates | None = None  # without them, there is no TLS

    @property
    def files(self) -> Mapping[str, Sequence[Followed]]:
        """What is to be followed, by kind."""
        operators = (self.operators,) if self.operators else ()
        certificates = self.certificates.followed if self.certificates else ()
        return {"callers": (*self.callers.files, *operators), "certificates": certificates}


def load_access(operator: Operator, directory: Path) -> tuple[Access, list[Problem]]:
    """What the operator's sections name, relative to `directory`, and all that is wrong with it."""
    callers, problems = load_callers(operator.callers, directory)
    operators, found = load_keys(operator.server.admin_key_sha256_file, directory)
    problems += found
    certificates, found = load_tls(operator.server, directory)
    return Access(callers, operators, certificates), problems + found
