"""Layers on sequences, images and volumes beside Keras's, for arguments drawn from what their constructors take.

All configurations of a layer are compiled by XLA together.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity
from layer_parity import CONFIGURATIONS

import gpudl
from gpudl import layers, ops

SIZES = {1: (9,), 2: (7, 6), 3: (5, 4, 5)}
BATCH, CHANNELS = 2, 4
Rng = np.random.Generator
Drawn = dict[str, Any]


def some(rng: Rng, *values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def sizes(rng: Rng, rank: int, most: int, least: int = 1) -> Any:
    """Return one integer, or one for each axis."""
    found = tuple(int(n) for n in rng.integers(least, most + 1, rank))
    return found[0] if rng.random() < 0.4 else found


def layout(rng: Rng) -> str:
    return str(some(rng, "channels_last", "channels_last", "channels_first"))


def sliding(rng: Rng, rank: int, *more: str) -> Drawn:
    strides, dilation = some(rng, (sizes(rng, rank, 3), 1), (1, sizes(rng, rank, 2)), (1, 1))
    return {
        "kernel_size": sizes(rng, rank, 2 if rank == 3 else 3),
        "strides": strides,
        "dilation_rate": dilation,
        "padding": some(rng, "valid", "same", *more),
        "data_format": layout(rng),
        "activation": some(rng, None, "relu", "tanh"),
        "use_bias": bool(rng.integers(2)),
    }


def conv(rng: Rng, rank: int) -> Drawn:
    groups = int(some(rng, 1, 1, 2, 4))
    causal = ["causal"] if rank == 1 else []
    return {"filters": groups * int(rng.integers(1, 3)), "groups": groups, **sliding(rng, rank, *causal)}


def conv_transpose(rng: Rng, rank: int) -> Drawn:
    drawn = {"filters": int(rng.integers(1, 4)), **sliding(rng, rank)}
    steps = drawn["strides"] if isinstance(drawn["strides"], tuple) else (drawn["strides"],) * rank
    more = tuple(int(rng.integers(s)) for s in steps)
    return {**drawn, "output_padding": some(rng, None, None, more)}


def depthwise(rng: Rng, rank: int) -> Drawn:
    drawn = {**sliding(rng, rank), "depth_multiplier": int(rng.integers(1, 3))}
    # XLA has strides that are equal along both axes only.
    return {**drawn, "strides": int(rng.integers(1, 3)) if drawn["dilation_rate"] == 1 else 1}


def separable(rng: Rng, rank: int) -> Drawn:
    return {"filters": int(rng.integers(1, 4)), **depthwise(rng, rank)}


def pooling(rng: Rng, rank: int) -> Drawn:
    size = sizes(rng, rank, 3)
    return {
        "pool_size": size,
        "strides": some(rng, None, sizes(rng, rank, 3)),
        "padding": some(rng, "valid", "same"),
        "data_format": layout(rng),
    }


def adaptive(rng: Rng, rank: int) -> Drawn:
    return {"output_size": sizes(rng, rank, 5 - rank), "data_format": layout(rng)}


def whole(rng: Rng, rank: int) -> Drawn:
    return {"keepdims": bool(rng.integers(2)), "data_format": layout(rng)}


def edges(rng: Rng, rank: int) -> Any:
    if rank == 1:
        return some(rng, int(rng.integers(3)), tuple(int(n) for n in rng.integers(0, 3, 2)))
    pairs = tuple((int(a), int(b)) for a, b in rng.integers(0, 2, (rank, 2)))
    return some(rng, sizes(rng, rank, 1, 0), pairs)


def padding(rng: Rng, rank: int) -> Drawn:
    return {"padding": edges(rng, rank), "data_format": layout(rng)}


def cropping(rng: Rng, rank: int) -> Drawn:
    return {"cropping": edges(rng, rank), **({"data_format": layout(rng)} if rank > 1 else {})}


def upsampling(rng: Rng, rank: int) -> Drawn:
    if rank == 1:
        return {"size": int(rng.integers(1, 5))}
    methods = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5") if rank == 2 else ()
    more = {"interpolation": some(rng, *methods)} if methods else {}
    return {"size": sizes(rng, rank, 3), "data_format": layout(rng), **more}


FAMILIES: dict[str, tuple[int, Callable[[Rng, int], Drawn]]] = {
    "Conv{}D": (3, conv),
    "Conv{}DTranspose": (3, conv_transpose),
    "DepthwiseConv{}D": (2, depthwise),
    "SeparableConv{}D": (2, separable),
    "MaxPooling{}D": (3, pooling),
    "AveragePooling{}D": (3, pooling),
    "AdaptiveMaxPooling{}D": (3, adaptive),
    "AdaptiveAveragePooling{}D": (3, adaptive),
    "GlobalMaxPooling{}D": (3, whole),
    "GlobalAveragePooling{}D": (3, whole),
    "ZeroPadding{}D": (3, padding),
    "Cropping{}D": (3, cropping),
    "UpSampling{}D": (3, upsampling),
}
LAYERS = [(name.format(rank), rank, draw) for name, (most, draw) in FAMILIES.items() for rank in range(1, most + 1)]


def pairs(keras: Any, name: str, rank: int, draw: Any) -> list[tuple[Drawn, Any, Any, np.ndarray]]:
    """Return the arguments, our layer and Keras's with the same weights, and inputs, for each configuration."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    found = []
    for _ in range(CONFIGURATIONS):
        given = draw(rng, rank)
        first = given.get("data_format") == "channels_first"
        shape = (BATCH, CHANNELS, *SIZES[rank]) if first else (BATCH, *SIZES[rank], CHANNELS)
        x = rng.standard_normal(shape).astype("float32")
        ours, theirs = getattr(layers, name)(**given), getattr(keras.layers, name)(**given)
        theirs.build(shape)
        ours.build((None, *shape[1:]))
        wanted = [(w.name, tuple(w.shape)) for w in theirs.weights]
        assert [(w.name, tuple(w.shape)) for w in ours.weights] == wanted, given
        weights = [rng.standard_normal(size).astype("float32") for _, size in wanted]
        ours.set_weights(weights)
        theirs.set_weights(weights)
        found.append((given, ours, theirs, x))
    return found


