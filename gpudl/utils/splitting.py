"""Splitting data in two."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from gpudl.engine.tree import flatten, map_leaves
from gpudl.utils.elements import Element
from gpudl.utils.pipeline import Dataset

Arrays = NDArray[np.generic] | list[NDArray[np.generic]] | tuple[NDArray[np.generic], ...]


def split_dataset(
    dataset: Dataset | Arrays,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Dataset, Dataset]:
    """Return the samples of data in two parts, such as for training and for testing.

    Args:
        dataset: an array, a list or tuple of arrays of one length, or a data set, whose samples are kept in memory.
        left_size: the share, a float between 0 and 1, or the number of samples that go to the first part; None for
            those that are not in the other.
        right_size: the same for the second part, whose samples are the last ones.
        shuffle: whether to shuffle all samples first.
        seed: of that order.
        preferred_backend: accepted, without effect.

    Returns:
        Two data sets; those of a batched one are batched like it.

    Raises:
        TypeError: data or a size of another type.
        ValueError: no size, one out of range, or arrays of several lengths.

    Example:
        >>> left, right = split_dataset(np.arange(10), left_size=0.8)
        >>> len(left), [int(x) for x in right.as_numpy_iterator()]
        (8, [8, 9])
    """
    batch_size = dataset.batch_size if isinstance(dataset, Dataset) else None
    samples = _samples(dataset, batch_size)
    count = len(flatten(samples)[0][0])
    left, right = _sizes(left_size, right_size, count)
    order = list(range(count))
    if shuffle:
        random.Random(random.randint(0, 10**6) if seed is None else seed).shuffle(order)
    parts = []
    for numbers in (order[:left], order[count - right :]):
        part = Dataset.from_tensor_slices(map_leaves(lambda array, at=numbers: array[at], samples))
        parts.append(part if batch_size is None else part.batch(batch_size))
    return parts[0], parts[1]


def _samples(dataset: Dataset | Arrays, batch_size: int | None) -> Element:
    """Return a nest of arrays whose rows are the samples."""
    if isinstance(dataset, Dataset):
        rows = dataset if batch_size is None else dataset.unbatch()
        elements = list(rows.as_numpy_iterator())
        if not elements:
            raise ValueError("split_dataset: the data set has no samples.")
        columns = zip(*(flatten(element)[0] for element in elements), strict=True)
        arrays = iter([np.stack(column) for column in columns])
        return map_leaves(lambda _: next(arrays), elements[0])
    if isinstance(dataset, np.ndarray):
        return dataset
    if not isinstance(dataset, list | tuple):
        raise TypeError(
            "split_dataset takes an array, a list or tuple of arrays, or a data set of gpudl, "
            f"got {type(dataset).__name__}."
        )
    if not dataset or not all(isinstance(array, np.ndarray) for array in dataset):
        raise ValueError("split_dataset: a list or tuple must hold NumPy arrays, and at least one.")
    if len({len(array) for array in dataset}) > 1:
        raise ValueError(f"split_dataset: the arrays have different lengths: {[len(array) for array in dataset]}.")
    return tuple(dataset)


def _sizes(left_size: float | None, right_size: float | None, count: int) -> tuple[int, int]:
    """Return how many of `count` samples each part has."""
    if left_size is None and right_size is None:
        raise ValueError("split_dataset: pass left_size or right_size.")
    left, right = _size("left_size", left_size, count), _size("right_size", right_size, count)
    if left is None:
        left = count - (right or 0)
    if right is None:
        right = count - left
    if left + right > count:
        raise ValueError(f"split_dataset: left_size={left_size} and right_size={right_size} exceed {count} samples.")
    if not left or not right:
        raise ValueError(f"split_dataset: of {count} samples a part would get none. Pass other sizes.")
    return left, right


def _size(name: str, value: float | None, count: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"split_dataset: {name} must be an integer, a float or None, got {value!r}.")
    most = 1 if isinstance(value, float) else count
    if not 0 < value < most:
        raise ValueError(
            f"split_dataset: {name} must be a whole number below the {count} samples, or a share between 0 and 1, "
            f"got {value!r}."
        )
    return round(value * count) if isinstance(value, float) else value
