"""Activations, initializers, regularizers and constraints beside Keras: constructor arguments at random."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl

CONFIGURATIONS = 20
Arguments = dict[str, list[Any]]
SIZES = [0.25, 0.5, 1.0, 1.75, 3.0]
LEVELS = [-1.0, -0.25, 0.0, 0.5, 2.0]
AXES: Arguments = {"axis": [-1, 0, 1, -2]}
# Without sparsemax: Keras's makes no distribution of several rows.
ACTIVATIONS: dict[str, Arguments] = {
    "relu": {"negative_slope": [0.0, 0.25, 1.5], "max_value": [None, 0.5, 2.0, 6.0], "threshold": [0.0, 0.25, 1.5]},
    "leaky_relu": {"negative_slope": SIZES},
    "elu": {"alpha": SIZES},
    "celu": {"alpha": SIZES},
    "gelu": {"approximate": [False, True]},
    "squareplus": {"b": SIZES},
    "hard_shrink": {"threshold": SIZES},
    "soft_shrink": {"threshold": SIZES},
    "threshold": {"threshold": LEVELS, "default_value": LEVELS},
    "softmax": AXES,
    "log_softmax": AXES,
    "glu": AXES,
    **{name: {} for name in ("linear", "relu6", "selu", "softplus", "softsign", "sparse_plus", "silu", "tanh", "mish")},
    **{name: {} for name in ("tanh_shrink", "hard_tanh", "sigmoid", "exponential", "hard_sigmoid", "log_sigmoid")},
    **{name: {} for name in ("sparse_sigmoid", "hard_silu")},
}
SEED: Arguments = {"seed": [1, 2, None]}
INITIALIZERS: dict[str, Arguments] = {
    "Zeros": {},
    "Ones": {},
    "Constant": {"value": LEVELS},
    "Identity": {"gain": SIZES},
    "STFT": {
        **{"side": ["real", "imag"], "scaling": ["density", "spectrum", None], "periodic": [False, True]},
        "window": ["hann", "hamming", "blackman", "boxcar", "nuttall", "blackmanharris", "flattop", None],
    },
    "RandomNormal": {"mean": LEVELS, "stddev": SIZES, **SEED},
    "TruncatedNormal": {"mean": LEVELS, "stddev": SIZES, **SEED},
    "RandomUniform": {"minval": LEVELS, "maxval": [2.5, 3.0], **SEED},
    "Orthogonal": {"gain": SIZES, **SEED},
    "VarianceScaling": {
        **{"scale": SIZES, "mode": ["fan_in", "fan_out", "fan_avg"]},
        **{"distribution": ["normal", "truncated_normal", "untruncated_normal", "uniform"], **SEED},
    },
    **{f"{who}{how}": SEED for who in ("Glorot", "He", "Lecun") for how in ("Normal", "Uniform")},
}
EXACT = {"Zeros", "Ones", "Constant", "Identity", "STFT"}
WEIGHTS = [0.0, 0.01, 0.5, 2.0]
REGULARIZERS: dict[str, Arguments] = {
    "L1": {"l1": WEIGHTS},
    "L2": {"l2": WEIGHTS},
    "L1L2": {"l1": WEIGHTS, "l2": WEIGHTS},
    "OrthogonalRegularizer": {"factor": WEIGHTS, "mode": ["rows", "columns"]},
}
CONSTRAINTS: dict[str, Arguments] = {
    "NonNeg": {},
    "UnitNorm": AXES,
    "MaxNorm": {"max_value": SIZES, **AXES},
    "MinMaxNorm": {"min_value": [0.0, 0.5, 1.0], "max_value": [1.0, 2.0], "rate": [1.0, 0.5, 0.0], **AXES},
}


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


def configurations(name: str, arguments: Arguments) -> list[dict[str, Any]]:
    draw = random.Random(name)
    needed = {"threshold", "default_value"} if name == "threshold" else set()
    return [
        {key: draw.choice(values) for key, values in arguments.items() if key in needed or draw.random() < 0.7}
        for _ in range(CONFIGURATIONS if arguments else 1)
    ]


def numbers(name: str, *shape: int) -> np.ndarray:
    return (2 * np.random.default_rng(sum(map(ord, name))).standard_normal(shape)).astype(np.float32)


@parity
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activations_and_their_gradients(keras: Any, name: str) -> None:
    jax = pytest.importorskip("jax")
    ours, theirs = (getattr(of.activations, name) for of in (gpudl, keras))
    x = numbers(name, 4, 6)
    if name not in ("relu", "sparse_sigmoid"):  # points at which the slope jumps, too: at a limit it is a half in JAX
        x[0] = [-1.0, 0.0, 0.25, 0.5, 1.0, 1.75]
    for options in configurations(name, ACTIVATIONS[name]):
        y, back = jax.vjp(lambda v, options=options: theirs(v, **options), x)
        g = numbers(name + "g", *y.shape)
        v = gpudl.Variable(x)
        mine = ours(v, **options)
        (slope,) = gpudl.grad(gpudl.ops.sum(mine * g), [v])
        np.testing.assert_allclose(mine.numpy(), y, rtol=2e-5, atol=2e-6, err_msg=f"{name} {options}")
        np.testing.assert_allclose(
            slope.numpy(), back(g)[0], rtol=2e-5, atol=5e-6, err_msg=f"slope of {name} {options}"
        )


@parity
@pytest.mark.parametrize("name", list(INITIALIZERS))
def test_initializers(keras: Any, name: str) -> None:
    shape = (8, 1, 5) if name == "STFT" else (8, 6)
    for options in configurations(name, INITIALIZERS[name]):
        ours, theirs = (getattr(of.initializers, name)(**options) for of in (gpudl, keras))
        if name != "Identity":  # of which Keras forgets the gain
            assert ours.get_config() == theirs.get_config(), options
        one, other = ours(shape), np.asarray(theirs(shape))
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        if name in EXACT:
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6, err_msg=f"{name} {options}")
        elif name == "Orthogonal":
            gain = options.get("gain", 1.0)
            np.testing.assert_allclose(one.T @ one, gain**2 * np.eye(6), atol=1e-5 * gain**2)
        elif "seed" in options:
            # Other numbers than Keras's; of the same size, as 48 of them tell.
            assert 0.5 < (one.std() + 1e-9) / (other.std() + 1e-9) < 2, options


@parity
@pytest.mark.parametrize("name", list(REGULARIZERS))
def test_regularizers(keras: Any, name: str) -> None:
    w = numbers(name, 4, 6)
    for options in configurations(name, REGULARIZERS[name]):
        ours, theirs = (getattr(of.regularizers, name)(**options) for of in (gpudl, keras))
        np.testing.assert_allclose(float(ours(w)), float(theirs(keras.ops.array(w))), rtol=1e-5, err_msg=str(options))
        assert ours.get_config() == pytest.approx(theirs.get_config())


@parity
@pytest.mark.parametrize("name", list(CONSTRAINTS))
def test_constraints(keras: Any, name: str) -> None:
    w = numbers(name, 4, 6)
    for options in configurations(name, CONSTRAINTS[name]):
        ours, theirs = (getattr(of.constraints, name)(**options) for of in (gpudl, keras))
        np.testing.assert_allclose(ours(w).numpy(), np.asarray(theirs(w)), rtol=1e-5, err_msg=str(options))
        assert ours.get_config() == theirs.get_config()


@parity
@pytest.mark.parametrize("part", ["activations", "initializers", "regularizers", "constraints", "optimizers"])
def test_every_name_of_keras_is_there(keras: Any, part: str) -> None:
    ours, theirs = getattr(gpudl, part), getattr(keras, part)
    assert not [name for name in dir(theirs) if not name.startswith("_") and not hasattr(ours, name)]
