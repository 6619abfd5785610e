"""Small things: ids, log lines, addresses to listen on, exposure."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import time
import uuid
from pathlib import Path

import pytest
import support
from msgspec.structs import replace

from pdp.cli.serve import check_exposure
from pdp.errors import ConfigurationError
from pdp.runtime.callers import Caller, load_callers
from pdp.runtime.ids import decision_id
from pdp.runtime.load import load
from pdp.runtime.logs import JsonFormatter, configure_logging
from pdp.runtime.settings import CallerSettings, is_local, parse_listen
from pdp.surfaces.app import admin_routes


def test_decision_ids_are_uuids_of_version_7_and_sort_by_time() -> None:
    before = time.time_ns() // 1_000_000
    first = uuid.UUID(decision_id())
    time.sleep(0.002)
    second = uuid.UUID(decision_id())
    assert (first.version, first.variant) == (7, uuid.RFC_4122)
    assert str(first) < str(second)
    assert before <= first.int >> 80 <= time.time_ns() // 1_000_000


def test_a_log_line_is_one_json_object_whatever_it_says() -> None:
    record = logging.LogRecord("pdp", logging.INFO, "f", 1, "a\nb %s", ("\u2028",), None)
    record.facts = {"resource": "/x\n{}", "odd": object}
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["resource"] == "/x\n{}"
    assert json.loads(line)["message"] == "a\nb \u2028"


def test_an_exception_is_named_and_not_quoted() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        configure_logging(stream)
        try:
            int("secret")
        except ValueError:
            logging.getLogger("pdp.test").exception("it failed")
    finally:
        root.handlers, root.level = handlers, level
    assert json.loads(stream.getvalue())["error"] == "ValueError"
    assert "secret" not in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "place", "local"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80), True),
        ("localhost:80", ("localhost", 80), True),
        ("[::1]:80", ("::1", 80), True),
        ("unix:/run/pdp.sock", "/run/pdp.sock", True),
        ("0.0.0.0:80", ("0.0.0.0", 80), False),
        ("[::]:80", ("::", 80), False),
        ("pdp.example:80", ("pdp.example", 80), False),
    ],
)
def test_where_to_listen(text: str, place: object, local: bool) -> None:
    assert (parse_listen(text), is_local(text)) == (place, local)


@pytest.mark.parametrize("text", ["", "80", ":80", "a:", "a:b", "a:99999", "unix:x", "a:-1", "a:²"])
def test_a_bad_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_listen(text)


def test_callers_are_known_by_their_digests(tmp_path: Path) -> None:
    digest = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"
    (tmp_path / "gateway.sha256").write_text(f"{digest}\n")
    settings = CallerSettings(name="gateway", key_sha256_file="gateway.sha256")
    callers, problems = load_callers((settings,), tmp_path)
    assert problems == []
    assert callers.identify("key") == Caller("gateway", vouch=False, see_reasons=False)
    assert callers.identify("other") is None


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ({"listen": "0.0.0.0:80"}, ["open-gateway-endpoints", "open-json-api"]),
        ({"listen": "0.0.0.0:80", "trust_network": True}, []),
        ({"listen": "127.0.0.1:80"}, []),
        ({"listen": "unix:/run/x"}, []),
    ],
)
def test_it_does_not_listen_in_the_open_unless_told(
    policies: Path, flags: dict[str, object], found: list[str]
) -> None:
    loaded = load(policies, None, {}, flags)
    try:
        check_exposure(loaded)
        codes = []
    except ConfigurationError as error:
        codes = [problem.code for problem in error.problems]
    assert codes == found


async def test_an_admin_listener_off_loopback_tells_health_and_metrics_only(
    policies: Path,
) -> None:
    async with support.pdp(policies) as server:
        context = server.context
        everywhere = replace(server.service.loaded.server, admin_listen="0.0.0.0:7374")
        server.service.loaded = dataclasses.replace(server.service.loaded, server=everywhere)
        assert "/v1/policy" not in admin_routes(context)
        assert {"/metrics", "/readyz"} <= set(admin_routes(context))


async def test_a_taken_port_is_an_os_error(policies: Path) -> None:
    async with support.pdp(policies) as server:
        taken = server.url.removeprefix("http://")
        with pytest.raises(OSError, match=r"."):
            async with support.pdp(policies, listen=taken):
                pass
