"""Matching the arguments of a functional model to its inputs: by structure, by name or in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from gpudl.engine.spec import ShapeError
from gpudl.engine.state import warn_user
from gpudl.engine.symbol import Pair
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest
from gpudl.layers.base.masks import keeping_mask
from gpudl.ops import cast, reshape

T = TypeVar("T")
L = TypeVar("L")


def sorted_leaves(nest: Nest[T]) -> Iterator[T]:
    """Yield the leaves of a nest, those of a dict in the order of its keys, as Keras does.

    Example:
        >>> list(sorted_leaves({"b": [1, 2], "a": 3}))
        [3, 1, 2]
    """
    if isinstance(nest, dict):
        nest = [nest[key] for key in sorted(nest)]
    if isinstance(nest, list | tuple):
        for child in nest:
            yield from sorted_leaves(child)
    else:
        yield nest  # type: ignore[misc]


def one_each(names: Nest[str], given: Nest[L], who: str) -> list[L]:
    """Return the argument for each input.

    Args:
        names: the names of the inputs, in the nest of the model's inputs.
        given: the same nest, or a dict by the names, or any other nest with as many leaves, in order; in place of a
            dict only if its keys are in order.
        who: the model, for errors.

    Returns:
        One tensor for each name, in the order of `sorted_leaves`.

    Raises:
        ValueError: nothing for an input, or more or fewer arrays than inputs.

    Example:
        >>> x, y = gpudl.Input((1,)), gpudl.Input((2,))
        >>> [t.shape for t in one_each(["x", "y"], {"y": y, "x": x}, "Model")], one_each("x", [x], "Model")[0] is x
        ([(None, 1), (None, 2)], True)
    """
    row: list[str] = list(sorted_leaves(names))
    if isinstance(given, dict) and not isinstance(names, dict) and all(name in given for name in row):
        return [given[name] for name in row]
    found = _aligned(names, given)
    exactly = found is not None and _same_keys(names, given)
    if found is None and not isinstance(given, dict):
        found = list(sorted_leaves(given))
    ordered = not isinstance(names, dict) or isinstance(given, dict) or list(names) == sorted(names)
    if found is None or len(found) != len(row) or not all(map(_is_leaf, found)) or not ordered:
        raise ValueError(f"{who} {_expected(names, row, given)}")
    if not exactly and (len(row) > 1 or isinstance(given, dict)):
        warn_user(
            f"The structure of what {who} is called on differs from that of its inputs: it "
            f"{_expected(names, row, given)} They were taken in this order.",
        )
    return found


def _aligned(names: Nest[str], given: Nest[L]) -> list[L] | None:
    """Return the leaves of `given` at the paths of those of `names`; None if the structure differs or keys miss."""
    if isinstance(names, dict):
        if not isinstance(given, dict) or not names.keys() <= given.keys():
            return None
        pairs = [(names[key], given[key]) for key in sorted(names)]
    elif isinstance(names, list | tuple):
        if not isinstance(given, list | tuple) or len(names) != len(given):
            return None
        pairs = list(zip(names, given, strict=True))
    else:
        return [given] if _is_leaf(given) else None  # type: ignore[list-item]
    parts = [_aligned(*pair) for pair in pairs]
    return [leaf for part in parts if part for leaf in part] if None not in parts else None


def _is_leaf(value: object) -> bool:
    """Return whether a value is what an input takes: a tensor, an array on the host, or None."""
    return value is None or isinstance(value, Tensor | np.ndarray)


def _same_keys(names: Nest[str], given: Nest[L]) -> bool:
    """Return whether no dict of `given`, which has all of `names`, has further keys."""
    if isinstance(names, dict) and isinstance(given, dict):
        return names.keys() == given.keys() and all(_same_keys(names[key], given[key]) for key in names)
    if isinstance(names, list | tuple) and isinstance(given, list | tuple):
        return all(map(_same_keys, names, given))
    return True


def _expected(names: Nest[str], row: list[str], given: Nest[L]) -> str:
    """Describe both structures, and what is missing."""
    count = f"{len(row)} input{'s' * (len(row) > 1)}"
    text = f"expects {count} in the structure {_form(names)}, got {_form(given)}."
    if isinstance(given, dict):
        keys = names if isinstance(names, dict) else row
        text += "".join(f" There is nothing for {key!r}." for key in sorted(keys) if key not in given)
    return text


def _form(nest: object) -> str:
    """Return a nest as text, with the names of inputs and the shapes of tensors as its leaves."""
    if isinstance(nest, Mapping):
        return "{" + ", ".join(f"{key!r}: {_form(child)}" for key, child in nest.items()) + "}"
    if isinstance(nest, Sequence) and not isinstance(nest, str):
        inner = ", ".join(map(_form, nest))
        return f"[{inner}]" if isinstance(nest, list) else f"({inner},)" if len(nest) == 1 else f"({inner})"
    return f"an array of shape {nest.shape}" if isinstance(nest, Tensor) else repr(nest)


def fitting(x: Tensor | None, entry: Any, pair: Pair, who: str) -> Tensor | None:
    """Return x in the shape and dtype of an input; an axis of size 1 at the end may be missing or superfluous.

    Args:
        x: what the model is called on; None for nothing.
        entry: the layer of the input.
        pair: its shape and dtype.
        who: the model, for errors.

    Raises:
        ShapeError: the shape does not fit the input.
        ValueError: nothing for an input that is not optional.
    """
    if x is None:
        if entry.optional:
            return None
        raise ValueError(f"{who} got None for its input {entry.name!r}. Give it an array, or Input(optional=True).")
    given, shape, dtype = x, pair.shape, pair.first.dtype
    if x.ndim == len(shape) - 1 and shape[-1] == 1:
        x = reshape(x, (*x.shape, 1))
    elif x.ndim == len(shape) + 1 and x.shape[-1] == 1:
        x = reshape(x, x.shape[:-1])
    sizes = zip(shape[1:], x.shape[1:], strict=False)
    if x.ndim != len(shape) or any(wanted not in (None, size) for wanted, size in sizes):
        raise ShapeError(
            f"{who}: its input {entry.name!r} has shape {shape}, got {x.shape}. Reshape the data, or build a model for "
            "them."
        )
    return keeping_mask(given, x if x.dtype == dtype else cast(x, dtype=dtype))
