"""The data of `adapt`, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count, islice

import numpy as np

from gpudl.engine.tensor import Tensor
from gpudl.utils.py_dataset import PyDataset, taken


def is_array(data: object, lists: bool = True) -> bool:
    """Return whether `data` are one array, and not an iterable of batches; also a list of values, with `lists`."""
    return isinstance(data, np.ndarray | Tensor | (list | tuple if lists else np.ndarray)) or hasattr(data, "to_numpy")


def batches_of(who: str, data: object, steps: int | None = None, lists: bool = True) -> Iterator[object]:
    """Return an iterator over the batches of `data`: an array is one; iterables end after `steps`.

    Raises:
        ValueError: the data are neither an array nor an iterable.
    """
    if is_array(data, lists):
        return iter([data])
    if isinstance(data, PyDataset):
        found: Iterable[object] = taken(data, count() if data.num_batches is None else range(data.num_batches))
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes | dict):
        found = data
    else:
        raise ValueError(
            f"{who}.adapt() takes an array, a list of values, or an iterable of batches such as a data set, got "
            f"{type(data).__name__}."
        )
    return islice(iter(found), steps)
