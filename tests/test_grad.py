"""Differentiation: what flows where, what is left out, and what is kept alive."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from gpudl.kernels.geometry import Window
from gradient_tools import gradient

import gpudl
from gpudl import GradientTape, Tensor, Variable, grad, ops, traced
from gpudl.engine.state import gradients
from gpudl.ops.primitives.pool import max_pool


def test_broadcasting_is_undone() -> None:
    row, column, number = Variable([1.0, 2.0, 3.0]), Variable([[1.0], [2.0]]), Variable(2.0)
    y = ops.sum(row * column * number)
    assert gradient(y, row) == [6, 6, 6]
    assert gradient(y, column) == [[12], [12]]
    assert gradient(y, number) == 18


def test_promotion_is_undone() -> None:
    half, whole = Variable(np.ones(3, np.float16)), Variable(np.full(3, 2.0))
    y = ops.sum(half * whole)
    assert y.dtype == np.float64
    assert gradient(y, half) == [2, 2, 2]
    assert gradient(y, whole) == [1, 1, 1]


def test_an_input_used_twice_gets_both_parts() -> None:
    x = Variable([2.0, 3.0])
    assert gradient(ops.sum(x * x + x), x) == [5, 7]
    assert gradient(ops.sum(ops.concatenate([x, x * 2, x])), x) == [4, 4]
    assert gradient(ops.sum(ops.matmul(ops.reshape(x, (1, 2)), ops.reshape(x, (2, 1)))), x) == [4, 6]


def test_a_diamond_is_walked_once_a_node(applied: list[str]) -> None:
    x = Variable(1.5)
    y = x
    for _ in range(30):  # walked path by path this would be 2**30 steps
        y = y * 0.5 + y * 0.5
    applied.clear()
    assert gradient(y, x) == 1
    assert len(applied) < 200


def test_what_does_not_reach_the_loss_has_no_gradient() -> None:
    x, other = Variable([1.0]), Variable([1.0])
    ops.exp(other)
    assert grad(ops.sum(x * 2), [other, x])[0] is None
    assert grad(ops.sum(Tensor(np.ones(2))), [x]) == [None]
    assert grad(ops.sum(ops.sign(x)), [x]) == [None]


def test_integers_have_no_gradient() -> None:
    rows, labels = Variable([[1.0, 2.0], [3.0, 4.0]]), Variable(np.array([1, 0, 1]))
    y = ops.sum(ops.take(rows, labels, axis=0))
    assert grad(y, [labels, rows])[0] is None
    assert gradient(y, rows) == [[1, 1], [2, 2]]
    numbers = Variable(np.array([1, 2]))
    assert grad(ops.sum(numbers * numbers), [numbers]) == [None]
    assert grad(ops.sum(ops.cast(numbers, dtype="float32")), [numbers]) == [None]


def test_the_loss_and_what_lies_between_have_gradients_too() -> None:
    x = Variable([1.0, 2.0])
    between = x * 3
    loss = ops.sum(between * between)
    of_loss, of_between, of_x = grad(loss, [loss, between, x])
    assert float(of_loss) == 1
    assert of_between.numpy().tolist() == [6, 12]
    assert of_x.numpy().tolist() == [18, 36]


@pytest.mark.host
def test_elements_are_summed_or_weighed_by_the_seed() -> None:
    x = Variable([1.0, 2.0])
    assert gradient(x * x, x) == [2, 4]
    (weighed,) = grad(x * x, [x], seed=Tensor(np.array([1, 10], np.float32)))
    assert weighed.numpy().tolist() == [2, 40]


def test_a_gradient_that_is_the_seed_does_not_share_its_fate() -> None:
    x, y = Variable([1.0]), Variable([2.0])
    gx, gy = grad(ops.sum(x + y), [x, y])
    y.assign(gx * 5)
    assert gx.numpy().tolist() == gy.numpy().tolist() == [1]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.host
def test_gradients_nobody_needs_are_not_computed(applied: list[str], create_graph: bool) -> None:
    image = Tensor(np.ones((1, 4, 4, 1), np.float32))
    kernel, frozen = Variable(np.ones((2, 2, 1, 3), np.float32)), Variable(np.ones((27, 2)), trainable=False)
    y = ops.conv2d(image, kernel, window=Window((2, 2), (1, 1)))
    loss = ops.sum(ops.reshape(y, (1, 27)) @ ops.cast(frozen, dtype="float32"))
    applied.clear()
    grad(loss, [kernel], create_graph=create_graph)
    assert applied.count("conv2d_weight_grad") == 1
    assert "conv2d_input_grad" not in applied
    assert applied.count("matmul") == 1


def test_only_the_way_to_what_is_wanted_is_walked(applied: list[str]) -> None:
    x, deep = Variable([1.0]), Variable([1.0])
    y = deep
    for _ in range(50):
        y = ops.exp(y * 0.1)
    loss = ops.sum(x * y)
    applied.clear()
    assert grad(loss, [x])[0] is not None
    assert len(applied) < 10


def test_nothing_is_kept_where_gradients_are_off() -> None:
    x = Variable([1.0])
    with gradients(False):
        y = x * 2
    assert y.node is None
    assert not y.requires_grad
    assert grad(ops.sum(y), [x]) == [None]
    assert (Tensor(np.ones(1)) * 2).node is None


def test_the_gradient_of_a_gradient() -> None:
    x = Variable(3.0)
    (first,) = grad(x * x * x, [x], create_graph=True)
    (second,) = grad(first, [x], create_graph=True)
    (third,) = grad(second, [x])
    assert [float(g) for g in (first, second, third)] == [27, 18, 6]
    assert third.node is None


@pytest.mark.host
def test_the_gradient_penalty_trains() -> None:
    x, w = Tensor(np.array([[1.0, 2.0]])), Variable(np.array([[3.0], [4.0]]))
    x.requires_grad = True
    (slope,) = grad(ops.tanh(x @ w * 0.1), [x], create_graph=True)
    penalty = ops.sum(slope * slope)

    def value(weights: np.ndarray) -> float:
        t = np.tanh((x.data @ weights) * 0.1)
        return float(((1 - t * t) ** 2 * (weights * 0.1) ** 2).sum())

    numeric = [
        (value(w.data + step) - value(w.data - step)) / 2e-6
        for step in (np.array([[1e-6], [0]]), np.array([[0], [1e-6]]))
    ]
    np.testing.assert_allclose(np.ravel(gradient(penalty, w)), numeric, rtol=1e-7)


def test_the_tape_gives_one_gradient_or_a_list() -> None:
    x, y = Variable(3.0), Variable(4.0)
    with GradientTape() as tape:
        z = x * x * y
    assert float(tape.gradient(z, x)) == 24
    one, other = tape.gradient(z, [x, y])
    assert (float(one), float(other)) == (24, 9)


def test_the_tape_watches_what_it_is_told() -> None:
    x, y = Tensor(np.array(3.0)), Tensor(np.array(2))
    with GradientTape() as tape:
        tape.watch([x, y])
        z = x * x
    assert float(tape.gradient(z, x)) == 6
    assert not y.requires_grad


def test_a_tape_in_a_tape_makes_second_derivatives() -> None:
    x = Variable(2.0)
    with GradientTape() as outer:
        with GradientTape() as inner:
            y = x * x * x
        first = inner.gradient(y, x)
    assert float(first) == 12
    assert float(outer.gradient(first, x)) == 12


def test_the_tape_works_in_a_recorded_step() -> None:
    x = Variable(2.0)

    def step(factor: Tensor) -> tuple[Tensor, Tensor]:
        with GradientTape() as outer:
            with GradientTape() as inner:
                y = x * x * x * factor
            first = inner.gradient(y, x)
        return first, outer.gradient(first, x)

    recorded = traced(step)
    for n in (1.0, 2.0, 3.0):
        assert [float(g) for g in recorded(np.float32(n))] == [12 * n, 12 * n]


@pytest.mark.parametrize("depth", [5000])
def test_a_deep_chain_does_not_overflow_the_stack(depth: int) -> None:
    x = Variable(1.0)
    y = x
    for _ in range(depth):
        y = y + 1.0
    assert gradient(y, x) == 1
    del y  # nor does freeing it


@pytest.mark.parametrize("with_gradient", [False, True])
def test_a_graph_is_freed_without_the_collector(with_gradient: bool) -> None:
    x = Variable(np.ones((3, 3), np.float32))
    gc.collect()
    gc.disable()
    try:
        between = ops.exp(x) @ x
        values, _ = max_pool(ops.reshape(between, (1, 3, 3, 1)), window=Window((3, 3), (3, 3)))
        loss = ops.sum(values)
        alive = [weakref.ref(between), weakref.ref(between.data), weakref.ref(values.data)]
        slopes = grad(loss, [x], create_graph=with_gradient) if with_gradient else None
        del between, values
        assert alive[1]() is not None  # the loss needs it
        del loss, slopes
        assert [reference() for reference in alive] == [None] * 3
    finally:
        gc.enable()


def test_an_unknown_argument_has_no_rule() -> None:
    before = dict(ops.exp.rules), dict(ops.exp.joint)
    with pytest.raises(TypeError, match=r"^exp has no input called z\.$"):
        ops.exp.vjp(z=lambda g, y, x: g)
    with pytest.raises(TypeError, match=r"^exp has no input called y, z\.$"):
        ops.exp.joint_vjp(("x", "z", "y"), lambda wanted, g, y, x: (g, g, g))
    assert (ops.exp.rules, ops.exp.joint) == before


CALLS: dict[str, tuple[Callable[[], object], str]] = {
    "too few": (
        lambda: ops.add(Variable(1.0)),
        r"^add takes 2 tensors \(x1, x2\), got 1: missing a required argument: 'x2'\.$",
    ),
    "text": (
        lambda: ops.exp("a"),
        "^expected numbers, got str of dtype <U1. Convert text and objects to numbers first.$",
    ),
    "a float as an index": (lambda: Variable([1.0])[0.5], "indexed by integers, slices, None, ... and arrays"),
}


@pytest.mark.parametrize("name", CALLS)
def test_wrong_calls_say_what_is_wrong(name: str) -> None:
    call, words = CALLS[name]
    with pytest.raises(TypeError, match=words):
        call()


def test_python_numbers_widen_nothing() -> None:
    for dtype in ("float16", "float32", "float64"):
        x = Tensor(np.ones(2, dtype))
        for y in (x * 2, 2 * x, x + 0.5, 1 - x, x / 3, 3 / x, x**2, 2**x, x * True, ops.where(x > 0, x, 0.0)):
            assert y.dtype == dtype
    counts = Tensor(np.ones(2, np.int32))
    assert (counts * 2).dtype == np.int32
    assert (counts * 0.5).dtype == np.float32
    assert gpudl.convert_to_tensor([1.0]).dtype == np.float32
    assert gpudl.convert_to_tensor(np.ones(1)).dtype == np.float64
