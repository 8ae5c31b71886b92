"""Activation functions: element by element, except the softmaxes, which work along an axis.

Each takes a tensor or array of any shape and returns a tensor of that shape, in the dtype of a float input
and in float32 for integers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from math import pi, sqrt
from types import FunctionType
from typing import Any

from gpudl import ops, registry
from gpudl.engine.calls import public
from gpudl.engine.tensor import Tensor, as_tensor

Activation = Callable[..., Tensor]

_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def linear(x: Any) -> Tensor:
    """Return x itself.

    Example:
        >>> linear([-1.0, 2.0]).numpy()
        array([-1.,  2.], dtype=float32)
    """
    return as_tensor(x)


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Return x above a threshold and 0, or a line of small slope, below it.

    Args:
        x: input of any shape.
        negative_slope: the slope below the threshold; the line meets 0 at the threshold.
        max_value: the largest value returned; None for no limit.
        threshold: where the function begins to let x through.

    Example:
        >>> relu([-2.0, 0.5, 3.0]).numpy()
        array([0. , 0.5, 3. ], dtype=float32)
        >>> relu([-2.0, 0.5, 3.0], negative_slope=0.5, max_value=2.0).numpy()
        array([-1. ,  0.5,  2. ], dtype=float32)
    """
    x = as_tensor(x)
    y: Tensor = ops.where(x > threshold, x, 0.0) if threshold else ops.relu(x)
    if max_value is not None:
        y = ops.clip(y, 0.0, float(max_value))
    return y - ops.relu(threshold - x) * negative_slope if negative_slope else y


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """Return x where it is positive, negative_slope * x elsewhere.

    Example:
        >>> leaky_relu([-1.0, 2.0]).numpy()
        array([-0.2,  2. ], dtype=float32)
    """
    x = as_tensor(x)
    result: Tensor = ops.where(x >= 0.0, x, x * negative_slope)
    return result


def relu6(x: Any) -> Tensor:
    """Return x limited to [0, 6].

    Example:
        >>> relu6([-1.0, 2.0, 9.0]).numpy()
        array([0., 2., 6.], dtype=float32)
    """
    return relu(x, max_value=6.0)


def sigmoid(x: Any) -> Tensor:
    """Return 1 / (1 + exp(-x)), and remember x: a loss that is given the result computes from x, exactly.

    Example:
        >>> sigmoid([0.0, 1.0]).numpy().round(3)
        array([0.5  , 0.731], dtype=float32)
    """
    x = as_tensor(x)
    result: Tensor = ops.sigmoid(x)
    result.logits = x
    return result


def tanh(x: Any) -> Tensor:
    """Return the hyperbolic tangent of x.

    Example:
        >>> tanh([0.0, 1.0]).numpy().round(3)
        array([0.   , 0.762], dtype=float32)
    """
    result: Tensor = ops.tanh(x)
    return result


def softmax(x: Any, axis: int = -1) -> Tensor:
    """Return exp(x) / sum(exp(x)) along `axis`: positive numbers that sum to 1.

    Along the last axis the result remembers x: a loss that is given it computes from x, exactly.

    Raises:
        ShapeError: x has no such axis, or nothing along it.

    Example:
        >>> softmax([[1.0, 1.0, 1.0, 1.0]]).numpy()
        array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """
    x = as_tensor(x)
    result = ops.softmax(x, axis)
    if x.shape[axis] == 1:
        warnings.warn(
            f"softmax over axis {axis} of shape {x.shape} always returns 1, because that axis has size 1. "
            "Use sigmoid for one output, or give the layer one unit per class.",
            stacklevel=3,
        )
    if axis in (-1, x.ndim - 1):
        result.logits = x
    return result


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """Return log(softmax(x)) along `axis`, exact where the softmax is nearly 0.

    Raises:
        ShapeError: x has no such axis, or nothing along it.

    Example:
        >>> log_softmax([[0.0, 1000.0]]).numpy()
        array([[-1000.,     0.]], dtype=float32)
    """
    return ops.log_softmax(x, axis)


def softplus(x: Any) -> Tensor:
    """Return log(1 + exp(x)), without overflow.

    Example:
        >>> softplus([0.0, 100.0]).numpy().round(3)
        array([  0.693, 100.   ], dtype=float32)
    """
    # The cross-entropy against the target 0 is -log(1 - sigmoid(x)), which is this function.
    result: Tensor = ops.sigmoid_cross_entropy(x, 0.0)
    return result


