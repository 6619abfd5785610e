"""Which country an address is in, by a database file that is followed while the PDP runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from io import BytesIO
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Gauge

from pdp.errors import Problem, Unusable
from pdp.runtime.settings import ServerSettings

if TYPE_CHECKING:  # the extra `geo` is needed only where a database is named
    from maxminddb import Reader

LARGEST: Final = 256 << 20  # bytes: all of the file is in memory, and twice while it is replaced
REMEMBERED: Final = 8_192  # addresses
_PROBED: Final = 4_096  # networks that are searched for a country before a file is believed

_CODE: Final = re.compile(r"[A-Z]{2}")
# ISO 3166-1's codes for users' own purposes, which here say "unknown"; but for XK, which everybody
# takes for Kosovo. AP and EU once meant networks of a continent.
_NO_COUNTRY: Final = frozenset(
    ["AA", "ZZ", "AP", "EU", *(f"Q{c}" for c in "MNOPQRSTUVWXYZ")]
    + [f"X{c}" for c in "ABCDEFGHIJLMNOPQRSTUVWXYZ"]
)


def country_code(value: object) -> str | None:
    """`value` if it is the ISO 3166-1 alpha-2 code of a country, in capitals; else None."""
    if isinstance(value, str) and _CODE.fullmatch(value) and value not in _NO_COUNTRY:
        return value
    return None


@dataclass(frozen=True, slots=True)
class _Database:
    data: bytes = field(repr=False)
    built: int  # Unix seconds
    find: Callable[[str], str | None]


class Countries:
    """The countries of addresses by one MaxMind DB file; a `Followed`.

    INVARIANT: only a whole file that has countries and stands still goes live; until then the
    last one does.
    """

    def __init__(self, path: Path, name: str, database: _Database) -> None:
        self.path = path
        self.problems: tuple[Problem, ...] = ()  # why what stands in the file is not live
        self._name = name
        self._database = database

    def country(self, address: str) -> str | None:
        """The code of the country where an address is used; None if that is not known."""
        return self._database.find(address)

    @property
    def built(self) -> int:
        """When the vendor built the database that is live, in Unix seconds."""
        return self._database.built

    def read(self) -> Callable[[bool], str | None]:
        """Read the file, which may block; what is returned makes it live (see `Followed`)."""
        live = self._database
        try:
            data = _content(self.path)
            database = live if data == live.data else _database(data)
        except _Changing:
            return lambda _settled: None
        except Unusable as error:
            problem, at_once = error.problem(self._name), error.code in _AT_ONCE
            return lambda settled: self._keep(problem) if settled or at_once else None
        return lambda settled: self._take(database) if settled else None

    def _keep(self, problem: Problem) -> None:
        self.problems = (problem,)

    def _take(self, database: _Database) -> str | None:
        self.problems = ()
        if database is self._database:
            return None
        self._database = database
        return f"countries as of {database.built}"

    def export(self, registry: CollectorRegistry) -> None:
        """Add the gauge `pdp_country_database_build_timestamp_seconds` to a registry."""
        name = "pdp_country_database_build_timestamp_seconds"
        help_ = "When the live database of countries was built."
        Gauge(name, help_, registry=registry).set_function(lambda: self.built)


def load_countries(
    server: ServerSettings, base_directory: Path
) -> tuple[Countries | None, list[Problem]]:
    """The countries of `country_database`, relative to `base_directory`; None if not configured.

    None with a problem if the file or the extra `geo` is missing or of no use.
    """
    name = server.country_database
    if name is None:
        return None, []
    path = base_directory / name
    try:
        return Countries(path, name, _database(_content(path))), []
    except Unusable as error:
        return None, [error.problem(name)]


_AT_ONCE: Final = frozenset({"missing-file", "unreadable-file"})


class _Changing(Unusable):
    """The file was written to while it was read."""


def _content(path: Path) -> bytes:
    looked = f"looked for {path}; paths are relative to the file that names them"
    if not os.path.isfile(path):  # noqa: PTH113 - raises nothing; a pipe would block
        raise Unusable("missing-file", "is gone, or no regular file", looked)
    try:
        with path.open("rb") as opened:
            before = os.fstat(opened.fileno())
            data = b"" if before.st_size > LARGEST else opened.read(LARGEST + 1)
            after = os.fstat(opened.fileno())
    except OSError as error:
        why = (error.strerror or "").lower()
        raise Unusable("unreadable-file", f"cannot be read: {why}", looked) from error
    if before.st_size > LARGEST:
        help_ = "use an edition with countries only"
        raise Unusable("huge-file", f"is over {LARGEST} bytes", help_)
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, len(data)):
        raise _Changing("changing-file", "is being written", "try again")
    return data


def _database(data: bytes) -> _Database:
    """The database in these bytes; Unusable if there is none, or it knows no country."""
    try:
        import maxminddb
    except Exception as error:  # a version that does not fit raises anything: exit code 3
        help_ = "install this project with its extra: in its directory, `pip install '.[geo]'`"
        message = "the package that reads it, `maxminddb`, cannot be imported"
        raise Unusable("missing-extra", message, help_) from error
    help_ = "a GeoLite2, GeoIP2 or DB-IP file of countries or cities, unpacked: `….mmdb`"
    try:
        # In memory: a file that is mapped or read on demand changes under its reader.
        reader = maxminddb.open_database(BytesIO(data), maxminddb.MODE_FD)
        found = any(country_code(_iso_code(record)) for record in _first_records(reader))
        built = int(reader.metadata().build_epoch)
    except Exception as error:  # a corrupt file raises anything: it does not go live
        message = f"is no sound MaxMind DB file: {type(error).__name__}"
        raise Unusable("bad-country-database", message, help_) from error
    if not found:
        message = "has no `country.iso_code` in its first networks"
        raise Unusable("bad-country-database", message, help_)
    return _Database(data, built, lru_cache(REMEMBERED)(partial(_find, reader)))


def _first_records(reader: Reader) -> Iterator[object]:
    """What is known of the lowest networks of the Internet's addresses, IPv4 first."""
    firsts: list[IPv4Address | IPv6Address] = [IPv4Address(0)]
    if reader.metadata().ip_version == 6:  # noqa: PLR2004
        firsts.append(IPv6Address("2000::"))
    for first in firsts:
        address, kind, bits = int(first), type(first), first.max_prefixlen
        for _ in range(_PROBED):
            record, length = reader.get_with_prefix_len(kind(address))
            yield record
            address = (address | (1 << bits - length) - 1) + 1
            if address >> bits:
                break


def _find(reader: Reader, address: str) -> str | None:
    try:
        return country_code(_iso_code(reader.get(address)))
    except Exception:  # noqa: BLE001 - a bad record is no fact: rules that need it fail closed
        return None


def _iso_code(record: Any) -> object:
    """The code of where the network is used.

    `registered_country` is where its owner has it registered, which may be another one: a
    record that has only that does not say where anybody is.
    """
    country = record.get("country") if isinstance(record, dict) else None
    return country.get("iso_code") if isinstance(country, dict) else None
