"""Arguments that layers share: said once, and taken as if each layer said them, by name, by position, in configs."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

from gpudl import constraints, initializers, layers, regularizers

KINDS = (
    *("Activation", "AveragePooling2D", "BatchNormalization", "Conv2D", "Dense", "Dropout", "ELU", "Embedding"),
    *(
        "ActivityRegularization",
        "Identity",
        "Lambda",
        "Masking",
        "Wrapper",
        "Flatten",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling2D",
        "LayerNormalization",
        "LeakyReLU",
        "MaxPooling2D",
    ),
    *("ReLU", "Reshape", "Softmax"),
)
# Arguments of Keras that are refused, and those that Keras names though every layer takes them by **kwargs.
LEFT_OUT = {"quantization_config", "name"}


def positional(kind: type) -> list[tuple[str, Any]]:
    by_position = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [(p.name, p.default) for p in inspect.signature(kind).parameters.values() if p.kind is by_position]


@parity
@pytest.mark.parametrize("kind", KINDS)
def test_names_order_and_defaults_are_those_of_keras(kind: str) -> None:
    ours = dict(positional(getattr(layers, kind)))
    given = positional(getattr(keras_or_skip().layers, kind))
    theirs = {name: value for name, value in given if name not in LEFT_OUT or name in ours}
    assert list(ours) == list(theirs)
    assert {**ours, **{name: value for name, value in theirs.items() if value is not inspect.Parameter.empty}} == ours


def test_options_by_position() -> None:
    layer = layers.Dense(2, "relu", False, "ones", "ones", "l2", "l1", None, "non_neg", "max_norm")
    assert isinstance(layer.kernel_initializer, initializers.Ones)
    assert isinstance(layer.bias_initializer, initializers.Ones)
    assert isinstance(layer.kernel_regularizer, regularizers.L2)
    assert isinstance(layer.bias_regularizer, regularizers.L1)
    assert isinstance(layer.kernel_constraint, constraints.NonNeg)
    assert isinstance(layer.bias_constraint, constraints.MaxNorm)
    np.testing.assert_array_equal(layer(np.ones((1, 3))).numpy(), [[3, 3]])


def test_what_is_given_twice_or_too_much_is_refused() -> None:
    with pytest.raises(TypeError, match="multiple values for keyword argument 'kernel_initializer'"):
        layers.Dense(2, None, True, "ones", kernel_initializer="zeros")
    with pytest.raises(TypeError, match="positional arguments but"):
        layers.Dense(*range(13))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'units'"):
        layers.Dense()
    with pytest.raises(ValueError, match=r"^Conv2D has no argument 'kernel_init'\. Did you mean 'kernel_init"):
        layers.Conv2D(2, 3, kernel_init="ones")


def test_a_class_of_ones_own_hands_options_on() -> None:
    class Wide(layers.Dense):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(64, **kwargs)

    layer = Wide(kernel_initializer="zeros", name="w")
    assert isinstance(layer.kernel_initializer, initializers.Zeros)
    assert isinstance(layer.bias_initializer, initializers.Zeros)
    config = layer.get_config()
    assert list(config) == ["name", "trainable", "dtype", "kernel_initializer"]
    assert config["kernel_initializer"] == initializers.serialize(initializers.Zeros())
    assert Wide.from_config(layer.get_config()).get_config() == layer.get_config()


def test_the_weights_have_what_the_options_say() -> None:
    layer = layers.BatchNormalization(gamma_initializer="zeros", beta_regularizer="l2", gamma_constraint="non_neg")
    layer.build((None, 3))
    assert [v.name for v in layer.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    gamma, beta, mean, variance = layer.weights
    np.testing.assert_array_equal(gamma.numpy(), np.zeros(3))
    np.testing.assert_array_equal(variance.numpy(), np.ones(3))
    assert isinstance(beta.regularizer, regularizers.L2)
    assert isinstance(gamma.constraint, constraints.NonNeg)
    assert (gamma.regularizer, beta.constraint, mean.regularizer) == (None, None, None)
