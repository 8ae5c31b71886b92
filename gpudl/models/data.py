"""From what a user passes as data to the batches of a step.

Arrays lie on the device as a whole, as they are, and a step receives `feeds.Rows`: which rows of them make its
batch. Generators and other iterables pass their batches through.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np

from gpudl import backend
from gpudl.engine.tree import map_leaves
from gpudl.models.arrays import (
    PARTS,
    Data,
    as_arrays,
    class_weights,
    fed_dtype,
    in_rows,
    one_length,
    require_counts,
    trimmed,
    unpacked,
)
from gpudl.models.feeds import Cursor, Rows


class ArrayBatches:
    """Batches of arrays that lie on the device.

    Args:
        data: (x,), (x, y) or (x, y, sample_weight), nests of arrays with one length.
        batch_size: rows a batch; the last one may be smaller.
        shuffle: whether each pass takes the rows in a new order, from NumPy's global generator.
    """

    def __init__(self, data: Data, batch_size: int, shuffle: bool = False) -> None:
        self.data = map_leaves(in_rows, data) if shuffle else data
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.samples = one_length(data)
        self.steps: int | None = -(-self.samples // batch_size)

    def epoch(self) -> Iterator[Data]:
        """Yield the batches of one pass: one nest of feeds over and over, as long as the number of rows is the same."""
        on = backend.current()
        order = on.asarray(np.random.permutation(self.samples)) if self.shuffle else None
        cursor, batch = self._batch(min(self.batch_size, self.samples))
        for start in range(0, self.samples, self.batch_size):
            if self.samples - start < cursor.count:
                cursor, batch = self._batch(self.samples - start)
            cursor.move(start, order)
            yield batch

    def _batch(self, count: int) -> tuple[Cursor, Data]:
        cursor = Cursor(count, self.shuffle)
        return cursor, tuple(map_leaves(lambda a: Rows(a, cursor), part) for part in self.data)

    def first(self) -> Data:
        """Return a batch such as the first one, to learn its shapes from."""
        return self._batch(min(self.batch_size, self.samples))[1]

    def split(self, fraction: float, batch_size: int | None) -> tuple[ArrayBatches, ArrayBatches]:
        """Return the batches without the last `fraction` of the samples, and those of that part, in order."""
        if not isinstance(fraction, int | float | np.number) or not 0 < fraction < 1:
            raise ValueError(f"validation_split must be a share between 0 and 1, got {fraction!r}.")
        at = int(np.floor(self.samples * (1 - fraction)))
        if not 0 < at < self.samples:
            raise ValueError(
                f"validation_split={fraction} of {self.samples} samples leaves an empty part: "
                "it must leave at least one sample on each side."
            )
        kept = map_leaves(lambda a: a[:at], self.data)
        held_out = map_leaves(lambda a: a[at:], self.data)
        return (
            ArrayBatches(kept, self.batch_size, self.shuffle),
            ArrayBatches(held_out, batch_size or self.batch_size),
        )


class StreamBatches:
    """Batches that an iterable brings; a generator is used up, other iterables begin again each epoch."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.steps: int | None = len(source) if hasattr(source, "__len__") else None

    def first(self) -> Data:
        """Return the first batch; a generator will bring it once more."""
        nothing = object()
        if isinstance(self.source, Iterator):
            item = next(self.source, nothing)
            self.source = chain([item], self.source)
        else:
            item = next(iter(self._items()), nothing)
        if item is nothing:
            raise ValueError(f"there is no data: the {type(self.source).__name__} brought no batch.")
        return _checked(item)

    def _items(self) -> Iterable[Any]:
        if hasattr(self.source, "__getitem__") and self.steps is not None:
            return (self.source[i] for i in range(self.steps))
        items: Iterable[Any] = self.source
        return items

    def epoch(self) -> Iterator[Data]:
        """Yield the batches of one pass."""
        return (_checked(item) for item in self._items())


