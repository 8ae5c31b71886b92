"""Models with a layer each, of every layer: what exports agrees with onnxruntime, and what does not says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import image_layer_cases
import numpy as np
from layer_cases import CASES

from gpudl import Input, Model, Sequential, layers

Array = np.ndarray
RNG = np.random.default_rng(3)
ROWS = RNG.normal(size=(3, 5, 4)).astype(np.float32)
NUMBERS = RNG.integers(0, 4, (3, 5)).astype(np.int32)
IMAGES = RNG.normal(size=(3, 3, 6, 5, 2)).astype(np.float32)


@dataclass
class Case:
    """A model of one layer, and what it is run on."""

    kind: str
    make: Callable[[], Model]
    xs: tuple[Array, ...]

    def __str__(self) -> str:
        return self.kind


def of(kind: str, *xs: Array, listed: bool = False, **options: Any) -> Case:
    """Return the case of a layer that is called on symbols for `xs`, one by one or in a list."""

    def make() -> Model:
        ins = [Input(x.shape[1:], dtype=x.dtype.name) for x in xs]
        made = getattr(layers, kind)(**options)
        return Model(ins, made(ins if listed else ins[0], *([] if listed else ins[1:])))

    return Case(kind, make, xs)


def around(kind: str, x: Array, make: Callable[[], Any], *others: Any, **options: Any) -> Case:
    """Return the case of a layer around the one that `make` returns."""
    shape, dtype = x.shape[1:], x.dtype.name
    return Case(
        kind, lambda: Sequential([Input(shape, dtype=dtype), *others, getattr(layers, kind)(make(), **options)]), (x,)
    )


def masked(kind: str, **options: Any) -> Case:
    """Return the case of a layer behind a mask of the numbers that are not 0."""
    behind = layers.Embedding(4, 3, mask_zero=True)
    made = getattr(layers, kind)(3, **options)
    return Case(kind, lambda: Sequential([Input((5,), dtype="int32"), behind, made]), (NUMBERS,))


def _from_layer_cases() -> Iterator[Case]:
    for case in CASES:
        if not case.training:
            yield Case(case.kind, lambda c=case: Sequential([Input(c.shape[1:]), c.layer()]), (case.inputs(),))


def _recurrent() -> Iterator[Case]:
    for kind in ("LSTM", "GRU", "SimpleRNN"):
        biased = {"units": 3, "bias_initializer": "glorot_uniform"}
        yield of(kind, ROWS, **biased)
        yield of(kind, ROWS, **biased, return_sequences=True, return_state=True, go_backwards=True)
        yield of(kind, ROWS, **biased, activation="relu", unroll=True, return_sequences=True)
        yield masked(kind, return_sequences=True, go_backwards=True)
        yield around("RNN", ROWS, lambda kind=kind: getattr(layers, f"{kind}Cell")(3), return_sequences=True)
    yield of("GRU", ROWS, units=3, reset_after=False)
    yield around("RNN", ROWS, lambda: layers.StackedRNNCells([layers.LSTMCell(3), layers.GRUCell(2)]))
    yield around("Bidirectional", ROWS, lambda: layers.LSTM(3, return_sequences=True))
    yield around("TimeDistributed", IMAGES, lambda: layers.Conv2D(3, 3))
    for axes in (1, 2, 3):
        images = RNG.normal(size=(2, 3, *(4, 3, 4)[:axes], 2)).astype(np.float32)
        yield of(f"ConvLSTM{axes}D", images, filters=2, kernel_size=2, return_sequences=True)


def _attention() -> Iterator[Case]:
    keys = RNG.normal(size=(3, 6, 4)).astype(np.float32)
    yield of("MultiHeadAttention", ROWS, keys, num_heads=2, key_dim=3)
    yield of("GroupedQueryAttention", ROWS, keys, head_dim=3, num_query_heads=4, num_key_value_heads=2)
    yield of("Attention", ROWS, keys, listed=True, use_scale=True)
    yield of("Attention", ROWS, keys, listed=True, score_mode="concat")
    yield of("AdditiveAttention", ROWS, keys, listed=True)


def _others() -> Iterator[Case]:
    for kind in ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"):
        yield of(kind, ROWS, ROWS[::-1].copy(), listed=True)
    yield of("Dot", ROWS, ROWS[::-1].copy(), listed=True, axes=2)
    yield of("Embedding", NUMBERS, input_dim=4, output_dim=3)
    yield of("ReversibleEmbedding", NUMBERS, input_dim=4, output_dim=3)
    yield around("SpectralNormalization", ROWS, lambda: layers.Dense(3))
    yield of("CategoryEncoding", NUMBERS[:, :1], num_tokens=4, output_mode="one_hot")
    for mode in ("multi_hot", "count"):
        yield of("CategoryEncoding", NUMBERS, num_tokens=4, output_mode=mode)
    yield of("Discretization", ROWS, bin_boundaries=[-0.5, 0.0, 1.0])
    yield of("Normalization", ROWS, mean=0.5, variance=2.0)
    yield of("Rescaling", ROWS, scale=2.0, offset=1.0)
    yield of("Pipeline", ROWS, layers=[layers.Rescaling(0.5)])
    for kind in (*image_layer_cases.LAYERS, *image_layer_cases.OTHERS):
        yield of(kind, image_layer_cases.pictures(), **image_layer_cases.drawn(kind))


ALL = [*_from_layer_cases(), *_recurrent(), *_attention(), *_others()]

INSIDE = {
    **dict.fromkeys(("InputLayer", "Layer", "Wrapper"), "what layers are made of"),
    **dict.fromkeys(("GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"), "in an RNN"),
}
"""Layers that have no case of their own: they are in those of others."""

ON_HOST = {
    "Hashing": lambda: Sequential([Input((1,), dtype="int32"), layers.Hashing(5)]),
    "HashedCrossing": lambda: _crossed([Input((1,), dtype="int32"), Input((1,), dtype="int32")]),
    "IntegerLookup": lambda: Sequential([Input((1,), dtype="int32"), layers.IntegerLookup(vocabulary=[1, 2])]),
    "StringLookup": lambda: Sequential([Input((1,), dtype="string"), layers.StringLookup(vocabulary=["a", "b"])]),
    "TextVectorization": lambda: Sequential([Input((1,), dtype="string"), layers.TextVectorization(vocabulary=["a"])]),
}
"""Models that begin with a layer that works on the host, for which there are no operators."""


def _crossed(ins: list[Any]) -> Model:
    return Model(ins, layers.HashedCrossing(5)(ins))
