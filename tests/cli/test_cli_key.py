"""`pdp key`: keys that the PDP knows by their rows, and a file that is never half written."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from cli_runs import ROOT, Ran, pdp, shell

from pdp.cli.key import _append
from pdp.config import decode, parse_toml
from pdp.identity.api_keys import COLUMNS, ApiKeys, ApiKeySettings, read_api_keys
from pdp.model import Identity

HEADER = ",".join(COLUMNS)
DAY = 86_400
BASE = ("key", "new", "--id", "ci", "--subject", "alice")
PAGE = ROOT / "docs" / "api-keys.md"


def key_of(found: Ran) -> str:
    assert found.code == 0, found.err
    match = re.match(r"key: (pdp_[A-Za-z0-9_-]{43})\n", found.out)
    assert match
    return match[1]


def row_of(found: Ran) -> str:
    assert found.code == 0, found.err
    (row,) = re.findall(r"^row: (.*)$", found.out, re.MULTILINE)
    return str(row)


def good(data: bytes) -> ApiKeys:
    keys, problems = read_api_keys(data)
    assert problems == []
    return keys


def whose(key: str, data: bytes) -> Identity:
    found = good(data).find(key, time.time())
    assert isinstance(found, Identity)
    return found


def test_the_row_is_the_keys() -> None:
    found = pdp(*BASE, "--role", "b", "--role", "a", "--role", "b", "--ttl", "90d")
    identity = whose(key_of(found), row_of(found).encode())
    assert (identity.id, identity.roles, identity.key_id) == ("alice", ("b", "a"), "ci")
    assert abs((identity.expires or 0) - time.time() - 90 * DAY) < 60
    assert found.out.count("\n") == 2
    assert found.err == "the key is not shown again; append the row to api-keys.csv\n"


def test_a_key_without_an_end_has_a_short_row() -> None:
    found = pdp(*BASE)
    assert row_of(found) == f"ci,{sha256(key_of(found).encode()).hexdigest()},alice"
    assert whose(key_of(found), row_of(found).encode()).expires is None


def test_no_key_is_made_twice() -> None:
    assert len({key_of(pdp(*BASE)) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2099-12-31T23:59:59Z", "2099-12-31T23:59:59Z"),
        ("2099-12-31T23:59:59+01:00", "2099-12-31T22:59:59Z"),
        ("2099-12-31", "2099-12-31T00:00:00Z"),
        ("4102444800.9", "2100-01-01T00:00:00Z"),  # never later than was said
    ],
)
def test_an_end_as_one_writes_it(text: str, written: str) -> None:
    assert row_of(pdp(*BASE, "--not-after", text)).endswith(f",alice,,{written}")


@pytest.mark.parametrize(
    ("id_", "subject", "role"),
    [
        ("#1", "cn=alice,ou=x", "x,y"),
        ('"', 'al"ice', '"'),
        ("a b", "alice #1", "#"),
        ("Zo\u00eb", "\u2003".join("ab"), "\U0001f511"),
        ("=cmd", "idp:alice", "/group/a"),
        ("c" * 255, "anonymous ", "r" * 255),
        ("ID", "true", "1"),
    ],
)
def test_every_name_can_be_written_or_is_refused(id_: str, subject: str, role: str) -> None:
    found = pdp("key", "new", "--id", id_, "--subject", subject, "--role", role)
    if found.code == 0:
        identity = whose(key_of(found), b"# keys\n" + row_of(found).encode())
        assert (identity.id, identity.roles, identity.key_id) == (subject, (role,), id_)
    else:
        assert (found.code, found.out) == (2, "")
        assert (id_, subject) in {("c" * 255, "anonymous "), ("ID", "true")}


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--subject", "anonymous"], "the row has a subject that will not do"),
        (["--subject", ""], "the row has"),
        (["--subject", " alice"], "begins or ends with a blank"),
        (["--subject", "a\nb"], "the row has"),
        (["--subject", "a\x1bb"], "the row has a subject that will not do"),
        (["--subject", "\udcff"], "not UTF-8"),
        (["--subject", "a" * 256], "the row has a subject that will not do"),
        (["--id", ""], "the row has no id that will do"),
        (["--id", "id"], "the row has a header"),
        (["--role", "a;b"], "no role holds `;`"),
        (["--role", ""], "no value"),
        (["--role", "anonymous"], "the row has a role that will not do"),
        (["--ttl", "soon"], "--ttl: must be a duration"),
        (["--ttl", "0"], "--ttl: must be a duration"),
        (["--not-after", "90d"], "--not-after: must be an RFC 3339 time"),
        (["--not-after", "2020-01-01"], "--not-after: is over already"),
        (["--ttl", "1d", "--not-after", "2099-01-01"], "not both"),
        (["--file", "."], "is no regular file"),
    ],
)
def test_what_will_not_do_makes_no_key(args: list[str], told: str) -> None:
    found = pdp(*BASE, *args)
    assert (found.code, found.out) == (3 if "--file" in args else 2, "")
    assert told in found.err
    assert "pdp_" not in found.err


def append(file: Path, *args: object) -> Ran:
    return pdp(*BASE, "--file", file, *args)


def test_a_file_is_made_with_its_header(tmp_path: Path) -> None:
    file = tmp_path / "k.csv"
    found = append(file)
    assert found.out.count("\n") == 1
    assert found.err == f"the key is not shown again; its row is in {file}\n"
    assert whose(key_of(found), file.read_bytes()).id == "alice"
    assert file.read_text().startswith(f"{HEADER}\nci,")
    assert [path.name for path in tmp_path.iterdir()] == ["k.csv"]
    umask = os.umask(0)
    os.umask(umask)
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask


OLD = f"a,{'0' * 64},bob"


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ("", f"{HEADER}\n"),
        ("\n \n", f"{HEADER}\n"),
        ("# keys\n", "# keys\n"),
        ("# keys", "# keys\n"),
        (f"{HEADER}\n{OLD}\n", f"{HEADER}\n{OLD}\n"),
        (OLD, f"{OLD}\n"),
        (f"{OLD}\r\n", f"{OLD}\r\n"),
        (f"{OLD}\n\n", f"{OLD}\n\n"),
    ],
)
def test_a_row_is_appended(tmp_path: Path, before: str, kept: str) -> None:
    file = tmp_path / "k.csv"
    file.write_bytes(before.encode())
    found = append(file)
    key = key_of(found)
    assert file.read_bytes() == f"{kept}ci,{sha256(key.encode()).hexdigest()},alice\n".encode()
    assert whose(key, file.read_bytes()).key_id == "ci"


@pytest.mark.parametrize(
    ("before", "code", "told"),
    [
        (f"ci,{'0' * 64},bob\n", 2, "the row has the id of line 1"),
        (f"ci,{'0' * 64},bob,,,true\n", 2, "the row has the id of line 1"),
        (f"{OLD}\nx\n", 3, "k.csv:2 short-row"),
        (f"{OLD}\n{OLD}\n", 3, "k.csv:2 duplicate-id"),
    ],
)
def test_what_does_not_fit_leaves_the_file_as_it_was(
    tmp_path: Path, before: str, code: int, told: str
) -> None:
    file = tmp_path / "k.csv"
    file.write_text(before)
    found = append(file)
    assert (found.code, found.out) == (code, "")
    assert told in found.err
    assert file.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["k.csv"]


def test_what_is_no_file_stays_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path, tmp_path / "absent" / "k.csv"):
        found = append(place)
        assert (found.code, found.out) == (3, "")
        assert found.err
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_mode_owner_and_link_are_kept(tmp_path: Path) -> None:
    file, link = tmp_path / "real" / "k.csv", tmp_path / "k.csv"
    file.parent.mkdir()
    file.write_text("# keys\n")
    file.chmod(0o640)
    if os.geteuid() == 0:  # only root can give a file away
        os.chown(file, 12_345, 23_456)
    link.symlink_to("real/k.csv")
    before = file.stat()
    key = key_of(append(link))
    after = file.stat()
    assert link.is_symlink()
    assert whose(key, file.read_bytes()).id == "alice"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert after.st_ino != before.st_ino  # renamed: nobody saw half of it


def test_whoever_writes_at_the_same_time_is_told(tmp_path: Path) -> None:
    other = tmp_path / ".k.csv.new"
    other.write_text("another one's")
    found = append(tmp_path / "k.csv")
    assert (found.code, found.out) == (3, "")
    assert ".k.csv.new: file exists" in found.err
    assert other.read_text() == "another one's"


def test_of_many_at_once_no_row_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "k.csv"

    def write(number: int) -> None:
        while True:
            try:
                return _append(file, f"id-{number},{number:064},alice\n".encode())
            except FileExistsError:  # another one is at it
                time.sleep(0.001)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert good(file.read_bytes()).size == 40
    assert [path.name for path in tmp_path.iterdir()] == ["k.csv"]


def test_every_reader_meanwhile_sees_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "k.csv"
    append(file)
    sizes: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            sizes.append(good(file.read_bytes()).size)

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(20):
        assert append(file, "--id", f"id-{number}").code == 0
    over.set()
    reader.join()
    assert sizes == sorted(sizes)
    assert good(file.read_bytes()).size == 21


@pytest.mark.parametrize(("args", "code"), [(["key"], 2), (["key", "-h"], 0), (["key", "new"], 2)])
def test_without_more_there_is_help(args: list[str], code: int) -> None:
    found = pdp(*args)
    assert found.code == code
    assert "For example:" in found.out + found.err
    assert "  pdp key new --id" in found.out + found.err


@pytest.mark.parametrize(
    "args", [["key", "old"], ["key", "new", "--id", "a"], ["key", "new", "--subject", "a"]]
)
def test_bad_usage_is_2(args: list[str]) -> None:
    found = pdp(*args)
    assert (found.code, found.out) == (2, "")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_page_shows_settings_and_a_file_that_are_good() -> None:
    (toml,) = blocks("toml")
    table, problems = parse_toml(toml.encode(), "pdp.toml")
    section = table["authentication"]["api_keys"]
    settings, found = decode(ApiKeySettings, section, "pdp.toml", "authentication.api_keys")
    assert problems + found == []
    assert settings is not None
    assert settings.file == ApiKeySettings().file
    (rows,) = blocks("csv")
    keys = good(rows.encode())
    assert keys.size == rows.count("\n") - 3  # a header, a comment, and one that is disabled
    assert keys.roles == {*settings.roles}
    assert rows.splitlines()[0] == HEADER
    columns = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert tuple(columns) == COLUMNS


def test_the_pages_commands_do_what_it_says(tmp_path: Path) -> None:
    lines = [block.removeprefix("$ ").strip() for block in blocks("console")]
    appended, printed, digest = (page_line(line, tmp_path) for line in lines)
    file = (tmp_path / "api-keys.csv").read_bytes()
    identity = whose(key_of(appended), file)
    assert (identity.id, identity.roles, identity.key_id) == ("billing", ("member",), "billing-1")
    assert whose(key_of(printed), row_of(printed).encode()).id == "reports"
    assert good(file).size == 1  # the second one is only printed
    mine = f"mine,{digest.out.split()[0]},alice\n"
    assert whose("some-key", file + mine.encode()).key_id == "mine"


def page_line(line: str, directory: Path) -> Ran:
    program = f'pdp() {{ {sys.executable} -m pdp "$@"; }}; KEY=some-key; '
    found = shell(program + line, cwd=directory)
    assert found.code == 0, found.err
    return found


def test_what_the_page_says_of_edits_is_in_its_table() -> None:
    text = PAGE.read_text()
    assert "mv api-keys.csv.new api-keys.csv" in text
    assert "X-API-Key: KEY\nAuthorization: ApiKey KEY" in text
