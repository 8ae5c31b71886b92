"""Data sets that create their batches on demand, optionally in threads or processes."""

from __future__ import annotations

import random
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_all_start_methods, get_context
from typing import Protocol

import numpy as np


class Numbered(Protocol):
    """What has batches by their numbers."""

    def __getitem__(self, index: int) -> object:
        """Return a batch."""


class PyDataset:
    """The base of data sets of a user: a subclass has a ``__getitem__`` that returns a batch by its number.

    It has ``__len__``, the number of batches, or a property ``num_batches``, which is None for endless data. `fit`
    takes the batches in a new order each epoch, unless it is told not to shuffle or they are endless.

    Args:
        workers: how many threads or processes make batches; one thread is that of the training.
        use_multiprocessing: whether the workers are processes, for batches that take much Python. What a worker
            changes in the data set stays there.
        max_queue_size: how many batches are made ahead at most.

    Example:
        >>> class Squares(gpudl.utils.PyDataset):
        ...     def __len__(self):
        ...         return 10
        ...
        ...     def __getitem__(self, index):
        ...         x = np.arange(4.0)[:, None] + 4 * index
        ...         return x, x**2
        >>> model = gpudl.Sequential([gpudl.layers.Dense(1, input_shape=(1,))])
        >>> model.compile("sgd", "mae")
        >>> len(model.fit(Squares(workers=2), epochs=3, verbose=0).epoch)
        3
    """

    workers = 1
    use_multiprocessing = False
    max_queue_size = 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        for name, value in (("workers", workers), ("max_queue_size", max_queue_size)):
            if not isinstance(value, int | np.integer) or value < 0:
                raise ValueError(f"{type(self).__name__}: {name} must be 0 or a positive integer, got {value!r}.")
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> object:
        """Return batch number `index`: x, (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index), which returns a batch.")

    @property
    def num_batches(self) -> int | None:
        """How many batches an epoch has: the length; None for endless data."""
        if not hasattr(type(self), "__len__"):
            raise NotImplementedError(
                f"{type(self).__name__} must define __len__(self), the number of batches, or a property num_batches, "
                "which is None for endless data."
            )
        return len(self)  # type: ignore[arg-type]

    def on_epoch_begin(self) -> None:
        """Do something before each epoch; to be overridden."""

    def on_epoch_end(self) -> None:
        """Do something after each epoch, such as shuffle; to be overridden."""


def taken(dataset: Numbered, numbers: Iterable[int]) -> Iterator[object]:
    """Yield batches by their numbers, in that order, made ahead by the workers of a `PyDataset`."""
    workers = getattr(dataset, "workers", 1)
    if workers and getattr(dataset, "use_multiprocessing", False):
        yield from _ahead(_processes(dataset, workers), _batch, numbers, _queue(dataset))
    elif workers > 1:
        yield from _ahead(ThreadPoolExecutor(workers), dataset.__getitem__, numbers, _queue(dataset))
    else:
        yield from map(dataset.__getitem__, numbers)


def _queue(dataset: Numbered) -> int:
    return max(1, getattr(dataset, "max_queue_size", 1))


def _ahead(pool: Executor, make: Callable[[int], object], numbers: Iterable[int], most: int) -> Iterator[object]:
    waiting: deque[Future[object]] = deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


_of_this_process: list[Numbered] = []


def _processes(dataset: Numbered, count: int) -> ProcessPoolExecutor:
    """Return processes that have `dataset`: by forking, so that it need not be pickled, where the system can."""
    method = "fork" if "fork" in get_all_start_methods() else None
    pool = ProcessPoolExecutor(count, get_context(method), _begin_process, (dataset,))
    with warnings.catch_warnings():  # of threads that a fork leaves behind: the children run the data set alone
        warnings.simplefilter("ignore", DeprecationWarning)
        pool.submit(int)
    return pool


def _begin_process(dataset: Numbered) -> None:
    _of_this_process[:] = [dataset]
    random.seed()  # each process draws numbers of its own
    np.random.seed()


def _batch(number: int) -> object:
    return _of_this_process[0][number]
