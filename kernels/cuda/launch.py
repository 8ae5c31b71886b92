"""Compile the kernels of the `.cu` files in this folder at their first use, and launch them.

CuPy is imported at the first compilation, never by importing this module. It caches compiled code on disk, by source
and options, so that a kernel is compiled once per GPU architecture.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from functools import cache
from math import gcd
from pathlib import Path
from typing import Protocol

import numpy as np

from .. import registry


class Memory(Protocol):
    """Memory of the GPU."""

    @property
    def ptr(self) -> int: ...  # noqa: D102


class Array(registry.Array, Protocol):
    """What kernels ask of an array of CuPy's."""

    @property
    def data(self) -> Memory: ...  # noqa: D102
    def fill(self, value: float) -> None: ...  # noqa: D102


Argument = Array | np.generic
"""What a kernel is given: arrays, and NumPy scalars of exactly the parameters' types."""


class Kernel(Protocol):
    """A compiled CUDA kernel."""

    max_dynamic_shared_size_bytes: int

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Argument, ...], *, shared_mem: int = 0
    ) -> None:
        """Launch it on the current stream."""


THREADS = 256
_MOST_BLOCKS = 2**16
# An `int` index must also hold the step past the end of a kernel's loop.
_MOST_INT = 2**31 - THREADS * _MOST_BLOCKS
_WIDEST = 16  # bytes that one thread can move in one instruction
_REALS = {"float16": "FLOAT16", "bfloat16": "BFLOAT16", "float32": "FLOAT32", "float64": "FLOAT64"}
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"\n', re.MULTILINE)
_KERNEL = re.compile(
    r'^extern "C" __global__ void\s+(?:__launch_bounds__\([^()]*\)\s+)?(\w+)\(.*?^}\n', re.MULTILINE | re.DOTALL
)
_OPTIONS = ("--std=c++17",)

_kernels: dict[tuple[object, ...], Kernel | None] = {}
_warned: set[str] = set()


@cache
def source(file: str) -> str:
    """Return the text of a `.cu` file with its includes replaced by the `.cuh` files, each once.

    CuPy's cache depends on the source alone, and would not notice a change of an include. Each kernel is guarded by
    preprocessor conditions, so that the macros of `alone` can select it.
    """
    guarded = r"#if !defined(GPUDL_ONLY) || defined(GPUDL_ONLY_\1)\n\g<0>#endif\n"
    return _KERNEL.sub(guarded, _with_includes(file, set()))


def alone(name: str) -> tuple[str, str]:
    """Return the compiler options that select one kernel of a file, so that its first use compiles no others."""
    return "-DGPUDL_ONLY", f"-DGPUDL_ONLY_{name}"


def _with_includes(file: str, seen: set[str]) -> str:
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")

    def inline(match: re.Match[str]) -> str:
        name = match[1]
        if name in seen:
            return ""
        seen.add(name)
        return _with_includes(name, seen)

    return _INCLUDE.sub(inline, text)


def function(file: str, name: str, **macros: str | int) -> Kernel | None:
    """Return a kernel of a `.cu` file, compiled for the current device with `macros` defined.

    Returns:
        The kernel, or None, after one warning, if compilation fails: then the reference is used.
    """
    return compiled(source(file), file, name, alone(name), **macros)


def compiled(text: str, title: str, name: str, options: tuple[str, ...] = (), **macros: str | int) -> Kernel | None:
    """Return the kernel `name` of a source, in the same way as `function`.

    Args:
        text: the source.
        title: name of the source in a warning.
        name: name of the kernel.
        options: further compiler options, beside those of all kernels.
        macros: macros to define.
    """
    import cupy

    key = (cupy.cuda.runtime.getDevice(), text, name, *macros.items(), ("options", options))
    if key not in _kernels:
        given = (*_OPTIONS, *options, *(f"-D{macro}={value}" for macro, value in macros.items()))
        try:
            _kernels[key] = make(text, given, name)
        except Exception as error:  # whatever the reason, the reference can be used
            _kernels[key] = None
            _warn(title, error)
    return _kernels[key]


