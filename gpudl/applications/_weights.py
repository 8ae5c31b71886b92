"""Files of weights: gpudl's and Keras 3's, and those of older versions, as networks were published in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from gpudl.models import Model

if TYPE_CHECKING:
    import h5py


def load(model: Model, path: str | os.PathLike[str]) -> None:
    """Set all weights of a model from a file; raise ValueError if they do not fit, before any is set."""
    if os.fspath(path).endswith(".weights.h5"):
        model.load_weights(path)
        return
    import h5py

    with h5py.File(path, "r") as file:
        root = file["model_weights"] if "layer_names" not in file.attrs and "model_weights" in file else file
        if "layer_names" not in root.attrs:
            raise ValueError(f"{path} is not a file of weights: it does not list the names of layers.")
        stored = [(name, arrays) for name in _texts(root, "layer_names") if (arrays := _arrays(root[name]))]
    # What is trained comes first in such a file.
    own = [
        (layer, weights)
        for layer in model.layers
        if (weights := [*layer.trainable_weights, *layer.non_trainable_weights])
    ]
    if len(stored) != len(own):
        raise ValueError(f"{path} has weights of {len(stored)} layers, but {model.name!r} of {len(own)}.")
    for (name, arrays), (layer, weights) in zip(stored, own, strict=True):
        shapes = [array.shape for array in arrays], [weight.shape for weight in weights]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{path} does not fit: its layer {name!r} has {shapes[0]}, {layer.name!r} {shapes[1]}.")
    for (_, arrays), (_, weights) in zip(stored, own, strict=True):
        for array, weight in zip(arrays, weights, strict=True):
            weight.assign(array)


def _texts(group: h5py.Group, name: str) -> list[str]:
    return [text.decode() if isinstance(text, bytes) else str(text) for text in group.attrs[name]]


def _arrays(group: h5py.Group) -> list[np.ndarray]:
    return [np.asarray(group[name]) for name in _texts(group, "weight_names")]
