"""Input pipelines with the interface of ``tf.data``: elements on the host, generated again for each pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from itertools import count as forever

import numpy as np

from gpudl.engine.tree import flatten, map_leaves
from gpudl.utils.elements import Element, arrays_of, called, on_host, row_of, rows_of, stacked, tensor_of
from gpudl.utils.shuffling import Order, require_positive
from gpudl.utils.state_file import State

__all__ = ["AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY", "Dataset"]

AUTOTUNE = -1
INFINITE_CARDINALITY = -1
UNKNOWN_CARDINALITY = -2


class Dataset:
    """A sequence of elements, each a nest of arrays; `fit`, `evaluate` and `predict` take those that are batched.

    Example:
        >>> data = Dataset.from_tensor_slices((np.arange(5), np.arange(5) % 2)).shuffle(5, seed=1).batch(2)
        >>> [len(x) for x, y in data], len(data)
        ([2, 2, 1], 3)
    """

    def __init__(
        self,
        elements: Callable[[], Iterable[Element]],
        length: float | None,
        batch_size: int | None = None,
        orders: tuple[Order, ...] = (),
    ) -> None:
        self.batch_size = batch_size  # of a data set that `batch` has just made
        self._elements = elements
        self._length = length  # None if it is unknown, infinite for an endless one
        self._orders = orders  # those in which it, or a data set inside it, is shuffled

    @staticmethod
    def from_tensor_slices(tensors: Element) -> Dataset:
        """Return the rows of arrays of one length, in a nest as given.

        Raises:
            ValueError: arrays of other lengths.
        """
        arrays = arrays_of(tensors)
        lengths = {len(array) if array.ndim else None for array in flatten(arrays)[0]}
        if len(lengths) != 1 or None in lengths:
            shapes = ", ".join(str(array.shape) for array in flatten(arrays)[0])
            raise ValueError(
                f"Dataset.from_tensor_slices: the arrays must have the same number of rows, got shapes {shapes}."
            )
        count = lengths.pop() or 0
        return _Rows(arrays, lambda: np.arange(count), count)

    @staticmethod
    def from_tensors(tensors: Element) -> Dataset:
        """Return one element."""
        element = arrays_of(tensors)
        return Dataset(lambda: [element], 1)

    @staticmethod
    def from_generator(
        generator: Callable[..., Iterable[Element]], *types: object, args: Element = (), **more: object
    ) -> Dataset:
        """Return the elements of `generator`, which is called again for each pass; types and shapes are not checked."""
        return Dataset(lambda: (map_leaves(on_host, element) for element in generator(*args)), None)

    @staticmethod
    def range(*args: int) -> Dataset:
        """Return integers, like Python's `range`."""
        numbers = np.arange(*args, dtype=np.int64)
        return Dataset.from_tensor_slices(numbers)

    @staticmethod
    def zip(*datasets: Dataset | tuple[Dataset, ...]) -> Dataset:
        """Return tuples of one element of each data set, to the end of the shortest."""
        inner = [each for one in datasets for each in (one if isinstance(one, tuple) else [one])]
        lengths = [each._length for each in inner]
        known = None if None in lengths else min(length for length in lengths if length is not None)
        return Dataset(lambda: zip(*(each._elements() for each in inner), strict=False), known)

    def __iter__(self) -> Iterator[Element]:
        return (map_leaves(tensor_of, element) for element in self._elements())

    def __len__(self) -> int:
        if self._length is None or self._length == math.inf:
            what = "infinite" if self._length else "unknown"
            raise TypeError(f"The dataset is of {what} length. Use cardinality(), or take(n) for its first n elements.")
        return int(self._length)

    def cardinality(self) -> int:
        """Return the number of elements, -1 if it is infinite, -2 if it is unknown."""
        if self._length is None:
            return UNKNOWN_CARDINALITY
        return INFINITE_CARDINALITY if self._length == math.inf else int(self._length)

    def as_numpy_iterator(self) -> Iterator[Element]:
        """Return an iterator over the elements as NumPy arrays."""
        return iter(self._elements())

    def batch(self, batch_size: int, drop_remainder: bool = False, **performance: object) -> Dataset:
        """Join `batch_size` elements at a time along a new first axis; the last may be fewer."""
        require_positive("batch", "batch_size", batch_size)

        def batches() -> Iterator[Element]:
            elements = iter(self._elements())
            while group := list(islice(elements, batch_size)):
                if len(group) == batch_size or not drop_remainder:
                    yield stacked(group)

        return self._then(batches, _batches(self._length, batch_size, drop_remainder), batch_size=batch_size)

    def unbatch(self) -> Dataset:
        """Return the rows of the elements, one after another."""
        return self._then(lambda: chain.from_iterable(map(rows_of, self._elements())), None)

    def shuffle(self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True) -> Dataset:
        """Draw each element at random from a buffer of the next `buffer_size`; in another order each pass."""
        order = Order(buffer_size, seed, reshuffle_each_iteration)
        return self._then(lambda: order(self._elements()), self._length, order)

    def map(self, map_func: Callable[..., Element], **performance: object) -> Dataset:
        """Apply `map_func` to each element; the parts of a tuple are separate arguments."""

        def mapped() -> Iterator[Element]:
            for element in self._elements():
                yield map_leaves(on_host, called(map_func, element))

        return self._then(mapped, self._length)

    def filter(self, predicate: Callable[..., object]) -> Dataset:
        """Return the elements for which `predicate` is true."""

        def kept() -> Iterator[Element]:
            for element in self._elements():
                if called(predicate, element):
                    yield element

        return self._then(kept, None)

    def prefetch(self, buffer_size: int) -> Dataset:
        """Return the data set itself: prefetching elements of this kind would save nothing."""
        return self

    def cache(self, filename: str = "") -> Dataset:
        """Keep the elements of the first complete pass, in memory, for those that follow."""
        kept: list[Element] = []

        def elements() -> Iterator[Element]:
            if kept:
                yield from kept
                return
            seen = []
            for element in self._elements():
                seen.append(element)
                yield element
            kept[:] = seen

        return self._then(elements, self._length)

    def repeat(self, count: int | None = None) -> Dataset:
        """Return the elements `count` times over; without end for None or -1."""
        if count is None or count < 0:
            return self._then(lambda: chain.from_iterable(self._elements() for _ in forever()), math.inf)
        total = None if self._length is None else self._length * count if count else 0
        return self._then(lambda: chain.from_iterable(self._elements() for _ in range(count)), total)

    def take(self, count: int) -> Dataset:
        """Return the first `count` elements; all for -1."""
        if count < 0:
            return self
        length = None if self._length is None else min(self._length, count)
        return self._then(lambda: islice(self._elements(), count), length)

    def skip(self, count: int) -> Dataset:
        """Return the elements after the first `count`; none for -1."""
        if count < 0:
            return self._then(lambda: [], 0)
        length = None if self._length is None else max(self._length - count, 0)
        return self._then(lambda: islice(self._elements(), count, None), length)

    def enumerate(self, start: int = 0) -> Dataset:
        """Return pairs of an index, from `start` on, and an element."""
        return self._then(lambda: ((np.int64(n), each) for n, each in enumerate(self._elements(), start)), self._length)

    def concatenate(self, dataset: Dataset) -> Dataset:
        """Return these elements, then those of `dataset`."""
        lengths = (self._length, dataset._length)
        total = None if None in lengths else sum(length for length in lengths if length is not None)
        return self._then(lambda: chain(self._elements(), dataset._elements()), total, *dataset._orders)

    def get_state(self) -> State:
        """Return where its random orders are, for `callbacks.BackupAndRestore`."""
        return {"passes": [order.passes for order in self._orders]}

    def set_state(self, state: State) -> None:
        """Go on from such a state."""
        for order, passes in zip(self._orders, state["passes"], strict=True):
            order.passes = passes

    def _then(
        self,
        elements: Callable[[], Iterable[Element]],
        length: float | None,
        *orders: Order,
        batch_size: int | None = None,
    ) -> Dataset:
        """Return a data set over this one, shuffled by `orders` too."""
        return Dataset(elements, length, batch_size, self._orders + orders)


