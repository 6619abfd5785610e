"""`pdp init`, and the whole story that begins with it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cli_runs import STARTER, command, execute, pdp, process, shell

from pdp.cli import starter


def test_init_check_test_token_explain(tmp_path: Path) -> None:
    made = process("init", "shop", cwd=tmp_path)
    assert made.code == 0
    assert process("check", "shop", "--strict", cwd=tmp_path).code == 0
    assert (
        process("test", "shop", cwd=tmp_path).out
        == "51 of 51 cases passed\nrows: 24 of 24 exercised\n"
    )
    shown = next(line for line in made.out.splitlines() if "pdp token" in line)
    args = shown.partition("#")[0].split()[1:]
    token = process(*args, cwd=tmp_path)
    assert token.code == 0
    asked = ("--action", "GET", "--resource", "/invoices/7", "--ip", "203.0.113.9")
    (tmp_path / "token").write_text(token.out)
    told = process("explain", "shop", *asked, "--token-file", "token", cwd=tmp_path)
    assert told.out.startswith("200 allow  granted")
    assert "alice → member (rbac.csv:26)" in told.out


def test_the_key_is_fresh_private_and_outside(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert pdp("init", tmp_path / name).code == 0
    one, two = (tmp_path / f"{name}.key" for name in ("one", "two"))
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert one.read_bytes() != two.read_bytes()
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {path.name for path in STARTER.iterdir() if path.is_file()}
    for name in names - {"issuer.pem"}:
        assert (tmp_path / "one" / name).read_bytes() == (STARTER / name).read_bytes()
    written = b"".join(path.read_bytes() for path in (tmp_path / "one").iterdir())
    assert b"PRIVATE KEY-----" not in written


def test_an_empty_directory_will_do_even_the_one_one_is_in(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    found = process("init", ".", cwd=tmp_path / "here")
    assert found.code == 0
    assert (tmp_path / "here.key").exists()
    assert (tmp_path / "here" / "pdp.toml").exists()


def test_a_directory_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "notes").write_text("mine")
    found = pdp("init", tmp_path / "d")
    assert (found.code, "is not empty" in found.err) == (2, True)
    assert [path.name for path in tmp_path.rglob("*")] == ["d", "notes"]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "d.key").symlink_to("nowhere")
    found = pdp("init", tmp_path / "d")
    assert (found.code, "exists already" in found.err) == (2, True)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_what_cannot_be_a_directory_is_2(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    found = pdp("init", tmp_path / name)
    assert (found.code, "cannot write" in found.err) == (2, True)
    assert not (tmp_path / "file.key").exists()


def test_odd_names_are_quoted_in_what_comes_next(tmp_path: Path) -> None:
    found = process("init", "my shop", cwd=tmp_path)
    line = next(line for line in found.out.splitlines() if "pdp check" in line)
    words = line.partition("#")[0].replace("pdp", " ".join(command()), 1)
    assert shell(words, cwd=tmp_path).code == 0


def test_a_wheel_brings_its_own_starter(tmp_path: Path) -> None:
    """In a wheel there is no checkout to fall back on."""
    package = tmp_path / "site" / "pdp"
    (package / "starter").mkdir(parents=True)
    (package / "starter" / "pdp.toml").write_text("# packaged\n")
    (package / "starter" / ".hidden").write_text("")
    (package / "__init__.py").write_text("")
    (package / "cli").mkdir()
    (package / "cli" / "__init__.py").write_text("")
    source = Path(starter.__file__).read_text()
    (package / "cli" / "starter.py").write_text(source)
    code = "from pdp.cli.starter import starter_files; print(dict(starter_files()))"
    env = {"PYTHONPATH": str(package.parent)}
    found = execute([command()[0], "-c", code], cwd=tmp_path, env=env)
    assert found.out == "{'pdp.toml': b'# packaged\\n'}\n"
