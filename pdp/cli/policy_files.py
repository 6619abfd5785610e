"""The files that a loaded policy came from, read anew, and every row in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pdp.errors import ConfigurationError, Problem
from pdp.policy.settings import PolicySettings
from pdp.policy.shape import LayerText, read_shape
from pdp.policy.snapshot import revision
from pdp.policy.text import Row, decode_text, read_model, read_rows
from pdp.runtime.load import Loaded
from pdp.runtime.making import policy_files
from pdp.runtime.sections import policy_settings, read_own, read_sections


@dataclass(frozen=True, slots=True)
class FileRow:
    """One `p` or `g` row, and the file that it stands in."""

    file: str
    row: Row

    @property
    def place(self) -> tuple[str, int]:
        """File and line."""
        return self.file, self.row.line

    @property
    def text(self) -> str:
        """The row as one would write it."""
        return ", ".join((self.row.ptype, *self.row.values))


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """What `build_snapshot` makes a snapshot of."""

    files: Mapping[str, bytes]
    settings: PolicySettings

    def rows(self) -> Iterator[FileRow]:
        """Every row of every policy file, one that no layer judges included."""
        for file in dict.fromkeys(layer.policy for layer in self.settings.layers):
            for row in read_rows(_text(self.files, file), file).rows:
                yield FileRow(file, row)

    def shapes(self) -> Iterator[LayerText]:
        """Every layer, as its files describe it."""
        for layer in self.settings.layers:
            model = read_model(_text(self.files, layer.model), layer.model)
            yield read_shape(layer, model, read_rows(_text(self.files, layer.policy), layer.policy))


def read_policy_files(loaded: Loaded) -> PolicyFiles:
    """The files of this policy; ConfigurationError if it was loaded from others."""
    directory, origin = loaded.directory, loaded.origin
    own, problems = read_own(directory)
    _, policy, _ = read_sections(own, origin.config, origin.environment, origin.flags)
    settings = policy_settings(directory, policy)
    files, found = policy_files(directory, own, settings, loaded.authentication)
    problems += found
    if not problems and revision(files) != loaded.snapshot.revision:
        changed = "changed while the policy was read"
        problems.append(Problem(str(directory), None, "changed-files", changed, "try again"))
    if problems:
        raise ConfigurationError(problems)
    return PolicyFiles(files, settings)


def _text(files: Mapping[str, bytes], name: str) -> str:
    """A file that has been checked, as text."""
    return decode_text(files[name], name)[0]
