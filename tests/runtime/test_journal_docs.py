"""The page on the decision log, compared with its schema, and with what stands on it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from support import require

from pdp.model import STATUS, Method, Outcome, Reason
from pdp.runtime.journal_settings import MASKABLE
from pdp.runtime.journal_shapes import Dropped, Party, Record
from pdp.runtime.journal_values import LONGEST, LONGEST_RESOURCE, MOST
from pdp.surfaces.authzen import SURFACE as AUTHZEN
from pdp.surfaces.conventions import CONVENTIONS
from pdp.surfaces.envoy_grpc import SURFACE as GRPC

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "decision-log.md").read_text()
SCHEMA = json.loads((DOCS / "decision-log.schema.json").read_text())
DEFINED = SCHEMA["$defs"]
SAMPLE = PAGE.split("```json\n")[1].split("```")[0]
JQ = re.findall(r"^jq .*$", PAGE, re.MULTILINE)


def table(heading: str) -> dict[str, tuple[bool, str]]:
    text = re.split(r"^## ", PAGE.split(f"## {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {name.strip("| `"): (there == "always", what.rstrip(" |")) for name, there, what in rows}


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("heading", "name"),
    [("A decision", "decision"), ("Records that are missing", "dropped")],
)
def test_the_tables_are_the_schemas(heading: str, name: str) -> None:
    defined = DEFINED[name]
    expected = {
        field: (field in defined["required"], schema["description"])
        for field, schema in defined["properties"].items()
    }
    assert table(heading) == expected
    assert list(table(heading)) == list(expected)


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (Record, DEFINED["decision"]),
        (Dropped, DEFINED["dropped"]),
        (Party, DEFINED["decision"]["properties"]["subject"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_schema_has_the_fields_of_the_code(
    kind: type[msgspec.Struct], schema: Mapping[str, Any]
) -> None:
    assert [*schema["properties"]] == [field.name for field in msgspec.structs.fields(kind)]
    assert schema["additionalProperties"] is False


def test_the_schema_has_the_names_of_the_code() -> None:
    fields = DEFINED["decision"]["properties"]
    assert fields["verdict"]["enum"] == [str(outcome) for outcome in Outcome]
    assert fields["reason"]["enum"] == [str(reason) for reason in Reason]
    assert fields["method"]["enum"] == [str(method) for method in Method]
    assert fields["status"]["enum"] == sorted(set(STATUS.values()))
    surfaces = [*(convention.name for convention in CONVENTIONS), GRPC, "native", AUTHZEN]
    assert sorted(fields["surface"]["enum"]) == sorted(surfaces)


def test_the_bounds_are_those_of_the_code() -> None:
    fields = DEFINED["decision"]["properties"]
    assert fields["resource"]["maxLength"] == LONGEST_RESOURCE
    assert {fields[name]["maxLength"] for name in ("detail", "action", "ip")} == {LONGEST}
    assert fields["roles"]["maxItems"] == MOST
    for number in (LONGEST, LONGEST_RESOURCE, MOST):
        assert f"{number:,}" in PAGE


def test_every_mask_is_documented() -> None:
    text = PAGE.split("### Masking")[1].split("### Sampling")[0]
    assert set(MASKABLE) <= set(re.findall(r"`([a-z_]+)`", text))
    assert set(MASKABLE) <= set(DEFINED["decision"]["properties"])


def test_the_sample_is_a_record() -> None:
    Draft202012Validator(SCHEMA).validate(json.loads(SAMPLE))


@pytest.mark.parametrize("line", JQ)
def test_the_examples_read_records(line: str, tmp_path: Path) -> None:
    require("jq", "jq")
    dropped = '{"event":"dropped","timestamp":"t","count":1,"since":"t"}\n'
    (tmp_path / "decisions.jsonl").write_text(SAMPLE + dropped)
    shell = shutil.which("bash") or "sh"
    ran = subprocess.run(  # noqa: S603 - what the page says
        [shell, "-o", "pipefail", "-c", line], check=False, cwd=tmp_path, capture_output=True
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.count(b"\n") == (0 if ".rule" in line else 1)


def test_there_are_examples() -> None:
    assert len(JQ) == 5
