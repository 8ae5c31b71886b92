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


def test_a_new_update_changes_nothing_yet_and_models_load_with_it(tmp_path: Path) -> None:
    model = gpudl.Sequential([Input((4,)), layers.Dense(3, name="d")])
    before = model(X[:, 0]).numpy()
    model.layers[0].enable_lora(2)
    np.testing.assert_array_equal(model(X[:, 0]).numpy(), before)
    drawn(model.layers[0])
    model.save(tmp_path / "m.keras")
    loaded = gpudl.saving.load_model(tmp_path / "m.keras")
    assert loaded.layers[0].lora_rank == 2
    np.testing.assert_allclose(loaded(X[:, 0]).numpy(), model(X[:, 0]).numpy(), rtol=1e-5, atol=1e-6)


GIVEN: dict[str, Any] = {
    "Dense": (lambda of, **given: of.layers.Dense(3, name="l", **given), X),
    "EinsumDense": (lambda of, **given: of.layers.EinsumDense("abc,cd->abd", (None, 3), name="l", **given), X),
    "Embedding": (lambda of, **given: of.layers.Embedding(7, 3, name="l", **given), NUMBERS),
    "ReversibleEmbedding": (lambda of, **given: of.layers.ReversibleEmbedding(7, 3, name="l", **given), NUMBERS),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_rank_by_the_constructor(name: str) -> None:
    make, data = GIVEN[name]
    assert "lora_rank" not in make(gpudl).get_config()
    layer = make(gpudl, lora_rank=2, lora_alpha=3)
    config = layer.get_config()
    assert (config["lora_rank"], config["lora_alpha"], layer.lora_enabled) == (2, 3, False)
    layer(data)
    enabled = make(gpudl)
    enabled(data)
    enabled.enable_lora(2, lora_alpha=3)
    assert enabled.get_config() == config
    assert [v.name for v in layer.weights] == [v.name for v in enabled.weights]
    assert [v.name for v in layer.non_trainable_weights] == [v.name for v in enabled.non_trainable_weights]
    drawn(layer)
    enabled.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(data).numpy(), enabled(data).numpy())
    again = type(layer).from_config(config)
    again(data)
    assert [v.shape for v in again.weights] == [v.shape for v in layer.weights]


def test_a_loaded_update_goes_on_learning(tmp_path: Path) -> None:
    model = gpudl.Sequential([Input((4,)), layers.Dense(3, lora_rank=2)])
    drawn(model.layers[0])
    model.save(tmp_path / "m.keras")
    loaded = gpudl.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(loaded(X[:, 0]).numpy(), model(X[:, 0]).numpy(), rtol=1e-5, atol=1e-6)
    loaded.compile(gpudl.optimizers.SGD(0.1), "mse")
    kernel, before = loaded.layers[0].kernel.numpy(), loaded(X[:, 0]).numpy()
    loaded.layers[0].bias.trainable = False
    loaded.fit(X[:, 0], np.zeros((6, 3)), verbose=0)
    np.testing.assert_array_equal(loaded.layers[0].kernel.numpy(), kernel)
    assert not np.array_equal(loaded(X[:, 0]).numpy(), before)


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


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"lora_rank": 0}, "Dense: lora_rank must be a positive integer, got 0"),
        ({"lora_rank": 1.5}, "Dense: lora_rank must be a positive integer, got 1.5"),
        ({"lora_rank": 2, "lora_alpha": "a"}, "Dense: lora_alpha must be a number, got 'a'"),
    ],
)
def test_no_ranks(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        layers.Dense(2, **given)


def test_a_layer_that_cannot_have_its_rank_stays_unbuilt() -> None:
    layer = layers.Dense(2, kernel_constraint="non_neg", lora_rank=2)
    with pytest.raises(ValueError, match="a constraint of the kernel would not hold"):
        layer(X)
    assert (layer.built, layer.weights) == (False, [])


@parity
@pytest.mark.parametrize("name", GIVEN)
def test_configs_are_those_of_keras_and_its_files_load(name: str, tmp_path: Path) -> None:
    keras = keras_or_skip()
    make, data = GIVEN[name]
    dtype = "int32" if data.dtype.kind == "i" else "float32"
    theirs = keras.Sequential([keras.Input(data.shape[1:], dtype=dtype), make(keras, lora_rank=2)])
    drawn(theirs.layers[0])
    config = make(gpudl, lora_rank=2).get_config()
    assert {key: theirs.layers[0].get_config()[key] for key in ("lora_rank", "lora_alpha")} == {
        key: config[key] for key in ("lora_rank", "lora_alpha")
    }
    theirs.save(tmp_path / "m.keras")
    loaded = gpudl.saving.load_model(tmp_path / "m.keras")
    assert loaded.layers[0].lora_enabled
    np.testing.assert_allclose(loaded(data).numpy(), np.asarray(theirs(data)), rtol=1e-4, atol=1e-5)
    loaded.save(tmp_path / "m.keras")
    back = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(np.asarray(back(data)), loaded(data).numpy(), rtol=1e-4, atol=1e-5)


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
