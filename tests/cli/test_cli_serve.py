"""`pdp serve`, `pdp demo` and `pdp healthcheck`, as processes with real ports."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runs import (
    SECRET_ISSUER,
    STARTER,
    Ran,
    Server,
    copy_starter,
    free_port,
    pdp,
    places,
    process,
    shell,
    started,
    write_pair,
)


def ask(line: str) -> str:
    found = shell(line)
    assert found.code == 0, found.err
    return found.out.strip()


def lines(server: Server, start: str) -> list[str]:
    return [line for line in server.lines["out"] if line.startswith(start)]


# demo


def test_the_demos_lines_give_the_statuses_beside_them() -> None:
    with started("demo", *places(), "--tokens", until="every decision") as server:
        printed = server.lines["out"]
        asked = [
            (printed[at - 1].split()[0], line)
            for at, line in enumerate(printed)
            if line.startswith("curl ") and "/authz/forward" in line
        ]
        assert [status for status, _ in asked] == ["200", "401", "403", "404"]
        assert [ask(line) for _, line in asked] == ["200", "401", "403", "404"]
        native = json.loads(ask(next(line for line in printed if "/v1/decision" in line)))
        assert (native["status"], native["reason"]) == (403, "not_granted")
        explain = lines(server, "pdp explain ")[0].split()
        assert process(*explain[1:], cwd=STARTER).out.startswith("403 forbidden  not_granted")
        users = [line.split() for line in printed if "eyJ" in line and "curl" not in line]
        assert [user for user, _ in users] == ["alice", "bob", "carol", "mallory", "erin"]
        admin = asked[3][1].replace(dict(users)["alice"], dict(users)["carol"])  # type: ignore[arg-type]
        assert ask(admin) == "200"
        member = asked[0][1].replace(dict(users)["alice"], dict(users)["mallory"])  # type: ignore[arg-type]
        assert ask(member) == "403"
        directory = Path(explain[2])
        assert directory.exists()
        assert not [path for path in directory.iterdir() if path.suffix == ".key"]
        assert server.end(signal.SIGINT) == 0
        assert not directory.exists()


def test_the_demo_listens_on_a_unix_socket_too(tmp_path: Path) -> None:
    args = ["--listen", f"unix:{tmp_path / 's'}", "--admin-listen", f"unix:{tmp_path / 'a'}"]
    with started("demo", *args, until="every decision") as server:
        assert not [line for line in server.lines["out"] if line.startswith("alice ")]
        asked = lines(server, "curl ")
        assert [ask(line) for line in asked[:4]] == ["200", "401", "403", "404"]
        assert pdp("healthcheck", env={"PDP_LISTEN": f"unix:{tmp_path / 's'}"}).code == 0


def test_the_demo_on_every_address_prints_one_that_can_be_asked() -> None:
    port, admin = free_port(), free_port()
    args = ["--listen", f"0.0.0.0:{port}", "--admin-listen", f"127.0.0.1:{admin}"]
    with started("demo", *args, until="every decision", PDP_TRUST_NETWORK="true") as server:
        asked = lines(server, "curl ")
        assert f"http://127.0.0.1:{port}/" in asked[0]
        assert ask(asked[0]) == "200"
    assert process("demo", *args, cwd=STARTER).code == 3


def test_the_demo_on_ipv6() -> None:
    port, admin = free_port(), free_port()
    args = ["--listen", f"[::1]:{port}", "--admin-listen", f"127.0.0.1:{admin}"]
    with started("demo", *args, until="every decision") as server:
        assert ask(lines(server, "curl ")[0].replace("curl ", "curl -g ")) == "200"


@pytest.mark.parametrize("name", ["demo", "serve"])
def test_a_port_in_use_is_4_with_a_hint(name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        args = [str(STARTER)] if name == "serve" else []
        found = process(name, *args, "--listen", listen, cwd=STARTER)
    assert found.code == 4
    assert f"cannot listen on {listen}" in found.err
    assert "help: is another process there already?" in found.err
    assert "Traceback" not in found.err


def test_a_host_that_is_no_name_is_4() -> None:
    found = process("serve", STARTER, "--listen", "a..b:1", "--trust-network", cwd=STARTER)
    assert found.code == 4
    assert "Traceback" not in found.err


def test_the_demo_needs_a_port_that_it_can_print() -> None:
    assert pdp("demo", "--listen", "127.0.0.1:0").code == 2
    assert pdp("demo", "--listen", "nowhere").code == 3


# serve


@pytest.fixture
def quiet() -> Iterator[None]:
    """Logging as it was, after a server has run in this process."""
    names = ("", "aiohttp", "asyncio")
    before = {name: logging.getLogger(name).level for name in names}
    handlers = logging.getLogger().handlers
    yield
    logging.getLogger().handlers = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def interrupted(url: str, *args: object) -> Ran:
    """A command in this process, ended by a signal once it is ready."""

    def end() -> None:
        for _ in range(500):
            if healthy(url):
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(0.02)

    thread = threading.Thread(target=end)
    thread.start()
    found = pdp(*args)
    thread.join()
    return found


def healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=1) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_signal_ends_it_with_0(quiet: None) -> None:
    args = places()
    found = interrupted(f"http://{args[1]}", "serve", STARTER, *args)
    assert (found.code, found.out) == (0, "")
    assert '"serving"' in found.err
    args = places()
    found = interrupted(f"http://{args[1]}", "demo", *args, "--tokens")
    assert found.code == 0
    assert found.out.count("curl -s ") == 5


def test_the_demos_lines_go_where_it_can_be_reached(quiet: None, tmp_path: Path) -> None:
    admin = f"127.0.0.1:{free_port()}"
    listen = f"unix:{tmp_path / 's'}"
    found = interrupted(f"http://{admin}", "demo", "--listen", listen, "--admin-listen", admin)
    assert found.out.count(f"--unix-socket {tmp_path / 's'} http://localhost/authz/forward") == 4
    assert "eyJ" in found.out


def test_two_listeners_cannot_share_a_port(quiet: None) -> None:
    listen = f"127.0.0.1:{free_port()}"
    found = pdp("serve", STARTER, "--listen", listen, "--admin-listen", listen)
    assert (found.code, f"cannot listen on {listen}" in found.err) == (4, True)


def test_serve_answers_and_ends_on_sigterm(tmp_path: Path) -> None:
    args = places()
    with started("serve", STARTER, *args, until='"serving"', stream="err") as server:
        url = f"http://{args[1]}"
        assert pdp("healthcheck", "--url", url).out == "ready\n"
        assert pdp("healthcheck", "--url", f"http://{args[3]}/readyz").code == 0
        assert server.end(signal.SIGTERM) == 0
    assert pdp("healthcheck", "--url", url).code == 1


def test_a_flag_wins_over_the_environment() -> None:
    args = places()
    env = {"PDP_LISTEN": "127.0.0.1:1", "PDP_POLICIES": str(STARTER)}
    with started("serve", *args, until='"serving"', stream="err", **env) as server:
        assert args[1] in server.lines["err"][-1]
        assert server.end(signal.SIGINT) == 0


def test_policies_is_the_same_as_the_argument() -> None:
    args = ["--policies", str(STARTER), *places()]
    with started("serve", *args, until='"serving"', stream="err") as server:
        assert server.end(signal.SIGTERM) == 0


def test_warnings_are_told_at_the_start(quiet: None, tmp_path: Path) -> None:
    directory = copy_starter(tmp_path)
    toml = (directory / "pdp.toml").read_text().replace('roles_claim = "roles"\n', "")
    (directory / "pdp.toml").write_text(toml)
    args = places()
    found = interrupted(f"http://{args[1]}", "serve", directory, *args)
    assert found.err.startswith("pdp.toml roles-unused warning: ")


def test_a_missing_secret_is_no_warning_here(tmp_path: Path) -> None:
    found = pdp("serve", write_pair(tmp_path, toml=SECRET_ISSUER), *places())
    assert found.code == 3
    assert "no-secret" in found.err


def test_the_operators_file_is_read(tmp_path: Path) -> None:
    directory = write_pair(tmp_path / "policies")
    config = tmp_path / "operator.toml"
    config.write_text("[nope]\n")
    for args, env in (
        (["--config", str(config)], {}),
        ([], {"PDP_CONFIG": str(config)}),
    ):
        found = pdp("serve", directory, *args, env=env)
        assert (found.code, "operator.toml unknown-key" in found.err) == (3, True)


def test_off_loopback_it_is_3_unless_the_network_is_trusted() -> None:
    port = free_port()
    args = ["serve", STARTER, "--listen", f"0.0.0.0:{port}"]
    found = process(*args, cwd=STARTER)
    assert found.code == 3
    assert "open-gateway-endpoints" in found.err
    assert "--trust-network" in found.err
    trusted = [*args, "--trust-network", "--admin-listen", f"127.0.0.1:{free_port()}"]
    with started(*trusted, until='"serving"', stream="err") as server:
        assert pdp("healthcheck", env={"PDP_LISTEN": f"0.0.0.0:{port}"}).code == 0
        assert server.end(signal.SIGTERM) == 0


# healthcheck


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "127.0.0.1:7373",
        "http://",
        "http://h:x/",
        "http://h/\u00e9",
        "http://h/ x",
        "unix:relative",
    ],
)
def test_bad_urls_are_2(url: str) -> None:
    found = pdp("healthcheck", "--url", url)
    assert (found.code, "--url: must" in found.err or "Port" in found.err) == (2, True)


def test_a_bad_listener_is_2() -> None:
    found = pdp("healthcheck", env={"PDP_LISTEN": "nowhere"})
    assert (found.code, "PDP_LISTEN: must be" in found.err) == (2, True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "unix:/nowhere", "http://a..b/"])
def test_nobody_there_is_1(url: str) -> None:
    found = pdp("healthcheck", "--url", url)
    assert (found.code, found.err.startswith("not ready: ")) == (1, True)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "status 503"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}", "status 503 {}"),
        (b"rubbish\r\n", "no answer of HTTP"),
        (b"", "no answer in time"),
    ],
)
def test_any_other_answer_is_1(answer: bytes, told: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        over = threading.Event()

        def reply() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4_096)
                connection.sendall(answer)
                if not answer:
                    over.wait(10)

        thread = threading.Thread(target=reply)
        thread.start()
        found = pdp("healthcheck", "--url", f"http://127.0.0.1:{listener.getsockname()[1]}")
        over.set()
        thread.join()
    assert (found.code, found.err[:10], told.lower() in found.err.lower()) == (
        1,
        "not ready:",
        True,
    )
