"""Gradients of random programs in float64, along a random direction, beside differences; and their own gradients.

A program is ops or layers one after another, from an array to a sum with random weights. Where v is a direction, the
first gradient g must have <g, v> equal to the slope of the program along v, and the gradient of <g, v> along another
direction u that of <g, v>, as differences of two close points tell them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import gpudl
from fuzz.programs import Program, run
from fuzz.stacks import random_stack, random_weights
from fuzz.steps import random_key
from gpudl import Tensor, losses, ops

Function = Callable[[Tensor], Tensor]
STEP = 1e-5


def _constant(program: Program, *shape: int) -> Tensor:
    return gpudl.convert_to_tensor(program.normal(*shape, dtype=np.float64))


def _elementwise(p: Program, shape: tuple[int, ...]) -> tuple[str, Function]:
    functions: dict[str, Function] = {
        "tanh": ops.tanh,
        "sigmoid": ops.sigmoid,
        "erf": ops.erf,
        "square": ops.square,
        "exp of tanh": lambda x: ops.exp(ops.tanh(x)),
        "expm1 of tanh": lambda x: ops.expm1(ops.tanh(x)),
        "log": lambda x: ops.log(ops.square(x) + 0.5),
        "log1p": lambda x: ops.log1p(ops.square(x)),
        "sqrt": lambda x: ops.sqrt(ops.square(x) + 0.5),
        "relu": lambda x: ops.relu(x) * x,
        "absolute": lambda x: ops.absolute(x) * x,
        "clip": lambda x: ops.clip(x, -0.5, 0.75) * x,
        "power": lambda x: (ops.square(x) + 0.5) ** 1.5,
        "powers": lambda x: (ops.square(x) + 0.5) ** ops.tanh(x),
        "softmax": lambda x: ops.softmax(x) * x if x.ndim else x,
        "log_softmax": lambda x: ops.log_softmax(x) if x.ndim else x,
        "negative": lambda x: -(x * x),
        "cast": lambda x: ops.cast(x, "float64") * x,
    }
    name = p.one_of(sorted(functions))
    return name, functions[name]


def _with_another(p: Program, shape: tuple[int, ...]) -> tuple[str, Function]:
    """Return an op of x and a constant, or of x and its sum, which broadcast."""
    other_shape = tuple(1 if p.chance(0.3) else n for n in shape)[p.integer(0, len(shape)) :]
    other = _constant(p, *other_shape)
    functions: dict[str, Function] = {
        "add": lambda x: x + other * ops.sum(x),
        "subtract": lambda x: other - x * ops.mean(x),
        "multiply": lambda x: x * other,
        "divide": lambda x: x / (ops.square(other) + 0.5),
        "divide by x": lambda x: other / (ops.square(x) + 0.5),
        "maximum": lambda x: ops.maximum(x, other) * x,
        "minimum": lambda x: ops.minimum(other, x) * x,
        "where": lambda x: ops.where(x > other, x * x, other * x),
        "power": lambda x: (ops.square(other) + 0.5) ** ops.tanh(x),
    }
    name = p.one_of(sorted(functions))
    return f"{name} with {other_shape}", functions[name]


def _reduction(p: Program, shape: tuple[int, ...]) -> tuple[str, Function]:
    axis = p.one_of((None, p.integer(-len(shape), len(shape) - 1) if shape else None))
    name, keepdims = p.one_of(("sum", "mean", "max")), p.chance(0.5)
    function = getattr(ops, name)
    text = f"{name}(axis={axis}, keepdims={keepdims})"
    return text, lambda x: function(x * x * 0.5 + x, axis=axis, keepdims=keepdims)


def _shape(p: Program, shape: tuple[int, ...]) -> tuple[str, Function]:
    if not shape:
        return "reshape", lambda x: ops.reshape(x, (1, 1))
    axes = tuple(int(a) for a in p.rng.permutation(len(shape)))
    wider = (2, *(3 if n == 1 else n for n in shape))
    key = random_key(p, shape)
    rows = p.rng.integers(0, shape[0], p.integer(1, 5))
    functions: dict[str, Function] = {
        f"transpose {axes}": lambda x: ops.transpose(x, axes=axes),
        "reshape": lambda x: ops.reshape(x, (-1,)),
        f"broadcast_to {wider}": lambda x: ops.broadcast_to(x, shape=wider),
        f"[{key}]": lambda x: x[key],
        f"[{rows}]": lambda x: x[rows],
        "concatenate": lambda x: ops.concatenate([x, x * x], axis=p.seed % len(shape)),
    }
    name = p.one_of(list(functions))
    return name, functions[name]


def _product(p: Program, shape: tuple[int, ...]) -> tuple[str, Function]:
    if len(shape) < 2:
        return "square", ops.square
    other = _constant(p, shape[-1], p.integer(1, 4))
    if p.chance(0.3):
        return "matmul with itself", lambda x: ops.matmul(
            x, ops.transpose(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))
        )
    return f"matmul {other.shape}", lambda x: ops.matmul(x, other)


def _of_ops(p: Program) -> tuple[np.ndarray, Function]:
    """Return an array and some ops, one after another."""
    x = p.normal(*(p.integer(1, 4) for _ in range(p.integer(0, 3))), dtype=np.float64)
    chain: list[Function] = []
    value = gpudl.convert_to_tensor(x)
    for _ in range(p.integer(1, 5)):
        name, function = p.one_of((_elementwise, _with_another, _reduction, _shape, _product))(p, value.shape)
        value = function(value)
        if value.size == 0:
            break
        p.say(name)
        chain.append(function)
    return x, _chained(chain)


def _of_layers(p: Program) -> tuple[np.ndarray, Function]:
    """Return an array and some layers, one after another, and perhaps a loss."""
    stack = random_stack(p, p.integer(1, 3))
    batch, training = p.integer(1, 4), p.chance(0.5)
    p.say(f"training={training}, {stack}")
    x = p.normal(batch, *stack.input_shape, dtype=np.float64)
    chain: list[Function] = []
    shape: Any = x.shape
    for part in stack.parts:
        layer = part.make(gpudl.layers, dtype="float64")
        layer.build(shape)
        layer.set_weights(random_weights(p, layer))
        shape = layer.compute_output_shape(shape)
        chain.append(lambda x, layer=layer: layer(x, training=training))
    if p.chance(0.5):
        chain.append(_loss(p, shape))
    return x, _chained(chain)


def _loss(p: Program, shape: tuple[int, ...]) -> Function:
    classes = shape[-1]
    name = p.one_of(("MeanSquaredError", "Huber", "LogCosh", "BinaryCrossentropy", "CategoricalCrossentropy", "Sparse"))
    p.say(f"then {name}")
    logits = {"from_logits": True, "dtype": "float64"}
    if name == "Sparse":
        labels = gpudl.convert_to_tensor(p.rng.integers(0, classes, (*shape[:-1], 1)))
        return lambda x: losses.SparseCategoricalCrossentropy(**logits)(labels, x)
    targets = gpudl.convert_to_tensor(p.rng.random(shape))
    options = logits if name.endswith("Crossentropy") else {"dtype": "float64"}
    return lambda x: getattr(losses, name)(**options)(targets, x)


def _chained(chain: Sequence[Function]) -> Function:
    def call(x: Tensor) -> Tensor:
        for function in chain:
            x = function(x)
        return x

    return call


def _slope(x: np.ndarray, function: Function, v: np.ndarray, weights: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return the slope along `v` of the output's sum with weights, as the gradient has it, and the point."""
    point = gpudl.Variable(x)
    total = ops.sum(function(point) * gpudl.convert_to_tensor(weights))
    (gradient,) = gpudl.grad(total, [point], create_graph=True)
    if gradient is None:
        return gpudl.convert_to_tensor(np.zeros(())), point
    assert gradient.dtype == np.float64
    return ops.sum(gradient * gpudl.convert_to_tensor(v)), point


