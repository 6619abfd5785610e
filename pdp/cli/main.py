"""The command line: finds the command, and turns what goes wrong into an exit code.

0 fine, 1 problems found or cases failed, 2 usage, 3 cannot be loaded, 4 cannot listen.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from pdp import __version__
from pdp.errors import ConfigurationError

# A command's module is imported when the command is used: `healthcheck` must start quickly.
_MODULES: Final = {
    "demo": "demo",
    "init": "init",
    "check": "check",
    "test": "test",
    "explain": "explain",
    "bench": "bench",
    "token": "token",
    "key": "key",
    "serve": "start",
    "healthcheck": "healthcheck",
}


class Commands(TyperGroup):
    """The commands, by name, in the order in which one meets them."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        """Every command's name."""
        return list(_MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - typer's signature
        """The command of this name, or None."""
        if cmd_name not in _MODULES:
            return None
        module = import_module(f"pdp.cli.{_MODULES[cmd_name]}")
        return typer.main.get_command(module.app)

    def invoke(self, ctx: Any) -> Any:
        """The command, run; whoever called sees what cannot be loaded, and a 3."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            from pdp.cli.problems import show_refusal

            show_refusal(error)
            raise typer.Exit(3) from None
        except BrokenPipeError:
            raise  # whoever reads has read enough; typer ends quietly
        except OSError as error:
            from pdp.cli.terminal import give_up

            give_up(f"{error.filename}: {(error.strerror or '').lower()}", 3)


app = typer.Typer(
    cls=Commands,
    name="pdp",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pdp {__version__}")
        raise typer.Exit


@app.callback()
def pdp(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """A policy decision point: the right status code, for a reason one can see.

    From nothing:  pdp demo
    """


def main() -> None:
    """What `pdp` on the command line is."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 is no error
    app(prog_name="pdp")
