"""The unit for systemd: what it starts, what it may, and what systemd itself says of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support import require
from typer.testing import CliRunner

from pdp.cli.main import app

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "pdp.service"
MOST_EXPOSED = 2.0  # of 10; what is left is mostly that it uses the network


def settings() -> dict[str, list[str]]:
    """Every setting with its values, in order."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if setting := re.match(r"(\w+)=(.*)", line):
            found.setdefault(setting[1], []).append(setting[2])
    return found


HARDENED = {
    **dict.fromkeys(("DynamicUser", "NoNewPrivileges", "PrivateTmp", "PrivateDevices"), "yes"),
    **dict.fromkeys(("ProtectHome", "ProtectKernelModules", "ProtectControlGroups"), "yes"),
    **dict.fromkeys(("RestrictNamespaces", "RestrictSUIDSGID", "LockPersonality"), "yes"),
    "ProtectSystem": "strict",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "SystemCallArchitectures": "native",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "LimitCORE": "0",  # credentials are in memory
}


@pytest.mark.parametrize(("name", "value"), HARDENED.items())
def test_the_unit_gives_no_more_than_is_needed(name: str, value: str) -> None:
    assert settings()[name] == [value]


def test_what_it_starts_is_a_command_of_ours() -> None:
    (line,) = settings()["ExecStart"]
    program, command, directory = line.split()
    assert program.endswith("/bin/pdp")
    assert directory == "/etc/pdp/policies"
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_it_is_not_started_again_where_that_mends_nothing() -> None:
    given = settings()
    assert given["Restart"] == ["on-failure"]
    assert given["RestartPreventExitStatus"] == ["2 3"]  # usage; a policy that cannot be loaded
    assert given["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def analyzed(*command: str) -> str:
    require("systemd-analyze", "systemd")
    done = subprocess.run(  # noqa: S603
        ["systemd-analyze", *command],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    unit = tmp_path / "pdp.service"
    unit.write_text(UNIT.read_text().replace("/opt/pdp/bin/pdp", "/bin/true"))
    said = [line for line in analyzed("verify", str(unit)).splitlines() if "pdp.service" in line]
    assert said == []
    unit.write_text(unit.read_text().replace("ProtectHome=yes", "ProtectHomes=yes"))
    assert "ProtectHomes" in analyzed("verify", str(unit))


def test_systemd_finds_it_little_exposed() -> None:
    said = analyzed("security", "--offline=yes", "--no-pager", str(UNIT))
    level = re.search(r"exposure level for pdp.service: ([\d.]+)", said)
    assert level, said
    assert float(level[1]) <= MOST_EXPOSED
