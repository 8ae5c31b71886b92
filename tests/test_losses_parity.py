"""Losses beside Keras's: constructors, values, gradients and configs, for configurations drawn from the arguments."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity, require_in_keras
from loss_cases import CASES, configurations

import gpudl
from gpudl import losses

CONFIGURATIONS = 20
SLOW = {"CTC": 6}  # whose loop JAX compiles anew each time; one for each reduction, there being no other option


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


@parity
@pytest.mark.parametrize("name", CASES)
def test_values_gradients_and_configs(keras: Any, name: str) -> None:
    jax = pytest.importorskip("jax")
    require_in_keras(keras.losses, name)
    for options, reduction, _, (t, given), weight in configurations(name, SLOW.get(name, CONFIGURATIONS)):
        p, w = given.astype("f"), None if weight is None else weight.astype("f")
        ours, theirs = (getattr(m, name)(**options, reduction=reduction) for m in (losses, keras.losses))
        expected, slopes = jax.vjp(lambda v, loss=theirs, t=t, w=w: loss(t, v, w), p)
        variable = gpudl.Variable(p)
        got = ours(t, variable, w)
        assert (got.dtype, got.shape) == (np.float32, expected.shape)
        words = f"{options} {reduction}"
        np.testing.assert_allclose(got.numpy(), np.asarray(expected), 2e-5, 1e-6, err_msg=words)
        (slope,) = slopes(np.ones(expected.shape, "f"))
        (gradient,) = gpudl.grad(got, [variable])
        np.testing.assert_allclose(gradient.numpy(), np.asarray(slope), 2e-4, 2e-6, err_msg=words)
        config = theirs.get_config()
        assert {**ours.get_config(), **config} == ours.get_config()
        assert ours.get_config().keys() - config.keys() <= {"axis", "delta"}
        again = getattr(losses, name).from_config(config)  # Keras leaves out an option here and there
        assert {key: getattr(again, key) for key in config} == config


@parity
@pytest.mark.parametrize("name", [*CASES, "Loss"])
def test_constructors_and_functions_take_the_same(keras: Any, name: str) -> None:
    require_in_keras(keras.losses, name)
    assert arguments(getattr(losses, name)) == arguments(getattr(keras.losses, name))
    if name in CASES:
        fn = getattr(losses, name)().fn
        assert arguments(fn) == arguments(getattr(keras.losses, fn.__name__))
        assert getattr(losses, name)().name == getattr(keras.losses, name)().name


def arguments(taking: Any) -> list[tuple[str, Any]]:
    return [(p.name, p.default) for p in inspect.signature(taking).parameters.values()]


@parity
def test_every_public_name_of_keras_is_there(keras: Any) -> None:
    assert not [name for name in dir(keras.losses) if not name.startswith("_") and not hasattr(losses, name)]


@parity
def test_get_resolves_as_keras(keras: Any) -> None:
    known = [fn for name in CASES for fn in (name, getattr(losses, name)().fn.__name__)]
    for name in (*known, "mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE", "bce", "BCE", "kld", "KLD"):
        try:
            theirs = keras.losses.get(name)
        except ValueError:
            assert "generalized" in name.lower()  # Keras forgot to register it
            continue
        ours = losses.get(name)
        assert getattr(ours, "__name__", type(ours).__name__) == getattr(theirs, "__name__", type(theirs).__name__)
    assert losses.get(None) is None
    with pytest.raises(ValueError, match=r"Unknown loss: 'categorical_crosentropy'\. Did you mean 'categorical_cross"):
        losses.get("categorical_crosentropy")


WEIGHTS = {"scalar": (), "per sample": (4,), "column": (4, 1), "per value": (4, 4), "row": (1, 4)}


@parity
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "none"])
def test_weights_and_masks_broadcast_as_in_keras(keras: Any, reduction: str) -> None:
    rng = np.random.default_rng(3)
    for shape in ((4, 2), (4, 4, 2)):
        t, p, mask = rng.normal(size=shape), rng.normal(size=shape), rng.integers(0, 2, shape[:-1]) > 0
        for words, size in {**WEIGHTS, "no weight": None}.items():
            w = None if size is None else rng.uniform(0.1, 2.0, size).astype("f")
            for masked in (False, True):
                ours, theirs = gpudl.convert_to_tensor(p), keras.ops.convert_to_tensor(p)
                if masked:
                    ours.mask = gpudl.convert_to_tensor(mask)
                    keras.src.backend.set_keras_mask(theirs, keras.ops.convert_to_tensor(mask))
                expected = np.asarray(keras.losses.MeanSquaredError(reduction=reduction)(t, theirs, w))
                got = losses.MeanSquaredError(reduction=reduction)(t, ours, w).numpy()
                assert got.shape == expected.shape
                np.testing.assert_allclose(got, expected, 1e-5, err_msg=f"{shape} {words} {masked}")
