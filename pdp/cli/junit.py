"""Results of cases as JUnit XML, which build servers show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from pdp.cli.case_file import FILE
from pdp.cli.cases import Result, told
from pdp.cli.terminal import printable


def write_junit(path: Path, results: Sequence[Result]) -> None:
    """One `testsuite` with a `testcase` for each result, times in seconds.

    What XML cannot hold is written as an escape.
    """
    failures = sum(not result.passed for result in results)
    seconds = sum(result.seconds for result in results)
    suites = ET.Element("testsuites")
    suite = ET.SubElement(
        suites,
        "testsuite",
        name=FILE,
        tests=str(len(results)),
        failures=str(failures),
        errors="0",
        time=f"{seconds:.6f}",
    )
    for result in results:
        _add(suite, result)
    ET.indent(suites)
    ET.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)


def _add(suite: ET.Element, result: Result) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=FILE,
        name=printable(result.case.name),
        file=FILE,
        line=str(result.case.line),
        time=f"{result.seconds:.6f}",
    )
    if not result.passed:
        wanted, got = printable(told(result.case.expect)), printable(told(result.actual))
        failure = ET.SubElement(case, "failure", message=f"expected {wanted}, got {got}")
        failure.text = f"expected: {wanted}\nactual:   {got}\n"
