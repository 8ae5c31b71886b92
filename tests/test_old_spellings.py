"""Old names of arguments, methods and layers: each works, and says once what it is called today."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest

import gpudl
from gpudl import layers, optimizers

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)
Y = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]


def said(call: Callable[[], object]) -> tuple[object, list[str]]:
    """Return what a call returns, and its deprecation warnings; they point to this file."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result = call()
    assert all(warning.category is DeprecationWarning for warning in found)
    assert all(warning.filename == __file__ for warning in found)
    return result, [str(warning.message) for warning in found]


@pytest.mark.parametrize(
    ("make", "old", "new", "attribute", "expected"),
    [
        (layers.Dense, {"output_dim": 3}, "units", "units", 3),
        (partial(layers.Dense, 3), {"bias": False}, "use_bias", "use_bias", False),
        (partial(layers.Conv2D, kernel_size=2), {"nb_filter": 4}, "filters", "filters", 4),
        (partial(layers.Conv2D, 4, 2), {"border_mode": "same"}, "padding", "padding", "same"),
        (partial(layers.Conv2D, 4, 2), {"subsample": (2, 2)}, "strides", "strides", (2, 2)),
        (
            partial(layers.MaxPooling2D, 2),
            {"dim_ordering": "th"},
            "data_format",
            "data_format",
            "channels_first",
        ),
        (layers.Dropout, {"p": 0.25}, "rate", "rate", 0.25),
    ],
)
def test_arguments_of_layers(
    make: Callable[..., object], old: dict[str, object], new: str, attribute: str, expected: object
) -> None:
    layer, texts = said(lambda: make(**old))
    assert texts == [f"{type(layer).__name__}: {next(iter(old))} is the old name of {new}."]
    assert getattr(layer, attribute) == expected


def test_initializers_and_what_is_still_called_so() -> None:
    layer, texts = said(lambda: layers.Dense(2, init="ones", W_regularizer="l2", input_dim=4))
    assert texts == [
        "Dense: init is the old name of kernel_initializer.",
        "Dense: W_regularizer is the old name of kernel_regularizer.",
    ]
    assert isinstance(layer.kernel_initializer, gpudl.initializers.Ones)
    assert layer.batch_shape == (None, 4)
    embedding, texts = said(lambda: layers.Embedding(input_dim=5, output_dim=2))
    assert (embedding.output_dim, texts) == (2, [])
    with pytest.raises(ValueError, match="nb_filter"):
        layers.Dense(2, nb_filter=3)
    with pytest.raises(TypeError, match="multiple values for argument 'units'"), pytest.deprecated_call():
        layers.Dense(2, output_dim=3)


def test_convolutions_with_two_numbers_for_the_kernel() -> None:
    text = ["Convolution2D is the old name of Conv2D, which takes the sizes of the kernel in a tuple."]
    layer, texts = said(lambda: layers.Convolution2D(8, 3, 5, activation="relu"))
    assert (type(layer), layer.kernel_size, layer.strides, texts) == (layers.Conv2D, (3, 5), (1, 1), text)
    layer, texts = said(lambda: layers.Convolution2D(8, (3, 3), (2, 2)))
    assert (layer.kernel_size, layer.strides, texts) == ((3, 3), (2, 2), text)


@pytest.mark.parametrize("kind", [optimizers.SGD, optimizers.Adam, optimizers.AdamW, optimizers.Nadam])
def test_learning_rates(kind: type) -> None:
    optimizer, texts = said(lambda: kind(lr=0.5))
    assert float(optimizer.learning_rate) == 0.5
    assert len(texts) == 1


@pytest.fixture
def model() -> gpudl.Model:
    gpudl.utils.set_random_seed(1)
    model = gpudl.Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=["acc"])
    return model


def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    while True:
        yield X, Y


class TestMethods:
    def test_epochs(self, model: gpudl.Model) -> None:
        history, texts = said(lambda: model.fit(X, Y, nb_epoch=2, verbose=0))
        assert len(history.history["acc"]) == 2
        assert texts == ["fit: nb_epoch is the old name of epochs."]

    def test_generators(self, model: gpudl.Model) -> None:
        history, texts = said(lambda: model.fit_generator(batches(), 2, nb_epoch=3, verbose=0))
        assert (len(history.history["loss"]), texts) == (3, ["Model.fit_generator is the old name of fit."])
        assert int(model.optimizer.iterations) == 6
        (loss, _), texts = said(lambda: model.evaluate_generator(batches(), 1, verbose=0))
        assert texts == ["Model.evaluate_generator is the old name of evaluate."]
        assert loss == pytest.approx(model.evaluate(X, Y, verbose=0)[0])
        rows, texts = said(lambda: model.predict_generator(batches(), 2, verbose=0))
        assert (rows.shape, texts) == ((12, 3), ["Model.predict_generator is the old name of predict."])

    def test_classes(self, model: gpudl.Model) -> None:
        classes, texts = said(lambda: model.predict_classes(X))
        np.testing.assert_array_equal(classes, model.predict(X, verbose=0).argmax(axis=-1))
        assert texts[0].startswith("Model.predict_classes is gone from Keras: use predict(x).argmax(axis=-1)")
        scores, texts = said(lambda: model.predict_proba(X))
        np.testing.assert_array_equal(scores, model.predict(X, verbose=0))
        assert texts == ["Model.predict_proba is the old name of predict."]
        single = gpudl.Sequential([layers.Input((4,)), layers.Dense(1, activation="sigmoid")])
        classes, _ = said(lambda: single.predict_classes(X))
        np.testing.assert_array_equal(classes, single.predict(X, verbose=0) > 0.5)
