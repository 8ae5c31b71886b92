"""The few names of TensorFlow itself that Keras programs use, computed by gpudl."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike

from gpudl import ops
from gpudl.compat.tensorflow import config, data, random
from gpudl.engine.convert import convert_to_tensor
from gpudl.engine.grad import GradientTape
from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.engine.variable import Variable

__all__ = [
    "GradientTape",
    "Tensor",
    "Variable",
    "config",
    "constant",
    "convert_to_tensor",
    "data",
    "function",
    "math",
    "nn",
    "random",
]

F = TypeVar("F", bound=Callable[..., object])

math = nn = ops

_DTYPES = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)} | {"float16", "float32", "float64"}
# Functions with another name in `ops`; those with the same name have the same arguments.
_RENAMED = {
    **{f"reduce_{name}": name for name in ("all", "any", "max", "mean", "min", "prod", "sum")},
    "clip_by_value": "clip",
    "concat": "concatenate",
    "pow": "power",
    "range": "arange",
}
_SAME = {
    *(
        "abs",
        "add",
        "argmax",
        "argmin",
        "cast",
        "cos",
        "divide",
        "einsum",
        "equal",
        "exp",
        "expand_dims",
        "eye",
        "gather",
    ),
    *(
        "greater",
        "greater_equal",
        "less",
        "less_equal",
        "linspace",
        "logical_and",
        "logical_not",
        "logical_or",
        "matmul",
    ),
    *(
        "maximum",
        "minimum",
        "multiply",
        "not_equal",
        "one_hot",
        "ones",
        "ones_like",
        "reshape",
        "round",
        "shape",
        "sigmoid",
    ),
    *("sign", "sin", "sqrt", "square", "squeeze", "stack", "stop_gradient", "subtract", "tanh", "tensordot", "tile"),
    *("transpose", "unstack", "where", "zeros", "zeros_like"),
}


def constant(value: TensorLike, dtype: DTypeLike | None = None, shape: Shape | None = None) -> Tensor:
    """Return a tensor of `value`, repeated or reshaped to `shape` if it is given.

    Example:
        >>> constant(2.0, shape=(2, 2)).numpy().tolist()
        [[2.0, 2.0], [2.0, 2.0]]
    """
    tensor = convert_to_tensor(value, dtype=dtype)
    if shape is None:
        return tensor
    return ops.broadcast_to(tensor, shape) if tensor.ndim == 0 else ops.reshape(tensor, shape)


@overload
def function(func: F, **options: object) -> F: ...
@overload
def function(func: None = None, **options: object) -> Callable[[F], F]: ...
def function(func: F | None = None, **options: object) -> F | Callable[[F], F]:
    """Return the function unchanged: gpudl records training steps by itself."""
    return (lambda function: function) if func is None else func


def __getattr__(name: str) -> object:
    if name in _DTYPES:
        return np.dtype(name)
    if name == "bool":
        return np.dtype(bool)
    if name in _RENAMED or name in _SAME:
        return getattr(ops, _RENAMED.get(name, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