def _checked(item: Any) -> Data:
    """Return one batch that an iterable brought as arrays of one length, in the dtypes of a step."""
    x, y, weight = unpacked(tuple(item) if isinstance(item, list) else item)
    y = None if y is None else as_arrays(y, "y")
    weight = None if weight is None else as_arrays(weight, "sample_weight")
    data = trimmed(as_arrays(x, "x"), y, weight)
    one_length(data)
    return tuple(map_leaves(lambda a: a.astype(fed_dtype(a.dtype), copy=False), part) for part in data)


Batches = ArrayBatches | StreamBatches


def batches(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    shuffle: bool = False,
) -> Batches:
    """Return the batches of whatever `fit`, `evaluate` or `predict` were given."""
    require_counts(1, batch_size=batch_size)
    if _is_stream(x):
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(f"{name} cannot be given beside a generator: let it yield (x, y, weights).")
        return StreamBatches(x)
    if x is None:
        raise ValueError("x is missing: pass the inputs, an array or an iterable of batches.")
    if sample_weight is not None and y is None:
        raise ValueError("sample_weight weighs the loss of targets, but no y was given.")
    x = as_arrays(x, "x")
    y = None if y is None else as_arrays(y, "y")
    weight = None if sample_weight is None else as_arrays(sample_weight, "sample_weight")
    return ArrayBatches(trimmed(x, y, weight), int(batch_size or 32), shuffle)


def by_class(source: Batches, weights: dict[int, float] | None) -> Batches:
    """Return batches in which each sample has the weight of its class; they are as they were without `weights`."""
    if weights is None:
        return source
    if not isinstance(source, ArrayBatches) or len(source.data) != 2 or not hasattr(source.data[1], "dtype"):
        raise ValueError(
            "class_weight needs y as an array, and cannot be given together with sample_weight. Multiply the two, and "
            "give sample_weight."
        )
    x, y = source.data
    return ArrayBatches((x, y, backend.current().asarray(class_weights(y, weights))), source.batch_size, source.shuffle)


def validation_batches(data: Any, batch_size: int | None) -> Batches | None:
    """Return the batches of what `fit` was given as ``validation_data``; None for none."""
    if data is None:
        return None
    if isinstance(data, tuple | list) and 1 < len(data) <= len(PARTS):
        return batches(*data, batch_size=batch_size)
    if not _is_stream(data):
        raise ValueError(
            "validation_data expected (x, y) or (x, y, sample_weight), or an iterable of such batches, got "
            f"{type(data).__name__}."
        )
    return batches(data)


def _is_stream(x: Any) -> bool:
    plain = hasattr(x, "dtype") or hasattr(x, "to_numpy") or isinstance(x, list | tuple | dict | str | int | float)
    return not plain and (isinstance(x, Iterable) or hasattr(x, "__getitem__"))


class Epochs:
    """The batches of one epoch after another, each of `steps` batches where that is given."""

    def __init__(self, source: Batches, steps: int | None) -> None:
        self.source = source
        self.steps = steps if steps is not None else source.steps
        self._limited = steps is not None
        self._endless = self._forever() if self._limited else iter(())

    def _forever(self) -> Iterator[Data]:
        while True:
            count = 0
            for data in self.source.epoch():
                count += 1
                yield data
            if not count or (isinstance(self.source, StreamBatches) and self.source.steps is None):
                return

    def next(self) -> Iterator[Data]:
        """Yield the batches of the next epoch; warns when a generator ends too early."""
        count = 0
        for data in islice(self._endless, self.steps) if self._limited else self.source.epoch():
            count += 1
            yield data
        if count < (self.steps or 1):
            warnings.warn(
                f"the data ended after {count} of {self.steps or 'the next'} steps: a generator can be gone through "
                "only once. Let it go on for steps_per_epoch * epochs batches, or pass something that can begin again.",
                stacklevel=2,
            )
