"""The elements of a data set: nests of arrays on the host, and how they are converted, joined and divided."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from gpudl import backend
from gpudl.engine.convert import convert_to_tensor
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves

Element: TypeAlias = Nest[Any]
"""A nest of arrays, or of values that can be converted to arrays."""


def arrays_of(tensors: Element) -> Element:
    """Return a nest of arrays; a list is one array, as in TensorFlow."""
    if isinstance(tensors, tuple):
        return tuple(map(arrays_of, tensors))
    if isinstance(tensors, dict):
        return {name: arrays_of(value) for name, value in tensors.items()}
    return on_host(tensors)


def on_host(value: object) -> np.ndarray:
    """Return a value as an array; Python's numbers get TensorFlow's dtypes."""
    if isinstance(value, Tensor):
        return value.numpy()
    array = np.asarray(value)
    if isinstance(value, int | float | list):
        array = array.astype({"f": np.float32, "i": np.int32}.get(array.dtype.kind, array.dtype))
    return array


def tensor_of(value: Tensor | ArrayLike) -> object:
    """Return numbers as a tensor; text stays an array of NumPy's."""
    return (
        value if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "OSU" else convert_to_tensor(value)
    )


def called(function: Callable[..., Element], element: Element) -> Element:
    """Return ``function(element)``, computed on the host; the parts of a tuple are separate arguments."""
    with backend.device("cpu"):
        tensors = map_leaves(tensor_of, element)
        return function(*tensors) if isinstance(tensors, tuple) else function(tensors)


def stacked(group: list[Element]) -> Element:
    """Return elements joined along a new first axis."""
    columns = zip(*(flatten(element)[0] for element in group), strict=True)
    arrays = iter([np.stack(column) for column in columns])
    return map_leaves(lambda _: next(arrays), group[0])


def rows_of(element: Element) -> Iterator[Element]:
    """Return the rows of an element, one after another."""
    return (row_of(element, number) for number in range(len(flatten(element)[0][0])))


def row_of(element: Element, number: int | np.ndarray) -> Element:
    """Return one row of an element, or several."""
    return map_leaves(lambda array: array[number], element)
