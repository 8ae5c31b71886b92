"""im2col and col2im, by the kernels of `conv.cu`."""

from __future__ import annotations

from .windows import WindowKernel, enter

enter(
    WindowKernel("im2col", "conv.cu", image=1, together=True),  # (cols, x, *, window)
    WindowKernel("col2im", "conv.cu", image=0),  # (x, cols, *, shape, window)
)
