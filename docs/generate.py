"""Writes the pages of the documentation that say what the code knows: `python docs/generate.py`."""  # noqa: INP001

from __future__ import annotations

from pathlib import Path

from pdp.cli.problems import known_codes
from pdp.policy.checks.codes import Code

CHECKS = Path(__file__).parent / "checks.md"
HEAD = """\
# Problem codes

<!-- made by `python docs/generate.py` from pdp/policy/checks/codes.toml -->

`pdp check DIR` finds all of these in a policy directory, and tells each with file and line. An
**error** keeps the policy from going live; a **warning** does not, unless `--strict` is given.
"""


def render_codes() -> str:
    """`checks.md`: what each code says and why it matters, a mistake, and what to write instead."""
    return HEAD + "".join(_section(name, code) for name, code in known_codes().items())


def _section(name: str, code: Code) -> str:
    told = f"**{code.severity.value.capitalize()}.** {code.what} {code.why}"
    examples = f"```text\n{code.bad}\n```\n\n{code.instead}\n\n```text\n{code.good}\n```\n"
    return f"\n## `{name}`\n\n{told}\n\n{examples}"


if __name__ == "__main__":
    CHECKS.write_text(render_codes())
