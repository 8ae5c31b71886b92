"""The common part of kernels that slide a window over images: ``(*outs, *inputs, *, window[, shape])``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..geometry import Ints, Window
from ..registry import accelerates
from .launch import Array, Kernel, contiguous, function, index, launch, real, wide, width

_UINT8_TAPS = 256


@lru_cache(maxsize=1024)
def numbers(image: Ints, window: Window, chunk: int, wide: bool) -> tuple[np.integer, ...]:
    """Return the arguments for the parameters WINDOW in `common.cuh`, of the index type."""
    n, h, w, c = image
    before = tuple(pad for pad, _ in window.pads((h, w)))
    values = (n, h, w, c // chunk, *window.output((h, w)), *window.kernel, *window.strides, *window.dilation)
    return tuple(map(np.int64 if wide else np.int32, (*values, *before)))


@dataclass(frozen=True)
class WindowKernel:
    """A kernel that slides a window over images.

    Args:
        name: name of the kernel and of its op.
        file: name of its `.cu` file.
        image: index of the array (N, H, W, C) that the window slides over.
        together: whether it moves several channels at a time where possible.
    """

    name: str
    file: str
    image: int
    together: bool = False

    def supports(self, *arrays: Array, window: Window, shape: Ints | None = None) -> bool:
        """Accept C-contiguous floating-point images, if the kernel compiles."""
        fits = (
            len(arrays[self.image].shape) == len(window.kernel) + 2 == 4
            and shape in (None, arrays[self.image].shape)
            and contiguous(*arrays)
            and real(*arrays) is not None
            # Images and results are floating-point; arrays of integers can only be positions of maxima.
            and sum(real(a) is not None for a in arrays) >= max(2, len(arrays) - 1)
            and {a.dtype for a in arrays if real(a) is None} <= {tap_dtype(window)}
        )
        return fits and self._kernel(arrays, 1) is not None

    def __call__(self, *arrays: Array, window: Window, shape: Ints | None = None) -> None:
        """Launch the kernel on the current stream; raise RuntimeError if it does not compile."""
        chunk = width(arrays, arrays[self.image].shape[-1]) if self.together else 1
        run = self._kernel(arrays, chunk)
        if run is None:
            raise RuntimeError(f"{self.name} of {self.file} does not compile here; check `supports` first.")
        shapes = numbers(tuple(arrays[self.image].shape), window, chunk, wide(*arrays))
        launch(run, arrays[0].size // chunk, (*arrays, *shapes))

    def _kernel(self, arrays: tuple[Array, ...], chunk: int) -> Kernel | None:
        itemsize = arrays[self.image].dtype.itemsize
        macros: dict[str, str | int] = {
            "GPUDL_REAL": real(*arrays) or "",
            "GPUDL_INDEX": index(*arrays)[0],
            "GPUDL_CHUNK": itemsize * chunk,
            "GPUDL_WIDTH": chunk,
            "GPUDL_TAP": "int" if any(a.dtype == np.int32 for a in arrays) else "unsigned char",
        }
        return function(self.file, self.name, **macros)


def tap_dtype(window: Window) -> np.dtype:
    """Return the dtype in which the position of a maximum in its window is stored."""
    return np.dtype(np.uint8 if window.taps <= _UINT8_TAPS else np.int32)


def enter(*kernels: WindowKernel) -> None:
    """Register kernels, each for the op of its name."""
    for kernel in kernels:
        accelerates(kernel.name, device="cuda", supports=kernel.supports)(kernel)
