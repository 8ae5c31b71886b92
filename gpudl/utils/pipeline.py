"""Input pipelines with the interface of ``tf.data``: elements on the host, generated again for each pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from itertools import count as forever
from typing import Any, TypeAlias

import numpy as np

from gpudl import backend
from gpudl.engine.convert import convert_to_tensor
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves

__all__ = ["AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY", "Dataset"]

Element: TypeAlias = Nest[Any]
"""A nest of arrays, or of values that can be converted to arrays."""

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

    def __init__(self, elements: Callable[[], Iterable[Element]], length: float | None) -> None:
        self._elements = elements
        self._length = length  # None if it is unknown, infinite for an endless one

    @staticmethod
    def from_tensor_slices(tensors: Element) -> Dataset:
        """Return the rows of arrays of one length, in a nest as given.

        Raises:
            ValueError: arrays of other lengths.
        """
        arrays = _arrays(tensors)
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
        element = _arrays(tensors)
        return Dataset(lambda: [element], 1)

    @staticmethod
    def from_generator(
        generator: Callable[..., Iterable[Element]], *types: object, args: Element = (), **more: object
    ) -> Dataset:
        """Return the elements of `generator`, which is called again for each pass; types and shapes are not checked."""
        return Dataset(lambda: (map_leaves(_on_host, element) for element in generator(*args)), None)

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
        return (map_leaves(_tensor, element) for element in self._elements())

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
        _require_positive("batch", "batch_size", batch_size)

        def batches() -> Iterator[Element]:
            elements = iter(self._elements())
            while group := list(islice(elements, batch_size)):
                if len(group) == batch_size or not drop_remainder:
                    yield _stacked(group)

        return Dataset(batches, _batches(self._length, batch_size, drop_remainder))

    def unbatch(self) -> Dataset:
        """Return the rows of the elements, one after another."""
        return Dataset(lambda: chain.from_iterable(map(_rows, self._elements())), None)

    def shuffle(self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True) -> Dataset:
        """Draw each element at random from a buffer of the next `buffer_size`; in another order each pass."""
        order = _Order(buffer_size, seed, reshuffle_each_iteration)
        return Dataset(lambda: order(self._elements()), self._length)

    def map(self, map_func: Callable[..., Element], **performance: object) -> Dataset:
        """Apply `map_func` to each element; the parts of a tuple are separate arguments."""

        def mapped() -> Iterator[Element]:
            for element in self._elements():
                yield map_leaves(_on_host, _called(map_func, element))

        return Dataset(mapped, self._length)

    def filter(self, predicate: Callable[..., object]) -> Dataset:
        """Return the elements for which `predicate` is true."""

        def kept() -> Iterator[Element]:
            for element in self._elements():
                if _called(predicate, element):
                    yield element

        return Dataset(kept, None)

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

        return Dataset(elements, self._length)

    def repeat(self, count: int | None = None) -> Dataset:
        """Return the elements `count` times over; without end for None or -1."""
        if count is None or count < 0:
            return Dataset(lambda: chain.from_iterable(self._elements() for _ in forever()), math.inf)
        total = None if self._length is None else self._length * count if count else 0
        return Dataset(lambda: chain.from_iterable(self._elements() for _ in range(count)), total)

    def take(self, count: int) -> Dataset:
        """Return the first `count` elements; all for -1."""
        if count < 0:
            return self
        length = None if self._length is None else min(self._length, count)
        return Dataset(lambda: islice(self._elements(), count), length)

    def skip(self, count: int) -> Dataset:
        """Return the elements after the first `count`; none for -1."""
        if count < 0:
            return Dataset(lambda: [], 0)
        length = None if self._length is None else max(self._length - count, 0)
        return Dataset(lambda: islice(self._elements(), count, None), length)

    def enumerate(self, start: int = 0) -> Dataset:
        """Return pairs of an index, from `start` on, and an element."""
        return Dataset(lambda: ((np.int64(n), each) for n, each in enumerate(self._elements(), start)), self._length)

    def concatenate(self, dataset: Dataset) -> Dataset:
        """Return these elements, then those of `dataset`."""
        lengths = (self._length, dataset._length)
        total = None if None in lengths else sum(length for length in lengths if length is not None)
        return Dataset(lambda: chain(self._elements(), dataset._elements()), total)


class _Rows(Dataset):
    """Rows of arrays in some order: shuffling, slicing and batching work on row indices, and copy a row once."""

    def __init__(self, arrays: Element, order: Callable[[], np.ndarray], length: int) -> None:
        super().__init__(self._each, length)
        self._arrays = arrays
        self._order = order
        self._count = length

    def _each(self) -> Iterator[Element]:
        return (_row(self._arrays, number) for number in self._order())

    def batch(self, batch_size: int, drop_remainder: bool = False, **performance: object) -> Dataset:
        """Gather `batch_size` rows at a time."""
        _require_positive("batch", "batch_size", batch_size)
        end = self._count // batch_size * batch_size if drop_remainder else self._count

        def batches() -> Iterator[Element]:
            order = self._order()
            return (_row(self._arrays, order[start : start + batch_size]) for start in range(0, end, batch_size))

        return Dataset(batches, _batches(self._length, batch_size, drop_remainder))

    def shuffle(self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True) -> Dataset:
        """Shuffle the indices of the rows."""
        order = _Order(buffer_size, seed, reshuffle_each_iteration)
        return _Rows(self._arrays, lambda: np.fromiter(order(self._order()), np.intp, self._count), self._count)

    def take(self, count: int) -> Dataset:
        """Return the first `count` rows; all for -1."""
        if count < 0:
            return self
        return _Rows(self._arrays, lambda: self._order()[:count], min(count, self._count))


class _Order:
    """A shuffle with a buffer, in another order each time, or always in the same."""

    def __init__(self, buffer_size: int, seed: int | None, again: bool) -> None:
        _require_positive("shuffle", "buffer_size", buffer_size)
        self._size = buffer_size
        self._seeds = np.random.SeedSequence(np.random.randint(2**32) if seed is None else seed)
        self._once = None if again else self._seeds.spawn(1)[0]

    def __call__(self, elements: Iterable[Element]) -> Iterator[Element]:
        rng = np.random.default_rng(self._once or self._seeds.spawn(1)[0])
        waiting = iter(elements)
        buffer = list(islice(waiting, self._size))
        for element in waiting:
            drawn = int(rng.integers(len(buffer)))
            yield buffer[drawn]
            buffer[drawn] = element
        for number in rng.permutation(len(buffer)):
            yield buffer[number]


def _require_positive(method: str, name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"Dataset.{method}: {name} must be a whole number above 0, got {value!r}.")


def _batches(length: float | None, size: int, drop_remainder: bool) -> float | None:
    if length is None or length == math.inf:
        return length
    return length // size if drop_remainder else math.ceil(length / size)


def _arrays(tensors: Element) -> Element:
    """Return a nest of arrays; a list is one array, as in TensorFlow."""
    if isinstance(tensors, tuple):
        return tuple(map(_arrays, tensors))
    if isinstance(tensors, dict):
        return {name: _arrays(value) for name, value in tensors.items()}
    return _on_host(tensors)


def _on_host(value: object) -> np.ndarray:
    if isinstance(value, Tensor):
        return value.numpy()
    array = np.asarray(value)
    if isinstance(value, int | float | list):  # Python numbers get TensorFlow's dtypes
        array = array.astype({"f": np.float32, "i": np.int32}.get(array.dtype.kind, array.dtype))
    return array


def _tensor(value: object) -> object:
    """Return numbers as a tensor; text stays an array of NumPy's."""
    return (
        value if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "OSU" else convert_to_tensor(value)
    )


def _called(function: Callable[..., Element], element: Element) -> Element:
    """Return ``function(element)``, computed on the host; the parts of a tuple are separate arguments."""
    with backend.device("cpu"):
        tensors = map_leaves(_tensor, element)
        return function(*tensors) if isinstance(tensors, tuple) else function(tensors)


def _stacked(group: list[Element]) -> Element:
    columns = zip(*(flatten(element)[0] for element in group), strict=True)
    arrays = iter([np.stack(column) for column in columns])
    return map_leaves(lambda _: next(arrays), group[0])


def _rows(element: Element) -> Iterator[Element]:
    return (_row(element, number) for number in range(len(flatten(element)[0][0])))


def _row(element: Element, number: int | np.ndarray) -> Element:
    return map_leaves(lambda array: array[number], element)
