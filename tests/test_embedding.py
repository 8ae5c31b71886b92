"""The embedding layer, and the gradient of taking rows that it rests on."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity
from thread_tools import COUNTS, workers

import gpudl
from gpudl import layers, ops
from gpudl.engine.state import reference_only

SIGNED, UNSIGNED = (tuple(f"{sign}int{bits}" for bits in (8, 16, 32, 64)) for sign in ("", "u"))
X = np.array([[1, 4, 4], [0, 1, 1]])


def built(**kwargs: Any) -> layers.Embedding:
    layer = layers.Embedding(5, 2, **kwargs)
    layer(X)
    return layer


def slope(layer: layers.Embedding, x: Any, r: np.ndarray) -> np.ndarray:
    with gpudl.GradientTape() as tape:
        loss = ops.sum(layer(x) * r)
    return np.asarray(tape.gradient(loss, layer.trainable_weights)[0].numpy())


def test_each_integer_has_its_vector() -> None:
    layer = built()
    (vectors,) = layer.get_weights()
    assert vectors.shape == (5, 2)
    assert np.abs(vectors).max() <= 0.05
    for x in (X, X.astype(np.int32), X.astype(np.uint8), X.astype(np.float32), X[0], X[..., None], X[:0]):
        y = layer(x)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y.numpy(), vectors[x.astype(int)])


def test_a_vector_gets_the_gradients_of_all_its_places() -> None:
    layer = built()
    r = np.random.default_rng(1).normal(size=(2, 3, 2)).astype(np.float32)
    expected = np.zeros((5, 2))
    for at in np.ndindex(X.shape):
        expected[X[at]] += r[at]
    np.testing.assert_allclose(slope(layer, X, r), expected, rtol=1e-6)
    with reference_only():
        np.testing.assert_array_equal(slope(layer, X, r), slope(layer, X, r))


def test_an_integer_below_0_counts_from_the_end() -> None:
    layer, r = built(), np.ones((2, 2, 2), np.float32)
    (vectors,) = layer.get_weights()
    for kind in SIGNED:
        x = np.array([[-1, 4], [2, -5]], kind)
        np.testing.assert_array_equal(layer(x).numpy(), vectors[x])
        np.testing.assert_array_equal(slope(layer, x, r), slope(layer, x % 5, r))


def test_an_integer_out_of_range_is_an_error_where_it_is_known_and_nan_where_not() -> None:
    layer = built()
    for kind in (*SIGNED, *UNSIGNED):
        for wrong in (5, -6) if kind in SIGNED else (5,):
            text = f"index {wrong} is out of range for an axis of size 5: indices go from -5 to 4, negative ones count"
            with pytest.raises(IndexError, match=text):
                layer(np.array([1, wrong], kind))
    model = gpudl.Sequential([layer])
    y = model.predict(np.array([1, 5, -6, -1]), verbose=0)
    np.testing.assert_array_equal(np.isnan(y).all(axis=1), [False, True, True, False])


@pytest.mark.parametrize("ids", [257, 2049, 2**24 + 1])
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_integers_stay_integers_before_an_embedding(ids: int, dtype: str) -> None:
    weights = np.zeros((ids + 2, 1), np.float32)
    weights[ids] = 1
    x = np.array([[ids], [ids - 1]])
    flat = layers.Flatten
    for first in ([], [flat()], [layers.Reshape((1,))], [gpudl.Sequential([flat()])]):
        model = gpudl.Sequential([*first, layers.Embedding(ids + 2, 1, "zeros", dtype=dtype), flat()])
        model.build((None, 1))
        for made in (model, gpudl.Sequential.from_config(model.get_config())):
            made.set_weights([weights])
            np.testing.assert_array_equal(made.predict(x, verbose=0), [[1], [0]])
            if not first and ids <= 2**24:  # floats are cut to integers, and not made shorter before
                np.testing.assert_array_equal(made.predict(x.astype(np.float32), verbose=0), [[1], [0]])


def test_an_input_that_was_given_decides_the_dtype() -> None:
    model = gpudl.Sequential([layers.Input((1,), dtype="int32"), layers.Embedding(300, 1), layers.Flatten()])
    again = gpudl.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    x = np.array([[257], [-1]])
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.get_weights()[0][x[:, 0]])


def test_the_order_of_the_places_is_kept_by_any_number_of_threads() -> None:
    rng = np.random.default_rng(2)
    g, at = rng.normal(size=(3000, 3)).astype(np.float32), rng.integers(0, 7, 3000)
    with reference_only():
        expected = ops.registry["take_grad"](gpudl.Tensor(g), gpudl.Tensor(at), rows=7).numpy()
    for count in COUNTS:
        with workers(count):
            found = ops.registry["take_grad"](gpudl.Tensor(g), gpudl.Tensor(at), rows=7).numpy()
        np.testing.assert_array_equal(found, expected)


def test_what_is_not_finite_stays_in_its_row() -> None:
    g, at = np.array([[np.nan], [1.0], [np.inf]]), np.array([0, 1, 2])
    for ctx in (reference_only(), workers(1)):
        with ctx:
            found = ops.registry["take_grad"](gpudl.Tensor(g), gpudl.Tensor(at), rows=4).numpy()
        np.testing.assert_array_equal(found, [[np.nan], [1], [np.inf], [0]])


def test_shapes_and_config() -> None:
    layer = built(embeddings_regularizer="l2", embeddings_constraint="max_norm", name="words")
    assert layer.compute_output_shape((None, 7)) == (None, 7, 2)
    config = layer.get_config()
    again = layers.deserialize(layers.serialize(layer))
    assert again.get_config() == config
    assert (config["input_dim"], config["output_dim"], config["mask_zero"], config["name"]) == (5, 2, False, "words")
    assert [w.path for w in layer.weights] == ["words/embeddings"]
    assert float(layer.losses[0].numpy()) > 0
    assert isinstance(layers.get({"class_name": "Embedding", "config": config}), layers.Embedding)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"input_dim": 0}, "Embedding: input_dim must be a positive integer, got 0."),
        ({"input_dim": 2.5}, "Embedding: input_dim must be a positive integer, got 2.5."),
        ({"output_dim": True}, "Embedding: output_dim must be a positive integer, got True."),
        ({"weights": np.ones((2, 2))}, "Embedding \"e\": weight 'embeddings' has shape (3, 2), got (2, 2)."),
    ],
)
def test_what_it_refuses(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        layers.Embedding(**({"input_dim": 3, "output_dim": 2, "name": "e"} | given))


def words() -> gpudl.Sequential:
    gpudl.utils.set_random_seed(4)
    model = gpudl.Sequential(
        [layers.Embedding(20, 4, input_shape=(6,)), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def test_replay_is_eager_bit_for_bit_and_a_network_learns() -> None:
    rng = np.random.default_rng(5)
    x = rng.integers(0, 20, (64, 6))
    y = (x[:, :1] < 10).astype(np.float32)
    ends = []
    for eagerly in (False, True):
        model = words()
        model.run_eagerly = eagerly
        history = model.fit(x, y, batch_size=16, epochs=40, shuffle=False, verbose=0).history
        assert history["loss"][-1] < 0.8 * history["loss"][0]
        ends.append(model.get_weights())
    for replayed, eager in zip(*ends, strict=True):
        np.testing.assert_array_equal(replayed, eager)


@parity
def test_it_is_keras_own() -> None:
    keras = keras_or_skip()
    import jax

    layer = built()
    peer = keras.layers.Embedding(5, 2)
    peer.build((None, 3))
    peer.set_weights(layer.get_weights())
    assert [w.name for w in layer.weights] == [w.name for w in peer.weights]
    np.testing.assert_array_equal(layer(X).numpy(), np.asarray(peer(X)))
    np.testing.assert_array_equal(layer(X + 0.5).numpy(), np.asarray(peer(X + 0.5)))
    assert layer.compute_output_shape((None, 3)) == tuple(peer.compute_output_shape((None, 3)))
    r = np.random.default_rng(1).normal(size=(2, 3, 2)).astype(np.float32)
    by = jax.grad(lambda trained: (peer.stateless_call(trained, [], X)[0] * r).sum())([peer.embeddings.value])
    np.testing.assert_allclose(slope(layer, X, r), np.asarray(by[0]), rtol=1e-6)
    defaults = {"mask_zero", "input_dim", "output_dim", "name", "trainable", "embeddings_regularizer"}
    ours, theirs = layer.get_config(), peer.get_config()
    assert {k: ours[k] for k in defaults - {"name"}} == {k: theirs[k] for k in defaults - {"name"}}
