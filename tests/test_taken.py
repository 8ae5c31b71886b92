"""What Keras takes is taken: old names, arguments in lists and by name, a layer that stands in a stack twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import line

from gpudl import Input, Sequential, layers, metrics, optimizers

X, Y = np.ones((8, 1), np.float32), np.ones((8, 1), np.float32)


class TestCompile:
    @pytest.mark.parametrize(
        "options",
        [
            {"loss": ["mse"]},
            {"loss": {"out": "mse"}},
            {"metrics": "mae"},
            {"metrics": [["mae"]]},
            {"metrics": {"out": "mae"}},
            {"metrics": {"out": ["mae"]}},
            {"metrics": [metrics.MeanAbsoluteError(name="mae")]},
            {"weighted_metrics": [["mae"]]},
        ],
    )
    def test_what_is_for_the_only_output(self, options: Any) -> None:
        model, plain = line(**{"metrics": ["mae"], **options}), line(metrics=["mae"])
        if "weighted_metrics" in options:
            model.compile("sgd", "mse", **options)
        fitted = model.fit(X, [Y], verbose=0).history
        assert {name.removeprefix("weighted_"): v for name, v in fitted.items()} == plain.fit(X, Y, verbose=0).history

    @pytest.mark.parametrize("weight", [0.5, [0.5], {"out": 0.5}])
    def test_a_weight_of_the_only_loss(self, weight: Any) -> None:
        model, plain = line(loss_weights=weight), line()
        assert model.evaluate(3 * X, Y, verbose=0) == plain.evaluate(3 * X, Y, verbose=0) / 2 == 2.0
        model.compile(optimizers.SGD(0.2), "mse", loss_weights=weight)
        plain.compile(optimizers.SGD(0.1), "mse")
        for net in (model, plain):
            net.fit(3 * X, Y, verbose=0)
        np.testing.assert_allclose(model.get_weights()[0], plain.get_weights()[0], rtol=1e-6)


class TestOldNames:
    """What old programs write is taken, with a word."""

    def test_alpha(self) -> None:
        with pytest.warns(UserWarning, match=r"LeakyReLU: alpha is the old name of negative_slope"):
            layer = layers.LeakyReLU(alpha=0.5)
        assert layer(np.array([[-1.0]])).numpy().tolist() == [[-0.5]]
        assert layers.LeakyReLU.from_config(layer.get_config()).negative_slope == 0.5

    def test_input_length(self) -> None:
        with pytest.warns(UserWarning, match="Embedding: input_length does nothing any more. Leave it out"):
            layer = layers.Embedding(9, 2, input_length=5)
        assert "input_length" not in layer.get_config()

    def test_input_shape_of_an_input(self) -> None:
        with pytest.warns(UserWarning, match="InputLayer: input_shape is the old name of shape"):
            assert layers.InputLayer(input_shape=(4,)).batch_shape == (None, 4)


class TestWhatIsTakenToo:
    def test_values_that_change_nothing(self) -> None:
        layers.BatchNormalization(synchronized=False, renorm=False, renorm_clipping=None)
        layers.Dense(2, quantization_config=None)

    def test_a_layer_without_an_activation(self) -> None:
        layer = layers.Dense(2, use_bias=False, kernel_initializer="ones", activation="relu")
        layer.activation = None
        assert layer(-np.ones((1, 3))).numpy().tolist() == [[-3, -3]]

    def test_a_layer_may_stand_in_a_stack_twice(self) -> None:
        shared = layers.Dense(2, kernel_initializer="ones")
        model = Sequential([Input((2,)), shared, layers.ReLU(), shared])
        assert len(model.weights) == 2
        assert model.predict(np.ones((1, 2)), verbose=0).tolist() == [[4, 4]]
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 2)), np.zeros((4, 2)), verbose=0)
        copy = Sequential.from_config(model.get_config())
        assert copy.layers[0] is copy.layers[2]
        assert model.pop() is shared
        assert len(model.weights) == 2
        with pytest.raises(ValueError, match="a layer called 'other' already"):
            Sequential([layers.Dense(1, name="other"), layers.Dense(1, name="other")])

    def test_compute_loss_without_training(self) -> None:
        class Own(Sequential):
            def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
                return super().compute_loss(x, y, y_pred, sample_weight) * 2

        model = Own([layers.Dense(1, kernel_initializer="ones", input_shape=(1,))])
        model.compile("sgd", "mse")
        assert model.evaluate(2 * X, Y, verbose=0) == 2.0
        assert model.fit(2 * X, Y, verbose=0).history["loss"] == [2.0]

    def test_configs_with_keras_own_keys(self) -> None:
        config = layers.Dense(2, kernel_initializer="he_normal").get_config() | {
            "quantization_config": None,
            "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}},
        }
        config["kernel_initializer"]["config"]["input_axes"] = None
        layer = layers.Dense.from_config(config)
        assert (layer.units, type(layer.kernel_initializer).__name__) == (2, "HeNormal")
