"""The house rules that a machine can referee: floors, sizes, and what pure code may not do."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "pdp"
FLOORS = {
    "cli": 6,
    "surfaces": 5,
    "runtime": 4,
    "client": 4,
    "search": 3,
    "pipeline": 3,
    "answer": 3,
    "policy": 2,
    "identity": 2,
    "model": 1,
    "outcome": 1,
    "errors": 1,
    "config": 1,
    "strict_json": 1,
    "gently": 1,
}
PURE = 3  # the highest floor that opens no file or socket, reads no clock and does not log
IMPURE = {"aiohttp", "asyncio", "logging", "os", "pathlib", "socket", "subprocess", "time", "io"}
# What decides, on floors 1 to 3, stays small enough to be read in a day; comments and docstrings
# are not counted. Counted apart are what judges credentials, what explains policies, their problems
# and decisions to people, what proves that a regular expression is harmless or hands it to an
# engine for which all are, and what finds candidates of a search, each of which is judged as any
# question is.
MOST_CODE_THAT_DECIDES = 4_400
APART = {
    ("gently.py",): 120,  # changes when work is done, never what comes of it
    ("identity/",): 2_000,
    (
        *("policy/checks/", "policy/explain.py", "policy/index/plan.py", "policy/near_misses.py"),
        "policy/reads.py",
    ): 1_800,
    tuple(
        f"policy/matcher/{name}.py"
        for name in ("automaton", "backtracking", "characters", "linear")
    ): 550,
    ("policy/search/", "search.py"): 1_200,
}
LONGEST_FILE = 250
LONGEST_FUNCTION = 45

FILES = sorted(p for p in ROOT.rglob("*.py") if p.name != "__main__.py")
modules = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))


def unit(path: Path) -> str:
    """The package or module of the floor plan that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def floor(path: Path) -> int:
    return 7 if unit(path) == "__init__" else FLOORS[unit(path)]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if is_module(whole) else node.module or ""


def is_module(name: str) -> bool:
    path = ROOT.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


@modules
def test_imports_point_down_only(path: Path) -> None:
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "pdp" or len(parts) == 1 or parts[1] == "__version__":
            continue
        other = parts[1]
        own = unit(path)
        inside_package = other == own and (ROOT / own).is_dir()
        beside = FLOORS[other] == floor(path) and not any((ROOT / n).is_dir() for n in (own, other))
        assert inside_package or FLOORS[other] < floor(path) or beside, (
            f"{path} on floor {floor(path)} imports {name}"
        )


def test_there_is_no_cycle() -> None:
    graph = {name_of(path): {n for n in imported(path) if n.startswith("pdp.")} for path in FILES}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"{' -> '.join((*above, name))}"
        if name in graph and name not in done:
            for other in graph[name]:
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())
    assert done >= set(graph)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize(
    "path", [p for p in FILES if floor(p) <= PURE], ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_lower_floors_are_pure(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    assert not roots & IMPURE
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "print", "input", "exec", "eval"}
    assert ".now(" not in path.read_text()


@modules
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= LONGEST_FUNCTION, node.name


@modules
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def code_lines(path: Path) -> int:
    text = path.read_text()
    documented = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node)
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    lines = enumerate(text.splitlines(), 1)
    return sum(
        1 for n, s in lines if s.strip() and not s.strip().startswith("#") and n not in documented
    )


def test_the_lower_floors_stay_readable() -> None:
    lower = [path for path in FILES if floor(path) <= PURE and code_lines(path) > 1]
    decided = sum(map(code_lines, lower))
    for places, most in APART.items():
        apart = [path for path in lower if str(path.relative_to(ROOT)).startswith(places)]
        counted = sum(map(code_lines, apart))
        assert counted <= most, places
        decided -= counted
    assert decided <= MOST_CODE_THAT_DECIDES
    assert statistics.median(path.read_text().count("\n") for path in lower) <= 130
    assert (ROOT / "pipeline.py").read_text().count("\n") <= 160
