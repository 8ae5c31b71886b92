"""From what a user passes to `fit`, `evaluate` and `predict` to arrays on the device, checked on the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpudl import backend, config
from gpudl.backend import Array
from gpudl.engine.spec import is_number
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import flatten, map_leaves

Data = tuple[Any, ...]
PARTS = ("x", "y", "sample_weight")


def fed_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype in which a step receives data of `dtype`: `config.floatx` for float64, else the same.

    Only batches are cast, and turned from another byte order; the data stay as the user has them.
    """
    return config.float_dtype() if dtype == np.float64 else dtype.newbyteorder("=")


def as_array(value: Any, name: str) -> Array:
    """Return data of NumPy, CuPy, pandas, tensors or lists as an array where they are, uncopied if it can be.

    Args:
        value: the data; the first axis counts the samples.
        name: what the user calls it, for errors.

    Raises:
        ValueError: text or objects, a single number, or no samples at all.
    """
    on = backend.current()
    if isinstance(value, Tensor):
        value = value.array()
    elif hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if not on.owns(value):
        try:
            value = backend.get("numpy").asarray(value)
        except ValueError as error:  # from NumPy, whose text says where the rows differ
            raise ValueError(f"{name} is no table of numbers, its rows differ in length: {error}") from error
    if not is_number(value.dtype):
        raise ValueError(
            f"{name} has dtype {value.dtype}, expected numbers. Convert text and objects first, for example "
            "categories to integers, and a table of mixed columns column by column."
        )
    if value.ndim == 0 or value.shape[0] == 0:
        raise ValueError(f"{name} has shape {value.shape}: expected at least one sample along the first axis.")
    return value


def on_device(array: Array) -> Array:
    """Return `array` on the current device; a copy is cast on the way, for it has the memory for no more."""
    on = backend.current()
    return array if on.owns(array) else on.asarray(array.astype(fed_dtype(array.dtype), copy=False))


def placed(data: Data) -> Data:
    """Return nests of arrays on the current device, or all on the host where the device cannot hold those of it."""
    on = backend.current()
    arriving = [a for a in flatten(data)[0] if not on.owns(a)]
    if on.holds(sum(a.size * fed_dtype(a.dtype).itemsize for a in arriving)):
        return tuple(map_leaves(on_device, part) for part in data)
    return tuple(map_leaves(lambda a: backend.get("numpy").asarray(a), part) for part in data)


def in_rows(array: Array) -> Array:
    """Return `array` itself, or a copy in the dtype of a step if its samples lie interleaved, as in a table by columns.

    To pick samples out of such memory in a random order misses the cache at every number, which takes several times as
    long as a step; the copy is made once.
    """
    step = abs(array.strides[0])
    interleaved = any(
        0 < step < abs(stride) for stride, size in zip(array.strides, array.shape, strict=True) if size > 1
    )
    return array.astype(fed_dtype(array.dtype), order="C") if interleaved else array


def as_arrays(value: Any, name: str) -> Any:
    """Return a nest of data (a dict, a tuple, or a list of arrays) with every leaf as an array."""
    if isinstance(value, list) and not any(hasattr(item, "shape") for item in value):
        return as_array(value, name)
    if isinstance(value, dict | list | tuple):
        return map_leaves(lambda leaf: as_array(leaf, name), value)
    return as_array(value, name)


def trimmed(x: Any, y: Any, sample_weight: Any) -> Data:
    """Return (x,), (x, y) or (x, y, sample_weight), as far as there is something."""
    if sample_weight is not None:
        return (x, y, sample_weight)
    return (x, y) if y is not None else (x,)


def unpacked(data: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample weights of what a step received; None for what is missing."""
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= len(PARTS):
        raise ValueError(f"a batch is x, (x, y) or (x, y, sample_weight), got {len(data)} parts.")
    return (*data, None, None)[:3]


def class_weights(y: Any, weights: dict[int, float]) -> np.ndarray:
    """Return the weight of each sample's class, for integer labels or one-hot rows; 1 for a class without one."""
    if not isinstance(weights, dict) or not weights or not all(map(_is_class_weight, weights, weights.values())):
        raise ValueError(
            f"class_weight expected a dict such as {{0: 1.0, 1: 2.5}}, of numbers by class, got {weights!r}."
        )
    labels = np.asarray(backend.of(y).to_host(y))
    if labels.ndim > 1:
        labels = labels.argmax(axis=-1) if labels.shape[-1] > 1 else labels[..., 0]
    table = np.ones(max(int(labels.max()), *(int(c) for c in weights)) + 1, np.float32)
    for label, weight in weights.items():
        table[int(label)] = weight
    return table[labels.astype(np.int64)]


def _is_class_weight(label: Any, weight: Any) -> bool:
    number = isinstance(weight, int | float | np.number) and bool(np.isfinite(weight))
    return number and isinstance(label, int | np.integer) and bool(label >= 0)


def one_length(data: Data) -> int:
    """Return the number of samples; raises ValueError when it differs from part to part."""
    lengths: list[tuple[str, int]] = [
        (name, leaf.shape[0]) for name, part in zip(PARTS, data, strict=False) for leaf in flatten(part)[0]
    ]
    if len({n for _, n in lengths}) > 1:
        listed = ", ".join(f"{name} has {n}" for name, n in lengths)
        raise ValueError(f"the data differ in their numbers of samples: {listed}. Each sample needs its own.")
    return lengths[0][1]


def require_counts(least: int, *, optional: bool = True, **counts: Any) -> None:
    """Raise ValueError unless each of `counts` is an integer of at least `least`, or None where it is optional."""
    for name, value in counts.items():
        if not (optional and value is None) and (not isinstance(value, int | np.integer) or value < least):
            kind = "a positive integer" if least else "0 or a positive integer"
            raise ValueError(f"{name} must be {kind}, got {value!r}.")
