"""Losses against formulas in float64 and finite differences, eager and traced, and their configs."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from loss_cases import CASES, configurations, reduced
from public_names import classes, functions

import gpudl
from gpudl import losses

SHARED = {"reduction", "name", "dtype"}
every_loss = pytest.mark.parametrize("name", CASES)


@every_loss
def test_values_with_and_without_weights(name: str) -> None:
    for options, reduction, shape, (t, p), weight in configurations(name, 12):
        loss = getattr(losses, name)(**options, reduction=reduction, dtype="float64")
        values = CASES[name].formula(t, p, **options)
        expected = reduced(values, CASES[name].counts(t, values, options), weight, reduction)
        got = loss(t, p, weight).numpy()
        np.testing.assert_allclose(got, expected, 1e-11, 1e-12, err_msg=f"{options} {reduction} {shape}")
        assert got.shape == np.shape(expected)


@every_loss
def test_gradient_is_the_slope(name: str) -> None:
    for options, _, _, (t, p), weight in list(configurations(name, 20))[::10]:
        loss = getattr(losses, name)(**options, dtype="float64")
        variable = gpudl.Variable(p)
        (got,) = gpudl.grad(loss(t, variable, weight), [variable])
        h, expected = 1e-6, np.full_like(p, np.nan)
        for at in np.ndindex(p.shape):
            step = np.zeros_like(p)
            step[at] = h
            expected[at] = (loss(t, p + step, weight).item() - loss(t, p - step, weight).item()) / (2 * h)
        np.testing.assert_allclose(got.numpy(), expected, 1e-5, 1e-7, err_msg=f"{options}")


@every_loss
def test_traced_equals_eager(name: str) -> None:
    options, _, _, (t, p), weight = list(configurations(name, 2))[1]
    loss = getattr(losses, name)(**options)

    def step(t: Any, p: Any, w: Any) -> Any:
        variable = gpudl.ops.multiply(p, 1.0)
        variable.requires_grad = True
        value = loss(t, variable, w)
        return value, gpudl.grad(value, [variable])[0]

    p, w = p.astype("f"), np.asarray(weight, "f")
    traced = gpudl.traced(step)
    traced(t[::-1].copy(), p[::-1].copy(), w)
    assert len(traced.entries) == 1
    for got, expected in zip(traced(t, p, w), step(*map(gpudl.convert_to_tensor, (t, p, w))), strict=True):
        assert np.array_equal(got.numpy(), expected.numpy())
    assert len(traced.entries) == 1


@every_loss
def test_config_round_trip(name: str) -> None:
    for options, reduction, _, (t, p), _ in configurations(name, 4):
        loss = getattr(losses, name)(**options, reduction=reduction, name="mine")
        again = losses.deserialize(losses.serialize(loss))
        assert type(again) is type(loss)
        assert again.get_config() == {**options, "reduction": reduction, "name": "mine"}
        assert np.array_equal(again(t, p).numpy(), loss(t, p).numpy())


@every_loss
def test_a_case_has_every_argument_with_its_default_first(name: str) -> None:
    taken = {key: p.default for key, p in inspect.signature(getattr(losses, name)).parameters.items()}
    assert {key: taken[key] for key in taken.keys() - SHARED} == {k: v[0] for k, v in CASES[name].options.items()}


@every_loss
def test_options_are_read_when_the_loss_is_computed(name: str) -> None:
    for options, _, _, (t, p), _ in configurations(name, 3):
        loss = getattr(losses, name)()
        for option, value in options.items():
            setattr(loss, option, value)
        assert loss(t, p).item() == getattr(losses, name)(**options)(t, p).item()
        assert {**loss.get_config(), **options} == loss.get_config()


def test_every_loss_has_a_case_and_a_function() -> None:
    assert classes(losses, losses.Loss) - {"LossFunctionWrapper"} == set(CASES)
    made_of = {getattr(losses, name)().fn.__name__ for name in CASES}
    helpers = {"deserialize", "get", "kind_of_targets", "resolve", "serialize"}
    assert functions(losses) - helpers == made_of


def test_what_the_function_takes_can_be_given_by_position() -> None:
    loss = losses.BinaryFocalCrossentropy(True, 0.5, 1.0, True, 0.1, 0, "sum", "mine", "float64")
    assert (loss.apply_class_balancing, loss.alpha, loss.gamma, loss.from_logits) == (True, 0.5, 1.0, True)
    assert (loss.label_smoothing, loss.axis, loss.reduction, loss.name, loss.dtype) == (
        0.1,
        0,
        "sum",
        "mine",
        "float64",
    )
    assert losses.Huber(2.0, "sum").reduction == "sum"
    with pytest.raises(TypeError, match=r"multiple values for .*'reduction'"):
        losses.Huber(2.0, "sum", reduction="sum")


def test_own_function_and_own_class() -> None:
    def worst(y_true: Any, y_pred: Any) -> Any:
        assert y_true.dtype == np.float32
        return gpudl.ops.max(abs(y_true - y_pred), axis=-1)

    spec = gpudl.Spec((2, 2), np.dtype("float32"))
    loss = losses.resolve(worst, spec, spec)
    assert loss is not None
    assert loss.name == "worst"
    t, p = np.array([[1, 2], [3, 4]]), np.array([[1.0, 4.0], [3.0, 3.0]])
    assert loss(t, p).item() == 1.5
    assert loss(t, p, [1.0, 0.0]).item() == 1.0

    class Scaled(losses.Loss):
        def __init__(self, factor: float = 2.0, **options: Any) -> None:
            super().__init__(**options)
            self.factor = factor

        def call(self, y_true: Any, y_pred: Any) -> Any:
            return gpudl.ops.mean(abs(y_true - y_pred)) * self.factor  # a scalar

    scaled = Scaled.from_config(Scaled(3.0, name="scaled").get_config())
    assert (scaled.name, scaled(t, p).item()) == ("scaled", 2.25)
    with pytest.raises(NotImplementedError, match="Loss must define call"):
        losses.Loss()(t, p)


def test_wrapper_config_round_trip() -> None:
    loss = losses.LossFunctionWrapper(losses.huber, delta=0.5, name="h")
    again = losses.deserialize(losses.serialize(loss))
    assert (again.fn, again.delta, again.name) == (losses.huber, 0.5, "h")


@pytest.mark.parametrize(
    ("y_true", "y_pred", "function"),
    [
        ((8, 1), (8, 1), losses.binary_crossentropy),
        ((8,), (8, 1), losses.binary_crossentropy),
        ((8,), (8, 5), losses.sparse_categorical_crossentropy),
        ((8, 1), (8, 5), losses.sparse_categorical_crossentropy),
        ((8, 5), (8, 5), losses.categorical_crossentropy),
    ],
)
def test_crossentropy_is_resolved_by_shape(y_true: Any, y_pred: Any, function: Any) -> None:
    specs = [gpudl.Spec(shape, np.dtype("float32")) for shape in (y_true, y_pred)]
    for word in ("crossentropy", "ce"):
        loss = losses.resolve(word, *specs)
        assert isinstance(loss, losses.LossFunctionWrapper)
        assert (loss.fn, loss.name) == (function, word)
    assert losses.resolve(None, *specs) is None
    ready = losses.MeanSquaredError()
    assert losses.resolve(ready, *specs) is ready
