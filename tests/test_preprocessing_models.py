"""Layers that work on the host, as the first layers of models, mapped over data sets, and in the wrong place."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import layers
from gpudl.engine.state import TracingError
from gpudl.utils.pipeline import Dataset

TEXTS = np.array(["good fine", "bad", "bad awful day", "fine day good", "good", "awful"] * 4)
LABELS = np.array([1, 0, 0, 1, 1, 0] * 4, np.float32)[:, None]
WORDS = ["good", "fine", "bad", "awful", "day"]


def vectorization() -> layers.TextVectorization:
    return layers.TextVectorization(output_sequence_length=3, vocabulary=WORDS)


def functional() -> gpudl.Model:
    text = gpudl.Input((1,), dtype="string", name="text")
    words = layers.Embedding(7, 4)(vectorization()(text))
    return gpudl.Model(text, layers.Dense(1, activation="sigmoid")(layers.Flatten()(words)))


def stack(*first: object) -> Callable[[], gpudl.Model]:
    def make() -> gpudl.Model:
        above = [layers.Embedding(7, 4), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
        return gpudl.Sequential([*first, vectorization(), *above])

    return make


MODELS = {
    "functional": functional,
    "sequential": stack(gpudl.Input((1,), dtype="string")),
    "sequential without an input": stack(),
}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


class Batches(gpudl.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = slice(8 * index, 8 * index + 8)
        return TEXTS[rows], LABELS[rows]


def generator() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return ((TEXTS[rows : rows + 8], LABELS[rows : rows + 8]) for rows in (0, 8, 16))


SOURCES: dict[str, Callable[[], Any]] = {
    "a data set": lambda: Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8),
    "a PyDataset": Batches,
    "a generator": generator,
    "a list of batches as a sequence": lambda: Dataset.from_generator(generator),
}


@every_model
def test_a_model_learns_from_text(make: Callable[[], gpudl.Model]) -> None:
    gpudl.utils.set_random_seed(1)
    model = make()
    model.compile(gpudl.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(
        TEXTS, LABELS, epochs=20, verbose=0, validation_data=(TEXTS, LABELS), validation_freq=20
    ).history
    assert history["val_accuracy"] == [1.0]
    assert history["loss"][-1] < 0.3 < history["loss"][0]
    predicted = model.predict(TEXTS, verbose=0)
    np.testing.assert_allclose(predicted, model(TEXTS), rtol=1e-6)
    np.testing.assert_allclose(predicted, model(TEXTS[:, None].tolist()), rtol=1e-6)
    assert ((predicted > 0.5) == LABELS).all()


@every_model
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_data_of_each_kind_train_as_arrays_do(make: Callable[[], gpudl.Model], source: Callable[[], Any]) -> None:
    losses = []
    for data in ((TEXTS, LABELS), (source(),)):
        gpudl.utils.set_random_seed(2)
        model = make()
        model.compile("sgd", "mse")
        losses.append(
            model.fit(*data, batch_size=8 if len(data) > 1 else None, shuffle=False, verbose=0).history["loss"]
        )
        evaluated = model.evaluate(*data[: 2 if len(data) > 1 else 0] or (source(),), verbose=0)
        losses[-1].append(evaluated)
    np.testing.assert_allclose(*losses, rtol=1e-5)


@every_model
def test_single_batches_copies_and_own_loops(make: Callable[[], gpudl.Model]) -> None:
    model = make()
    model.compile("sgd", "mse")
    before = model.test_on_batch(TEXTS, LABELS)
    assert model.train_on_batch(TEXTS, LABELS) == pytest.approx(before)
    assert model.make_train_function()(iter([(TEXTS, LABELS)]))["loss"] < before
    found = model.predict_on_batch(TEXTS[:2])
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_allclose(other(TEXTS[:2]), found, rtol=1e-6)
    clone = gpudl.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone(TEXTS[:2]), found, rtol=1e-6)


def test_inputs_of_several_kinds_and_a_layer_between() -> None:
    kind, word, size = gpudl.Input((1,), dtype="int64"), gpudl.Input((), dtype="string"), gpudl.Input((2,))
    known = layers.IntegerLookup(vocabulary=[5, 7], output_mode="one_hot")(kind)
    crossed = layers.HashedCrossing(4, "one_hot")(
        [layers.StringLookup(vocabulary=["a"])(word), layers.Hashing(3)(word)]
    )
    joined = layers.Concatenate()([known, layers.Rescaling(2.0)(size) if hasattr(layers, "Rescaling") else size * 2])
    model = gpudl.Model({"kind": kind, "word": word, "size": size}, [joined, crossed])
    data = {"kind": np.array([7, 1]), "word": np.array(["a", "b"]), "size": np.ones((2, 2), np.float32)}
    one, two = model.predict(data, verbose=0)
    assert one.tolist() == [[0, 0, 1, 2, 2], [1, 0, 0, 2, 2]]
    assert two.shape == (2, 4)
    np.testing.assert_array_equal(one, model(data)[0])
    with pytest.raises(ValueError, match=r"There is nothing for 'word'\."):
        model.predict({"kind": data["kind"], "size": data["size"]}, verbose=0)


def test_layers_are_mapped_over_data_sets() -> None:
    layer = vectorization()
    data = Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8).map(lambda x, y: (layer(x), y))
    (first, _), *_ = data
    np.testing.assert_array_equal(first, layer(TEXTS[:8]))
    numbers = Dataset.from_tensor_slices(TEXTS).map(layer)
    assert next(numbers.as_numpy_iterator()).tolist() == [2, 3, 0]


def test_text_of_a_model_cannot_be_a_result() -> None:
    number = gpudl.Input((1,), dtype="int64")
    model = gpudl.Model(number, layers.StringLookup(vocabulary=["a"], invert=True)(number))
    with pytest.raises(ValueError, match=r"is text, which no step computes with\. Call the layers that return text on"):
        model.predict(np.array([1]), verbose=0)


class Inside(gpudl.Model):
    def __init__(self) -> None:
        super().__init__()
        self.lookup = layers.IntegerLookup(vocabulary=[5, 7], output_mode="one_hot")
        self.out = layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.out(self.lookup(x))


def test_a_layer_of_the_host_inside_a_recorded_step_says_where_it_belongs() -> None:
    model = Inside()
    numbers = np.array([[5], [7]])
    assert model(numbers).shape == (2, 1)
    with pytest.raises(
        TracingError, match=r'"integer_lookup\w*" works on the host, which a recorded step cannot: .*Map'
    ):
        model.predict(numbers, verbose=0)
    outer = gpudl.Input((1,), dtype="string")
    with pytest.raises(
        TracingError, match=r'Model "\w+" begins with layers that work on the host, .*Input of the outer'
    ):
        functional()(outer)


def test_text_without_a_layer_for_it_is_refused() -> None:
    model = gpudl.Sequential([layers.Dense(1)])
    with pytest.raises(ValueError, match=r'begin a model with Input\(dtype="string"\) and such a layer'):
        model.predict(TEXTS, verbose=0)
