"""The gradients of batch normalization, by the kernels of `norm_grad.cu`."""

from __future__ import annotations

from ..registry import Stages, accelerates
from .launch import Array
from .norm import Down, alike
from .sharing import sum_type

FILE = "norm_grad.cu"


def _goes_back(dx: Array, *others: Array, epsilon: float) -> bool:
    return alike(dx, *others) and Down(FILE, dx).compiles_stages("batch_norm_grad")


def _goes_back_from_relu(dx: Array, *others: Array, stages: Stages) -> bool:
    relu = stages[0]["activation"] == "relu"
    return relu and alike(dx, *others) and Down(FILE, dx, True).compiles_stages("batch_norm_grad")


def _gradients(outs: tuple[Array, ...], ins: tuple[Array, ...], gamma: Array, epsilon: float, relu: bool) -> None:
    x = ins[2]
    down, small, packed = Down(FILE, x, relu), sum_type(x.dtype)(epsilon), (outs[0], *ins[:3])
    if down.parts == 1:
        down.start("batch_norm_grad", packed, (*outs, *ins, gamma), small)
        return
    sums = down.scratch(2)
    down.start("batch_norm_grad_parts", packed, (sums, *ins), small)
    down.start("batch_norm_grad_whole", packed, (*outs, *ins, gamma, sums), small)


@accelerates("batch_norm_grad", device="cuda", supports=_goes_back)
def batch_norm_grad(
    dx: Array,
    dgamma: Array,
    dbeta: Array,
    g: Array,
    x: Array,
    gamma: Array,
    mean: Array,
    variance: Array,
    *,
    epsilon: float,
) -> None:
    """Compute the gradients of `batch_norm`: g, x, dx (..., C), the others (C,)."""
    _gradients((dx, dgamma, dbeta), (g, g, x, mean, variance), gamma, epsilon, False)


@accelerates("activation_grad+batch_norm_grad", device="cuda", supports=_goes_back_from_relu)
def activation_grad_batch_norm_grad(
    dx: Array,
    dgamma: Array,
    dbeta: Array,
    g: Array,
    y: Array,
    x: Array,
    gamma: Array,
    mean: Array,
    variance: Array,
    *,
    stages: Stages,
) -> None:
    """Compute the gradients of `batch_norm` from that of the result y of a ReLU after it."""
    _gradients((dx, dgamma, dbeta), (g, y, x, mean, variance), gamma, stages[1]["epsilon"], True)
