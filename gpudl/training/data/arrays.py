"""Conversion and checks of the arguments of `fit`, `evaluate` and `predict` to arrays on the device."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np

from gpudl import backend, config
from gpudl.backend import Array
from gpudl.engine.spec import is_floating, is_number
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves
from gpudl.training.data.sparse import SparseRows, is_sparse
from gpudl.utils.batch_parts import PARTS, unpack_x_y_sample_weight

Data: TypeAlias = Any
"""What a step gets: x, (x,), (x, y) or (x, y, sample_weight), each a nest of arrays, feeds or tensors; or a part.

The `train_step` of a subclass may say more exactly what it takes.
"""
ClassWeight: TypeAlias = Mapping[Any, float]
"""Weights by label, which are whole numbers of any kind."""
_LABELS = 2**63  # there is no label beyond


def fed_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype in which a step receives data of `dtype`: `config.floatx` for wide floats, else the same.

    Only batches are cast, or converted from another byte order; the user's data are not changed.
    """
    return config.float_dtype() if dtype.kind == "f" and dtype.itemsize > 4 else dtype.newbyteorder("=")


def as_array(value: Array, name: str) -> Array:
    """Return data of NumPy, CuPy, pandas, SciPy, tensors or lists as an array on their device, if possible uncopied.

    Sparse matrices become `SparseRows`.

    Args:
        value: the data; the first axis counts the samples.
        name: the name of the argument, for errors.

    Raises:
        ValueError: text or objects, a single number, or no samples at all.
    """
    on, given = backend.current(), value
    if hasattr(value, "detach"):  # a tensor of PyTorch, which may require gradients
        value = value.detach()
    if is_sparse(value):
        value = SparseRows(value)
    elif isinstance(value, Tensor):
        value = value.array()
    elif hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if hasattr(value, "__cuda_array_interface__") and not on.owns(value):
        value = on.asarray(value) if on.captures else value.cpu() if hasattr(value, "cpu") else value
    if not on.owns(value) and not isinstance(value, SparseRows):
        try:
            value = backend.get("numpy").asarray(value)
        except ValueError as error:  # from NumPy, whose message says where the rows differ
            raise ValueError(f"{name} is no table of numbers, its rows differ in length: {error}") from error
    value = _without_objects(value)
    if not is_number(value.dtype):
        if value.ndim == 0:
            raise ValueError(
                f"{name} is {reprlib.repr(given)}, of type {type(given).__name__}: expected an array of numbers, or an "
                "iterable of batches."
            )
        raise ValueError(
            f"{name} has dtype {value.dtype}, expected numbers. Convert text and objects first, for example "
            "categories to integers by layers.StringLookup, and a table of mixed columns column by column; or begin a "
            'model with Input(dtype="string") and such a layer.'
        )
    if value.ndim == 0 or value.shape[0] == 0:
        raise ValueError(f"{name} has shape {value.shape}: expected at least one sample along the first axis.")
    return value


def _without_objects(array: Array) -> Array:
    """Return objects that are numbers as an array of numbers, and anything else unchanged."""
    if array.dtype == object:
        with suppress(ValueError):  # rows of different lengths
            plain = np.array(array.tolist())
            if plain.shape == array.shape and is_number(plain.dtype):
                return plain
    return array


def home(array: Array) -> backend.Backend:
    """Return the backend of data; that of sparse rows is the host."""
    return backend.get("numpy") if isinstance(array, SparseRows) else backend.of(array)


def dense(array: Array) -> Array:
    """Return sparse rows as one dense array, and an array unchanged."""
    return array[:] if isinstance(array, SparseRows) else array


def on_device(array: Array) -> Array:
    """Return `array` on the current device; a copy is cast, so that it needs no further memory."""
    on, array = backend.current(), dense(array)
    return array if on.owns(array) else on.asarray(array.astype(fed_dtype(array.dtype), copy=False))


def map_arrays(function: Callable[[Array], object], data: Data) -> Data:
    """Return nests of data with `function` applied to each array; None stays None."""
    return map_leaves(lambda leaf: None if leaf is None else function(leaf), data)


def placed(data: Data) -> Data:
    """Return nests of arrays on the current device, or all on the host if they do not fit on the device."""
    on = backend.current()
    arriving = [a for a in flatten(data)[0] if a is not None and not on.owns(a)]
    if not arriving:
        return data
    host = backend.get("numpy")
    if any(isinstance(a, SparseRows) for a in arriving):
        return map_arrays(lambda a: a if isinstance(a, SparseRows) else host.asarray(a), data)
    if on.holds(sum(a.size * fed_dtype(a.dtype).itemsize for a in arriving)):
        return map_arrays(on_device, data)
    return map_arrays(host.asarray, data)


