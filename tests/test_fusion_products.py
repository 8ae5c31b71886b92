"""Matrix products that are fused with what follows them, where their rows have several axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from replay_tools import plan_of
from test_fusion_rules import Step, joined, noise

from gpudl import Tensor, Variable, grad, ops, traced
from gpudl.engine.plan.ir import members


def in_three_axes(product: Tensor, bias: Variable) -> Tensor:
    return ops.bias_activation(ops.reshape(product, (2, 3, 5)), bias, activation="relu")


RESHAPED: dict[str, tuple[Callable[..., Any], bool]] = {
    "a view of the result": (lambda y, bias: ops.reshape(in_three_axes(y, bias), (6, 5)) * 2, True),
    "the result": (in_three_axes, False),
    "heads, and back": (lambda y, bias: in_three_axes(ops.reshape(y, (2, 3, 1, 5)), bias) * 2, True),
    "heads that are read too": (
        lambda y, bias: (in_three_axes(z := ops.reshape(y, (2, 3, 1, 5)), bias) * 2, ops.sum(z)),
        False,
    ),
    "the product too": (lambda y, bias: in_three_axes(y, bias) + ops.reshape(y, (2, 3, 5)), False),
    "another last axis": (
        lambda y, bias: ops.bias_activation(ops.reshape(y, (5, 6)), bias, activation="relu") * 2,
        False,
    ),
    "several users": (lambda y, bias: (in_three_axes(y, bias) * 2, ops.sum(in_three_axes(y, bias), axis=1)), True),
}


@pytest.mark.parametrize("name", RESHAPED)
def test_joining_a_product_whose_rows_are_divided_before_the_bias_is_added(name: str) -> None:
    function, together = RESHAPED[name]

    def make() -> Step:
        b, bias = Variable(noise(7, 5)), Variable(noise(6 if name == "another last axis" else 5))
        return lambda a: function(a @ b, bias)

    assert joined(make, noise(6, 7)) == (["matmul+bias_activation"] if together else [])


def chains(make: Callable[[], Step], *args: Any) -> list[list[str]]:
    """Return the ops of each instruction in the plan of a step, of which the bits are compared."""
    joined(make, *args)
    step = traced(make())
    step(*args)
    return [[each.name for each in members(one)] for one in plan_of(step).instructions if not one.alias]


def of_means(loss: Callable[[Tensor], Tensor]) -> Callable[[], Step]:
    def make() -> Step:
        w = Variable(noise(4))
        return lambda x: grad(loss(x * w), [w])[0]

    return make


def test_the_gradient_of_a_mean_is_a_number_until_it_is_multiplied() -> None:
    found = chains(of_means(lambda y: ops.mean(ops.mean(ops.square(y), axis=-1)) * 3), noise(2, 3, 4))
    assert [one for one in found if "broadcast_to" in one] == [["broadcast_to", "multiply", "multiply"]]


WEIGHTS = noise(2, 3, seed=1)
NO_NUMBERS: dict[str, Callable[[Tensor], Tensor]] = {
    "weights": lambda y: ops.sum(ops.mean(ops.square(y), axis=-1) * WEIGHTS),
    "a root, whose rounding may depend on the array": lambda y: ops.sum(ops.sqrt(ops.mean(ops.square(y), axis=-1))),
}


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_what_is_no_number_is_broadcast_as_it_is(name: str) -> None:
    found = chains(of_means(NO_NUMBERS[name]), noise(2, 3, 4))
    assert ["broadcast_to"] in found


def test_a_number_that_the_step_changes_is_read_before_it() -> None:
    def make() -> Step:
        number = Variable(2.0)

        def step(x: Tensor) -> Tensor:
            spread = ops.broadcast_to(number, shape=(2, 3)) * 3.0
            number.assign(number + 1)
            return ops.broadcast_to(ops.reshape(spread, (2, 3, 1)), shape=(2, 3, 4)) * x

        return step

    assert any("assign_" in one for one in chains(make, noise(2, 3, 4)))
