"""Branches, loops and functions with gradients of their own on symbols; scans and functions over elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import ops
from gpudl.engine.plan.trace import traced
from gpudl.engine.spec import ShapeError

X = np.float32([[1, 2, 3], [4, 5, 6]])


def test_control_flow_in_a_functional_model() -> None:
    x = gpudl.Input((3,))
    wide = gpudl.layers.Dense(3)
    chosen = ops.cond(ops.sum(x) > 5, lambda: wide(x), lambda: x * 0)
    looped = ops.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2), (0, x))[1]
    counted = ops.fori_loop(0, 2, lambda i, y: y + 1, x)
    mapped = ops.map(lambda row: row * 2, x)
    picked = ops.switch(ops.cast(ops.max(x), "int32"), [lambda y: y, lambda y: -y], x)
    model = gpudl.Model(x, [chosen, looped, counted, mapped, picked, ops.stop_gradient(x)])
    assert wide in model.layers
    for scale in (0, 1):
        got = model(X * scale)
        wanted = [wide(X) if scale else X * 0, X * scale * 8, X * scale + 2, X * scale * 2, -X * scale, X * scale]
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(model.predict(X, verbose=0)[3], X * 2)


def test_a_model_with_cond_learns() -> None:
    x = gpudl.Input((3,))
    hidden = gpudl.layers.Dense(8)(x)
    y = ops.cond(ops.mean(hidden) > 1e9, lambda: hidden * 0, lambda: ops.square(hidden))
    model = gpudl.Model(x, gpudl.layers.Dense(1)(y))
    model.compile("adam", "mse")
    losses = model.fit(X, X[:, :1], epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_results_of_branches_must_be_alike() -> None:
    step = traced(lambda x: ops.cond(ops.sum(x) > 0, lambda: x, lambda: ops.sum(x)))
    with pytest.raises(TypeError, match=r"cond: all functions must return the same .*float32\[\] and float32\[2, 3\]"):
        step(gpudl.convert_to_tensor(X))
    with pytest.raises(ShapeError, match=r"cond: pred must be one number, got shape \(2, 3\)"):
        ops.cond(ops.greater(X, 1), lambda: 1, lambda: 2)
    with pytest.raises(TypeError, match="switch: branches must be functions, at least one"):
        ops.switch(0, [])
    with pytest.raises(TypeError, match="cond: true_fn and false_fn must be functions"):
        ops.cond(True, 1, lambda: 2)  # type: ignore[arg-type]


def test_loop_variables_keep_their_kind() -> None:
    with pytest.raises(TypeError, match=r"while_loop: body must return .* \(int32\[\],\), but returned \(float32"):
        ops.while_loop(lambda i: i < 3, lambda i: i + 1.5, (0,))
    with pytest.raises(TypeError, match=r"fori_loop: body_fun must return .* int32\[\], but returned float32\[\]"):
        ops.fori_loop(0, 3, lambda i, y: y * 1.5, 1)
    with pytest.raises(ShapeError, match=r"while_loop: cond must return one bool, got shape \(3,\)"):
        ops.while_loop(lambda x: x < 3, lambda x: x + 1, X[0])
    with pytest.raises(RuntimeError, match="fori_loop has bounds that are computed in a recorded step"):
        traced(lambda n: ops.fori_loop(0, n, lambda i, y: y, 1))(gpudl.convert_to_tensor(3))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan_is_a_loop(count: int, reverse: bool) -> None:
    rng = np.random.default_rng(count)
    a, b = (rng.uniform(0.5, 1.5, (2, count)).astype("float32") for _ in range(2))

    def affine(left: Any, right: Any) -> Any:
        return left[0] * right[0], left[1] * right[0] + right[1]

    found = ops.associative_scan(affine, (a, b), reverse=reverse, axis=1)
    order = range(count)[:: -1 if reverse else 1]
    state = np.zeros(2, "float32")
    for at in order:
        state = state * a[:, at] + b[:, at]
        np.testing.assert_allclose(found[1][:, at], state, rtol=1e-5)


def test_vectorize() -> None:
    dot = ops.vectorize(lambda a, b: ops.sum(a * b), signature="(n),(n)->()")
    np.testing.assert_array_equal(dot(X, X[0]), X @ X[0])
    np.testing.assert_array_equal(ops.vectorize(lambda a, b: (a + b, a), excluded={1})(X, 2)[0], X + 2)
    with pytest.raises(ValueError, match="has 2 arguments, but there are 1"):
        dot(X)
    with pytest.raises(ValueError, match="a signature is like"):
        ops.vectorize(abs, signature="n->n")


def test_a_custom_gradient_replaces_that_of_the_function() -> None:
    @ops.custom_gradient
    def product(a: Any, b: Any) -> Any:
        both = a * b
        return {"product": both, "sum": a + b}, lambda g: (g["product"] * both * 10, g["sum"] * 3)

    def step(x: Any) -> Any:
        v.assign(x)
        y = product(v, v * 2)
        return gpudl.grad(ops.sum(y["product"]) + ops.sum(y["sum"]), [v])[0]

    v, x = gpudl.Variable(X), gpudl.convert_to_tensor(X)
    np.testing.assert_array_equal(step(x), 20 * X * X + 6)
    np.testing.assert_array_equal(traced(step)(x), 20 * X * X + 6)
    symbol = gpudl.Input((3,))
    np.testing.assert_array_equal(gpudl.Model(symbol, product(symbol, symbol))(X)["sum"], 2 * X)
    with pytest.raises(TypeError, match="must return one for each of the 1 arguments, but returned 2"):
        gpudl.grad(ops.custom_gradient(lambda a: (a * 2, lambda g: (g, g)))(v), [v])


def test_no_gradient_flows_through_stop_gradient() -> None:
    v = gpudl.Variable(X)
    np.testing.assert_array_equal(gpudl.grad(ops.sum(v * ops.stop_gradient(v)), [v])[0], X)
    assert gpudl.grad(ops.sum(ops.stop_gradient(v * v)), [v]) == [None]
