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
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"gpudl": ROOT / "gpudl", "gpudl.kernels": ROOT / "kernels"}

BASE = (
    *("backend", "engine", "engine.plan", "ops", "random", "config", "dtype_policies", "custom_objects", "registry"),
    "argument_errors",
    "descriptions",
    "names",
    "tree",
    "utils",
    "kernels.geometry",
)
# What a Keras user sees, from the bottom up: each may import those before it, and the base.
FACE = (
    *("activations", "initializers", "regularizers", "constraints", "losses", "metrics", "optimizers"),
    *("mixed_precision", "preprocessing", "layers", "callbacks", "datasets", "saving", "training", "reports"),
    *("export", "models", "applications"),
)
MAY_IMPORT: dict[str, set[str]] = {
    "kernels.geometry": set(),
    "kernels.expression": {"kernels.geometry"},
    "kernels": {"kernels.geometry", "kernels.expression"},
    "backend": {"kernels"},
    "names": set(),
    "tree": set(),
    "engine": {"backend", "names"},
    "engine.plan": {"engine", "backend"},
    "ops": {"engine", "engine.plan", "backend", "config", "kernels.geometry", "kernels.expression"},
    "argument_errors": set(),
    "custom_objects": set(),
    "descriptions": {"custom_objects"},
    "registry": {"argument_errors", "custom_objects", "descriptions", "engine", "names"},
    "utils": {"custom_objects", "backend", "engine", "config", "names", "ops"},
    "config": {"backend", "engine", "dtype_policies"},
    "dtype_policies": {"argument_errors", "registry", "engine"},
    "random": {"ops", "engine", "config", "names"},
    **{part: {*BASE, *FACE[:rank]} for rank, part in enumerate(FACE)},
    "export": {*BASE, *FACE[: FACE.index("export")], "kernels.expression"},
    "compat": {*BASE, *FACE},
    "as_keras": {"compat"},
    "__init__": {*BASE, *FACE, "kernels", "compat"},
    "inspect_command": {"saving"},
    "cli": {"inspect_command", *BASE, *FACE, "__init__", "compat"},
    "__main__": {"cli"},
}
LIBRARIES: dict[str, set[str]] = {
    "kernels": {"numpy", "numba", "llvmlite", "cupy"},
    "backend": {"numpy", "cupy", "cupyx"},
    "engine": {"numpy", "ml_dtypes"},
    "utils": {"numpy", "rich", "pydot", "IPython", "PIL"},
    "reports": {"numpy", "rich"},
    "export": {"numpy", "onnx"},
    "callbacks": {"numpy", "rich", "tensorboard"},
    **{part: {"numpy", "rich", "h5py", "matplotlib"} for part in ("models", "cli", "applications")},
    "inspect_command": {"rich"},
    "saving": {"numpy", "h5py", "safetensors"},
}
ON_DEMAND = {"cupy", "cupyx", "numba", "llvmlite", "h5py", "matplotlib", "rich", "pandas", "PIL", "tensorboard"} | {
    "pydot",
    "onnx",
    "IPython",
    "safetensors",
}


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


@cache
def imports(path: Path, module: str = "") -> frozenset[Import]:
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
    return frozenset(found)


def part_of(module: str) -> str:
    """Return the part of the house that a module, or a name in one, belongs to: the longest that the table has."""
    names = module.split(".")[1:] or ["__init__"]
    known = [part for length in range(len(names), 0, -1) if (part := ".".join(names[:length])) in MAY_IMPORT]
    # A public name of the package itself, such as gpudl.Sequential, is found in its own file.
    return known[0] if known else names[0] if ".".join(["gpudl", names[0]]) in MODULES else "__init__"


def module_of(name: str) -> str | None:
    """Return the module that an imported name is, or is defined in; None where it is not gpudl's."""
    names = name.split(".")
    for length in range(len(names), 0, -1):
        for module in (".".join(names[:length]), ".".join([*names[:length], "__init__"])):
            if module in MODULES:
                return module
    return None


def needed(module: str) -> set[str]:
    """Return the modules of gpudl that must be there before `module`: what it imports, and the packages around that."""
    found = set()
    for target in filter(None, map(module_of, (i.module for i in imports(MODULES[module], module)))):
        names = target.split(".")
        packages = {".".join(names[:length]) for length in range(2, len(names))}
        found |= {target} | {f"{package}.__init__" for package in packages if not module.startswith(f"{package}.")}
    return found - {module}


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the largest sets of nodes that all reach one another."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        found, stack = set(), [start]
        while stack:
            new = graph[stack.pop()] - found
            found |= new
            stack.extend(new)
        reached[start] = found
    rings = {frozenset(b for b in reached[a] if a in reached[b]) for a in graph if a in reached[a]}
    return sorted(map(set, rings), key=min)


def test_the_table_of_storeys_has_no_circle() -> None:
    assert circles(MAY_IMPORT) == []


def test_no_modules_import_one_another_in_a_circle() -> None:
    rings = list(map(sorted, circles({module: needed(module) for module in MODULES})))
    assert not rings, f"these modules need one another: {rings}"


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == [{"b", "c"}]


# What takes long to load, or need not be there: loaded when it is first used.
SLOW = {*ON_DEMAND, "urllib", "http"}
NEEDS_THEM = ("gpudl.backend.cupy_backend", "gpudl.backend.upload", "gpudl.kernels.cpu", "gpudl.kernels.cuda")


@every_module
def test_an_import_inside_a_function_is_of_something_slow_or_optional(module: str) -> None:
    hidden = {i.module for i in imports(MODULES[module], module) if i.lazy}
    wrong = {name for name in hidden if name.split(".")[0] not in SLOW and not name.startswith(NEEDS_THEM)}
    assert not wrong, f"{module} hides its imports of {sorted(wrong)}"


@every_module
def test_a_module_imports_only_what_lies_below_it(module: str) -> None:
    part = part_of(module)
    assert part in MAY_IMPORT, f"{part} is new: give it a place in the table"
    wanted = {i.module for i in imports(MODULES[module], module) if i.module.split(".")[0] == "gpudl"}
    above = {name for name in wanted if part_of(name) not in {part, *MAY_IMPORT[part]}}
    assert not above, f"{module} must not import {sorted(above)}"


@every_module
def test_a_module_imports_no_other_library(module: str) -> None:
    allowed = LIBRARIES.get(module.split(".")[1], {"numpy"}) | {"gpudl"} | sys.stdlib_module_names
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
