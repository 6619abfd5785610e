"""Two policies that disagree on every question, and the ways to swap them, for chaos.py."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

from policies_made import ALLOW, NO_DENY, conf, write_files

from pdp.runtime.load import load

MODEL = conf(
    "r.sub == p.sub && r.obj == p.obj && r.act == p.act",
    policy="sub, obj, act, eft",
    effect=f"{ALLOW} && {NO_DENY}",
)
ROWS = "".join(f"p, user{i}, /page/{i}, GET, allow\n" for i in range(50))
POLICIES = {
    "old": ROWS + "p, alice, /x, GET, allow\np, bob, /x, GET, deny\n",
    "new": ROWS + "p, bob, /x, GET, allow\np, alice, /x, GET, deny\n",
}
ALLOWED = {"old": "alice", "new": "bob"}


def write_in_place(directory: Path, name: str) -> None:
    """Truncate and write, as `echo >` does."""
    (directory / "policy.csv").write_text(POLICIES[name])


def write_and_rename(directory: Path, name: str) -> None:
    """An atomic replacement."""
    (directory / ".tmp").write_text(POLICIES[name])
    (directory / ".tmp").replace(directory / "policy.csv")


def swap_data(directory: Path, name: str) -> None:
    """A ConfigMap's `..data`, as the kubelet swaps it."""
    link = directory / "..tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(f"..{name}")
    link.replace(directory / "..data")


def check_out(directory: Path, name: str) -> None:
    """Another branch of a git work tree."""
    subprocess.run(["git", "checkout", "-q", name], cwd=directory, check=True)  # noqa: S603, S607


def plain(directory: Path, name: str = "old") -> None:
    write_files(directory, {"model.conf": MODEL, "policy.csv": POLICIES[name]})


def _configmap(directory: Path) -> None:
    for name in POLICIES:
        plain(directory / f"..{name}", name)
    (directory / "..data").symlink_to("..old")
    for file in ("model.conf", "policy.csv"):
        (directory / file).symlink_to(f"..data/{file}")


def _repository(directory: Path) -> None:
    plain(directory)

    def git(*command: str) -> None:
        who = ["-c", "user.name=chaos", "-c", "user.email=chaos@example.com"]
        subprocess.run(["git", *who, *command], cwd=directory, check=True, capture_output=True)  # noqa: S603, S607

    git("init", "-q", "-b", "old")
    git("add", "-A")
    git("commit", "-qm", "old")
    git("checkout", "-qb", "new")
    write_in_place(directory, "new")
    git("commit", "-qam", "new")
    git("checkout", "-q", "old")


METHODS: dict[str, tuple[Callable[[Path], None], Callable[[Path, str], None]]] = {
    "in-place": (plain, write_in_place),
    "rename": (plain, write_and_rename),
    "configmap": (_configmap, swap_data),
    "git": (_repository, check_out),
}


def revisions(base: Path) -> dict[str, str]:
    """The name of the policy that each revision stands for."""
    found = {}
    for name in POLICIES:
        directory = base / f"revision-{name}"
        plain(directory, name)
        found[load(directory).snapshot.revision] = name
    return found


def tear(directory: Path, rng: random.Random) -> None:
    """A truncated file, at any byte that is not the end of a row, or an empty one."""
    text = POLICIES["old"]
    cut = rng.choice([0, *(i for i in range(1, len(text)) if text[i - 1] != "\n")])
    while cut and text[:cut].rstrip().endswith(("allow", "deny")):
        cut -= 1  # a whole last row is a policy of its own: that takes a manifest to tell
    (directory / "policy.csv").write_text(text[:cut])
