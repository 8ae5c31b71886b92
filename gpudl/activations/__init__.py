"""Activation functions: elementwise, except the softmaxes, which work along an axis.

Each takes a tensor or array of any shape and returns a tensor of that shape, in the dtype of a float input
and in float32 for integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpudl import ops
from gpudl.activations import functions
from gpudl.activations.functions import *  # noqa: F403
from gpudl.activations.functions import linear, relu, tanh
from gpudl.engine.tensor import Tensor
from gpudl.names import export
from gpudl.ops import (
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu6,
    selu,
    silu,
    soft_shrink,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    swish,
    tanh_shrink,
    threshold,
)
from gpudl.registry import Family

__all__ = [
    "celu",
    "deserialize",
    "elu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "relu6",
    "selu",
    "serialize",
    "silu",
    "soft_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh_shrink",
    "threshold",
]
export(globals(), functions)

Activation = Callable[..., Tensor]
# sigmoid is not among them: its result must hold its input.
_FUSED: Mapping[Activation, str] = {linear: "linear", relu: "relu", tanh: "tanh"}


def with_bias(x: Tensor, bias: Tensor | None, activation: Activation | None) -> Tensor:
    """Return activation(x + bias), in one op if there is one.

    Args:
        x: input (..., channels).
        bias: (channels,), or None.
        activation: a function from `get`, or None.

    Raises:
        ShapeError: the bias does not have one element per channel.

    Example:
        >>> x, bias = gpudl.convert_to_tensor([[1.0, 2.0]]), gpudl.convert_to_tensor([0.5, -3.0])
        >>> with_bias(x, bias, relu).numpy()
        array([[1.5, 0. ]], dtype=float32)
    """
    activation = linear if activation is None else activation
    if bias is None:
        return activation(x)
    fused = _FUSED.get(activation)
    y: Tensor = ops.bias_activation(x, bias, activation=fused or "linear")
    return y if fused else activation(y)


ACTIVATIONS: Family[Activation, Activation] = Family("activation", default=linear)
get, serialize, deserialize = ACTIVATIONS.get, ACTIVATIONS.serializer("activation"), ACTIVATIONS.deserialize
ACTIVATIONS.add(globals())
