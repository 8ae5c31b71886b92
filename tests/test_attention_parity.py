"""Layers of attention and `EinsumDense` beside Keras: constructor arguments, masks and scores at random."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity
from layer_parity import assert_like_keras, configurations, noise

from gpudl import layers, ops

QUERIES, KEYS, FEATURES = 5, 6, 8


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


def heads_masks(draw: random.Random, heads: int) -> dict[str, Any]:
    """Return masks and options of a call of a layer with heads."""
    rng = np.random.default_rng(draw.randrange(1 << 30))
    shapes = {
        "query_mask": (2, QUERIES),
        "value_mask": (2, KEYS),
        "key_mask": (2, KEYS),
        "attention_mask": draw.choice(
            [(2, QUERIES, KEYS), (1, QUERIES, KEYS), (2, heads, QUERIES, KEYS), (2, 1, KEYS)]
        ),
    }
    masks: dict[str, Any] = {name: rng.random(shape) < 0.7 for name, shape in shapes.items() if draw.random() < 0.4}
    if masks.get("attention_mask", masks).__class__ is np.ndarray and masks["attention_mask"].ndim == 4:
        masks = {"attention_mask": masks["attention_mask"]}  # beside others Keras takes its heads for samples
    masks["use_causal_mask"] = draw.random() < 0.4
    masks["return_attention_scores"] = draw.random() < 0.3
    return masks


MULTI = {
    "num_heads": [2],
    "key_dim": [4],
    "value_dim": [None],
    "dropout": [0.0, 0.0, 0.3],
    "use_bias": [True, False],
    "output_shape": [None, (2, 3)],
    "sliding_window": [None, None, 2],
    "use_gate": [False, True],
}
GROUPED = {
    **{key: MULTI[key] for key in ("dropout", "use_bias", "sliding_window", "use_gate")},
    **{"head_dim": [4], "num_query_heads": [4], "num_key_value_heads": [2]},
}


@parity
@pytest.mark.parametrize(("name", "choices"), [("MultiHeadAttention", MULTI), ("GroupQueryAttention", GROUPED)])
def test_layers_with_heads(keras: Any, name: str, choices: Any) -> None:
    draw = random.Random(name)
    for options in configurations(name, choices):
        ours, theirs = (getattr(of.layers, name)(**options) for of in (layers_of, keras))
        inputs = [noise(1, 2, QUERIES, FEATURES), noise(2, 2, KEYS, FEATURES)]
        if draw.random() < 0.4:
            inputs.append(noise(3, 2, KEYS, FEATURES))
        heads = options.get("num_heads") or options["num_query_heads"]
        assert_like_keras(ours, theirs, inputs, heads_masks(draw, heads))


class layers_of:  # noqa: N801 (stands for the package)
    layers = layers


@parity
@pytest.mark.parametrize("axes", [None, 2])
def test_axes_of_attention(keras: Any, axes: Any) -> None:
    x = noise(1, 2, 3, 4, FEATURES)
    for scores in (False, True):
        ours, theirs = (of.layers.MultiHeadAttention(2, 3, attention_axes=axes) for of in (layers_of, keras))
        along = (axes,) if isinstance(axes, int) else axes or (1, 2)
        tokens = tuple(x.shape[a] for a in along)
        given = {"attention_mask": np.random.default_rng(3).random((2, *tokens, *tokens)) < 0.8}
        assert_like_keras(ours, theirs, [x, x + 1], {**given, "return_attention_scores": scores})


@parity
@pytest.mark.parametrize("name", ["Attention", "AdditiveAttention"])
def test_layers_of_one_head(keras: Any, name: str) -> None:
    draw = random.Random(name)
    choices = {"use_scale": [False, True], "dropout": [0.0, 0.3], "seed": [None, 3]}
    if name == "Attention":
        choices["score_mode"] = ["dot", "dot", "concat"]
    for options in configurations(name, choices):
        ours, theirs = (getattr(of.layers, name)(**options) for of in (layers_of, keras))
        assert ours.get_config().keys() == theirs.get_config().keys()
        inputs = [noise(n, 2, tokens, FEATURES) for n, tokens in enumerate((QUERIES, KEYS, KEYS))]
        inputs = inputs[: draw.choice([2, 3])]
        rng = np.random.default_rng(draw.randrange(1 << 30))
        masks = [rng.random((2, n)) < 0.7 if draw.random() < 0.7 else None for n in (QUERIES, KEYS)]
        if masks[1] is not None:  # of a query that sees nothing Keras's gradient is that of its rounding
            masks[1][:, 0] = True
        given = {"use_causal_mask": draw.random() < 0.4, "return_attention_scores": draw.random() < 0.4}
        if draw.random() < 0.7:
            given["mask"] = masks
        assert_like_keras(ours, theirs, inputs, given, together=True)


EQUATIONS = [
    ("abc,cd->abd", (None, 4), ["d", None]),
    ("abc,cd->abd", (5, 4), ["d", "bd", "b", None]),
    ("abc,bcd->abd", (5, 4), ["d", "bd"]),
    ("abc,cd->adb", (4, 5), ["d", "b", None]),
    ("abc,cde->abde", (None, 2, 3), ["de", "e", "d", None]),
    ("abc,bc->a", (), [None]),
    ("abc,bcd->ad", 4, ["d", None]),
    ("abc,bd->adc", (4, FEATURES), ["d", "c", "dc"]),
    ("...x,xy->...y", 4, ["y", None]),
    ("ab...,bc->ac...", 4, ["c", None]),
]


@parity
def test_einsum_dense(keras: Any) -> None:
    draw = random.Random(1)
    x = noise(1, 2, 5, FEATURES)
    for equation, shape, axes in EQUATIONS:
        for bias_axes in axes:
            options = {"bias_axes": bias_axes, "activation": draw.choice([None, "relu", "softmax"])}
            if equation == "abc,bc->a":
                options["activation"] = None
            ours, theirs = (of.layers.EinsumDense(equation, shape, **options) for of in (layers_of, keras))
            assert_like_keras(ours, theirs, [x], {})
            assert ours.compute_output_shape(x.shape) == tuple(ours(x).shape)


@parity
def test_dot_product_attention(keras: Any) -> None:
    draw = random.Random(2)
    rng = np.random.default_rng(0)
    for _ in range(20):
        key_heads = draw.choice([2, 4])
        q, k, v = noise(1, 2, QUERIES, 4, 3), noise(2, 2, KEYS, key_heads, 3), noise(3, 2, KEYS, key_heads, 3)
        options: dict[str, Any] = {"is_causal": draw.random() < 0.4, "scale": draw.choice([None, 0.7])}
        if draw.random() < 0.5:
            options["mask"] = rng.random(draw.choice([(2, 4, QUERIES, KEYS), (2, 1, QUERIES, KEYS)])) < 0.7
        if draw.random() < 0.3:
            options["bias"] = noise(4, 2, 4, QUERIES, KEYS)
        wanted = keras.ops.dot_product_attention(*map(keras.ops.array, (q, k, v)), **options)
        np.testing.assert_allclose(
            ops.dot_product_attention(q, k, v, **options).numpy(), wanted, rtol=2e-5, atol=2e-6, err_msg=str(options)
        )
