"""Who may import whom, read from the import statements; what `import gpudl` brings in; what is packaged."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"gpudl": ROOT / "gpudl", "gpudl.kernels": ROOT / "kernels"}

BASE = ("backend", "engine", "ops", "random", "config", "dtype_policies", "registry", "utils", "kernels.geometry")
# What a Keras user sees, from the bottom up: each may import those before it, and the base.
FACE = (
    *("activations", "initializers", "regularizers", "constraints", "losses", "metrics", "optimizers"),
    *("mixed_precision", "layers", "callbacks", "datasets", "saving"),
    *("training", "reports", "models", "cli", "__main__"),
)
MAY_IMPORT: dict[str, set[str]] = {
    "kernels": set(),
    "backend": {"kernels"},
    "engine": {"backend"},
    "ops": {"engine", "backend", "config", "kernels.geometry"},
    "registry": {"engine"},
    "utils": {"config", "random", "backend", "engine"},
    "config": {"backend", "engine", "dtype_policies"},
    "dtype_policies": {"config", "registry", "engine"},
    "random": {"ops", "engine", "config"},
    **{part: {*BASE, *FACE[:rank]} for rank, part in enumerate(FACE)},
    "__init__": {*BASE, *FACE, "kernels"},
}
LIBRARIES: dict[str, set[str]] = {
    "kernels": {"numpy", "numba", "llvmlite", "cupy"},
    "backend": {"numpy", "cupy", "cupyx"},
    "engine": {"numpy", "ml_dtypes"},
    **{part: {"numpy", "rich"} for part in ("utils", "callbacks", "reports")},
    **{part: {"numpy", "rich", "h5py", "matplotlib"} for part in ("models", "saving", "cli")},
}
ON_DEMAND = {"cupy", "cupyx", "numba", "llvmlite", "h5py", "matplotlib", "rich", "pandas", "PIL"}


@dataclass(frozen=True)
class Import:
    """One imported module, and whether the import stands inside a function."""

    module: str
    lazy: bool


def modules() -> Iterator[tuple[str, Path]]:
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            inner = path.relative_to(folder).with_suffix("").parts
            yield ".".join((package, *inner)), path


MODULES = dict(modules())
every_module = pytest.mark.parametrize("module", MODULES)


def imports(path: Path, module: str = "") -> set[Import]:
    """Return what the file imports, ``from package import name`` as ``package.name``."""
    tree = ast.parse(path.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    lazy = {inner for outer in ast.walk(tree) if isinstance(outer, functions) for inner in ast.walk(outer)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {Import(alias.name, node in lazy) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                source = importlib.util.resolve_name("." * node.level + source, module.rpartition(".")[0])
            found |= {Import(f"{source}.{alias.name}", node in lazy) for alias in node.names}
    return found


def part_of(module: str) -> str:
    """Return the part of the house that a module of gpudl belongs to."""
    return module.split(".")[1]


@every_module
def test_a_module_imports_only_what_lies_below_it(module: str) -> None:
    part = part_of(module)
    assert part in MAY_IMPORT, f"{part} is new: give it a place in the table"
    for wanted in {i.module for i in imports(MODULES[module], module) if i.module.startswith("gpudl.")}:
        names = wanted.split(".")
        allowed = {part, *MAY_IMPORT[part]}
        known = part_of(wanted) in MAY_IMPORT
        # A public name of the package itself, such as gpudl.Sequential, is a face of the parts on top.
        fits = {names[1], ".".join(names[1:3])} & allowed if known else part in FACE[-2:]
        assert fits, f"{module} must not import {wanted}"


@every_module
def test_a_module_imports_no_other_library(module: str) -> None:
    allowed = LIBRARIES.get(part_of(module), {"numpy"}) | {"gpudl"} | sys.stdlib_module_names
    assert {i.module.split(".")[0] for i in imports(MODULES[module], module)} <= allowed


@every_module
def test_only_the_backend_and_the_cuda_kernels_know_cupy(module: str) -> None:
    found = [i for i in imports(MODULES[module], module) if i.module.split(".")[0] in ("cupy", "cupyx")]
    assert all(i.lazy for i in found)
    assert not found or module.startswith(("gpudl.backend.", "gpudl.kernels.cuda."))


# What launchers ask the compiler for has no public name: no user needs it. The proof on a GPU compiles it beforehand.
INSIDE = {"benchmarks": {("benchmarks/gpu/compiling.py", "gpudl.kernels.cuda.launch")}}


@pytest.mark.parametrize("folder", ["benchmarks", "examples"])
def test_programs_use_public_names_only(folder: str) -> None:
    found = set()
    for path in sorted((ROOT / folder).rglob("*.py")):
        for wanted in imports(path):
            top, *names = wanted.module.split(".")
            if top == "gpudl" and names:
                inner = names[0] in ("engine", "kernels") or any(name.startswith("_") for name in names)
                found |= {(path.relative_to(ROOT).as_posix(), wanted.module)} if inner else set()
    assert found == INSIDE.get(folder, set())


def test_importing_gpudl_brings_in_no_big_library() -> None:
    code = "import sys, gpudl; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded
    assert not ON_DEMAND & set(loaded)
    assert "gpudl.kernels.cpu" not in loaded


def test_every_package_is_packaged() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        ".".join((package, *path.parent.relative_to(folder).parts))
        for package, folder in FOLDERS.items()
        for path in folder.rglob("*.py")
    }
    assert set(setuptools["packages"]) == folders
    for package in folders:
        path = ROOT / setuptools["package-dir"].get(package, package.replace(".", "/"))
        assert (path / "__init__.py").is_file(), f"{package} has no __init__.py"


def test_every_file_that_is_no_python_is_packaged() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    for package in setuptools["packages"]:
        folder = ROOT / setuptools["package-dir"].get(package, package.replace(".", "/"))
        patterns = setuptools["package-data"].get(package, [])
        for path in folder.iterdir():
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                assert any(path.match(pattern) for pattern in patterns), f"{path} would be left out"


def test_a_checkout_that_is_not_installed_says_so(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "gpudl", tmp_path / "gpudl", ignore=shutil.ignore_patterns("__pycache__"))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import gpudl"
    # Without site-packages, where an installed gpudl would lend its kernels.
    run = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == (
        "ImportError: gpudl was imported from a checkout that is not installed: run `pip install -e .` in it once "
        "(the folder kernels/ becomes gpudl.kernels only then)."
    )
    assert "During handling" not in run.stderr
