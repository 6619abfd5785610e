"""Makes an Introspector for every issuer that has an endpoint, or says what is in the way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pdp.errors import Problem, Unusable
from pdp.identity.issuer import IssuerSettings
from pdp.identity.settings import AuthenticationSettings
from pdp.runtime.introspection import Client, Introspector
from pdp.runtime.introspection_bounds import IntrospectionBounds
from pdp.runtime.keys import is_variable

_LARGEST = 4_096  # bytes of a secret
_HELP = "write the secret alone, in UTF-8 without control characters"


def introspectors(
    settings: AuthenticationSettings,
    file: str,
    directory: Path,
    environment: Mapping[str, str] = os.environ,
) -> tuple[dict[str, Introspector], list[Problem]]:
    """An Introspector, not started, for every such issuer by its name, and all problems.

    `file` names the configuration in problems, `directory` is where it stands. Nothing is made
    where `check` has already said what is wrong.
    """
    made: dict[str, Introspector] = {}
    problems: list[Problem] = []
    bounds = IntrospectionBounds(answers=settings.token_cache_size)
    for index, issuer in enumerate(settings.issuers):
        try:
            found = _client(issuer, directory, environment)
        except Unusable as error:
            message = f"`authentication.issuers[{index}].{error}"
            problems.append(Problem(file, None, error.code, message, error.help))
            continue
        if found is not None:
            seconds = issuer.introspection_cache_seconds
            made[issuer.issuer] = Introspector(found, seconds, bounds=bounds)
    return made, problems


def _client(
    issuer: IssuerSettings, directory: Path, environment: Mapping[str, str]
) -> Client | None:
    in_file, in_environment = issuer.client_secret_file, issuer.client_secret_env
    if issuer.introspection_url is None or not issuer.client_id:
        return None
    if bool(in_file) == bool(in_environment):
        return None
    if in_file:
        place = f"client_secret_file`: `{in_file}`"
        data = _content(directory / in_file, place)
    else:
        shown = in_environment if is_variable(in_environment or "") else "…"
        place = f"client_secret_env`: `{shown}`"
        data = os.fsencode(environment.get(in_environment or "", ""))
        if not data:
            raise Unusable("no-secret", f"{place} is not set in the environment", "set it")
    secret = _secret(data, place)
    return Client(issuer.issuer, issuer.introspection_url, issuer.client_id, secret)


def _content(path: Path, place: str) -> bytes:
    if not os.path.isfile(path):  # noqa: PTH113 - raises nothing; a pipe would block
        help_ = f"looked for {path}; paths are relative to the file that names them"
        raise Unusable("no-secret", f"{place} is no file", help_)
    try:
        with path.open("rb") as opened:
            return opened.read(_LARGEST + 1)
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise Unusable("no-secret", f"{place} cannot be read: {why}", "let it be read") from error


def _secret(data: bytes, place: str) -> str:
    """A secret without white space at its end."""
    if len(data) > _LARGEST:
        raise Unusable("bad-secret", f"{place} is larger than {_LARGEST} bytes", _HELP)
    try:
        secret = data.decode("utf-8").rstrip()
    except UnicodeDecodeError:
        raise Unusable("bad-secret", f"{place} is not UTF-8", _HELP) from None
    if not secret.isprintable() or not secret:
        wrong = "is empty" if not secret else "holds a control character"
        raise Unusable("bad-secret", f"{place} {wrong}", _HELP)
    return secret
