"""The architecture holds: small files and functions, nothing loose, no two files that import each other."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
LIBRARY = sorted((CHECKOUT / "gnnpot").rglob("*.py"))
COMMANDS = sorted((CHECKOUT / "cli").glob("*.py"))
TESTS = sorted((CHECKOUT / "tests").rglob("*.py"))
LOOSE = {"__init__.py", "errors.py", "units.py", "version.py"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(paths: list[Path]) -> Iterator[tuple[str, Function]]:
    """All functions with their place."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function):
                yield f"{path.relative_to(CHECKOUT)}:{node.lineno} {node.name}", node


def num_parameters(function: Function) -> int:
    """Number of parameters, self aside."""
    names = [argument.arg for argument in function.args.posonlyargs + function.args.args]
    return len([name for name in names if name not in ("self", "cls", "ctx")]) + len(function.args.kwonlyargs)


def module_of(path: Path) -> str:
    """Name by which a file is imported."""
    return ".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path, known: set[str]) -> set[str]:
    """Modules of the library that a file imports, in functions too, for types aside."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return (found & known) - {module_of(path)}


def test_nothing_lies_loose_at_the_top():
    assert {path.name for path in (CHECKOUT / "gnnpot").glob("*.py")} == LOOSE


@pytest.mark.parametrize("part", [LIBRARY, COMMANDS, TESTS], ids=["gnnpot", "cli", "tests"])
def test_no_file_is_longer_than_350_lines(part):
    lengths = {str(path.relative_to(CHECKOUT)): len(path.read_text().splitlines()) for path in part}
    assert {name: length for name, length in lengths.items() if length > 350} == {}


def test_no_two_files_of_tests_have_one_name():
    names = Counter(path.name for path in TESTS if path.name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_function_is_longer_than_60_lines():
    lengths = {name: node.end_lineno - node.lineno + 1 for name, node in functions([*LIBRARY, *COMMANDS])}
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_no_function_but_compiled_loops_takes_more_than_six_parameters():
    plain = [path for path in LIBRARY if "kernels" not in path.parts]
    counts = {name: num_parameters(node) for name, node in functions(plain)}
    assert {name: count for name, count in counts.items() if count > 6} == {}


def test_no_two_files_import_each_other():
    known = {module_of(path) for path in LIBRARY}
    imports = {module_of(path): imports_of(path, known) for path in LIBRARY}
    cycles = {(a, b) for a, others in imports.items() for b in others if a in imports.get(b, ())}
    # a package may gather names of its own modules, which import their siblings, never the package
    assert {(a, b) for a, b in cycles if a < b} == set()
