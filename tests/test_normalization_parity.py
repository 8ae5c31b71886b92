"""Layers of normalization, dropout and their relatives beside Keras: constructor arguments at random."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity
from layer_parity import assert_like_keras, configurations, noise

from gpudl import layers

SWITCHES = {"center": [True, False], "scale": [True, False], "epsilon": [1e-3, 1e-1]}
INITIAL = {"beta_initializer": ["zeros", "ones"], "gamma_regularizer": [None, "l2"]}
CHOICES: dict[str, dict[str, list[Any]]] = {
    "GroupNormalization": {"groups": [2, -1], "axis": [1, -1], **SWITCHES, **INITIAL},
    "LayerNormalization": {"axis": [-1, 1, (2, 3)], **SWITCHES, **INITIAL},
    # Along other axes than the last ones Keras multiplies by a weight of another axis.
    "RMSNormalization": {"axis": [-1, (2, 3)], "epsilon": [1e-6, 1e-2]},
    "UnitNormalization": {"axis": [-1, 1, (2, 3)]},
    "PReLU": {"shared_axes": [None, 1, [1, 2]], "alpha_initializer": ["Zeros", "ones"]},
    "AlphaDropout": {"rate": [0.0, 0.3], "noise_shape": [None, (2, 1, 4, 4)], "seed": [None, 1]},
    "GaussianDropout": {"rate": [0.0, 0.3], "seed": [None, 1]},
    "SpatialDropout2D": {"rate": [0.0, 0.3], "data_format": [None, "channels_first"], "seed": [None, 1]},
}


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


@parity
@pytest.mark.parametrize("name", list(CHOICES))
def test_layers(keras: Any, name: str) -> None:
    x = noise(1, 2, 4, 4, 4)
    for options in configurations(name, CHOICES[name]):
        ours, theirs = (getattr(of, name)(**options) for of in (layers, keras.layers))
        assert ours.get_config().keys() ^ theirs.get_config().keys() <= {"rms_scaling", "trainable"}
        assert_like_keras(ours, theirs, [x], {})
        assert ours.compute_output_shape((None, 4, 4, 4)) == tuple(theirs.compute_output_shape((None, 4, 4, 4)))


@parity
@pytest.mark.parametrize("reverse", [False, True])
def test_reversible_embedding(keras: Any, reverse: bool) -> None:
    choices = {"tie_weights": [True, False], "logit_soft_cap": [None, 2.0], "mask_zero": [False, True]}
    numbers = np.random.default_rng(0).integers(0, 6, (2, 4))
    for options in configurations("ReversibleEmbedding", choices, 10):
        ours, theirs = (of.ReversibleEmbedding(6, 4, **options) for of in (layers, keras.layers))
        for layer in (ours, theirs):
            layer.build((None, None))
        assert [(w.name, tuple(w.shape)) for w in ours.weights] == [(w.name, tuple(w.shape)) for w in theirs.weights]
        values = [noise(n, *w.shape) for n, w in enumerate(ours.weights)]
        ours.set_weights(values)
        theirs.set_weights(values)
        x = noise(1, 2, 4, 4) if reverse else numbers
        wanted = theirs(x, reverse=reverse)
        np.testing.assert_allclose(ours(x, reverse=reverse).numpy(), wanted, rtol=1e-5, atol=1e-6, err_msg=str(options))


@parity
def test_batch_renormalization(keras: Any) -> None:
    choices = {
        **{"axis": [-1, 1], "center": [True, False], "scale": [True, False], "renorm_momentum": [0.9, 0.5]},
        "renorm_clipping": [None, {"rmin": 0.8, "rmax": 1.1}, {"dmax": 0.2}, {"rmax": 1.0, "dmax": 0.0}],
    }
    x, mask = noise(1, 3, 4, 4) * 2 + 1, np.random.default_rng(1).random((3, 4)) < 0.6
    for options in configurations("renorm", choices):
        ours, theirs = (of.BatchNormalization(renorm=True, **options) for of in (layers, keras.layers))
        for layer in (ours, theirs):
            layer.build(x.shape)
        names = [[w.path.partition("/")[2] for w in layer.weights] for layer in (ours, theirs)]
        assert names[0] == names[1]
        assert ours.get_config().keys() == theirs.get_config().keys()
        for given in ({}, {"mask": mask} if options["axis"] == -1 else {}, {}):
            wanted = theirs(x, training=True, **given)
            found = ours(x, training=True, **given).numpy()
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4, err_msg=str(options))
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4, err_msg=str(options))
        np.testing.assert_allclose(ours(x).numpy(), theirs(x), rtol=1e-4, atol=1e-4, err_msg=str(options))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max": 2.0}, "renorm_clipping may have rmin, rmax and dmax, got {'max': 2.0}."),
        ({"rmin": 2.0, "rmax": 1.0}, "needs rmin <= rmax and 0 <= dmax, got {'rmin': 2.0, 'rmax': 1.0}."),
        ({"dmax": -1.0}, "needs rmin <= rmax and 0 <= dmax, got {'dmax': -1.0}."),
    ],
)
def test_limits_of_renormalization(limits: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        layers.BatchNormalization(renorm=True, renorm_clipping=limits)


INSIDE: dict[str, Callable[..., Any]] = {
    "Dense": lambda of, bias: of.Dense(3, use_bias=bias),
    "EinsumDense": lambda of, bias: of.EinsumDense("abcd,de->abce", (None, None, 3), bias_axes="e" if bias else None),
    "Conv2D": lambda of, bias: of.Conv2D(3, 2, use_bias=bias),
    "Conv2DTranspose": lambda of, bias: of.Conv2DTranspose(3, 2, use_bias=bias),
}


@parity
def test_spectral_normalization(keras: Any) -> None:
    x = noise(1, 2, 4, 4, 4)
    choices = {"inside": [*INSIDE], "bias": [True, False], "steps": [1, 2, 3]}
    for options in configurations("SpectralNormalization", choices):
        ours, theirs = (
            of.SpectralNormalization(INSIDE[options["inside"]](of, options["bias"]), power_iterations=options["steps"])
            for of in (layers, keras.layers)
        )
        for layer in (ours, theirs):
            layer.build(x.shape)
        assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
        values = [noise(n, *w.shape) for n, w in enumerate(ours.weights)]
        ours.set_weights(values)
        theirs.set_weights(values)
        for training in (False, True, True):
            wanted = theirs(x, training=training)
            found = ours(x, training=training).numpy()
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4, err_msg=str(options))
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4, err_msg=str(options))
