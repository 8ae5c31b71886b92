"""Compile `.cu` files with g++ and run their kernels on the CPU, with any grid and block.

A kernel is launched as `build(path, macros).launch("im2col", grid, block, cols, x, np.int32(n), ...)`. The threads of a
block run one after another, each until it waits for others: see `fibers.h`. `in_order("reverse")` runs the last thread
of the last block first, and `same_in_any_order` asserts that this makes no difference, as it does without a barrier.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from threading import Lock, get_ident
from typing import Any

import numpy as np

HERE = Path(__file__).parent
# Most kernels run for less time than it takes to optimize them.
SANITIZE = tuple(os.environ.get("CUDA_CPU_SANITIZE", "-O0 -fsanitize=undefined -fno-sanitize-recover").split())
OPTIMIZE = ("-O2",)
_FOLDER = "CUDA_CPU_FOLDER"
ORDERS = ("forward", "reverse")
_FLAGS = ("-std=c++17", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden")
_SHARED = 'static __attribute__((section("cuda_shared")))'
_HEADER, _GRID = "words.h.gch", "grid.o"
_NESTED = r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
_ALIGNED = rf"((?:alignas|__align__){_NESTED}\s*)?"
_BOUNDS = re.compile(rf"__launch_bounds__\s*({_NESTED})")
_STATIC = re.compile(rf"__shared__\s+{_ALIGNED}")
_DYNAMIC = re.compile(rf"extern\s+{_ALIGNED}__shared__\s+{_ALIGNED}([\w\s:<>,]+?)\s*\b(\w+)\s*\[\s*\]\s*;")
_KERNEL = re.compile(rf"((?:(?:__global__|void|{_BOUNDS.pattern})\s+){{2,}})(\w+)\s*\(")
_HEADERS = ("cuda_fp16.h", "cuda_bf16.h")
_EXPORT = """
extern "C" __attribute__((visibility("default"))) const char* letters_{0}() {{ return cuda_cpu::letters({0}); }}
extern "C" __attribute__((visibility("default"))) const char* launch_{0}(const unsigned* shape, void** args) {{
    return cuda_cpu::launch<{0}>({0}, shape, args);
}}
extern "C" __attribute__((visibility("default"))) unsigned bound_{0}() {{ return cuda_cpu::first{1}; }}
"""


class BuildError(Exception):
    """What g++ said about a source that it refused."""


class LaunchError(Exception):
    """What a kernel did that no kernel may do."""


_lock = Lock()
_order = [ORDERS[0]]
_flags = [SANITIZE]


@contextmanager
def in_order(order: str) -> Iterator[None]:
    """Run blocks and threads "forward" or in "reverse" inside of a `with` block."""
    if order not in ORDERS:
        raise ValueError(f"unknown order {order!r}: choose one of {', '.join(ORDERS)}.")
    before, _order[0] = _order[0], order
    try:
        yield
    finally:
        _order[0] = before


@contextmanager
def optimized() -> Iterator[None]:
    """Compile for whole trainings inside of a `with` block: several times as fast to run, without a sanitizer."""
    before, _flags[0] = _flags[0], OPTIMIZE
    try:
        yield
    finally:
        _flags[0] = before


def same_in_any_order(run: Callable[[], Sequence[np.ndarray]]) -> Sequence[np.ndarray]:
    """Call `run` in each order, assert that it returns the same bits, and return them."""
    results = []
    for order in ORDERS:
        with in_order(order):
            results.append([np.array(each) for each in run()])
    for number, (one, other) in enumerate(zip(*results, strict=True)):
        different = np.flatnonzero(_bytes(one) != _bytes(other))
        assert not len(different), (
            f"result {number} depends on the order of the threads, first in element {different[0] // one.itemsize}: "
            "a barrier is missing, or two threads write the same place."
        )
    return results[0]


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


@cache
def folder() -> Path:
    """Return where this process, and those that it tells by the environment, keep what was compiled."""
    if _FOLDER not in os.environ:
        made = tempfile.mkdtemp(prefix="cuda_cpu_")
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        os.environ[_FOLDER] = made
    return Path(os.environ[_FOLDER])


@dataclass(frozen=True)
class Module:
    """A compiled source.

    Attributes:
        letters: by kernel, one letter a parameter, as `words.h` says.
        bounds: by kernel, how many threads a block of it may have.
    """

    library: ctypes.PyDLL
    letters: dict[str, str]
    bounds: dict[str, int]

    def launch(
        self, name: str, grid: int | Sequence[int], block: int | Sequence[int], *args: Any, shared: int = 0
    ) -> None:
        """Run a kernel over host arrays and NumPy scalars whose types are exactly the parameters'.

        Args:
            name: the kernel.
            grid: numbers of blocks.
            block: numbers of threads, 1024 in all at most.
            args: what the kernel takes.
            shared: bytes of dynamic shared memory.

        Raises:
            LaunchError: a barrier is not reached by all threads, or an address is not what a word needs.
        """
        self.bind(name, grid, block, *args, shared=shared)()

    def bind(
        self, name: str, grid: int | Sequence[int], block: int | Sequence[int], *args: Any, shared: int = 0
    ) -> Callable[[], None]:
        """Check the arguments of a launch and return it, to be called as often as wanted."""
        letters = self.letters[name]
        if len(args) != len(letters):
            raise TypeError(f"{name} has {len(letters)} parameters, got {len(args)} arguments.")
        cells = [_cell(name, i, letter, arg) for i, (letter, arg) in enumerate(zip(letters, args, strict=True))]
        addresses = (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells))
        sizes = (*_three(grid), *_three(block), shared)
        if prod(sizes[3:6]) > self.bounds[name]:
            raise LaunchError(f"{name}: a block has at most {self.bounds[name]} threads, got {sizes[3:6]}.")
        function = getattr(self.library, f"launch_{name}")
        function.restype = ctypes.c_char_p

        def run(keep_alive: Any = (args, cells)) -> None:
            fault = function((ctypes.c_uint * 8)(*sizes, _order[0] == "reverse"), addresses)
            if fault:
                raise LaunchError(f"{name}: {fault.decode()}")

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


def build(source: Path | str, macros: Mapping[str, str | int], flags: tuple[str, ...] | None = None) -> Module:
    """Compile a `.cu` file, or the text of one, and load it; the same again comes from a cache.

    The flags of g++ are `SANITIZE` by default, or what `optimized` says.

    Raises:
        BuildError: g++ refuses it; the text is what g++ said.
    """
    return _load(compiled(source, macros, flags))


def compiled(source: Path | str, macros: Mapping[str, str | int], flags: tuple[str, ...] | None = None) -> Path:
    """Compile as `build` does, but return the path of the shared library."""
    flags = _flags[0] if flags is None else flags
    options = tuple(f"-D{name}={value}" for name, value in macros.items())
    digest = hashlib.sha256(repr((str(source), options, flags)).encode()).hexdigest()[:24]
    library = folder() / f"{digest}.so"
    if library.exists():
        return library
    unit, path = library.with_suffix(f".{os.getpid()}.{get_ident()}.cpp"), source
    if isinstance(source, str):
        path = unit.with_suffix(".cu")
        path.write_text(source)
    text = _run("g++", "-E", "-x", "c++", "-nostdinc", f"-I{_no_headers()}", *options, str(path))
    kernels = {name: (_BOUNDS.search(words) or (0, "(1024)"))[1] for words, _, name in _KERNEL.findall(text)}
    text = _DYNAMIC.sub(r"\3* const \4 = cuda_cpu::dynamic_shared<\3>();", _BOUNDS.sub("", text))
    text = _STATIC.sub(lambda match: f"{match[1] or ''}{_SHARED} ", text)
    exports = "".join(_EXPORT.format(*each) for each in kernels.items())
    # Names of the file's own stay its own, also those of its inline functions, whose shared memory has a section.
    unit.write_text(f'#include "words.h"\nnamespace {{\n{text}\n}}\n{exports}')
    library.with_suffix(".names").write_text(" ".join(kernels))
    made = unit.with_suffix(".so")
    words = _words(flags)
    common = (f"-I{words}", f"-I{HERE}", "-shared", str(unit), str(words / _GRID), "-lm")
    _run(
        "gcc", *_FLAGS, *flags, *common, "-o", str(made)
    )  # g++ would link its library, which takes longer than the rest
    return made.rename(library)


@cache
def _no_headers() -> Path:
    """Return a folder where the headers that a kernel may include are empty: `words.h` has what is in them."""
    made = folder() / "headers"
    made.mkdir(exist_ok=True)
    for name in _HEADERS:
        (made / name).touch()
    return made


@cache
def _words(flags: tuple[str, ...]) -> Path:
    """Return a folder with `words.h` precompiled and `grid.cpp` compiled, which would take most of a kernel's time."""
    made = folder() / f"words{hashlib.sha256(repr(flags).encode()).hexdigest()[:12]}"
    made.mkdir(exist_ok=True)
    with _lock:
        for name, kind, source in ((_HEADER, ("-x", "c++-header"), "words.h"), (_GRID, ("-c",), "grid.cpp")):
            if not (made / name).exists():
                new = made / f"{name}.{os.getpid()}"  # another process may be doing the same
                _run("g++", *_FLAGS, *flags, *kind, f"-I{made}", str(HERE / source), "-o", str(new))
                new.rename(made / name)
    return made


def _run(*command: str) -> str:
    # A sanitizer that Python was started with is not for the compiler.
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode:
        raise BuildError(result.stderr)
    return result.stdout


@cache
def _load(path: Path) -> Module:
    library = ctypes.PyDLL(str(path))  # which keeps Python's lock: launches come one at a time
    letters, bounds = {}, {}
    for name in path.with_suffix(".names").read_text().split():
        describe = getattr(library, f"letters_{name}")
        describe.restype = ctypes.c_char_p
        letters[name] = describe().decode()
        bounds[name] = getattr(library, f"bound_{name}")()
    return Module(library, letters, bounds)
