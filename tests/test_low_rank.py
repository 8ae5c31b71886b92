"""Low-rank updates of frozen matrices: what is trained, computed and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import Input, Model, layers

X = np.random.default_rng(0).normal(size=(6, 5, 4)).astype(np.float32)
NUMBERS = np.arange(30).reshape(6, 5) % 7
MAKERS: dict[str, Any] = {
    "Dense": (lambda of: of.layers.Dense(3, activation="tanh"), X),
    "Dense of rows": (lambda of: of.layers.Dense(3), X[:, 0]),
    "EinsumDense": (lambda of: of.layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"), X),
    "Embedding": (lambda of: of.layers.Embedding(7, 3), NUMBERS),
    "ReversibleEmbedding": (lambda of: of.layers.ReversibleEmbedding(7, 3), NUMBERS),
}


def drawn(layer: Any, seed: int = 1) -> Any:
    """Give all weights of a layer values other than zero, and return it."""
    draw = np.random.default_rng(seed)
    layer.set_weights([draw.normal(size=w.shape).astype(np.float32) for w in layer.get_weights()])
    return layer


def adapted(name: str, **options: Any) -> tuple[Any, Any]:
    """Return a layer with an update that is not zero, and data for it."""
    make, data = MAKERS[name]
    layer = make(gpudl)
    layer(data)
    layer.enable_lora(2, **options)
    return drawn(layer), data


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_saved_is_the_sum(name: str) -> None:
    layer, data = adapted(name, lora_alpha=3)
    before = layer(data).numpy()
    store: dict[str, np.ndarray] = {}
    layer.save_own_variables(store)
    plain = MAKERS[name][0](gpudl)
    plain(data)
    plain.load_own_variables(store)
    np.testing.assert_allclose(plain(data).numpy(), before, rtol=1e-4, atol=1e-5)
    layer.load_own_variables(store)
    np.testing.assert_allclose(layer(data).numpy(), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_only_the_update_and_the_bias_are_trained(name: str) -> None:
    layer, data = adapted(name)
    inputs = Input(data.shape[1:], dtype="int32" if data.dtype.kind == "i" else "float32")
    model = Model(inputs, layer(inputs))
    model.compile(gpudl.optimizers.SGD(0.1), "mse")
    frozen = layer.non_trainable_weights
    before = [w.numpy().copy() for w in (*frozen, *layer.trainable_weights)]
    y = np.ones(model(data).shape, np.float32)
    assert len(model.fit(data, y, epochs=2, verbose=0).history["loss"]) == 2
    changed = [np.any(w.numpy() != old) for w, old in zip((*frozen, *layer.trainable_weights), before, strict=True)]
    assert changed == [False] * len(frozen) + [True] * len(layer.trainable_weights)
    assert len(frozen) == 1


def test_a_new_update_changes_nothing_yet_and_models_load_without_it(tmp_path: Path) -> None:
    model = gpudl.Sequential([Input((4,)), layers.Dense(3, name="d")])
    before = model(X[:, 0]).numpy()
    model.layers[0].enable_lora(2)
    np.testing.assert_array_equal(model(X[:, 0]).numpy(), before)
    drawn(model.layers[0])
    model.save(tmp_path / "m.keras")
    loaded = gpudl.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(loaded(X[:, 0]).numpy(), model(X[:, 0]).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (layers.Dense(2), "has no kernel yet"),
        (layers.Embedding(5, 2, embeddings_constraint="non_neg"), "a constraint of the embeddings would not hold"),
        (adapted("Dense")[0], "has LoRA already, of rank 2"),
    ],
)
def test_where_it_cannot_be(layer: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        layer.enable_lora(2)


@parity
@pytest.mark.parametrize("name", MAKERS)
def test_keras_computes_the_same(name: str) -> None:
    keras = keras_or_skip()
    ours, data = adapted(name, lora_alpha=3)
    theirs = MAKERS[name][0](keras)
    theirs.build(data.shape)
    theirs.enable_lora(2, lora_alpha=3)
    assert [v.name for v in ours.trainable_weights] == [v.name for v in theirs.trainable_weights]
    assert [v.name for v in ours.non_trainable_weights] == [v.name for v in theirs.non_trainable_weights]
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(data).numpy(), np.asarray(theirs(data)), rtol=1e-4, atol=1e-5)
