"""Sources of the batches of steps: arrays and iterables.

Arrays are kept on the device as a whole, in their own dtype, and a step receives `batch_inputs.Rows`, which gather its
batch from them. Batches of generators and other iterables are passed through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, count, islice
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gpudl import backend
from gpudl.backend import Array
from gpudl.engine.tree import flatten
from gpudl.training.data.arrays import (
    ClassWeight,
    Data,
    as_arrays,
    home,
    in_rows,
    map_arrays,
    on_device,
    one_length,
    placed,
    require_counts,
    weighted_by_class,
)
from gpudl.training.data.batch_inputs import Cursor, Rows, cursor_of
from gpudl.training.data.sparse import is_sparse, some
from gpudl.utils.batch_parts import PARTS, pack_x_y_sample_weight, unpack_x_y_sample_weight
from gpudl.utils.py_dataset import PyDataset, taken
from gpudl.utils.state_file import State, copied

Portion = tuple[Data, int]
"""A nest of feeds, and the number of consecutive batches that they provide."""


@runtime_checkable
class Stateful(Protocol):
    """Data that tell where they are, so that a training goes on with the same batches."""

    def get_state(self) -> State:
        """Return numbers, text, arrays, lists and dicts by name."""

    def set_state(self, state: State) -> None:
        """Go on from such a state."""


class ArrayBatches:
    """Batches of arrays on the device.

    Args:
        data: x, (x,), (x, y) or (x, y, sample_weight), nests of arrays with one length.
        batch_size: rows a batch; the last one may be smaller. None divides them into `parts`, or takes 32.
        shuffle: whether each pass takes the rows in a new order, from NumPy's global generator.
        parts: the number of steps into which all rows are divided if there is no `batch_size`.
    """

    def __init__(self, data: Data, batch_size: int | None, shuffle: bool = False, parts: int | None = None) -> None:
        self.data = map_arrays(in_rows, data) if shuffle else data
        self.samples = one_length(data)
        self.batch_size = int(batch_size or (32 if parts is None else -(-self.samples // parts)))
        self.shuffle = shuffle
        self._chosen, self._parts = batch_size, parts
        self.steps: int | None = -(-self.samples // self.batch_size)
        on = home(next(leaf for leaf in flatten(data)[0] if leaf is not None))
        # The order of the rows, if it is not consecutive.
        self._order: Array = on.xp.arange(self.samples) if shuffle or on.captures else None
        self._feeds: dict[int, tuple[Cursor, Data]] = {}  # by the rows of a batch

    def epoch(self, skipped: int = 0) -> Iterator[Portion]:
        """Return the batches of one pass after the first `skipped`, those with the same feeds together."""
        if self.shuffle:
            self._order[...] = backend.of(self._order).asarray(np.random.permutation(self.samples))
        return self._portions(skipped)

    def _portions(self, skipped: int) -> Iterator[Portion]:
        whole, rest = divmod(self.samples, self.batch_size)
        for start, rows, times in ((0, self.batch_size, whole), (self.samples - rest, rest, 1)):
            gone = min(skipped, times)
            skipped -= gone
            if rows and times > gone:
                cursor, batch = self._batch(rows)
                cursor.begin(start + gone * rows)
                yield batch, times - gone

    def _batch(self, count: int) -> tuple[Cursor, Data]:
        """Return the feeds of batches of `count` rows, the same ones each time; their position has to be set."""
        if count not in self._feeds:
            cursor = cursor_of(count, self._order, self.samples)
            batch = map_arrays(lambda a: Rows(a, cursor), self.data)
            self._feeds[count] = cursor, batch
        return self._feeds[count]

    again = True

    def tell(self, moment: str) -> None:
        """Do nothing at the end of an epoch."""

    def get_state(self) -> None:
        """Return nothing: there is no state but NumPy's generator."""

    def set_state(self, state: State | None) -> None:
        """Do nothing."""

    def pass_over(self, epochs: int, inside: bool) -> None:
        """Do nothing."""

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
        kept = map_arrays(lambda a: some(a, slice(at)), self.data)
        held_out = map_arrays(lambda a: some(a, slice(at, None)), self.data)
        return (
            ArrayBatches(kept, self._chosen, self.shuffle, self._parts),
            ArrayBatches(held_out, batch_size or self._chosen, parts=parts),
        )


