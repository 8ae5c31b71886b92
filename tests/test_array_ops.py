"""The functions that create, arrange, index and sort arrays: gradients, recorded steps, the double, shape inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from strict_cupy import installed

import gpudl
from gpudl import backend, ops
from gpudl.engine.state import reference_only

Function = Callable[[Any], Any]
X = np.array([[3.0, 1.0, -2.0], [0.5, 7.0, 1.5]])
IDS = np.array([1, 1, -1, 0, 3, 0])

FUNCTIONS: dict[str, Function] = {
    "append": lambda x: ops.append(x, x * 2, 1),
    "arrange": lambda x: ops.moveaxis(ops.swapaxes(ops.reshape(x, (1, 2, 3)), 0, 2), -1, 0),
    "array_split": lambda x: ops.array_split(x, 2, 1)[1],
    "associative_scan": lambda x: ops.associative_scan(ops.multiply, x, axis=1),
    "convert_to_tensor": lambda x: ops.convert_to_tensor([x[0], [x[1, 0], 2.0, 1.0]]),
    "created": lambda x: (
        ops.full_like(x, x[0]) + ops.full_like(x, 2) * ops.arange(3) + ops.eye(2, 3) - ops.zeros_like(x)
    ),
    "diag": lambda x: ops.diag(x[0], 1),
    "diagonal": lambda x: ops.diagonal(x, 1) * ops.diag(x)[:1],
    "dstack": lambda x: ops.dstack([x, x * x]),
    "flip": lambda x: ops.flip(x, (0, 1)) * x,
    "geomspace": lambda x: ops.geomspace(x[1], x[1] + 2, 3),
    "histogram": lambda x: ops.histogram(x[0], 2, (-2.5, 3.5))[0] * x[1, :2],
    "hstack": lambda x: ops.hstack([x[0], x[1] * 2]),
    "linspace": lambda x: ops.linspace(x, x * x, 4, axis=1),
    "logspace": lambda x: ops.logspace(x / 4, x / 2, 3, base=2.0),
    "meshgrid": lambda x: ops.meshgrid(x[0], x[1])[1] * 2,
    "pad": lambda x: ops.pad(x, 1) * 2,
    "pad constant": lambda x: ops.pad(x, ((1, 0), (0, 2)), constant_values=2.0) ** 2,
    "pad edge": lambda x: ops.pad(x, ((1, 2), (2, 0)), "edge") ** 2,
    "pad maximum": lambda x: ops.pad(x, 1, "maximum"),
    "pad mean": lambda x: ops.pad(x, 1, "mean") * x[0, 0],
    "pad ramp": lambda x: ops.pad(x, 2, "linear_ramp"),
    "pad reflect": lambda x: ops.pad(x, 1, "reflect") ** 2,
    "pad wrap": lambda x: ops.pad(x, 4, "wrap"),
    "rearrange": lambda x: ops.rearrange(x, "a (b c) -> (c a) b", b=3) * 2,
    "repeat": lambda x: ops.repeat(x, 2, 0) * 2,
    "repeat each": lambda x: ops.repeat(x, [1, 0, 3], axis=1) ** 2,
    "roll": lambda x: ops.roll(x, (1, -1), (0, 1)) * x,
    "rot90": lambda x: ops.rot90(x, 1) ** 2,
    "scatter": lambda x: ops.scatter([[0], [2], [0]], x[0], (3,)) ** 2,
    "scatter_update": lambda x: ops.scatter_update(x, [[0, 1], [0, 1], [1, 2]], x[1]) ** 2,
    **{
        f"scatter_update {how}": lambda x, how=how: ops.scatter_update(x, [[1], [1]], x * x, how) ** 2
        for how in ("add", "max", "min", "mul")
    },
    **{
        name: lambda x, name=name: ops.where(ops.arange(4) == 2, 1.0, getattr(ops, name)(ops.ravel(x), IDS, 4)) ** 2
        for name in ("segment_max", "segment_min", "segment_prod", "segment_sum")
    },
    "select": lambda x: ops.select([x > 2, x > 0], [x * x, x * 3], x),
    "slice": lambda x: ops.slice(x, (0, 1), (2, 2)) ** 2,
    "slice computed": lambda x: ops.slice(x, (ops.argmax(x[:, 0]), ops.argmax(x[1])), (1, 2)) ** 2,
    "slice_update": lambda x: ops.slice_update(x, (0, 1), x[:, :2] ** 2) * x,
    "slice_update computed": lambda x: ops.slice_update(x, (ops.argmax(x[:, 1]), ops.argmax(x[1])), x[:1, 1:] ** 2) * x,
    "sort": lambda x: ops.sort(x, 0) * x,
    "sort all": lambda x: ops.sort(x, None) ** 2,
    "split": lambda x: ops.split(x, [1], 1)[1] ** 2,
    "take_along_axis": lambda x: ops.take_along_axis(x, ops.argsort(x), 1) * x,
    "tile": lambda x: ops.tile(x, (2, 1, 2)) ** 2,
    "top_k": lambda x: ops.top_k(x, 2)[0] ** 2,
    "tril": lambda x: ops.tril(x) * x + ops.triu(x, 1),
    "unstack": lambda x: ops.unstack(x, axis=1)[2] ** 2,
    "vander": lambda x: ops.vander(x[0], 4),
    "vstack": lambda x: ops.vstack([x[0], x * 2]),
}
every_function = pytest.mark.parametrize("name", FUNCTIONS)


def gradient(function: Function, x: Any, weights: Any) -> Any:
    v = gpudl.Variable(x, dtype="float64") if isinstance(x, np.ndarray) else x
    return gpudl.grad(ops.sum(function(v) * weights), [v])[0]


@every_function
def test_gradients(name: str) -> None:
    function, step = FUNCTIONS[name], 1e-6
    weights = np.random.default_rng(0).uniform(0.5, 1.5, function(gpudl.convert_to_tensor(X)).shape)
    expected = np.empty_like(X)
    for at in np.ndindex(X.shape):
        ends = []
        for sign in (1, -1):
            moved = X.copy()
            moved[at] += sign * step
            ends.append(float((function(gpudl.convert_to_tensor(moved)).numpy() * weights).sum()))
        expected[at] = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(gradient(function, X, gpudl.convert_to_tensor(weights)), expected, rtol=1e-6, atol=1e-6)


def with_gradient(function: Function, v: gpudl.Variable) -> Function:
    def step(x: Any) -> Any:
        v.assign(x)
        return function(v), gpudl.grad(ops.sum(function(v)), [v])[0]

    return step


@every_function
def test_a_recorded_step_computes_the_same(name: str) -> None:
    v = gpudl.Variable(np.zeros((2, 3), "float32"))
    step, x = with_gradient(FUNCTIONS[name], v), gpudl.convert_to_tensor(X.astype("float32"))
    recorded = gpudl.traced(step)
    recorded(x * 0 + 1)
    for one, other in zip(step(x), recorded(x), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_step_on_the_double_transfers_nothing() -> None:
    def all_of_them(x: Any) -> Any:
        return [function(x) for function in FUNCTIONS.values()]

    def total(x: Any) -> Any:
        v.assign(x)
        made = all_of_them(v)
        return made, gpudl.grad(sum((ops.sum(y) for y in made), ops.sum(v)), [v])[0]

    v, given = gpudl.Variable(np.zeros((2, 3), "float32")), X.astype("float32")
    expected = [np.asarray(y) for y in gpudl.tree.flatten(total(gpudl.convert_to_tensor(given)))]
    # The references are what is new: kernels, which g++ would have to compile, are tested by themselves.
    with installed() as meter, reference_only():
        backend.use("cupy")
        v = gpudl.Variable(np.zeros((2, 3), "float32"))
        step, x = gpudl.traced(total), gpudl.convert_to_tensor(given)
        for _ in range(2):
            got = gpudl.tree.flatten(step(x))
        meter.reset()
        step(x)
        assert (meter.host_to_device, meter.device_to_host) == (0, 0)
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one.numpy(), other, rtol=1e-5, atol=1e-5)


@every_function
def test_symbols_have_the_shapes_of_the_results(name: str) -> None:
    symbol = gpudl.Input((3,), batch_size=2)
    made = FUNCTIONS[name](symbol)
    result = FUNCTIONS[name](gpudl.convert_to_tensor(X.astype("float32")))
    assert (made.shape, made.dtype) == (result.shape, result.dtype)


def test_unknown_sizes_stay_unknown() -> None:
    x = gpudl.Input((None, 3))
    assert ops.shape(x) == (None, None, 3)
    assert ops.pad(x, ((0, 0), (1, 1), (0, 0))).shape == (None, None, 3)
    assert ops.sort(x, 1).shape == (None, None, 3)
    assert ops.top_k(x, 2)[1].shape == (None, None, 2)
    assert ops.tril(x).shape == (None, None, 3)
    assert ops.roll(x, 1, 1).shape == (None, None, 3)

    class Positions(gpudl.layers.Layer):
        def call(self, x: Any) -> Any:
            where = ops.arange(ops.shape(x)[1], dtype="float32")
            return x + ops.zeros(ops.shape(x)) + ops.expand_dims(where, 1) + ops.ones((1, x.shape[1], 3))

    model = gpudl.Model(x, Positions()(x))
    assert model.output_shape == (None, None, 3)
    np.testing.assert_array_equal(model(np.zeros((1, 2, 3), "float32")), [[[1, 1, 1], [2, 2, 2]]])
    with pytest.raises(ValueError, match=r"the size of axis 1 is unknown. Say by num how many parts there are"):
        ops.unstack(x, axis=1)
    assert len(ops.unstack(x, 4, 1)) == 4


def test_numpy_functions_take_tensors() -> None:
    x = gpudl.convert_to_tensor(X.astype("float32"))
    for call in (
        *(np.square, np.exp, np.mean, np.argmax, np.transpose, np.copy),
        *(lambda a: np.sum(a, axis=1), lambda a: np.where(a > 1, a, 0), lambda a: np.stack([a, a])),
        *(lambda a: np.add(a, 1), lambda a: np.matmul(a, np.ones(3)), lambda a: np.linalg.norm(a)),  # noqa: PLW0108
    ):
        np.testing.assert_array_equal(call(x), call(X.astype("float32")))
    assert isinstance(np.ones((2, 3), "float32") * x, gpudl.Tensor)
    with pytest.raises(RuntimeError, match="value was read on the host"):
        gpudl.traced(np.square)(x)
