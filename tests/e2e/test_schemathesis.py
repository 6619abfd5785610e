"""Every operation of `/openapi.json`, asked with what its schema allows and with what it does not.

`PDP_SCHEMATHESIS_EXAMPLES=500` makes a longer run, from another seed each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from schemathesis import engine
from schemathesis.checks import CHECKS, CheckContext
from schemathesis.engine import events
from support import copy_policies, free_port

log = logging.getLogger(__name__)  # figures: --log-cli-level=INFO
LONG = int(os.environ.get("PDP_SCHEMATHESIS_EXAMPLES", "0"))
SHORT = 12
OPEN = Path(__file__).parents[2] / "docs" / "examples" / "search"
KEY = "the-key-of-the-caller"
CALLER = """
[[callers]]
name = "tests"
key_sha256_file = "caller.keys"
vouch = true
see_reasons = true
"""
BATCH = "/access/v1/evaluations"
REFUSED = {"expected-statuses": [400, 401, 405, 413]}
# The field that is wrong, and what is wrong with it.
NAMED = re.compile(r"(?:[A-Za-z_-]+(?:\[\d+\]|\.\*)*\.?)+: [^\n]+")
# What no schema says: a body that is as its schema demands is refused for one of these alone.
BEYOND = re.compile(
    r"(?:evaluations\[\d+\]\.|decisions\[\d+\]\.)?(?:"
    r"resource: (?!is empty|is longer than 8192|holds a control)[^\n]+"  # a path
    r"|context\.time: must be [^\n]+"  # leap seconds
    r"|page\.token: is not one that was given for this search"
    r"|page\.limit: expected `int \| null`, got `float`"  # 2.0 is an integer to JSON Schema
    r"|context\.token: (?:no authentication is configured|is not for searches)[^\n]+"
    r"|token: no authentication is configured[^\n]+"
    r"|(?:authorization|cookie|api_key): is one credential too many, beside [a-z_]+"
    r"|authorization: holds more than one credential)"
)


@contextlib.contextmanager
def served(directory: Path, policies: Path) -> Iterator[dict[str, str]]:
    """A PDP in a process of its own; the URLs of its listeners."""
    places = {name: f"127.0.0.1:{free_port()}" for name in ("listen", "admin-listen")}
    flags = [part for name, place in places.items() for part in (f"--{name}", place)]
    command = [sys.executable, "-m", "pdp", "serve", str(policies), *flags]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log)  # noqa: S603 - what the test itself says
        try:
            urls = {name: f"http://{place}" for name, place in places.items()}
            for url in urls.values():
                wait(url)
            yield urls
            assert process.poll() is None
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait(url: str) -> None:
    for _ in range(200):
        with contextlib.suppress(requests.ConnectionError):
            requests.get(f"{url}/livez", timeout=5)
            return
        time.sleep(0.1)
    raise TimeoutError(url)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """It judges tokens, and asks its callers for a key."""
    directory = tmp_path_factory.mktemp("locked")
    policies = copy_policies(directory)
    (policies / "caller.keys").write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n")
    with (policies / "pdp.toml").open("a") as file:
        file.write(CALLER)
    with served(directory, policies) as urls:
        yield urls


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """It asks nobody who they are, and finds something."""
    directory = tmp_path_factory.mktemp("unlocked")
    with served(directory, Path(shutil.copytree(OPEN, directory / "policies"))) as urls:
        yield urls


def told(url: str) -> Any:
    """The document of a listener, whose answers may have no member beyond those it tells."""
    document = requests.get(f"{url}/openapi.json", timeout=5).json()
    found = schemas(document)
    for name in found.keys() - of_bodies(document):
        if "properties" in found[name]:
            found[name]["additionalProperties"] = False
    return document


def load(document: Any, url: str) -> Any:
    config = {
        "base-url": url,
        "headers": {"Authorization": f"Bearer {KEY}"},
        "seed": time.time_ns() % 2**32 if LONG else 1,
        "generation": {"mode": "all", "max-examples": LONG or SHORT, "deterministic": not LONG},
        "phases": {"stateful": {"enabled": False}},
        # What is left open here, `refusals_are_told` looks at.
        "checks": {
            "positive_data_acceptance": {"enabled": False},
            "negative_data_rejection": REFUSED,
        },
        "operations": [
            {
                "include-path": BATCH,
                "checks": {"negative_data_rejection": {"enabled": False, **REFUSED}},
            }
        ],
    }
    return schemathesis.openapi.from_dict(document, config=schemathesis.Config.from_dict(config))


def of_bodies(document: Any) -> set[str]:
    """The schemas that bodies are made of: they stay open, since unknown members are ignored."""
    found = set[str]()
    operations = [o for path in document["paths"].values() for o in path.values()]
    left = [str([o.get("requestBody") for o in operations])]
    while left:
        names = set(re.findall(r"#/components/schemas/(\w+)", left.pop())) - found
        found |= names
        left += [str(schemas(document)[name]) for name in names]
    return found


@schemathesis.check
def refusals_are_told(ctx: CheckContext, response: Any, case: schemathesis.Case) -> None:
    """A 400 names its field; what the schema allows gets one for what no schema says alone."""
    allowed = case.meta is not None and case.meta.generation.mode.is_positive
    for message in complaints(response):
        assert NAMED.fullmatch(message), message
        assert not allowed or BEYOND.fullmatch(message) or is_left_out(case, message), message
    if case.operation.path == BATCH:
        refused_within(ctx, response, case)


def complaints(response: Any) -> Iterator[str]:
    """What is said of fields that are wrong, of the whole body or of items of a batch."""
    answer = response.json() if response.status_code in {200, 400} and is_json(response) else {}
    if response.status_code == 400:
        yield answer["message"]
    items = answer.get("evaluations", ()) if isinstance(answer, dict) else ()
    for item in items:
        error = item["context"].get("error", {})
        if error.get("status") == 400:
            yield error["message"]


def is_json(response: Any) -> bool:
    return bool(response.headers["content-type"] == ["application/json"])


def is_left_out(case: schemathesis.Case, message: str) -> bool:
    """Whether it is for a part of an item that neither the item nor the batch has in full."""
    return case.operation.path == BATCH and message.startswith("evaluations[")


def refused_within(ctx: CheckContext, response: Any, case: schemathesis.Case) -> None:
    """An item that is wrong is refused on its own, unless the batch ended before."""
    if response.status_code == 200 and isinstance(case.body, dict):
        answers = response.json().get("evaluations", ())
        if any(complaints(response)) or len(answers) < len(case.body.get("evaluations") or ()):
            return
    (check,) = CHECKS.get_by_names(["negative_data_rejection"])
    check(ctx, response, case)


class Run:
    """What came of asking every operation of a document: cases by mode, and answers by status."""

    def __init__(self, schema: Any) -> None:
        self.cases = Counter[tuple[str, str]]()
        self.failures = list[tuple[str, str]]()  # the check, and what it found
        for event in engine.from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                self._count(event)
            elif isinstance(event, events.NonFatalError):
                self.failures.append(("error", f"{event.label}: {event.value!r}"))
            elif isinstance(event, events.FatalError):
                raise event.exception
        for (label, what), n in sorted(self.cases.items()):
            log.info("%6d %s %s", n, label, what)

    def _count(self, event: events.ScenarioFinished) -> None:
        recorder = event.recorder
        for id_, node in recorder.cases.items():
            case, label = node.value, node.value.operation.label
            self.cases[label, case.meta.generation.mode.value if case.meta else "probe"] += 1
            answered = recorder.interactions.get(id_)
            if answered is not None and answered.response is not None:
                self.cases[label, str(answered.response.status_code)] += 1
            for check in recorder.checks.get(id_, ()):
                if check.failure_info is not None:
                    found = f"{case.as_curl_command()}\n{check.failure_info.failure}"
                    self.failures.append((check.name, found))


@pytest.mark.parametrize("server", ["locked", "unlocked"])
@pytest.mark.parametrize("listener", ["listen", "admin-listen"])
def test_every_operation_answers_as_the_document_says(
    server: str, listener: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(server)[listener]
    schema = load(told(url), url)
    run = Run(schema)
    failures = [f"{check}: {found}" for check, found in run.failures]
    assert not failures, "\n\n".join([f"{len(failures)} failures", *failures[:10]])
    for result in schema.get_all_operations():
        operation = result.ok()
        assert run.cases[operation.label, "200"] >= 1
        assert run.cases[operation.label, "negative"] >= (SHORT if len(operation.body) else 1)


def decide(document: Any) -> Any:
    return document["paths"]["/v1/decision"]["post"]


def schemas(document: Any) -> Any:
    return document["components"]["schemas"]


# What a document could say that is not so, and the checks that must find it.
UNTRUE: dict[str, tuple[set[str], Callable[[Any], Any]]] = {
    "status": ({"status_code_conformance"}, lambda d: decide(d)["responses"].pop("400")),
    "member": (
        {"response_schema_conformance"},
        lambda d: schemas(d)["DecisionAnswer"]["properties"].pop("reason"),
    ),
    "media": (
        {"content_type_conformance"},
        lambda d: decide(d)["responses"]["200"].update(content={"text/plain": {"schema": {}}}),
    ),
    "key": (
        {"ignored_auth", "missing_required_header"},
        lambda d: decide(d).update(security=[{"callerKey": []}]),
    ),
    "allowed": ({"refusals_are_told"}, lambda d: schemas(d).update(Text={"type": "string"})),
    "refused": (
        {"negative_data_rejection"},
        lambda d: schemas(d)["QuestionBody"]["required"].append("accept"),
    ),
}


@pytest.mark.parametrize("name", UNTRUE)
def test_a_document_that_is_not_true_is_found_out(unlocked: dict[str, str], name: str) -> None:
    checks, change = UNTRUE[name]
    document = told(unlocked["listen"])
    document["paths"] = {"/v1/decision": document["paths"]["/v1/decision"]}
    change(document)
    run = Run(load(document, unlocked["listen"]))
    assert {check for check, _ in run.failures} == checks
