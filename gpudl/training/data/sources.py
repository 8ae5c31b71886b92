"""Sources of the batches of steps: arrays and iterables.

Arrays are kept on the device as a whole, in their own dtype, and a step receives `batch_inputs.Rows`, which gather its
batch from them. Batches of generators and other iterables are passed through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from gpudl import backend
from gpudl.backend import Array
from gpudl.engine.tree import flatten, map_leaves
from gpudl.training.data.arrays import (
    PARTS,
    Data,
    as_arrays,
    class_weights,
    home,
    in_rows,
    on_device,
    one_length,
    placed,
    require_counts,
    trimmed,
    unpacked,
)
from gpudl.training.data.batch_inputs import Cursor, Rows, cursor_of
from gpudl.training.data.sparse import is_sparse, some

Portion = tuple[Data, int]
"""A nest of feeds, and the number of consecutive batches that they provide."""


class ArrayBatches:
    """Batches of arrays on the device.

    Args:
        data: (x,), (x, y) or (x, y, sample_weight), nests of arrays of the same length.
        batch_size: rows per batch; the last one may be smaller. With None the rows are divided into `parts`, or 32 are
            used.
        shuffle: whether each pass has a new order of rows, from NumPy's global generator.
        parts: the number of steps into which all rows are divided if there is no `batch_size`.
    """

    def __init__(self, data: Data, batch_size: int | None, shuffle: bool = False, parts: int | None = None) -> None:
        self.data = map_leaves(in_rows, data) if shuffle else data
        self.samples = one_length(data)
        self.batch_size = int(batch_size or (32 if parts is None else -(-self.samples // parts)))
        self.shuffle = shuffle
        self._chosen, self._parts = batch_size, parts
        self.steps: int | None = -(-self.samples // self.batch_size)
        on = home(flatten(data)[0][0])
        # The order of the rows, if it is not consecutive.
        self._order: Array = on.xp.arange(self.samples) if shuffle or on.captures else None
        self._feeds: dict[int, tuple[Cursor, Data]] = {}  # by the rows of a batch

    def epoch(self) -> Iterator[Portion]:
        """Yield the batches of one pass, those with the same feeds together."""
        if self.shuffle:
            self._order[...] = backend.of(self._order).asarray(np.random.permutation(self.samples))
        whole, rest = divmod(self.samples, self.batch_size)
        for start, count, times in ((0, self.batch_size, whole), (self.samples - rest, rest, 1)):
            if count and times:
                cursor, batch = self._batch(count)
                cursor.begin(start)
                yield batch, times

    def _batch(self, count: int) -> tuple[Cursor, Data]:
        """Return the feeds of batches of `count` rows, the same ones each time; their position has to be set."""
        if count not in self._feeds:
            cursor = cursor_of(count, self._order, self.samples)
            batch = map_leaves(lambda a: Rows(a, cursor), self.data)
            self._feeds[count] = cursor, batch
        return self._feeds[count]

    again = True

    def ended(self) -> None:
        """Do nothing at the end of an epoch."""

    def first(self) -> Data:
        """Return a batch like the first one, for its shapes."""
        cursor, batch = self._batch(min(self.batch_size, self.samples))
        cursor.begin(0)
        return batch

    def split(
        self, fraction: float, batch_size: int | None, parts: int | None = None
    ) -> tuple[ArrayBatches, ArrayBatches]:
        """Return the batches without the last `fraction` of the samples, and those of that part, in order."""
        if not isinstance(fraction, int | float | np.number) or not 0 < fraction < 1:
            raise ValueError(f"validation_split must be a share between 0 and 1, got {fraction!r}.")
        at = int(np.floor(self.samples * (1 - fraction)))
        if not 0 < at < self.samples:
            raise ValueError(
                f"validation_split={fraction} of {self.samples} samples leaves an empty part: "
                "it must leave at least one sample on each side."
            )
        kept = map_leaves(lambda a: some(a, slice(at)), self.data)
        held_out = map_leaves(lambda a: some(a, slice(at, None)), self.data)
        return (
            ArrayBatches(kept, self._chosen, self.shuffle, self._parts),
            ArrayBatches(held_out, batch_size or self._chosen, parts=parts),
        )


class StreamBatches:
    """Batches of an iterable; a generator is consumed, other iterables restart each epoch.

    Args:
        source: yields x, (x, y) or (x, y, sample_weight).
        class_weight: a weight for each class, for batches without weights of their own.
    """

    def __init__(self, source: Any, class_weight: Any = None) -> None:
        self.source = source
        self.class_weight = class_weight
        self.steps = _length(source)
        self._kind = type(source).__name__

    @property
    def again(self) -> bool:
        """Whether it can be iterated over more than once."""
        return not isinstance(self.source, Iterator)

    def first(self) -> Data:
        """Return the first batch, which a generator will yield again."""
        nothing = object()
        if isinstance(self.source, Iterator):
            item = next(self.source, nothing)
            self.source = chain([item], self.source)
        else:
            item = next(iter(self._items()), nothing)
        if item is nothing:
            raise ValueError(f"there is no data: the {self._kind} brought no batch.")
        return self._checked(item)

    def _items(self) -> Iterable[object]:
        if hasattr(self.source, "__getitem__") and self.steps is not None:
            return (self.source[i] for i in range(self.steps))
        items: Iterable[Any] = self.source
        return items

    def epoch(self) -> Iterator[Portion]:
        """Yield the batches of one pass."""
        return ((self._checked(item), 1) for item in self._items())

    def ended(self) -> None:
        """Notify the source of the end of an epoch, for example to shuffle."""
        getattr(self.source, "on_epoch_end", lambda: None)()

    def _checked(self, item: Any) -> Data:
        """Return a batch of the source as arrays of the same length, in the dtypes of a step."""
        x, y, weight = unpacked(tuple(item) if isinstance(item, list) else item)
        y = None if y is None else as_arrays(y, "y")
        weight = None if weight is None else as_arrays(weight, "sample_weight")
        data = trimmed(as_arrays(x, "x"), y, weight)
        one_length(data)
        data = data if self.class_weight is None else weighted_by_class(data, self.class_weight)
        return tuple(map_leaves(on_device, part) for part in data)


def _length(source: Any) -> int | None:
    """Return the number of batches of a source; None if it is unknown."""
    try:
        return len(source)
    except TypeError:
        return None


Batches = ArrayBatches | StreamBatches


def batches(
    x: object,
    y: object = None,
    sample_weight: object = None,
    *,
    batch_size: int | None = None,
    shuffle: bool = False,
    parts: int | None = None,
) -> Batches:
    """Return the batches of the data of `fit`, `evaluate` or `predict`; see `ArrayBatches`."""
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
    try:
        data = trimmed(
            as_arrays(x, "x"),
            None if y is None else as_arrays(y, "y"),
            None if sample_weight is None else as_arrays(sample_weight, "sample_weight"),
        )
        return ArrayBatches(placed(data), batch_size, shuffle, parts)
    except MemoryError as error:
        backend.current().out_of_memory(error, "a copy of the data")


def by_class(source: Batches, weights: dict[object, float] | None) -> Batches:
    """Return batches in which each sample has the weight of its class; unchanged without `weights`."""
    if weights is None:
        return source
    if isinstance(source, StreamBatches):
        return StreamBatches(source.source, weights)
    return ArrayBatches(placed(weighted_by_class(source.data, weights)), source.batch_size, source.shuffle)


def weighted_by_class(data: Data, weights: dict[object, float]) -> Data:
    """Return (x, y, sample_weight) for (x, y), in which each sample has the weight of its class."""
    labels = flatten(data[1])[0] if len(data) == 2 else []
    if len(labels) != 1:
        raise ValueError(
            "class_weight needs y as an array, and cannot be given together with sample_weight. Multiply the two, and "
            "give sample_weight."
        )
    return (*data, class_weights(labels[0], weights))


def validation_batches(data: object, batch_size: int | None, parts: int | None = None) -> Batches | None:
    """Return the batches of ``validation_data``; None for none."""
    if data is None:
        return None
    if isinstance(data, tuple | list) and 1 < len(data) <= len(PARTS):
        return batches(*data, batch_size=batch_size, parts=parts)
    if not _is_stream(data):
        raise ValueError(
            "validation_data expected (x, y) or (x, y, sample_weight), or an iterable of such batches, got "
            f"{type(data).__name__}."
        )
    return batches(data)


def _is_stream(x: object) -> bool:
    plain = (
        is_sparse(x)
        or hasattr(x, "dtype")
        or hasattr(x, "to_numpy")
        or isinstance(x, list | tuple | dict | str | int | float)
    )
    return not plain and (isinstance(x, Iterable) or hasattr(x, "__getitem__"))
