"""The rules that rewrite a recorded step: what they join, and what they must leave alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gpudl.kernels.geometry import Window
from replay_tools import assert_same_bits, plan_of

from gpudl import Tensor, Variable, grad, ops, traced
from gpudl.engine.plan import ir
from gpudl.engine.state import unfused
from gpudl.ops.primitives.pool import max_pool

POOLED = "conv2d+bias_activation+max_pool"
BIASED = "conv2d+bias_activation"
SPREAD = "activation_grad+max_pool_grad"
WEIGHTS = "activation_grad+max_pool_grad+(sum_to,conv2d_weight_grad)"
THREE, TWO = {"window": Window((3, 3), (1, 1))}, {"window": Window((2, 2), (2, 2))}
Step = Callable[..., Any]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def names(steps: list[ir.Instruction]) -> list[str]:
    return [step.name for step in steps]


def flat(results: Any) -> tuple[Tensor, ...]:
    return results if isinstance(results, tuple) else (results,)


def joined(make: Callable[[], Step], *args: Any) -> list[str]:
    """Return the chains in the plan of a step, which gives the bits of the eager step in each of its replays."""
    fused, plain, eager = traced(make()), traced(make()), make()
    for _ in range(3):
        expected = flat(eager(*args))
        got = flat(fused(*args))
        with unfused():
            same = flat(plain(*args))
        for one, two, three in zip(got, same, expected, strict=True):
            assert_same_bits(one, three)
            assert_same_bits(two, three)
        plan_of(fused).poison()
    return [name for name in names(plan_of(fused).instructions) if "+" in name]


class Weights:
    """A convolution of 3 x 3 pixels, 1 channel and 4 filters, with a ReLU: new variables of the same values."""

    def __init__(self, bias: tuple[int, ...] = (4,)) -> None:
        self.kernel = Variable(noise(3, 3, 1, 4))
        self.bias = Variable(noise(*bias, seed=1))

    def convolved(self, x: Tensor, activation: str = "relu") -> Tensor:
        return ops.bias_activation(ops.conv2d(x, self.kernel, **THREE), self.bias, activation=activation)

    def gradients(self, y: Tensor) -> tuple[Tensor, ...]:
        return tuple(grad(ops.sum(y * y), [self.kernel, self.bias]))


IMAGES = noise(16, 8, 8, 1, seed=2)  # become 6 x 6, pooled without rest
ODD = noise(16, 9, 8, 1, seed=2)  # become 7 x 6, of which a pooling leaves out a row


def assigned(variable: Variable, value: Any) -> Any:
    variable.assign(variable * 0.5)
    return value


FORWARD: dict[str, tuple[Callable[[Weights, Tensor], Any], list[str]]] = {
    "all of it": (lambda w, x: max_pool(w.convolved(x), **TWO), [POOLED]),
    "no activation": (lambda w, x: max_pool(w.convolved(x, "linear"), **TWO), [POOLED]),
    "no pooling": (lambda w, x: w.convolved(x), [BIASED]),
    "average": (lambda w, x: ops.avg_pool(w.convolved(x), **TWO), [BIASED]),
    "windows that overlap": (lambda w, x: max_pool(w.convolved(x), window=Window((3, 3), (2, 2))), [BIASED]),
    "padded pooling": (lambda w, x: max_pool(w.convolved(x), window=Window((4, 4), (4, 4), "same")), [BIASED]),
    "a tanh": (lambda w, x: max_pool(w.convolved(x, "tanh"), **TWO), []),
    "a sigmoid": (lambda w, x: max_pool(w.convolved(x, "sigmoid"), **TWO), []),
    "y is returned": (lambda w, x: (lambda y: (*max_pool(y, **TWO), y))(w.convolved(x)), [BIASED]),
    "a view of y is returned": (
        lambda w, x: (lambda y: (*max_pool(y, **TWO), ops.reshape(y, (-1,))))(w.convolved(x)),
        [BIASED],
    ),
    "y is read twice": (lambda w, x: (lambda y: (*max_pool(y, **TWO), ops.sum(y)))(w.convolved(x)), [BIASED]),
    "two poolings": (
        lambda w, x: (lambda y: (*max_pool(y, **TWO), *max_pool(y, window=Window((3, 3), (3, 3)))))(w.convolved(x)),
        [BIASED],
    ),
    "a view between": (
        lambda w, x: max_pool(ops.reshape(w.convolved(x), (8, 12, -1, 4)), **TWO),
        [BIASED],
    ),
    "the convolution is returned": (
        lambda w, x: (lambda y: (y, ops.bias_activation(y, w.bias, activation="relu")))(
            ops.conv2d(x, w.kernel, **THREE)
        ),
        [],
    ),
    "the convolution is read twice": (
        lambda w, x: (lambda y: ops.bias_activation(y, w.bias, activation="relu") + y)(
            ops.conv2d(x, w.kernel, **THREE)
        ),
        [],
    ),
    "the convolution is the bias": (
        lambda w, x: ops.bias_activation(
            noise(4), ops.reshape(ops.conv2d(x[:1, :3, :3], w.kernel, **THREE), (4,)), activation="relu"
        ),
        [],
    ),
    "a crop of its own": (
        lambda w, x: max_pool(
            ops.bias_activation(
                ops.conv2d(x, w.kernel, window=Window((3, 3), (1, 1), crop=(3, 3))), w.bias, activation="relu"
            ),
            **TWO,
        ),
        [POOLED],
    ),
    "the taps alone": (lambda w, x: max_pool(w.convolved(x), **TWO)[1], [POOLED]),
}


@pytest.mark.parametrize("x", [IMAGES, ODD], ids=["even", "odd"])
@pytest.mark.parametrize("name", FORWARD)
def test_joining_a_convolution(name: str, x: np.ndarray) -> None:
    function, expected = FORWARD[name]
    assert joined(lambda: (lambda w: lambda x: function(w, x))(Weights()), x) == expected


@pytest.mark.parametrize("activation", ["relu", "linear", "tanh"])
def test_joining_a_product(activation: str) -> None:
    def make() -> Step:
        b, bias = Variable(noise(7, 5)), Variable(noise(5))
        return lambda a: ops.bias_activation(a @ b, bias, activation=activation)

    assert joined(make, noise(3, 7)) == ([] if activation == "tanh" else ["matmul+bias_activation"])
    assert joined(make, noise(2, 3, 7)) == []  # a stack of matrices
    assert joined(make, noise(0, 7)) == []


def test_a_weight_that_changes_before_the_bias_is_added_is_not_read_later() -> None:
    def make(changed: str) -> Step:
        w = Weights()

        def step(x: Tensor) -> Any:
            y = ops.conv2d(x, w.kernel, **THREE)
            variable = getattr(w, changed)
            variable.assign(variable * 0.5)
            return max_pool(ops.bias_activation(y, w.bias, activation="relu"), **TWO)

        return step

    assert joined(lambda: make("kernel"), IMAGES) == []
    assert joined(lambda: make("bias"), IMAGES) == [POOLED]  # its new value is what both would read


def backward(bias: tuple[int, ...] = (4,), pool: Window = TWO["window"], more: Any = None) -> Callable[[], Step]:
    def make() -> Step:
        w = Weights(bias)

        def step(x: Tensor) -> Any:
            y = w.convolved(x) if len(bias) == 1 else ops.relu(ops.conv2d(x, w.kernel, **THREE) + w.bias)
            p, taps = max_pool(y, window=pool)
            return w.gradients(p) if more is None else (*w.gradients(p), *more(y, p, taps))

        return step

    return make


MANY = noise(16, 26, 26, 1)  # pixels enough for one unit of work to compute all of dw
MANY_ODD = noise(16, 27, 26, 1)


@pytest.mark.parametrize("x", [MANY, MANY_ODD], ids=["even", "odd"])
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(backward(), [POOLED, WEIGHTS], id="all of it"),
        pytest.param(backward(more=lambda y, p, taps: (y,)), [BIASED, WEIGHTS], id="y is returned"),
        pytest.param(backward(more=lambda y, p, taps: (p, taps)), [POOLED, WEIGHTS], id="the maxima are returned"),
        pytest.param(backward((1, 1, 4)), [SPREAD], id="a bias of more axes"),
        pytest.param(backward((24, 1)), [SPREAD], id="a bias for each column"),
        pytest.param(backward(()), [SPREAD], id="a bias for all"),
        pytest.param(backward(pool=Window((3, 3), (2, 2))), [BIASED], id="windows that overlap"),
        pytest.param(backward(pool=Window((2, 3), (3, 3))), [POOLED, WEIGHTS], id="gaps"),
    ],
)
def test_joining_gradients(make: Callable[[], Step], expected: list[str], x: np.ndarray) -> None:
    assert joined(make, x) == expected


def test_a_bias_for_each_pixel_keeps_its_gradient() -> None:
    assert joined(backward((24, 24, 4)), MANY) == [SPREAD]


@pytest.mark.parametrize("wanted", ["kernel", "bias", "x"])
def test_gradients_that_are_not_asked_for(wanted: str) -> None:
    def make() -> Step:
        w = Weights()
        w.x = Variable(MANY)

        def step() -> Any:
            p, _ = max_pool(w.convolved(w.x), **TWO)
            return grad(ops.sum(p * p), [getattr(w, wanted)])[0]

        return step

    assert joined(make) == [POOLED, SPREAD]


def windows(make: Callable[[], Step], *args: Any) -> set[Any]:
    """Return what the convolutions in a plan leave out."""
    step = traced(make())
    step(*args)
    parts = [part for i in plan_of(step).instructions for part in ir.members(i)]
    return {part.static["window"].crop for part in parts if part.name.startswith("conv2d")}


ALONE: dict[str, Any] = {
    "a gradient that is returned": lambda b, x, y, p, taps: ops.max_pool_grad(p, taps, shape=y.shape, **TWO),
    "a gradient that is added up pixel by pixel": lambda b, x, y, p, taps: ops.sum_to(
        ops.max_pool_grad(p, taps, shape=y.shape, **TWO), shape=y.shape[1:]
    ),
    "a gradient that is added up": lambda b, x, y, p, taps: ops.sum(
        ops.max_pool_grad(p, taps, shape=y.shape, **TWO) + 1
    ),
    "taps that are looked up": lambda b, x, y, p, taps: ops.max_pool_pick(ops.square(x) + b, taps, **TWO),
    "a gradient in two places": lambda b, x, y, p, taps: (
        lambda g: ops.conv2d_weight_grad(g, g, window=Window((1, 1), (1, 1)))
    )(ops.max_pool_grad(p, taps, shape=y.shape, **TWO)),
}


@pytest.mark.parametrize("name", ALONE)
def test_pixels_are_left_out_only_if_all_who_read_their_gradient_can_do_without(name: str) -> None:
    def make(more: Any = None) -> Step:
        kernel, bias = Variable(noise(1, 1, 4, 4)), Variable(noise(4))

        def step(x: Tensor) -> Any:
            y = ops.bias_activation(ops.conv2d(x, kernel, window=Window((1, 1), (1, 1))), bias, activation="relu")
            p, taps = max_pool(y, **TWO)
            gradients = tuple(grad(ops.sum(p * p), [kernel, bias]))
            return gradients if more is None else (*gradients, more(bias, x, y, p, taps))

        return step

    x = noise(16, 7, 6, 4)
    assert windows(make, x) == {(1, 0)}
    assert windows(lambda: make(ALONE[name]), x) == {(0, 0)}
    joined(lambda: make(ALONE[name]), x)  # the same bits


def test_a_gradient_is_not_read_after_it_has_changed() -> None:
    def make() -> Step:
        g = Variable(noise(16, 4, 4, 1))

        def step(x: Tensor) -> Any:
            y = ops.relu(x)
            _, taps = max_pool(y, **TWO)
            before = ops.max_pool_grad(g, taps, shape=x.shape, **TWO)
            g.assign(g * 0.5)
            return ops.activation_grad(before, y, activation="relu")

        return step

    assert joined(make, IMAGES) == [SPREAD]


@pytest.mark.parametrize("returned", ["the slope", "the gradient", "neither"])
def test_what_is_returned_from_the_middle_is_computed(returned: str) -> None:
    out = (16, 12, 12, 4)
    taps = np.random.default_rng(0).integers(0, 4, out).astype(np.uint8)

    def step(g: Tensor, y: Tensor, taps: Tensor, x: Tensor) -> Any:
        slope = ops.activation_grad(g, y, activation="relu")
        before = ops.max_pool_grad(slope, taps, shape=(16, 24, 24, 4), **TWO)
        results = ops.sum_to(before, shape=(4,)), ops.conv2d_weight_grad(x, before, **THREE)
        more = {"the slope": (slope,), "the gradient": (before,), "neither": ()}[returned]
        return (*results, *more)

    expected = {"the slope": [], "the gradient": [SPREAD], "neither": [WEIGHTS]}[returned]
    assert joined(lambda: step, noise(*out), noise(*out, seed=1), taps, MANY) == expected


@pytest.mark.parametrize("late", [False, True])
def test_a_view_that_is_made_late_is_not_read_early(late: bool) -> None:
    out = (16, 12, 12, 4)
    taps = np.random.default_rng(0).integers(0, 4, out).astype(np.uint8)

    def step(g: Tensor, y: Tensor, taps: Tensor, x: Tensor) -> Any:
        images = None if late else ops.reshape(x, MANY.shape)
        before = ops.max_pool_grad(ops.activation_grad(g, y, activation="relu"), taps, shape=(16, 24, 24, 4), **TWO)
        bias = ops.sum_to(before, shape=(4,))
        return bias, ops.conv2d_weight_grad(ops.reshape(x, MANY.shape) if late else images, before, **THREE)

    inputs = noise(*out), noise(*out, seed=1), taps, MANY.reshape(-1)
    assert joined(lambda: step, *inputs) == ([SPREAD] if late else [WEIGHTS])