class StreamBatches:
    """Batches of an iterable; a generator is consumed, other iterables restart each epoch.

    Args:
        source: brings x, (x,), (x, y) or (x, y, sample_weight).
        class_weight: a weight for each class, for batches without weights of their own.
        shuffle: whether each pass over a `PyDataset` takes the batches in a new order, from NumPy's global generator.
    """

    def __init__(self, source: Any, class_weight: ClassWeight | None = None, shuffle: bool = False) -> None:
        self.source = source
        self.class_weight = class_weight
        self.shuffle = shuffle and isinstance(source, PyDataset)
        self._kind = type(source).__name__

    @property
    def steps(self) -> int | None:
        """How many batches a pass has; None where the source cannot tell."""
        if isinstance(self.source, PyDataset):
            return self.source.num_batches
        try:
            return len(self.source)
        except TypeError:
            return None

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
        elif isinstance(self.source, PyDataset):
            item = nothing if self.steps == 0 else self.source[0]
        else:
            item = next(self._items(), nothing)
        if item is nothing:
            raise ValueError(f"there is no data: the {self._kind} brought no batch.")
        return self._checked(item)

    def _items(self, skipped: int = 0) -> Iterator[object]:
        steps = self.steps
        if isinstance(self.source, PyDataset) and steps is None:
            return taken(self.source, count(skipped))
        if hasattr(self.source, "__getitem__") and steps is not None:
            order = np.random.permutation(steps).tolist() if self.shuffle else range(steps)
            return taken(self.source, order[skipped:])
        items: Iterator[object] = iter(self.source)
        deque(islice(items, skipped), maxlen=0)
        return items

    def epoch(self, skipped: int = 0) -> Iterator[Portion]:
        """Return the batches of one pass after the first `skipped`; an error of the source says for which batch."""
        return self._portions(self._items(skipped), skipped)

    def _portions(self, items: Iterator[object], skipped: int) -> Iterator[Portion]:
        nothing = object()
        for number in count(skipped + 1):
            try:
                item = next(items, nothing)
                batch = None if item is nothing else self._checked(item)
            except Exception as error:
                error.add_note(f"This was batch {number} of a pass over the data, a {self._kind}.")
                raise
            if item is nothing:
                return
            yield batch, 1

    def tell(self, moment: str) -> None:
        """Call ``on_epoch_begin`` or ``on_epoch_end`` of a source that has it, such as one that shuffles itself."""
        getattr(self.source, f"on_epoch_{moment}", lambda: None)()

    def get_state(self) -> State | None:
        """Return what a source that has ``get_state`` needs to bring the same batches again; None for another."""
        return copied(self._given.get_state()) if isinstance(self._given, Stateful) else None

    def set_state(self, state: State | None) -> None:
        """Pass a state to a source that has one."""
        if isinstance(self._given, Stateful) and state is not None:
            self._given.set_state(copied(state))

    def pass_over(self, epochs: int, inside: bool) -> None:
        """Let a source without a state know that `epochs` have begun and ended, and another one has begun."""
        if isinstance(self._given, Stateful):
            return
        for _ in range(epochs):
            self.tell("begin")
            self.tell("end")
        if inside:
            self.tell("begin")

    @property
    def _given(self) -> object:
        """What `fit` was given, of which `source` may be made."""
        return getattr(self.source, "given", self.source)

    def _checked(self, item: object) -> Data:
        """Return one batch that the source brought as arrays of one length, in the dtypes of a step."""
        item = tuple(item) if isinstance(item, list) else item
        parts = zip(unpack_x_y_sample_weight(item), PARTS, strict=True)
        x, y, weight = [None if part is None else as_arrays(part, name) for part, name in parts]
        data: Data = (x,) if isinstance(item, tuple) and y is None else pack_x_y_sample_weight(x, y, weight)
        one_length(data)
        data = data if self.class_weight is None else weighted_by_class(data, self.class_weight)
        return map_arrays(on_device, data)


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
    if is_stream(x):
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(f"{name} cannot be given beside a generator: let it yield (x, y, weights).")
        return StreamBatches(x, shuffle=shuffle)
    if x is None:
        raise ValueError("x is missing: pass the inputs, an array or an iterable of batches.")
    if sample_weight is not None and y is None:
        raise ValueError("sample_weight weighs the loss of targets, but no y was given.")
    try:
        given = zip((x, y, sample_weight), PARTS, strict=True)
        parts_of = [None if part is None else as_arrays(part, name) for part, name in given]
        return ArrayBatches(placed(pack_x_y_sample_weight(*parts_of)), batch_size, shuffle, parts)
    except MemoryError as error:
        backend.current().out_of_memory(error, "a copy of the data")


def by_class(source: Batches, weights: ClassWeight | None) -> Batches:
    """Return batches in which each sample has the weight of its class; unchanged without `weights`."""
    if weights is None:
        return source
    if isinstance(source, StreamBatches):
        return StreamBatches(source.source, weights, source.shuffle)
    return ArrayBatches(placed(weighted_by_class(source.data, weights)), source.batch_size, source.shuffle)


def is_stream(x: object) -> bool:
    """Return whether `x` yields batches, and is not data itself."""
    plain = (
        is_sparse(x)
        or hasattr(x, "dtype")
        or hasattr(x, "to_numpy")
        or isinstance(x, list | tuple | dict | str | int | float)
    )
    return not plain and (isinstance(x, Iterable) or hasattr(x, "__getitem__"))