def plain(value: Any) -> Any:
    """Return a config with tuples for lists, as JSON does not tell them apart."""
    return tuple(map(plain, value)) if isinstance(value, list | tuple) else value


@parity
@pytest.mark.parametrize(("name", "rank", "draw"), LAYERS, ids=[name for name, _, _ in LAYERS])
def test_outputs_gradients_weights_shapes_and_configs(name: str, rank: int, draw: Any) -> None:
    keras = keras_or_skip()
    import jax

    found = pairs(keras, name, rank, draw)
    slopes = [np.random.default_rng(1).standard_normal(400).astype("float32") for _ in found]

    def theirs(inputs: Any, weights: Any) -> Any:
        results = []
        for (_, _, layer, _), x, trained, slope in zip(found, inputs, weights, slopes, strict=True):

            def outputs(x: Any, trained: Any, layer: Any = layer) -> Any:
                return layer.stateless_call(trained, [], x)[0]

            y, pull = jax.vjp(outputs, x, trained)
            results.append((y, *pull(np.resize(slope, y.shape))))
        return results

    inputs = [x for *_, x in found]
    weights = [[w.value for w in layer.trainable_variables] for _, _, layer, _ in found]
    for (given, ours, layer, x), slope, (y, dx, dw) in zip(
        found, slopes, jax.jit(theirs)(inputs, weights), strict=True
    ):
        with gpudl.GradientTape() as tape:
            at = gpudl.convert_to_tensor(x)
            tape.watch(at)
            mine = ours(at)
            loss = ops.sum(mine * np.resize(slope, y.shape))
        said = f"{name}({given})"
        np.testing.assert_allclose(mine.numpy(), y, rtol=2e-5, atol=2e-5, err_msg=said)
        for one, other in zip(tape.gradient(loss, [at, *ours.trainable_weights]), [dx, *dw], strict=True):
            np.testing.assert_allclose(one.numpy(), other, rtol=1e-4, atol=1e-4, err_msg=said)
        free = (None, *x.shape[1:])
        assert ours.compute_output_shape(free) == tuple(layer.compute_output_shape(free)) == (None, *y.shape[1:]), said
        assert ours.supports_masking == layer.supports_masking
        config = {key: plain(value) for key, value in layer.get_config().items() if key not in ("name", "dtype")}
        assert {key: plain(value) for key, value in ours.get_config().items() if key in config} == {
            key: value for key, value in config.items() if not isinstance(value, dict)
        } | {key: plain(ours.get_config()[key]) for key, value in config.items() if isinstance(value, dict)}, said
