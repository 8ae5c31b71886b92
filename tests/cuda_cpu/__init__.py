"""Compile `.cu` files with g++ and run their kernels on the CPU, with any grid and block.

A kernel is launched as `build(path, macros).launch("im2col", grid, block, cols, x, np.int32(n), ...)`.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SANITIZE = ("-fsanitize=undefined", "-fno-sanitize-recover")
_FLAGS = ("-std=c++20", "-O1", "-shared", "-fPIC", "-pthread", "-x", "c++")
_BLOCK_WIDE = re.compile(r"__syncthreads|__shfl")
_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\s*\(")


class BuildError(Exception):
    """What g++ said about a source that it refused."""


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="cuda_cpu_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@dataclass(frozen=True)
class Module:
    """A compiled source: `letters[name]` has one letter a parameter of a kernel, as `words.h` says."""

    library: ctypes.CDLL
    letters: dict[str, str]

    def launch(self, name: str, grid: int | Sequence[int], block: int | Sequence[int], *args: Any) -> None:
        """Run a kernel over host arrays and NumPy scalars whose types are exactly the parameters'."""
        self.bind(name, grid, block, *args)()

    def bind(self, name: str, grid: int | Sequence[int], block: int | Sequence[int], *args: Any) -> Callable[[], None]:
        """Check the arguments of a launch and return it, to be called as often as wanted."""
        letters = self.letters[name]
        if len(args) != len(letters):
            raise TypeError(f"{name} has {len(letters)} parameters, got {len(args)} arguments.")
        cells = [_cell(name, i, letter, arg) for i, (letter, arg) in enumerate(zip(letters, args, strict=True))]
        addresses = (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells))
        shape = (ctypes.c_uint * 6)(*_three(grid), *_three(block))
        function = getattr(self.library, f"launch_{name}")

        def run(keep_alive: Any = (args, cells)) -> None:
            function(shape, addresses)

        return run


def _three(size: int | Sequence[int]) -> tuple[int, ...]:
    given = (size,) if isinstance(size, int) else tuple(size)
    return (*given, 1, 1)[:3]


def _cell(name: str, position: int, letter: str, arg: Any) -> np.ndarray:
    """Return a 0-d array that holds an argument: an address, or the scalar itself."""
    if letter in "rw":
        if not isinstance(arg, np.ndarray):
            raise TypeError(f"argument {position} of {name} is a pointer, got {type(arg).__name__}.")
        return np.array(arg.ctypes.data, np.uintp)
    if not isinstance(arg, np.generic) or arg.dtype != np.dtype(letter):
        raise TypeError(f"argument {position} of {name} is {np.dtype(letter)}, got {type(arg).__name__}.")
    return np.array(arg)


def build(source: Path | str, macros: Mapping[str, str | int], flags: tuple[str, ...] = SANITIZE) -> Module:
    """Compile a `.cu` file, or the text of one, and load it; the same again comes from a cache.

    Raises:
        BuildError: g++ refuses it; the text is what g++ said.
    """
    return _load(compiled(source, macros, flags))


def compiled(source: Path | str, macros: Mapping[str, str | int], flags: tuple[str, ...] = SANITIZE) -> Path:
    """Compile as `build` does, but return the path of the shared library."""
    text = source if isinstance(source, str) else source.read_text()
    options = tuple(f"-D{name}={value}" for name, value in macros.items())
    if _BLOCK_WIDE.search(text):
        options += ("-DCUDA_THREADS",)
    digest = hashlib.sha256(repr((str(source), options, flags)).encode()).hexdigest()[:24]
    library = _folder() / f"{digest}.so"
    if library.exists():
        return library
    unit = library.with_suffix(".cpp")
    included = text if isinstance(source, str) else f'#include "{source.resolve()}"\n'
    kernels = _KERNEL.findall(text)
    exports = "".join(f"EXPORT({name})\n" for name in kernels)
    unit.write_text(f'#include "words.h"\n{included}\n{exports}')
    command = ["g++", *_FLAGS, *flags, *options, f"-I{HERE}", str(unit), "-o", str(library)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(result.stderr)
    unit.with_suffix(".names").write_text(" ".join(kernels))
    return library


@cache
def _load(path: Path) -> Module:
    library = ctypes.CDLL(str(path))
    letters = {}
    for name in path.with_suffix(".names").read_text().split():
        describe = getattr(library, f"letters_{name}")
        describe.restype = ctypes.c_char_p
        letters[name] = describe().decode()
    return Module(library, letters)
