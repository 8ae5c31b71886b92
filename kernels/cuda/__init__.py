"""Kernels for NVIDIA GPUs, written in CUDA C++; importing this package enters all of them in the registry.

They take CuPy arrays in the layout NHWC, C-contiguous, and allocate none. A `.cu` file is compiled when a
kernel of it is first asked for, once per dtype, index type and device.
"""

from __future__ import annotations

from ..registry import accelerates
from .launch import WindowKernel

__all__ = ["WindowKernel"]

for _twin in (
    WindowKernel("im2col", "conv.cu", image=1, copies=True),  # (cols, x, *, window)
    WindowKernel("col2im", "conv.cu", image=0),  # (x, cols, *, shape, window)
    WindowKernel("max_pool", "pool.cu", image=2),  # (y, argmax, x, *, window)
    WindowKernel("max_pool_grad", "pool.cu", image=0),  # (dx, g, argmax, *, shape, window)
    WindowKernel("max_pool_pick", "pool.cu", image=1),  # (y, x, argmax, *, window)
    WindowKernel("avg_pool", "pool.cu", image=1),  # (y, x, *, window)
    WindowKernel("avg_pool_grad", "pool.cu", image=0),  # (dx, g, *, shape, window)
):
    accelerates(_twin.name, device="cuda", takes=_twin.takes)(_twin)
