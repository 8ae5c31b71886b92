"""Kernels can be found: which file holds what, and which may import which."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

KERNELS = Path(__file__).resolve().parents[1] / "kernels"
CPU, CUDA = KERNELS / "cpu", KERNELS / "cuda"


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
