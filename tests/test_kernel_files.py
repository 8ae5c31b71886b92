"""Kernels can be found: which file holds what, and which may import which."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

MOST_PARAMETERS, MOST_LINES = 10, 300
KERNELS = Path(__file__).resolve().parents[1] / "kernels"
CPU, CUDA = KERNELS / "cpu", KERNELS / "cuda"


FILES = {path.relative_to(KERNELS).as_posix(): path for path in sorted(KERNELS.rglob("*.py"))}
every_file = pytest.mark.parametrize("path", FILES.values(), ids=FILES)


def many_parameters(text: str) -> list[str]:
    """Return the functions that take more positional parameters than anybody can keep apart, a method's self aside."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]
            if len(names) > MOST_PARAMETERS:
                found.append(f"{getattr(node, 'name', 'lambda')} (line {node.lineno}): {len(names)}")
    return found


@every_file
def test_layouts_are_records_and_no_rows_of_numbers(path: Path) -> None:
    assert not many_parameters(path.read_text()), "say what belongs together in a NamedTuple, which Numba takes too"


@pytest.mark.parametrize(
    "text",
    [
        "def f(a, b, c, d, e, f, g, h, i, j, k): pass",
        "class C:\n    def f(self, a, b, c, d, e, /, f, g, h, i, j, k): pass",
        "def f():\n    return lambda a, b, c, d, e, f, g, h, i, j, k: 0",
    ],
)
def test_a_row_of_numbers_is_found(text: str) -> None:
    assert many_parameters(text)
    assert not many_parameters(text.replace(", k", ", *, k"))


@every_file
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def imported(path: Path) -> set[tuple[int, str]]:
    """Return how far up each relative import of a file begins, and what it names."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom) and node.level]
    return {(node.level, node.module or alias.name) for node in nodes for alias in node.names}


@pytest.mark.parametrize("source", sorted(CUDA.glob("*.cu")), ids=lambda path: path.name)
def test_each_cuda_source_has_its_python_file(source: Path) -> None:
    beside = source.with_suffix(".py")
    assert beside.is_file(), f"nothing named {beside.name} launches the kernels of {source.name}"
    assert source.name in beside.read_text(), f"{beside.name} does not speak of {source.name}"


@pytest.mark.parametrize("path", sorted((CPU / "machine").glob("*.py")), ids=lambda path: path.name)
def test_what_all_kernels_share_knows_no_family(path: Path) -> None:
    families = {family.stem for family in CPU.glob("*.py")}
    assert not {name for level, name in imported(path) if level == 2} & families
