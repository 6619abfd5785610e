"""The starter policy: what `pdp init` writes and `pdp demo` serves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pdp

PUBLIC_KEY: Final = "issuer.pem"


def starter_files() -> Mapping[str, bytes]:
    """The starter's files by name: of the installed package, or of the checkout it runs from."""
    package = Path(pdp.__file__).parent
    packaged = package / "starter"
    folder = packaged if packaged.is_dir() else package.parent / "policies"
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: path.read_bytes() for path in files if not path.name.startswith(".")}


def write_starter(directory: Path, public_key: bytes) -> None:
    """The starter in `directory`, which exists, with this public key as its issuer's."""
    for name, data in {**starter_files(), PUBLIC_KEY: public_key}.items():
        (directory / name).write_bytes(data)
