"""Ops on each element by itself, forward and backward, and a run of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gpudl
from benchmarks.suites.harness import Case, op, suite

SHAPES = ((128, 512), (64, 26, 26, 32), (16, 56, 56, 64))
UNARY = ("relu", "sigmoid", "tanh", "exp", "log", "sqrt", "square", "negative", "absolute")
BINARY = ("add", "multiply", "divide", "maximum")
ACTIVATIONS = ("relu", "sigmoid", "tanh")


def backward(function: Callable[[Any], Any], x: Any, g: Any) -> Any:
    """Return the gradient of a function of one tensor; what it does not need of the value is not computed."""
    return gpudl.grad(function(x), [x], seed=g)[0]


def gelu(x: Any) -> Any:
    """Return x * Phi(x), a run of elementwise ops."""
    return gpudl.activations.gelu(x)


def cases() -> Iterator[Case]:
    """Yield every op at every shape."""
    for shape in SHAPES:
        size = "x".join(map(str, shape))
        yield from (op(name, shape) for name in UNARY)
        yield from (op(name, shape, shape) for name in BINARY)
        yield op("add", shape, shape[-1:])
        for name in ACTIVATIONS:
            yield op("bias_activation", shape, shape[-1:], activation=name)
            yield op("activation_grad", shape, shape, activation=name)
        for name in ("exp", "sqrt", "square"):
            yield Case(f"{name} backward {size}", partial(backward, gpudl.ops.registry[name]), [shape, shape])
        yield Case(f"gelu {size}", gelu, [shape])
        yield Case(f"gelu backward {size}", partial(backward, gelu), [shape, shape])


test_elementwise = suite(cases())