def softsign(x: Any) -> Tensor:
    """Return x / (1 + |x|).

    Example:
        >>> softsign([-1.0, 3.0]).numpy()
        array([-0.5 ,  0.75], dtype=float32)
    """
    x = as_tensor(x)
    result: Tensor = x / (abs(x) + 1.0)
    return result


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, alpha * (exp(x) - 1) elsewhere (Clevert et al., ICLR 2016).

    Example:
        >>> elu([-1.0, 2.0]).numpy().round(3)
        array([-0.632,  2.   ], dtype=float32)
    """
    x = as_tensor(x)
    # The minimum keeps the branch that is not taken from overflowing.
    result: Tensor = ops.where(x > 0.0, x, ops.expm1(ops.minimum(x, 0.0)) * alpha)
    return result


def selu(x: Any) -> Tensor:
    """Return the scaled elu that keeps mean 0 and variance 1 from layer to layer (Klambauer et al., 2017).

    Example:
        >>> selu([-1.0, 2.0]).numpy().round(3)
        array([-1.111,  2.101], dtype=float32)
    """
    return elu(x, _SELU_ALPHA) * _SELU_SCALE


def silu(x: Any) -> Tensor:
    """Return x * sigmoid(x), also called swish (Ramachandran et al., 2017).

    Example:
        >>> silu([-1.0, 2.0]).numpy().round(3)
        array([-0.269,  1.762], dtype=float32)
    """
    x = as_tensor(x)
    result: Tensor = x * ops.sigmoid(x)
    return result


def gelu(x: Any, approximate: bool = False) -> Tensor:
    """Return x * P(X <= x) for a standard normal X (Hendrycks and Gimpel, 2016).

    Args:
        x: input of any shape.
        approximate: use the paper's formula with tanh instead of the error function.

    Example:
        >>> gelu([-1.0, 2.0]).numpy().round(3)
        array([-0.159,  1.954], dtype=float32)
    """
    x = as_tensor(x)
    inner = (x + x * x * x * 0.044715) * sqrt(2 / pi) if approximate else x * sqrt(0.5)
    result: Tensor = x * ((ops.tanh(inner) if approximate else ops.erf(inner)) + 1.0) * 0.5
    return result


def exponential(x: Any) -> Tensor:
    """Return e ** x.

    Example:
        >>> exponential([0.0, 1.0]).numpy().round(3)
        array([1.   , 2.718], dtype=float32)
    """
    result: Tensor = ops.exp(x)
    return result


def hard_sigmoid(x: Any) -> Tensor:
    """Return x / 6 + 0.5 limited to [0, 1].

    Example:
        >>> hard_sigmoid([-4.0, 0.0, 1.5]).numpy()
        array([0.  , 0.5 , 0.75], dtype=float32)
    """
    return relu6(as_tensor(x) + 3.0) / 6.0


def hard_silu(x: Any) -> Tensor:
    """Return x * hard_sigmoid(x), also called hard_swish (Howard et al., 2019).

    Example:
        >>> hard_silu([0.0, 1.5, 4.0]).numpy()
        array([0.   , 1.125, 4.   ], dtype=float32)
    """
    x = as_tensor(x)
    result: Tensor = x * hard_sigmoid(x)
    return result


def mish(x: Any) -> Tensor:
    """Return x * tanh(softplus(x)) (Misra, 2019).

    Example:
        >>> mish([-1.0, 2.0]).numpy().round(3)
        array([-0.303,  1.944], dtype=float32)
    """
    x = as_tensor(x)
    result: Tensor = x * ops.tanh(softplus(x))
    return result


# What is called on symbols is remembered as users call it, and not as the ops inside.
for _name, _function in list(globals().items()):
    if isinstance(_function, FunctionType) and _function.__module__ == __name__:
        globals()[_name] = public(_function)

swish = silu
hard_swish = hard_silu

_TABLE: Mapping[str, Activation] = {
    **registry.names(linear, relu, leaky_relu, relu6, sigmoid, tanh, softmax, log_softmax, softplus, softsign),
    **registry.names(elu, selu, silu, gelu, exponential, hard_sigmoid, hard_silu, mish),
    "swish": silu,
    "hard_swish": hard_silu,
}
# sigmoid is not among them: its result must remember its input.
_FUSED: Mapping[Activation, str] = {linear: "linear", relu: "relu", tanh: "tanh"}


def with_bias(x: Tensor, bias: Tensor | None, activation: Activation | None) -> Tensor:
    """Return activation(x + bias), in one op where there is one.

    Args:
        x: input (..., channels).
        bias: (channels,), or None.
        activation: a function, as `get` returns it, or None for none.

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


def get(identifier: Any) -> Activation:
    """Return the activation that a name, a function or None (linear) stands for.

    Raises:
        ValueError: an unknown name; the text offers the nearest one.
        TypeError: something that is no name and no function.

    Example:
        >>> get("relu") is relu, get(None) is linear
        (True, True)
    """
    found: Activation = linear if identifier is None else registry.lookup("activation", identifier, _TABLE)
    return found


def serialize(activation: Activation) -> Any:
    """Return the name of an activation function, or the config of an object.

    Example:
        >>> serialize(silu)
        'silu'
    """
    return registry.serialize(activation)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Activation:
    """Return the activation that `serialize` described; `custom_objects` adds functions by name.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> deserialize("silu") is silu
        True
    """
    found: Activation = registry.lookup("activation", config, {**_TABLE, **(custom_objects or {})})
    return found
