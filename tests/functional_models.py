"""Functional models of several kinds, of gpudl or of Keras, and inputs for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gpudl

rng = np.random.default_rng(0)
X, Z = rng.random((40, 4), dtype=np.float32), rng.random((40, 4), dtype=np.float32)
Y = rng.random((40, 1), dtype=np.float32)


def branches(of: Any = gpudl) -> Any:
    """Return a model of two inputs with a shared layer, plain ops, a branch and two outputs."""
    a, b = of.Input((4,)), of.Input((4,), name="side")
    shared = of.layers.Dense(4, activation="tanh")
    z = of.layers.Dense(3, activation="relu", name="mid")(shared(a) + shared(b))
    w = of.ops.mean(z, axis=-1, keepdims=True) * 2.0
    first = of.layers.Dense(1, name="first")(z)
    second = of.layers.Dense(2, name="second")(of.ops.concatenate([z, w], axis=-1))
    return of.Model([a, b], [first, second])


def one_output(of: Any = gpudl) -> Any:
    """Return the first half of `branches`."""
    model = branches(of)
    return of.Model(model.input, model.output[0])


def image(of: Any = gpudl) -> Any:
    """Return a residual network."""
    x = of.Input((8, 8, 3), name="img")
    c = of.layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    c = of.ops.add(c, of.layers.Conv2D(4, 3, padding="same")(c))
    c = of.layers.BatchNormalization()(of.layers.MaxPooling2D()(c))
    return of.Model(x, of.layers.Dense(3, "softmax")(of.layers.Flatten()(c / 2)), name="residual")


def nested(of: Any = gpudl) -> Any:
    """Return a model that calls another one twice, and takes and returns dicts."""
    i = of.Input((4,), name="i")
    inner = of.Model(i, of.layers.Dense(2)(of.layers.Dense(5, "relu")(i)), name="inner")
    j, k = of.Input((4,), name="j"), of.Input((4,), name="k")
    r = inner(j) - inner(2 * k)
    return of.Model({"k": k, "j": j}, {"r": r, "q": of.layers.Activation("relu")(r)})


def sequence(of: Any = gpudl) -> Any:
    """Return a model of sequences of any length."""
    x = of.Input((None, 4))
    h = of.layers.Dense(5, "tanh")(x)
    return of.Model(x, of.layers.Dense(1)(of.ops.max(h, axis=1) + h[:, -1]))


MAKERS: dict[str, Callable[..., Any]] = {
    "branches": branches,
    "one output": one_output,
    "image": image,
    "nested": nested,
    "sequence": sequence,
}
INPUTS: dict[str, Any] = {
    "branches": [X, Z],
    "one output": [X, Z],
    "image": rng.random((40, 8, 8, 3), dtype=np.float32),
    "nested": {"j": X, "k": Z},
    "sequence": rng.random((40, 6, 4), dtype=np.float32),
}


def leaves(nest: Any) -> list[Any]:
    """Return the arrays in a nest, those of a dict in the order of its keys."""
    if isinstance(nest, dict):
        nest = [nest[key] for key in sorted(nest)]
    return [leaf for item in nest for leaf in leaves(item)] if isinstance(nest, list | tuple) else [nest]
