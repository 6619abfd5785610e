"""What people see: colour on terminals only, no markup, no wrapping, nothing unprintable."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

Part = str | tuple[str, str]  # text, or text and its style


def say(*parts: Part, error: bool = False) -> None:
    """Print one line made of parts, on standard error if `error`.

    NO_COLOR is honoured. What would steer a terminal is shown as an escape instead.
    """
    styled = [(printable(p), "") if isinstance(p, str) else (printable(p[0]), p[1]) for p in parts]
    console = Console(stderr=error, markup=False, highlight=False, emoji=False, soft_wrap=True)
    console.print(Text.assemble(*styled))


def printable(text: str) -> str:
    """`text` with every character escaped that is neither printable nor a tab."""
    return "".join(c if c.isprintable() or c == "\t" else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def give_up(message: str, code: int, help_: str = "") -> NoReturn:
    """Say what is wrong, and what to do, on standard error; leave with this exit code."""
    say(("error: ", "bold red"), message, error=True)
    if help_:
        say(("help: ", "bold"), help_, error=True)
    raise typer.Exit(code)
