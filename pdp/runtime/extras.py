"""The packages of this project's extras, which may be missing or of a version that does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pdp.errors import ConfigurationError, Problem


@contextmanager
def extra(name: str, setting: str, packages: str) -> Iterator[None]:
    """Import within what `setting` needs; ConfigurationError says how to install the extra.

    `packages` begins the message: `the packages for gRPC`.
    """
    try:
        yield
    except Exception as error:  # a version that does not fit raises anything: exit code 3
        first = next(iter(str(error).splitlines()), type(error).__name__)
        message = f"{packages} cannot be imported: {first}"
        help_ = f"install this project with its extra: in its directory, `pip install '.[{name}]'`"
        raise ConfigurationError(
            [Problem(setting, None, "missing-extra", message, help_)]
        ) from error