def _difference(f: Callable[[np.ndarray], float], x: np.ndarray, v: np.ndarray) -> tuple[float, float]:
    """Return the slope of f at x along v by differences, and how far two of them with other steps are apart."""
    slopes = [(f(np.asarray(x + h * v)) - f(np.asarray(x - h * v))) / (2 * h) for h in (STEP, 2 * STEP)]
    return slopes[0], abs(slopes[1] - slopes[0])


def _check(p: Program) -> None:
    x, function = p.one_of((_of_ops, _of_layers))(p)
    out = function(gpudl.convert_to_tensor(x))
    weights, v, u = (p.normal(*shape, dtype=np.float64) for shape in (out.shape, x.shape, x.shape))

    def total(x: np.ndarray) -> float:
        return float((function(gpudl.convert_to_tensor(x)).numpy() * weights).sum())

    def slope(x: np.ndarray) -> float:
        return float(_slope(x, function, v, weights)[0])

    along_v, point = _slope(x, function, v, weights)
    size = float(np.abs(out.numpy() * weights).sum()) + 1
    _assert_slope(float(along_v), _difference(total, x, v), size, "the first gradient")
    (second,) = gpudl.grad(along_v, [point])
    along_u = 0.0 if second is None else float((second.numpy() * u).sum())
    _assert_slope(along_u, _difference(slope, x, u), abs(float(along_v)) + size, "the second gradient")


def _assert_slope(ours: float, expected: tuple[float, float], size: float, what: str) -> None:
    slope, doubt = expected
    if doubt > 1e-3 * (abs(slope) + size):
        return  # differences jump here: between the two points a maximum, say, is another element
    bound = 3 * doubt + 1e-7 * (abs(slope) + size)
    assert abs(ours - slope) <= bound, f"{what}: {ours} along a direction, but differences say {slope} +- {bound}"


def test_gradients_are_slopes() -> None:
    run(_check, count=40)
