"""Ops with several outs, each of which has a gradient, and rules for several inputs."""

from __future__ import annotations

import numpy as np
import pytest
from gpudl.kernels.geometry import Window
from gradient_tools import gradient

from gpudl import Tensor, Variable, grad, ops
from gpudl.engine.op import Op
from gpudl.ops.primitives.pool import max_pool


def normalized(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return ops.batch_norm(x, np.ones(2, np.float32), np.zeros(2, np.float32), epsilon=0.0)


def test_every_out_of_floats_has_a_gradient() -> None:
    x = Variable([[1.0, 2.0], [3.0, 8.0]])
    _, mean, variance = normalized(x)
    assert gradient(ops.sum(mean), x) == [[0.5, 0.5], [0.5, 0.5]]
    assert gradient(ops.sum(variance), x) == [[-1, -3], [1, 3]]
    assert gradient(ops.sum(mean * mean + variance), x) == [[1, 2], [3, 8]]
    loss, p = ops.sparse_softmax_cross_entropy(ops.reshape(x, (1, 4)), np.array([0]))
    assert sum(np.ravel(gradient(p[0, 3] + ops.sum(loss), x))) == pytest.approx(0, abs=1e-6)
    assert gradient(ops.sum(p[0, 3] * -1), x) != gradient(ops.sum(loss), x)


def test_an_out_that_the_loss_does_not_depend_on_costs_nothing(applied: list[str]) -> None:
    x = Variable([[1.0, 2.0], [3.0, 8.0]])
    loss = ops.sum(normalized(x)[1])
    applied.clear()
    grad(loss, [x])
    assert "batch_norm_grad" not in applied
    assert "zeros_like" not in applied


def test_an_out_may_be_what_gradients_are_wanted_of() -> None:
    x = Variable([[1.0, 2.0], [3.0, 8.0]])
    y, mean, variance = normalized(x)
    of_y, of_mean, of_variance, of_x = grad(ops.sum(mean * 3 + mean * variance), [y, mean, variance, x])
    assert of_y is None
    assert of_mean is not None
    assert of_mean.numpy().tolist() == [4, 12]
    assert of_variance is not None
    assert of_variance.numpy().tolist() == [2, 5]
    assert of_x is not None
    assert of_x.numpy().tolist() == [[0, -9], [4, 21]]


def test_an_out_of_integers_is_no_part_of_the_graph() -> None:
    x = Variable(np.ones((1, 2, 2, 1), np.float32))
    values, taps = max_pool(x, window=Window((2, 2), (2, 2)))
    assert (values.requires_grad, taps.requires_grad, taps.node) == (True, False, None)
    assert grad(ops.sum(taps), [x]) == [None]


@pytest.mark.parametrize("norm", [ops.batch_norm, ops.layer_norm], ids=lambda norm: norm.name)
@pytest.mark.host
def test_gradients_that_one_kernel_gives_are_computed_once(applied: list[str], norm: Op) -> None:
    x, gamma, beta = Variable(np.eye(3, 2, dtype=np.float32)), Variable([1.0, 2.0]), Variable([0.0, 1.0])
    y = norm(x, gamma, beta, epsilon=1e-3)[0]
    applied.clear()
    assert None not in grad(y, [x, gamma, beta])
    assert applied.count(f"{norm.name}_grad") == 1


@pytest.mark.host
def test_a_joint_rule_is_told_what_is_wanted(applied: list[str]) -> None:
    x, b = Variable(np.ones((3, 2), np.float32)), Variable([1.0, 2.0])
    y = ops.bias_activation(x, b, activation="tanh")
    for wanted, expected in (([x, b], ["activation_grad", "sum_to"]), ([x], ["activation_grad"])):
        applied.clear()
        grad(y, wanted, seed=Tensor(np.ones((3, 2), np.float32)))
        assert applied == expected
