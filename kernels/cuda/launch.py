"""Compile the `.cu` files beside this one at their first use, and launch their kernels.

CuPy is imported at the first compile, never by importing this module. It keeps compiled code on disk, by source and
options, so that a kernel is compiled once for each kind of card.
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
    """A compiled kernel."""

    max_dynamic_shared_size_bytes: int

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Argument, ...], *, shared_mem: int = 0
    ) -> None:
        """Start it on the current stream."""


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
    """Return the text of a `.cu` file with the `.cuh` files that it includes in place of the includes, each once.

    CuPy keeps compiled code by its source alone: an include it does not look into would go stale. Each kernel stands
    between lines that leave it out where the macros of `alone` choose another one.
    """
    guarded = r"#if !defined(GPUDL_ONLY) || defined(GPUDL_ONLY_\1)\n\g<0>#endif\n"
    return _KERNEL.sub(guarded, _with_includes(file, set()))


def alone(name: str) -> tuple[str, str]:
    """Return the compiler's options for one kernel of a file: its first use need not wait for the others."""
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
        The kernel, or None, after one warning, where that fails: then the reference has to do the work.
    """
    return compiled(source(file), file, name, alone(name), **macros)


def compiled(text: str, title: str, name: str, options: tuple[str, ...] = (), **macros: str | int) -> Kernel | None:
    """Return the kernel `name` of a source, as `function` does.

    Args:
        text: the source.
        title: what a warning calls it.
        name: the kernel.
        options: of the compiler, beside those of all kernels.
        macros: what to define.
    """
    import cupy

    key = (cupy.cuda.runtime.getDevice(), text, name, *macros.items(), ("options", options))
    if key not in _kernels:
        given = (*_OPTIONS, *options, *(f"-D{macro}={value}" for macro, value in macros.items()))
        try:
            _kernels[key] = make(text, given, name)
        except Exception as error:  # whatever the reason, the reference can do the work
            _kernels[key] = None
            _warn(title, error)
    return _kernels[key]


def make(text: str, options: tuple[str, ...], name: str) -> Kernel:
    """Return a kernel of a source by CuPy, from the folder where it keeps compiled code, or from the compiler."""
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
    """Start a kernel whose loop covers any grid (`FOR_EACH`) on `total` items, `width` at a time.

    Args:
        kernel: from `function`.
        total: items; nothing is started for 0.
        args: CuPy arrays, and NumPy scalars of exactly the parameters' types.
        width: items that one turn of the loop handles.
    """
    if total:
        kernel((blocks(total, THREADS * width),), (THREADS,), tuple(args))


def blocks(total: int, each: int) -> int:
    """Return how many blocks to start for `total` items where one handles `each` of them in a turn of its loop."""
    return min(-(-total // each), _MOST_BLOCKS)


def run(
    kernel: Kernel, grid: int | tuple[int, ...], block: int | tuple[int, ...], args: Sequence[Argument], shared: int = 0
) -> None:
    """Start a kernel with exactly this grid and block, and `shared` bytes of dynamic shared memory."""
    if shared > _SHARED_WITHOUT_ASKING and kernel.max_dynamic_shared_size_bytes < shared:
        kernel.max_dynamic_shared_size_bytes = shared
    kernel(_shape(grid), _shape(block), tuple(args), shared_mem=shared)


_SHARED_WITHOUT_ASKING = 48 << 10


def _shape(size: int | tuple[int, ...]) -> tuple[int, ...]:
    return size if isinstance(size, tuple) else (size,)


def real(*arrays: Array) -> str | None:
    """Return what GPUDL_REAL has to be for the floats among `arrays`; None where they are not all of one dtype."""
    names = {a.dtype.name for a in arrays} & _REALS.keys()
    return _REALS[names.pop()] if len(names) == 1 else None


def contiguous(*arrays: Array) -> bool:
    """Tell whether all arrays are C-contiguous."""
    return all(a.flags.c_contiguous for a in arrays)


def wide(*arrays: Array) -> bool:
    """Tell whether an index into one of `arrays` needs 64 bits."""
    return any(a.size > _MOST_INT for a in arrays)


def index(*arrays: Array) -> tuple[str, type[np.integer]]:
    """Return what GPUDL_INDEX has to be for `arrays`, and the NumPy type of the kernel's numbers."""
    return ("long long", np.int64) if wide(*arrays) else ("int", np.int32)


def width(arrays: Sequence[Array], *counts: int) -> int:
    """Return how many elements of each of `arrays` can be moved at a time: a power of 2.

    Args:
        arrays: their addresses must be multiples of what is moved; the largest itemsize decides.
        counts: numbers of elements that it must divide, such as the length of a row.
    """
    sizes = [int(a.dtype.itemsize) for a in arrays]
    at = (int(a.data.ptr) // size for a, size in zip(arrays, sizes, strict=True))
    return gcd(max(_WIDEST // max(sizes), 1), *at, *counts)