def make(text: str, options: tuple[str, ...], name: str) -> Kernel:
    """Return a kernel of a source, from CuPy's cache or compiled by CuPy."""
    import cupy

    kernel: Kernel = cupy.RawModule(code=text, options=options).get_function(name)
    return kernel


def _warn(title: str, error: Exception) -> None:
    if title in _warned:
        return
    _warned.add(title)
    log = "\n".join(str(error).strip().splitlines()[:5])
    warnings.warn(
        f"gpudl could not compile {title} for this GPU and computes with CuPy's own kernels instead, which is "
        f"slower. The compiler said:\n{log}",
        RuntimeWarning,
        stacklevel=2,
    )


def forget() -> None:
    """Forget every compiled kernel and every warning given."""
    _kernels.clear()
    _warned.clear()


def launch(kernel: Kernel, total: int, args: Sequence[Argument], width: int = 1) -> None:
    """Launch a kernel with a grid-stride loop (`FOR_EACH`) over `total` items, `width` at a time.

    Args:
        kernel: the kernel, see `function`.
        total: number of items; nothing is launched for 0.
        args: CuPy arrays, and NumPy scalars of exactly the parameters' types.
        width: number of items that one iteration of the loop processes.
    """
    if total:
        kernel((blocks(total, THREADS * width),), (THREADS,), tuple(args))


def blocks(total: int, each: int) -> int:
    """Return how many blocks to launch for `total` items, if a block processes `each` of them in one iteration."""
    return min(-(-total // each), _MOST_BLOCKS)


def run(
    kernel: Kernel, grid: int | tuple[int, ...], block: int | tuple[int, ...], args: Sequence[Argument], shared: int = 0
) -> None:
    """Launch a kernel with exactly this grid and block, and `shared` bytes of dynamic shared memory."""
    if shared > _SHARED_WITHOUT_ASKING and kernel.max_dynamic_shared_size_bytes < shared:
        kernel.max_dynamic_shared_size_bytes = shared
    kernel(_shape(grid), _shape(block), tuple(args), shared_mem=shared)


_SHARED_WITHOUT_ASKING = 48 << 10


def _shape(size: int | tuple[int, ...]) -> tuple[int, ...]:
    return size if isinstance(size, tuple) else (size,)


def real(*arrays: Array) -> str | None:
    """Return the value of GPUDL_REAL for the floating-point arrays among `arrays`; None if their dtypes differ."""
    names = {a.dtype.name for a in arrays} & _REALS.keys()
    return _REALS[names.pop()] if len(names) == 1 else None


def contiguous(*arrays: Array) -> bool:
    """Return whether all arrays are C-contiguous."""
    return all(a.flags.c_contiguous for a in arrays)


def wide(*arrays: Array) -> bool:
    """Return whether an index into one of `arrays` needs 64 bits."""
    return any(a.size > _MOST_INT for a in arrays)


def index(*arrays: Array) -> tuple[str, type[np.integer]]:
    """Return the value of GPUDL_INDEX for `arrays`, and the NumPy type of the kernel's integer parameters."""
    return ("long long", np.int64) if wide(*arrays) else ("int", np.int32)


def width(arrays: Sequence[Array], *counts: int) -> int:
    """Return the number of elements of each of `arrays` that can be moved at a time, a power of 2.

    Args:
        arrays: their addresses must be multiples of the bytes that are moved; the largest itemsize decides.
        counts: numbers of elements that the result must divide, such as the length of a row.
    """
    sizes = [int(a.dtype.itemsize) for a in arrays]
    at = (int(a.data.ptr) // size for a, size in zip(arrays, sizes, strict=True))
    return gcd(max(_WIDEST // max(sizes), 1), *at, *counts)
