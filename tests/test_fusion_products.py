"""Matrix products that are fused with what follows them, where their rows have several axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_fusion_rules import Step, joined, noise

from gpudl import Tensor, Variable, ops


def in_three_axes(product: Tensor, bias: Variable) -> Tensor:
    return ops.bias_activation(ops.reshape(product, (2, 3, 5)), bias, activation="relu")


RESHAPED: dict[str, tuple[Callable[..., Any], bool]] = {
    "a view of the result": (lambda y, bias: ops.reshape(in_three_axes(y, bias), (6, 5)) * 2, True),
    "the result": (lambda y, bias: in_three_axes(y, bias), False),
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