def in_rows(array: Array) -> Array:
    """Return `array` itself, or a copy in the dtype of a step if its samples are interleaved, as in a table by columns.

    Gathering samples from such memory in random order misses the cache at every element, which takes several times as
    long as a step; the copy is made once.
    """
    if isinstance(array, SparseRows):
        return array
    step = abs(array.strides[0])
    interleaved = any(
        0 < step < abs(stride) for stride, size in zip(array.strides, array.shape, strict=True) if size > 1
    )
    return array.astype(fed_dtype(array.dtype), order="C") if interleaved else array


def as_arrays(value: object, name: str) -> Nest[Array]:
    """Return a nest of data (a dict, or a list or tuple of arrays) with every leaf as an array.

    Lists and tuples that hold numbers only, however nested, are one array. None in a nest stays None: an input or
    weights that an output does without.
    """
    if isinstance(value, dict):
        return {key: item if item is None else as_arrays(item, name) for key, item in value.items()}
    if isinstance(value, list | tuple) and any(map(_is_data, flatten(value)[0])):
        items = [item if item is None else as_arrays(item, name) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    return as_array(value, name)


def _is_data(leaf: object) -> bool:
    return getattr(leaf, "shape", ()) != () or hasattr(leaf, "to_numpy")


def class_weights(y: Array, weights: object) -> np.ndarray:
    """Return the weight of each sample's class, for labels or one-hot rows; 1 for a class without one.

    Args:
        y: labels of any numeric dtype, rounded to integers, or one-hot rows.
        weights: weights by label; 1 and 1.0 are the same label.

    Raises:
        ValueError: it is not a dict, a label is not an integer, or a weight is not a finite number.
    """
    if not isinstance(weights, dict) or not all(map(_is_class_weight, weights, weights.values())):
        raise ValueError(
            "class_weight expected a dict such as {0: 1.0, 1: 2.5}, of finite numbers by whole numbers, got "
            f"{reprlib.repr(weights)}."
        )
    y = dense(y)
    labels = np.asarray(backend.of(y).to_host(y))
    if labels.ndim > 1:
        labels = labels.argmax(axis=-1) if labels.shape[-1] > 1 else labels[..., 0]
    if is_floating(labels.dtype):
        labels = np.rint(labels.astype(np.float64))
    known = sorted((int(label), float(weight)) for label, weight in weights.items() if abs(label) < _LABELS)
    numbers = np.array([label for label, _ in known] or [0], np.int64)
    factors = np.array([weight for _, weight in known] or [1], np.float32)
    nearest = np.minimum(np.searchsorted(numbers, labels), len(numbers) - 1)
    return np.where(numbers[nearest] == labels, factors[nearest], np.float32(1))


def _is_class_weight(label: object, weight: object) -> bool:
    whole = isinstance(label, int | np.integer) or (
        isinstance(label, float | np.floating) and float(label).is_integer()
    )
    return whole and isinstance(weight, int | float | np.number) and bool(np.isfinite(weight))


def one_length(data: Data) -> int:
    """Return the number of samples; raise ValueError if it differs between parts."""
    lengths: list[tuple[str, int]] = [
        (name, leaf.shape[0])
        for name, part in zip(PARTS, unpack_x_y_sample_weight(data), strict=True)
        for leaf in flatten(part)[0]
        if leaf is not None
    ]
    if len({n for _, n in lengths}) > 1:
        listed = ", ".join(f"{name} has {n}" for name, n in lengths)
        raise ValueError(f"the data differ in their numbers of samples: {listed}. Each sample needs its own.")
    return lengths[0][1]


def require_counts(least: int, *, optional: bool = True, **counts: object) -> None:
    """Raise ValueError unless each of `counts` is an integer of at least `least`, or, if optional, None."""
    for name, value in counts.items():
        if not (optional and value is None) and (not isinstance(value, int | np.integer) or value < least):
            kind = "a positive integer" if least else "0 or a positive integer"
            raise ValueError(f"{name} must be {kind}, got {value!r}.")


def weighted_by_class(data: Data, weights: ClassWeight) -> Data:
    """Return (x, y, sample_weight) for (x, y), in which each sample has the weight of its class."""
    x, y, sample_weight = unpack_x_y_sample_weight(data)
    labels = flatten(y)[0]
    if y is None or len(labels) != 1 or sample_weight is not None:
        raise ValueError(
            "class_weight needs y as an array, and cannot be given together with sample_weight. Multiply the two, and "
            "give sample_weight; for several outputs one array of weights for each."
        )
    return x, y, class_weights(labels[0], weights)