class _Rows(Dataset):
    """Rows of arrays in some order: shuffling, slicing and batching work on row indices, and copy a row once."""

    def __init__(
        self, arrays: Element, order: Callable[[], np.ndarray], length: int, orders: tuple[Order, ...] = ()
    ) -> None:
        super().__init__(self._each, length, orders=orders)
        self._arrays = arrays
        self._order = order
        self._count = length

    def _each(self) -> Iterator[Element]:
        return (row_of(self._arrays, number) for number in self._order())

    def batch(self, batch_size: int, drop_remainder: bool = False, **performance: object) -> Dataset:
        """Gather `batch_size` rows at a time."""
        require_positive("batch", "batch_size", batch_size)
        end = self._count // batch_size * batch_size if drop_remainder else self._count

        def batches() -> Iterator[Element]:
            order = self._order()
            return (row_of(self._arrays, order[start : start + batch_size]) for start in range(0, end, batch_size))

        return self._then(batches, _batches(self._length, batch_size, drop_remainder), batch_size=batch_size)

    def shuffle(self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True) -> Dataset:
        """Shuffle the indices of the rows."""
        order = Order(buffer_size, seed, reshuffle_each_iteration)
        return _Rows(
            self._arrays,
            lambda: np.fromiter(order(self._order()), np.intp, self._count),
            self._count,
            (*self._orders, order),
        )

    def take(self, count: int) -> Dataset:
        """Return the first `count` rows; all for -1."""
        if count < 0:
            return self
        return _Rows(self._arrays, lambda: self._order()[:count], min(count, self._count), self._orders)


def _batches(length: float | None, size: int, drop_remainder: bool) -> float | None:
    if length is None or length == math.inf:
        return length
    return length // size if drop_remainder else math.ceil(length / size)
