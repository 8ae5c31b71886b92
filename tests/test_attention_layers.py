"""Layers of attention: what they say about what does not fit, in training, replayed, and in 16 bits."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import layers
from gpudl.engine.spec import ShapeError

X, LONG = np.ones((2, 5, 8), "float32"), np.ones((2, 6, 8), "float32")


def heads(**options: Any) -> layers.Layer:
    return layers.MultiHeadAttention(2, 4, name="a", **options)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: layers.MultiHeadAttention(0, 4), "MultiHeadAttention: num_heads must be a positive integer, got 0."),
        (lambda: heads(dropout=2), "MultiHeadAttention: dropout must be a number from 0 to 1, got 2."),
        (
            lambda: layers.GroupQueryAttention(4, 4, 3),
            "GroupedQueryAttention: num_query_heads=4 cannot share num_key_value_heads=3 equally. Choose numbers of "
            "which the second divides the first.",
        ),
        (lambda: layers.Attention(score_mode="sum"), "Attention: score_mode must be 'dot' or 'concat', got 'sum'."),
        (
            lambda: layers.EinsumDense("ab,bc", 4),
            "EinsumDense: equation must have the axes of the inputs, the kernel and the outputs, such as "
            "'abc,cd->abd' or '...x,xy->...y', got 'ab,bc'.",
        ),
        (
            lambda: layers.EinsumDense("ab,bc->ac", 4, bias_axes="x"),
            "EinsumDense: bias_axes 'x' has 'x', which is no axis of the outputs of 'ab,bc->ac'.",
        ),
        (lambda: layers.GroupNormalization(0), "GroupNormalization: groups must be a positive integer, got 0."),
        (
            lambda: layers.GaussianDropout(1),
            "GaussianDropout: rate must be less than 1, where the variance of the noise is infinite.",
        ),
        (
            lambda: layers.SpectralNormalization(layers.Flatten(), name="s")(X),
            'SpectralNormalization "s" needs a layer with a kernel or with embeddings, and Flatten has neither.',
        ),
    ],
)
def test_arguments(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        make()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: heads()(X, X, attention_mask=np.ones((2, 5, 4), bool)), "attention_mask of shape (2, 5, 4) does not"),
        (
            lambda: heads()(X, LONG, value_mask=np.ones((2, 5), bool)),
            "value_mask of shape (2, 5) must have a value for",
        ),
        (
            lambda: heads()(X, LONG, X),
            "query (None, 5, 8), value (None, 6, 8) and key (None, 5, 8) must be (batch, tokens,",
        ),
        (lambda: heads()(X, np.ones((3, 5, 8))), "query (2, 5, 8), value (3, 5, 8) and key (3, 5, 8) must be (batch,"),
        (
            lambda: heads(attention_axes=3)(X, X),
            "attention_axes (3,) must be different axes between batch and features",
        ),
        (
            lambda: layers.Attention(name="a")([X, X[..., :4]]),
            "query (None, 5, 8) and key (None, 5, 4) need as many features",
        ),
        (
            lambda: layers.EinsumDense("abc,cd->abd", (3, 4), name="a")(X),
            "output_shape (3, 4) gives axis 'b' of 'abc,cd->abd' the size 3, but inputs of shape (None, 5, 8) have 5",
        ),
        (
            lambda: layers.MultiHeadAttention(2, 4, name="a")(X, X, query_mask=np.ones((2, 4), bool)),
            "query_mask of shape (2, 4) must have a value for each token, (2, 5).",
        ),
        (
            lambda: layers.GroupNormalization(3, name="a")(X),
            "8 channels of inputs (None, 5, 8) cannot be divided into 3 groups.",
        ),
    ],
)
def test_shapes(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ShapeError, match=rf'^\w+ "a": .*{re.escape(text)}'):
        call()


def test_a_list_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"is called on a list, \[query, value\] or \[query, value, key\]"):
        layers.Attention()(X)
    with pytest.raises(ValueError, match=r"a mask is a list, \[query_mask, value_mask\]"):
        layers.Attention()([X, X], mask=np.ones((2, 5), bool))


def small() -> gpudl.Model:
    """Return a compiled model with masked words, both layers with heads, and dropout."""
    words = gpudl.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True)(words)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4, dropout=0.2)(x, x, use_causal_mask=True)])
    x = layers.RMSNormalization()(x)
    x = layers.GroupQueryAttention(4, 4, 2, use_gate=True)(x, x)
    model = gpudl.Model(words, layers.Dense(3)(layers.GroupNormalization(2)(x)))
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_a_replayed_training_learns(policy: str) -> None:
    gpudl.utils.set_random_seed(1)
    gpudl.config.set_dtype_policy(policy)
    try:
        model = small()
    finally:
        gpudl.config.set_dtype_policy("float32")
    rng = np.random.default_rng(0)
    words = rng.integers(1, 9, (32, 6))
    words[:, 4:] = 0
    wanted = np.repeat(words[:, :1, None] == [1, 2, 3], 6, axis=1).astype("float32")
    losses = model.fit(words, wanted, batch_size=16, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.75 * losses[0]


def test_padding_changes_nothing() -> None:
    layer = layers.MultiHeadAttention(2, 4)
    x = np.random.default_rng(0).standard_normal((2, 6, 8)).astype("float32")
    seen = np.arange(6) < 4
    short = layer(x[:, :4], x[:, :4])
    long = layer(x, x, value_mask=np.stack([seen, seen]))
    np.testing.assert_allclose(long.numpy()[:, :4], short.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_returned_scores_are_weights(dropout: float) -> None:
    y, scores = layers.MultiHeadAttention(2, 4, dropout=dropout, seed=1)(X, LONG, return_attention_scores=True)
    assert y.shape == (2, 5, 8)
    np.testing.assert_allclose(scores.numpy().sum(axis=-1), np.ones((2, 2, 5)), rtol=1e-6)


def test_dropout_draws_the_same_weights_for_the_same_seed() -> None:
    first, second = (layers.MultiHeadAttention(2, 4, dropout=0.5, seed=3) for _ in range(2))
    first(X, X)
    second(X, X)
    second.set_weights(first.get_weights())
    np.testing.assert_array_equal(first(X, X, training=True).numpy(), second(X, X, training=True).numpy())
