"""Wrong calls, and what is said to them: what happened, what was expected, what to do."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from small_models import line

import gpudl
from gpudl import Input, Model, callbacks, initializers, layers, losses, metrics, optimizers

X, Y = np.ones((8, 1), np.float32), np.ones((8, 1), np.float32)


class TestLayers:
    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (
                lambda: layers.Dense(3, input_shape=784),
                "Dense: input_shape must be a tuple of sizes, got 784. Write inp",
            ),
            (lambda: layers.Dense(3, input_shape="784"), "Dense: input_shape must be a tuple of integers, or None for"),
            (lambda: layers.Dense(3, input_dim="a"), "Dense: input_dim must be a tuple of integers, or None for any"),
            (
                lambda: layers.Dense(3, activaton="relu"),
                "Dense has no argument 'activaton'. Did you mean 'activation'?",
            ),
            (lambda: layers.Dense(3, foo=1), "Dense has no argument 'foo'. It takes units, activation, use_bias, kern"),
            (lambda: layers.Flatten(units=1), "Flatten has no argument 'units'. It takes data_format, name, trainab"),
            (lambda: layers.Dense(3, lora_rank=0), "Dense: lora_rank must be a positive integer, got 0."),
            (
                lambda: layers.LayerNormalization(rms_scaling=True),
                "LayerNormalization(rms_scaling=True) is not supported yet. Leave rms_scaling out.",
            ),
            (lambda: layers.Dropout("half"), "Dropout: rate must be a number from 0 to 1, got 'half'."),
            (lambda: layers.Dropout(None), "Dropout: rate must be a number from 0 to 1, got None."),
            (lambda: layers.Dropout(True), "Dropout: rate must be a number from 0 to 1, got True."),
            (lambda: layers.ReLU("6"), "ReLU: max_value must be a number of at least 0, got '6'."),
            (lambda: layers.LeakyReLU("a"), "LeakyReLU: negative_slope must be a number of at least 0, got 'a'."),
            (lambda: layers.ELU("a"), "ELU: alpha must be a number, got 'a'."),
            (lambda: layers.Softmax("last"), "Softmax: axis must be a whole number, got 'last'."),
            (lambda: layers.Softmax(0.5), "Softmax: axis must be a whole number, got 0.5."),
            (
                lambda: layers.BatchNormalization(axis="last"),
                "BatchNormalization: axis must be a whole number, got 'last'.",
            ),
            (
                lambda: layers.BatchNormalization(momentum="a"),
                "BatchNormalization: momentum must be a number from 0 to 1, got 'a'.",
            ),
            (
                lambda: layers.LayerNormalization(epsilon=-1),
                "LayerNormalization: epsilon must be a number of at least 0, got -1.",
            ),
            (lambda: layers.Reshape("a"), "Reshape: target_shape must be sizes, at most one of them -1, got 'a'."),
            (
                lambda: layers.Dense(3, kernel_initializer="glorot"),
                "Unknown initializer: 'glorot'. Did you mean 'glorot_",
            ),
            (
                lambda: layers.Dense(3, kernel_constraint="positive"),
                "Unknown constraint: 'positive'. Known: max_norm, ",
            ),
            (lambda: Input(784), "Input: shape must be a tuple of sizes, got 784. Write shape=(784,), with the comma."),
            (lambda: Input(batch_shape=32), "Input: batch_shape must be a tuple of sizes, got 32. Write batch_shape="),
            (lambda: Input((3.5,)), "Input: shape must be a tuple of integers, or None for any size, got (3.5,)."),
        ],
    )
    def test_arguments(self, call: Any, text: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is compared below)
            call()
        assert str(caught.value).startswith(text)

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ((None,), "nothing"),
            ((), "nothing"),
            (({"a": X},), "a dict of 1"),
            (([X, X],), "a list of 2"),
        ],
    )
    @pytest.mark.parametrize("layer", [layers.Dense, lambda n, **k: layers.Conv2D(n, 3, **k)])
    def test_inputs_that_are_no_array(self, layer: Any, given: Any, text: str) -> None:
        with pytest.raises(ValueError, match=rf'"d" takes one array, got {text}\.$'):
            layer(2, name="d")(*given)

    @pytest.mark.parametrize("given", ["text", True, 3])
    def test_options_by_position(self, given: Any) -> None:
        text = (
            f"Only input tensors may be passed as positional arguments, got {given!r} of type {type(given).__name__}."
        )
        for args in ((given,), (X, given)):
            with pytest.raises(ValueError, match=rf'"d": {re.escape(text)} Give it by keyword'):
                layers.Dense(2, name="d")(*args)

    def test_a_number_without_axes(self) -> None:
        for layer in (layers.Flatten(name="d"), layers.Dense(1, name="d")):
            with pytest.raises(
                ValueError, match=r'"d": Input 0 .*: expected min_ndim=\d, found ndim=0\. Full shape received: \(\)'
            ):
                layer(np.float32(3))

    def test_a_layer_called_on_a_layer(self) -> None:
        for layer in (layers.Dense(3, name="d"), layers.Dropout(0.5, name="d")):
            with pytest.raises(
                TypeError, match=r' "d" was called on Dense ".*", which is a layer, not an array\. Call that'
            ):
                layer(layers.Dense(2))

    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda: Model(Input((4,)), layers.Dense(1)), "the outputs of a Model are symbols, got <Dense name="),
            (lambda: Model(inputs=1, outputs=2), "the inputs of a Model are symbols, got 1 of type int. Begin with In"),
            (lambda: Model([], Input((4,))), "the inputs of a Model are symbols, got none. Begin with Input(shape)."),
            (
                lambda: Model("name"),
                "Model got inputs alone: it takes symbols for inputs and outputs, such as Input() ",
            ),
            (lambda: Model(outputs=Input((4,))), "Model got outputs alone: it takes symbols for inputs and outputs, "),
        ],
    )
    def test_models_of_something_else_than_symbols(self, call: Any, text: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            call()
        assert str(caught.value).startswith(text)


class TestCompile:
    def test_a_config_without_a_class(self) -> None:
        for get, kind in ((losses.get, "loss"), (optimizers.get, "optimizer"), (metrics.get, "metric")):
            with pytest.raises(
                ValueError, match=rf"the config of an? {kind} is a dict with class_name and config, got"
            ):
                get({"name": "a"})


class TestOptimizers:
    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda: optimizers.Adam(lerning_rate=0.1), "Adam has no argument 'lerning_rate'. Did you mean 'learning_"),
            (lambda: optimizers.Adam(beta_1=2), "Adam: beta_1 must be a number from 0 to 1, got 2."),
            (lambda: optimizers.AdamW(beta_2="a"), "AdamW: beta_2 must be a number from 0 to 1, got 'a'."),
            (lambda: optimizers.Adam(epsilon=-1), "Adam: epsilon must be a number of at least 0, got -1."),
            (lambda: optimizers.Adam(clipnorm="a"), "Adam: clipnorm must be a number, got 'a'."),
            (lambda: optimizers.SGD(weight_decay="a"), "SGD: weight_decay must be a number, got 'a'."),
            (lambda: optimizers.SGD(momentum="a"), "SGD: momentum must be a number from 0 to 1, got 'a'."),
            (lambda: optimizers.RMSprop(rho=5), "RMSprop: rho must be a number from 0 to 1, got 5."),
            (lambda: optimizers.RMSprop(momentum=None), "RMSprop: momentum must be a number of at least 0, got None."),
            (
                lambda: optimizers.Adagrad(initial_accumulator_value=-1),
                "Adagrad: initial_accumulator_value must be a number of at least 0, got -1.",
            ),
            (
                lambda: optimizers.SGD().apply_gradients([1.0]),
                "apply_gradients takes pairs (gradient, variable), got 1.0. Use zip(grads, vars).",
            ),
            (lambda: line().get_layer(), "get_layer takes either the name of a layer or its index, got None and None."),
            (
                lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), "a"),
                "initial_scale must be a positive number such as 2.0**15, got 'a'.",
            ),
        ],
    )
    def test_arguments(self, call: Any, text: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            call()
        assert str(caught.value).startswith(text)

    def test_old_arguments(self) -> None:
        with pytest.warns(
            DeprecationWarning, match=r"^Adam: lr is the old name of learning_rate\. Write learning_rate=0\.1\.$"
        ):
            assert float(optimizers.Adam(lr=0.1).learning_rate) == pytest.approx(0.1)
        with pytest.warns(DeprecationWarning, match="`decay` is no longer supported and will be ignored"):
            optimizers.Adam(decay=0.1)


class TestLossesAndMetrics:
    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (
                lambda: losses.BinaryCrossentropy(label_smoothing=2),
                "BinaryCrossentropy: label_smoothing must be a number from 0 to 1, got 2.",
            ),
            (
                lambda: losses.CategoricalCrossentropy(label_smoothing="a"),
                "CategoricalCrossentropy: label_smoothing must be a number from 0 to 1, got 'a'.",
            ),
            (lambda: losses.Huber(delta="a"), "Huber: delta must be a number of at least 0, got 'a'."),
            (
                lambda: losses.SparseCategoricalCrossentropy(ignore_class="a"),
                "SparseCategoricalCrossentropy: ignore_class must be a whole number, got 'a'.",
            ),
            (
                lambda: losses.CategoricalCrossentropy(axis=9)(np.ones((2, 3)), np.ones((2, 3))),
                "categorical_crossentropy: axis 9 is out of range for predictions of shape (2, 3).",
            ),
            (
                lambda: losses.SparseCategoricalCrossentropy(axis=2)([1, 2], np.ones((2, 3))),
                "sparse_categorical_crossentropy: axis 2 is out of range for predictions of shape (2, 3).",
            ),
            (
                lambda: metrics.BinaryAccuracy(threshold="a"),
                "BinaryAccuracy: threshold must be a number, got 'a'.",
            ),
            (
                lambda: metrics.TopKCategoricalAccuracy(k="a"),
                "TopKCategoricalAccuracy: k must be a whole number of at least 1, got 'a'.",
            ),
            (
                lambda: metrics.SparseTopKCategoricalAccuracy(k=0),
                "SparseTopKCategoricalAccuracy: k must be a whole number of at least 1, got 0.",
            ),
        ],
    )
    def test_arguments(self, call: Any, text: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            call()
        assert str(caught.value).startswith(text)


class TestRandom:
    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda: gpudl.random.SeedGenerator("a"), "SeedGenerator: seed must be a whole number, got 'a'."),
            (lambda: layers.Dropout(0.5, seed=1.5), "SeedGenerator: seed must be a whole number, got 1.5."),
            (lambda: gpudl.random.normal(5), "random.normal: shape must be a tuple of integers, got 5."),
            (lambda: gpudl.random.uniform("a"), "random.uniform: shape must be a tuple of integers, got 'a'."),
        ],
    )
    def test_arguments(self, call: Any, text: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            call()
        assert str(caught.value).startswith(text)


class TestInitializers:
    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda: initializers.GlorotUniform()("a"), "GlorotUniform: shape must be a tuple of integers, or None"),
            (lambda: initializers.Zeros()(5), "Zeros: shape must be a tuple of sizes, got 5. Write shape=(5,), with"),
            (
                lambda: initializers.HeNormal()((2, None)),
                "HeNormal: shape must have no None, got (2, None). Weights have",
            ),
            (lambda: initializers.RandomNormal(stddev="a"), "RandomNormal: stddev must be a number, got 'a'."),
            (lambda: initializers.RandomUniform("a"), "RandomUniform: minval must be a number, got 'a'."),
            (
                lambda: initializers.Constant([1.0, 2.0])((3,)),
                "Constant: a value of shape (2,) does not fit the shape (3,).",
            ),
        ],
    )
    def test_arguments(self, call: Any, text: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            call()
        assert str(caught.value).startswith(text)


class TestCallbacks:
    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda: callbacks.EarlyStopping(patience="a"), "EarlyStopping: patience must be a number of at least 0"),
            (lambda: callbacks.EarlyStopping(min_delta="a"), "EarlyStopping: min_delta must be a number, got 'a'."),
            (lambda: callbacks.EarlyStopping(baseline="a"), "EarlyStopping: baseline must be a number, got 'a'."),
            (lambda: callbacks.LambdaCallback(on_epoch_finish=print), "Unknown hook: 'on_epoch_finish'. Did you mean"),
            (
                lambda: callbacks.LambdaCallback(on_epoch_end=5),
                "LambdaCallback: on_epoch_end must be a function, got 5.",
            ),
        ],
    )
    def test_arguments(self, call: Any, text: str) -> None:
        with pytest.raises((ValueError, TypeError)) as caught:
            call()
        assert str(caught.value).startswith(text)

    def test_other_attributes_of_a_lambda_callback(self) -> None:
        assert callbacks.LambdaCallback(custom=lambda: 3, number=4).custom() == 3


class TestData:
    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (("a", Y), "x is 'a', of type str: expected an array of numbers, or an iterable of batches."),
            ((X, "a"), "y is 'a', of type str: expected an array of numbers, or an iterable of batches."),
            (
                (len, Y),
                "x is <built-in function len>, of type builtin_function_or_method: expected an array of numbers",
            ),
            ((iter(["abc"]),), "x is 'abc', of type str: expected an array of numbers, or an iterable of batches."),
            ((iter([]),), "there is no data: the list_iterator brought no batch."),
            (
                (X, [Y, Y]),
                "y must have the form of what the model returns, one array, got [..., ...]. None stands for nothing.",
            ),
            ((np.array([[None]] * 8), Y), "x has dtype object, expected numbers. Convert text and objects first"),
        ],
    )
    def test_no_numbers(self, data: Any, text: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            line().fit(*data, verbose=0)
        assert str(caught.value).startswith(text)

    @pytest.mark.parametrize("frequency", ["abc", 0, [1, 2.5], None])
    def test_validation_freq(self, frequency: Any) -> None:
        with pytest.raises(ValueError, match=r"validation_freq must be a positive integer, got"):
            line().fit(X, Y, validation_data=(X, Y), validation_freq=frequency, verbose=0)


def test_names_are_offered_with_their_underscores() -> None:
    for get, wrong, right in (
        (gpudl.constraints.get, "nonnegg", "non_neg"),
        (gpudl.losses.get, "msee", "mse"),
        (gpudl.losses.get, "meansquarederor", "mean_squared_error"),
        (gpudl.initializers.get, "he_norml", "he_normal"),
        (gpudl.initializers.get, "glorotnorml", "glorot_normal"),
        (gpudl.optimizers.get, "rmspropp", "rmsprop"),
    ):
        with pytest.raises(ValueError, match=rf"Did you mean '{right}'\?$"):
            get(wrong)
