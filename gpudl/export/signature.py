"""The inputs and outputs of a model: their shapes, and their names in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpudl.engine.spec import FLOAT32, TEXT, Spec, as_dtype
from gpudl.engine.symbol import OpenShape, open_shape
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves


@dataclass(frozen=True)
class Seen:
    """The shape and dtype of what a model was called on, with None for the size of the batch."""

    shape: OpenShape
    dtype: np.dtype


Entry = tuple[OpenShape, Spec]
"""A shape, with None for unknown sizes, and a spec with the dtype."""


def seen(args: tuple[object, ...]) -> tuple[Nest[Seen], ...] | None:
    """Return what tensors and arrays say about the arguments of a call; None where others are among them."""
    leaves = flatten(args)[0]
    if not leaves or not all(isinstance(leaf, Tensor | np.ndarray) for leaf in leaves):
        return None
    return tuple(map_leaves(_seen, each) for each in args)


def _seen(given: object) -> Seen:
    assert isinstance(given, Tensor | np.ndarray)
    # NumPy's default float is what layers cast to their own.
    dtype = FLOAT32 if isinstance(given, np.ndarray) and given.dtype == np.float64 else given.dtype
    return Seen((None, *open_shape(tuple(given.shape[1:]))) if given.ndim else (), dtype)


def entry(who: str, given: object) -> Entry:
    """Return the shape and the dtype of an input.

    Raises:
        TypeError: `given` has no shape or dtype.
        ValueError: the input is text.
    """
    shape, dtype = getattr(given, "shape", None), getattr(given, "dtype", None)
    if shape is None or dtype is None:
        raise TypeError(
            f"{who}: input_signature has tensors, symbols or InputSpecs with a shape and a dtype, got {given!r}."
        )
    kind = as_dtype(dtype)
    if kind == TEXT:
        raise ValueError(f"{who}: an input is text, for which ONNX files have no layers. Export the model behind them.")
    sizes = tuple(shape)
    if isinstance(given, Tensor | np.ndarray) and sizes:
        sizes = (None, *sizes[1:])  # any batch
    return sizes, Spec((), kind)


def names_of_inputs(given: Sequence[object]) -> list[str]:
    """Return a name for each input: its own, or "input" and a number."""
    found = [getattr(each, "name", None) or f"input_{number}" for number, each in enumerate(given)]
    return _distinct(found)


def names_of_outputs(structure: Nest[object], known: Sequence[str], count: int) -> list[str]:
    """Return a name for each output: the keys of a dict, the names of the layers that return them, or numbers."""
    if isinstance(structure, dict) and len(structure) == count:
        return _distinct([str(key) for key in structure])
    if len(known) == count:
        return _distinct(list(known))
    return [f"output_{number}" for number in range(count)]


def _distinct(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    found = []
    for name in names:
        count = seen[name] = seen.get(name, -1) + 1
        found.append(f"{name}_{count}" if count else name)
    return found
