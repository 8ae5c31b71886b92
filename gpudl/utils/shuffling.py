"""The order in which a data set is shuffled through a buffer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Order:
    """A shuffle with a buffer, in another order each time, or always in the same."""

    def __init__(self, buffer_size: int, seed: int | None, again: bool) -> None:
        require_positive("shuffle", "buffer_size", buffer_size)
        self._size = buffer_size
        self._seeds = np.random.SeedSequence(np.random.randint(2**32) if seed is None else seed)
        self._once = None if again else self._seeds.spawn(1)[0]

    @property
    def passes(self) -> int:
        """In how many orders it has shuffled: assigning it lets the next one be that of another time."""
        return self._seeds.n_children_spawned

    @passes.setter
    def passes(self, count: int) -> None:
        self._seeds = np.random.SeedSequence(self._seeds.entropy, n_children_spawned=count)

    def __call__(self, elements: Iterable[T]) -> Iterator[T]:
        """Yield the elements in a new order, or in the same again."""
        rng = np.random.default_rng(self._once or self._seeds.spawn(1)[0])
        waiting = iter(elements)
        buffer = list(islice(waiting, self._size))
        for element in waiting:
            drawn = int(rng.integers(len(buffer)))
            yield buffer[drawn]
            buffer[drawn] = element
        for number in rng.permutation(len(buffer)):
            yield buffer[number]


def require_positive(method: str, name: str, value: int) -> None:
    """Raise ValueError unless an argument of a method of a data set is a whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"Dataset.{method}: {name} must be a whole number above 0, got {value!r}.")
