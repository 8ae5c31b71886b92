"""Compile the `.cu` files beside this one at their first use, and launch their kernels.

CuPy is imported at the first compile, never by importing this module.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry import Ints, Window

Macros = tuple[tuple[str, str | int], ...]

_THREADS = 256
_MOST_BLOCKS = 2**16
# An `int` index must also hold the step past the end of a kernel's loop.
_MOST_INT = 2**31 - _THREADS * _MOST_BLOCKS
_WIDEST_CHUNK = 16  # bytes that one thread can move in one instruction
_UINT8_TAPS = 256

_kernels: dict[tuple[int, str, str, Macros], Any] = {}
_warned: set[str] = set()


def source(file: str) -> str:
    """Return the text of a `.cu` file with `common.cuh` in place of its ``#include``.

    CuPy keeps compiled code by its source alone: an include it does not look into would go stale.
    """
    folder = Path(__file__).parent
    common = (folder / "common.cuh").read_text(encoding="utf-8")
    return (folder / file).read_text(encoding="utf-8").replace('#include "common.cuh"', common)


def kernel(file: str, name: str, macros: Macros) -> Any | None:
    """Return a compiled kernel for the current device, or None, after one warning, where that fails."""
    import cupy

    key = (cupy.cuda.runtime.getDevice(), file, name, macros)
    if key not in _kernels:
        options = tuple(f"-D{macro}={value}" for macro, value in macros)
        try:
            _kernels[key] = cupy.RawModule(code=source(file), options=options).get_function(name)
        except Exception as error:  # whatever the reason, the reference can do the work
            _kernels[key] = None
            _warn(file, error)
    return _kernels[key]


def _warn(file: str, error: Exception) -> None:
    if file in _warned:
        return
    _warned.add(file)
    log = "\n".join(str(error).strip().splitlines()[:5])
    warnings.warn(
        f"gpudl could not compile {file} for this GPU and computes with CuPy's own kernels instead, which is "
        f"slower. The compiler said:\n{log}",
        RuntimeWarning,
        stacklevel=2,
    )


def forget() -> None:
    """Forget every compiled kernel and every warning given."""
    _kernels.clear()
    _warned.clear()


@lru_cache(maxsize=1024)
def _numbers(image: Ints, window: Window, chunk: int, wide: bool) -> tuple[Any, ...]:
    """Return the parameters called WINDOW in `common.cuh`, of the type of the index."""
    n, h, w, c = image
    before = tuple(pad for pad, _ in window.pads((h, w)))
    values = (n, h, w, c // chunk, *window.output((h, w)), *window.kernel, *window.strides, *window.dilation)
    return tuple(map(np.int64 if wide else np.int32, (*values, *before)))


@dataclass(frozen=True)
class WindowKernel:
    """A kernel that slides a window over images, as a twin ``(*outs, *inputs, *, window[, shape])``.

    Args:
        name: the kernel, and the op that it stands in for.
        file: the `.cu` file it is in.
        image: which of the arrays is the one (N, H, W, C) that the window slides over.
        copies: whether it only moves data, so that it can do so in chunks of several elements.
    """

    name: str
    file: str
    image: int
    copies: bool = False

    def takes(self, *arrays: Any, window: Window, shape: Ints | None = None) -> bool:
        """Accept C-contiguous float16, float32 or float64 images, where the kernel compiles."""
        fits = (
            len(arrays[self.image].shape) == len(window.kernel) + 2 == 4
            and shape in (None, arrays[self.image].shape)
            and all(a.flags.c_contiguous for a in arrays)
            and {a.dtype.char for a in arrays if a.dtype.kind == "f"} in ({"e"}, {"f"}, {"d"})
            and {a.dtype for a in arrays if a.dtype.kind != "f"} <= {tap_dtype(window)}
        )
        return fits and kernel(self.file, self.name, self._macros(arrays)) is not None

    def __call__(self, *arrays: Any, window: Window, shape: Ints | None = None) -> None:
        """Launch the kernel on the current stream; raise RuntimeError where it does not compile."""
        chunk = self._chunk(arrays)
        total = arrays[0].size // chunk
        if total == 0:
            return
        run = kernel(self.file, self.name, self._macros(arrays))
        if run is None:
            raise RuntimeError(f"{self.name} of {self.file} does not compile here; ask `takes` first.")
        blocks = min(-(-total // _THREADS), _MOST_BLOCKS)
        numbers = _numbers(tuple(arrays[self.image].shape), window, chunk, _is_wide(arrays))
        run((blocks,), (_THREADS,), (*arrays, *numbers))

    def _chunk(self, arrays: tuple[Any, ...]) -> int:
        """Return how many elements the kernel moves at a time."""
        if not self.copies:
            return 1
        itemsize = int(arrays[0].dtype.itemsize)
        channels = int(arrays[self.image].shape[-1])
        return gcd(_WIDEST_CHUNK, channels * itemsize, *(a.data.ptr for a in arrays)) // itemsize

    def _macros(self, arrays: tuple[Any, ...]) -> Macros:
        itemsize = arrays[0].dtype.itemsize
        return (
            ("GPUDL_BITS", 8 * itemsize),
            ("GPUDL_INDEX", "long long" if _is_wide(arrays) else "int"),
            ("GPUDL_CHUNK", itemsize * self._chunk(arrays)),
            ("GPUDL_TAP", "int" if any(a.dtype == np.int32 for a in arrays) else "unsigned char"),
        )


def tap_dtype(window: Window) -> np.dtype[Any]:
    """Return the dtype in which the position of a maximum in its window is kept."""
    return np.dtype(np.uint8 if window.taps <= _UINT8_TAPS else np.int32)


def _is_wide(arrays: tuple[Any, ...]) -> bool:
    return any(a.size > _MOST_INT for a in arrays)
