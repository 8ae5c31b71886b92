"""Pooling over windows of images, and its gradients, by the kernels of `pool.cu`."""

from __future__ import annotations

from ..registry import Stages, accelerates
from . import reduce  # noqa: F401 (its kernels for avg_pool of whole images have to be registered first)
from .launch import Array
from .windows import WindowKernel, enter

FILE = "pool.cu"

enter(
    WindowKernel("max_pool", FILE, image=2, together=True),  # (y, argmax, x, *, window)
    WindowKernel("max_pool_grad", FILE, image=0, together=True),  # (dx, g, argmax, *, shape, window)
    WindowKernel("max_pool_pick", FILE, image=1, together=True),  # (y, x, argmax, *, window)
    WindowKernel("avg_pool", FILE, image=1, together=True),  # (y, x, *, window)
    WindowKernel("avg_pool_grad", FILE, image=0, together=True),  # (dx, g, *, shape, window)
)

_after_relu = WindowKernel("relu_max_pool_grad", FILE, image=0, together=True)  # (dx, g, y, argmax, *, shape, window)


def _supports_relu(*arrays: Array, stages: Stages) -> bool:
    return bool(stages[0]["activation"] == "relu") and _after_relu.supports(*arrays, **stages[1])


@accelerates("activation_grad+max_pool_grad", device="cuda", supports=_supports_relu)
def activation_grad_max_pool_grad(dx: Array, g: Array, y: Array, argmax: Array, *, stages: Stages) -> None:
    """Compute the gradient with respect to the input of a ReLU and max-pooling from that of the maxima `y`."""
    _after_relu(dx, g, y, argmax, **stages[1])
