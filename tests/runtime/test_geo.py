"""Countries by database: what a file must be to count, and what replaces it while the PDP runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb import BUILT, MARKER, Raw, country, encode, mmdb
from prometheus_client import CollectorRegistry

from pdp.runtime import geo
from pdp.runtime.following import INTERVAL_SECONDS, follow
from pdp.runtime.geo import LARGEST, Countries, country_code, load_countries
from pdp.runtime.settings import ServerSettings

NAME = "countries.mmdb"
GERMAN, FRENCH = "81.200.0.1", "91.160.0.1"
NETWORKS = {
    "81.200.0.0/16": country("DE"),
    "81.200.7.0/24": country("CH"),
    "91.160.0.0/12": country("FR", registered_country={"iso_code": "US"}),
    "2a01:4f8::/32": country("DE"),
}
GOOD = mmdb(NETWORKS)


def load(directory: Path, name: str = NAME) -> tuple[Countries | None, list[tuple[str, str]]]:
    countries, problems = load_countries(ServerSettings(country_database=name), directory)
    return countries, [(problem.file, problem.code) for problem in problems]


def good(directory: Path, data: bytes = GOOD) -> Countries:
    (directory / NAME).write_bytes(data)
    countries, problems = load(directory)
    assert problems == []
    assert countries is not None
    return countries


def test_without_the_setting_there_are_no_countries(tmp_path: Path) -> None:
    assert load_countries(ServerSettings(), tmp_path) == (None, [])


@pytest.mark.parametrize("record_size", [24, 28, 32])
@pytest.mark.parametrize(
    ("address", "code"),
    [
        (GERMAN, "DE"),
        ("81.200.255.255", "DE"),
        ("81.201.0.0", None),
        ("81.200.7.9", "CH"),
        (FRENCH, "FR"),
        ("2a01:4f8::1", "DE"),
        ("2a01:4f9::1", None),
        ("10.0.0.1", None),
        ("127.0.0.1", None),
        ("fd00::1", None),
        ("::1", None),
        ("not an address", None),
        ("", None),
        ("fe80::1%eth0", None),
    ],
)
def test_an_address_is_where_it_is_used(
    tmp_path: Path, record_size: int, address: str, code: str | None
) -> None:
    countries = good(tmp_path, mmdb(NETWORKS, record_size=record_size))
    assert [countries.country(address) for _ in range(2)] == [code, code]
    assert countries.built == BUILT


def test_a_database_of_ipv4_knows_no_ipv6(tmp_path: Path) -> None:
    countries = good(tmp_path, mmdb({"81.200.0.0/16": country("DE")}, ip_version=4))
    assert countries.country(GERMAN) == "DE"
    assert countries.country("2a01:4f8::1") is None


def test_a_database_of_ipv6_alone_is_good(tmp_path: Path) -> None:
    countries = good(tmp_path, mmdb({"2a01:4f8::/32": country("DE")}))
    assert countries.country("2a01:4f8::1") == "DE"
    assert countries.country(GERMAN) is None


ODD = [
    country("de"),
    country("XX"),
    country("T1"),
    country("DEU"),
    country(""),
    country(49),
    country(["DE"]),
    {"country": "DE"},
    {"country": {}},
    {"country": [country("DE")]},
    {"country_code": "DE"},
    {"registered_country": {"iso_code": "DE"}},
    {"autonomous_system_number": 64_500},
    "DE",
    49,
    [country("DE")],
    Raw(b"\xe1\x47country"),  # ends within
    Raw(b"\x42\xff\xfe"),  # no UTF-8
    Raw(b"\x27\xff"),  # points beyond the end
    Raw(b"\x00\xff"),  # no such type
    Raw(b""),
]


@pytest.mark.parametrize("record", ODD, ids=repr)
def test_a_record_of_another_shape_is_no_fact(tmp_path: Path, record: object) -> None:
    data = mmdb({"81.200.0.0/16": country("DE"), "91.160.0.0/12": record})
    countries = good(tmp_path, data)
    assert countries.country(FRENCH) is None
    assert countries.country(GERMAN) == "DE"


@pytest.mark.parametrize("record", ODD, ids=repr)
def test_a_database_without_countries_is_refused(tmp_path: Path, record: object) -> None:
    (tmp_path / NAME).write_bytes(mmdb({"0.0.0.0/1": record, "2000::/3": record}))
    assert load(tmp_path) == (None, [(NAME, "bad-country-database")])


def test_the_record_of_everything_is_read_once(tmp_path: Path) -> None:
    countries = good(tmp_path, mmdb({"0.0.0.0/1": country("DE"), "128.0.0.0/1": country("FR")}))
    assert [countries.country(ip) for ip in ("0.0.0.0", "255.255.255.255")] == ["DE", "FR"]


@pytest.mark.parametrize(
    ("code", "known"),
    [("DE", True), ("XK", True), ("GB", True), ("QA", True), ("XX", False), ("ZZ", False),
     ("AA", False), ("QM", False), ("QZ", False), ("XA", False), ("XZ", False), ("T1", False),
     ("A1", False), ("EU", False), ("AP", False), ("de", False), ("De", False), ("DE\n", False),
     (" DE", False), ("DEU", False), ("D", False), ("", False), ("ÄÖ", False), (None, False)],
)  # fmt: skip
def test_codes_of_countries(code: object, known: bool) -> None:
    assert country_code(code) == (code if known else None)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad-country-database"),
        (b"no database", "bad-country-database"),
        (GOOD[:-40], "bad-country-database"),
        (GOOD[40:], "bad-country-database"),
        (MARKER + encode({"node_count": 1}), "bad-country-database"),
        (MARKER + encode("text"), "bad-country-database"),
        (b"\x1f\x8b" + GOOD[: len(GOOD) // 2], "bad-country-database"),
        (mmdb(NETWORKS, built="soon"), "bad-country-database"),
    ],
)
def test_what_is_no_database_is_refused(tmp_path: Path, data: bytes, code: str) -> None:
    (tmp_path / NAME).write_bytes(data)
    assert load(tmp_path) == (None, [(NAME, code)])


@given(st.data())
def test_a_damaged_file_is_refused_or_answers(data: st.DataObject) -> None:
    damaged = bytearray(GOOD)
    for place in data.draw(st.lists(st.integers(0, len(GOOD) - 1), min_size=1, max_size=8)):
        damaged[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(geo.Unusable):
        found = geo._database(bytes(damaged)).find
        for address in (GERMAN, FRENCH, "2a01:4f8::1", "10.0.0.1"):
            assert found(address) is None or country_code(found(address))


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("absent"), os.mkfifo])
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / NAME)
    assert load(tmp_path) == (None, [(NAME, "missing-file")])


@pytest.mark.parametrize("name", [NAME, "", "a\0b", "../absent/x.mmdb"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, name) == (None, [(name, "missing-file")])


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        link = tmp_path / NAME
        link.symlink_to("/proc/self/mem")  # which even root cannot read from its start
    else:
        (tmp_path / NAME).write_bytes(GOOD)
        (tmp_path / NAME).chmod(0)
    assert load(tmp_path) == (None, [(NAME, "unreadable-file")])


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / NAME).open("wb") as file:
        file.truncate(LARGEST + 1)  # sparse
    started = time.monotonic()
    assert load(tmp_path) == (None, [(NAME, "huge-file")])
    assert time.monotonic() - started < 0.1


def test_the_path_is_relative_to_the_directory_or_absolute(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / NAME).write_bytes(GOOD)
    for name in (f"data/{NAME}", str(tmp_path / "data" / NAME)):
        countries, problems = load(tmp_path, name)
        assert problems == []
        assert countries is not None
        assert countries.path == tmp_path / "data" / NAME


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def test_without_the_extra_the_problem_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(GOOD)
    code = (
        "import sys, json; sys.modules['maxminddb'] = None\n"
        "from pathlib import Path\n"
        "from pdp.runtime.geo import load_countries\n"
        "from pdp.runtime.settings import ServerSettings\n"
        f"server = ServerSettings(country_database={NAME!r})\n"
        "countries, problems = load_countries(server, Path(sys.argv[1]))\n"
        "print(json.dumps([countries, [(p.code, p.help) for p in problems]]))"
    )
    countries, problems = json.loads(python(code, str(tmp_path)).stdout)
    assert countries is None
    ((found, help_),) = problems
    assert found == "missing-extra"
    assert "pip install '.[geo]'" in help_


def test_the_library_is_imported_only_where_a_database_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; import pdp.cli.serve, pdp.cli.start\n"
        "print([m for m in sys.modules if m.startswith('maxminddb')])"
    )
    assert python(code).stdout.strip() == "[]"


def test_what_was_looked_up_is_remembered_and_not_without_end(tmp_path: Path) -> None:
    find: Any = good(tmp_path)._database.find
    for _ in range(3):
        assert find(GERMAN) == "DE"
    assert find.cache_info()[:2] == (2, 1)
    for number in range(geo.REMEMBERED + 10):
        find(f"10.0.{number >> 8}.{number & 255}")
    assert find.cache_info().currsize == geo.REMEMBERED


async def eventually(holds: Callable[[], object]) -> None:
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < 2.0
        await asyncio.sleep(0.02)


async def a_while() -> None:
    await asyncio.sleep(2.5 * INTERVAL_SECONDS)


@contextlib.asynccontextmanager
async def followed(countries: Countries) -> AsyncIterator[None]:
    task = asyncio.create_task(follow(countries))
    try:
        await a_while()  # so that the file of the start is settled
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def replace(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_bytes(data)
    temporary.replace(path)


NEW = mmdb({**NETWORKS, "81.200.0.0/16": country("AT")}, built=BUILT + 86_400)


@pytest.mark.parametrize("write", [replace, Path.write_bytes])
async def test_a_good_file_goes_live(
    tmp_path: Path,
    write: Callable[[Path, bytes], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pdp.files")
    countries = good(tmp_path)
    assert countries.country(GERMAN) == "DE"
    async with followed(countries):
        write(countries.path, NEW)
        await eventually(lambda: countries.country(GERMAN) == "AT")
        assert (countries.problems, countries.built) == ((), BUILT + 86_400)
    assert [record.message for record in caplog.records] == [
        f"now live: countries as of {BUILT + 86_400}"
    ]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda path: replace(path, b""), "bad-country-database"),
        (lambda path: replace(path, mmdb({"0.0.0.0/1": {}})), "bad-country-database"),
        (lambda path: os.truncate(path, LARGEST + 1), "huge-file"),
        (Path.unlink, "missing-file"),
    ],
)
async def test_a_bad_file_keeps_the_last_good_one(
    tmp_path: Path,
    spoil: Callable[[Path], object],
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pdp.files")
    countries = good(tmp_path)
    registry = CollectorRegistry()
    countries.export(registry)
    built = "pdp_country_database_build_timestamp_seconds"
    async with followed(countries):
        spoil(countries.path)
        await eventually(lambda: countries.problems)
        await a_while()
        assert [(p.file, p.code) for p in countries.problems] == [(NAME, code)]
        assert countries.country(GERMAN) == "DE"
        assert registry.get_sample_value(built) == BUILT
        replace(countries.path, NEW)
        await eventually(lambda: countries.country(GERMAN) == "AT")
        assert countries.problems == ()
        assert registry.get_sample_value(built) == BUILT + 86_400
    told = [record.message for record in caplog.records]
    assert told.count("file has problems") == told.count("file is good again") == 1


async def test_a_file_that_is_still_written_to_is_neither_live_nor_a_problem(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pdp.files")
    countries = good(tmp_path)
    async with followed(countries):
        with countries.path.open("wb", buffering=0) as file:
            for byte in range(0, len(NEW), 8):
                file.write(NEW[byte : byte + 8])
                assert countries.country(GERMAN) == "DE"
                await asyncio.sleep(0.01)
        await eventually(lambda: countries.country(GERMAN) == "AT")
    assert [record.levelname for record in caplog.records] == ["INFO"]


async def test_the_same_file_written_anew_is_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pdp.files")
    countries = good(tmp_path)
    before = countries._database
    async with followed(countries):
        replace(countries.path, GOOD)
        await a_while()
    assert countries._database is before
    assert caplog.records == []


@pytest.mark.parametrize("data", [NEW, NEW[:-50]])
def test_nothing_is_taken_before_it_stands_still(tmp_path: Path, data: bytes) -> None:
    countries = good(tmp_path)
    countries.path.write_bytes(data)
    take = countries.read()
    assert take(False) is None
    assert (countries.country(GERMAN), countries.problems) == ("DE", ())
    take(True)
    assert (countries.country(GERMAN) == "AT") == (data == NEW)
    assert bool(countries.problems) == (data != NEW)


def test_that_a_file_is_gone_is_told_at_once(tmp_path: Path) -> None:
    countries = good(tmp_path)
    countries.path.unlink()
    countries.read()(False)
    assert [problem.code for problem in countries.problems] == ["missing-file"]


def test_what_changes_while_it_is_read_does_not_count(tmp_path: Path) -> None:
    countries = good(tmp_path)
    os.truncate(countries.path, 64 << 20)
    stop, begun = threading.Event(), threading.Event()

    def write() -> None:
        with countries.path.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"x")
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(5)
        assert load(tmp_path) == (None, [(NAME, "changing-file")])
        countries.read()(True)
    finally:
        stop.set()
        writer.join()
    assert (countries.country(GERMAN), countries.problems) == ("DE", ())
    countries.read()(True)
    assert [problem.code for problem in countries.problems] == ["bad-country-database"]
