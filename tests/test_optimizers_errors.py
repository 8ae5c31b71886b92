"""What optimizers refuse, and what has not changed then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from optimizer_tools import (
    assert_same_bits,
    first_values,
    gradients_of,
    variables,
)

import gpudl
from gpudl import optimizers


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: optimizers.get("rmspropp"), ValueError, "Unknown optimizer: 'rmspropp'.* Did you mean 'rmsprop'"),
        (lambda: optimizers.get(len), ValueError, "expected an optimizer or its name"),
        (lambda: optimizers.SGD(learning_rate="fast"), ValueError, "must be a number such as 0.001, got 'fast'"),
        (lambda: optimizers.SGD(momentum=1.5), ValueError, "SGD: momentum must be a number from 0 to 1, got 1.5"),
        (lambda: optimizers.SGD(momentm=0.1), ValueError, "SGD has no argument 'momentm'. Did you mean 'momentum'"),
        (
            lambda: optimizers.Adam(gradient_accumulation_steps=1),
            ValueError,
            "gradient_accumulation_steps must be a whole",
        ),
        (
            lambda: optimizers.Adam(use_ema=True, ema_momentum=2),
            ValueError,
            "ema_momentum must be a number from 0 to 1",
        ),
        (
            lambda: optimizers.Adam(use_ema=True, ema_overwrite_frequency=0.5),
            ValueError,
            "ema_overwrite_frequency must be a whole number of at least 1, got 0.5",
        ),
        (lambda: optimizers.Lion(beta_1=0), ValueError, "Lion: beta_1 must be above 0"),
        (
            lambda: optimizers.Ftrl(learning_rate_power=0.5),
            ValueError,
            "learning_rate_power must be at most 0, got 0.5",
        ),
        (
            lambda: optimizers.Ftrl(l1_regularization_strength=-1),
            ValueError,
            "l1_regularization_strength must be a number",
        ),
        (
            optimizers.legacy.SGD,
            ImportError,
            "optimizers.legacy are not supported, as in Keras 3. Take the one",
        ),
        (
            lambda: optimizers.schedules.CosineDecay(0.1, 0),
            ValueError,
            "CosineDecay: decay_steps must be above 0, got 0",
        ),
        (
            lambda: optimizers.schedules.PiecewiseConstantDecay([1, 2], [0.1]),
            ValueError,
            "one value more than boundaries, got 1 values for 2 boundaries",
        ),
        (lambda: optimizers.OptimizerMap("adam"), TypeError, "default_optimizer must be an optimizer such as Adam"),
        (
            lambda: optimizers.MultiOptimizer(lambda v: optimizers.LossScaleOptimizer(optimizers.SGD())).build(
                variables()
            ),
            ValueError,
            "the optimizer for 'kernel' must be one that updates by itself",
        ),
        (lambda: optimizers.SGD().set_weights([]), ValueError, r"call optimizer.build\(variables\) before set_weights"),
        (lambda: optimizers.SGD().stateless_apply([], [], []), ValueError, "before stateless_apply"),
        (lambda: optimizers.AdamW(weight_decay=None), ValueError, "AdamW needs a number as weight_decay"),
        (
            lambda: optimizers.SGD(clipnorm=1.0, clipvalue=2.0),
            ValueError,
            "in one way only, got clipnorm=1.0 and clipvalue=2.0",
        ),
        (lambda: optimizers.SGD().apply([1.0]), ValueError, r"call optimizer.build\(variables\)"),
        (lambda: optimizers.SGD().apply([[1.0]], []), ValueError, "no variables to optimize"),
        (
            lambda: optimizers.SGD().apply([np.ones(3)], [np.ones(3)]),
            TypeError,
            "changes gpudl.Variable objects, got ndarray",
        ),
        (
            lambda: optimizers.SGD().apply([np.ones(3)], [gpudl.Variable(np.ones(3, np.int32), name="n")]),
            TypeError,
            "variable 'n' is int32, and only floats",
        ),
        (lambda: optimizers.SGD().build([(v := variables()[0]), v]), ValueError, "given twice"),
        (
            lambda: optimizers.SGD().apply(gradients_of(0)[::-1], variables()),
            gpudl.ShapeError,
            r"gradient of 'kernel' has shape \(2, 2, 3\), expected the variable's \(3, 4\)",
        ),
        (lambda: optimizers.SGD().apply([1.0], variables()), ValueError, "got 1 gradients for 3 variables"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_an_unknown_variable_is_refused() -> None:
    optimizer = optimizers.SGD()
    optimizer.build(variables()[:1])
    with pytest.raises(ValueError, match="'bias' is not one of those that the optimizer was built with"):
        optimizer.apply([gradients_of(0)[1]], [variables()[1]])


def test_a_refused_gradient_changes_nothing() -> None:
    weights, optimizer = variables(), optimizers.SGD(1.0)
    g = gradients_of(0)
    with pytest.raises(gpudl.ShapeError):
        optimizer.apply([g[0], g[1], g[1]], weights)
    assert_same_bits(weights, first_values())
    assert int(optimizer.iterations) == 0


@pytest.mark.parametrize(
    ("optimizer", "option", "value", "missing"),
    [
        (optimizers.SGD, "momentum", 0.9, "momentum"),
        (optimizers.RMSprop, "momentum", 0.9, "momentum"),
        (optimizers.RMSprop, "centered", True, "average_gradient"),
        (optimizers.Adam, "amsgrad", True, "velocity_hat"),
    ],
)
def test_an_option_that_needs_slots_comes_too_late(optimizer: Any, option: str, value: Any, missing: str) -> None:
    model = gpudl.Sequential([gpudl.layers.Input((2,)), gpudl.layers.Dense(1)])
    model.compile(optimizer(0.1), "mse")
    x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    model.fit(x, y, verbose=0)
    before = model.get_weights()
    setattr(model.optimizer, option, value)
    assert len(model.optimizer.variables) >= 2
    with pytest.raises(ValueError, match=rf"^\w+ keeps no {missing}: it was built .* Make a new optimizer with these"):
        model.fit(x, y, verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
