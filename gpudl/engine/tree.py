"""Flattening nested tuples, lists and dicts of tensors, and restoring them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, overload

import numpy as np

T = TypeVar("T")
R = TypeVar("R")
Nest: TypeAlias = T | Sequence["Nest[T]"] | Mapping[str, "Nest[T]"]
"""A leaf, or a tuple, list or dict of nests: ``Nest[Tensor]`` is the type of a model's inputs and outputs."""


def flatten(tree: Nest[T]) -> tuple[list[T], Hashable]:
    """Return the leaves of a nest of tuples, lists and dicts, and a hashable description of its structure.

    Example:
        >>> flatten({"a": (1, 2), "b": None})[0]
        [1, 2, None]
    """
    leaves: list[Any] = []
    return leaves, _structure(tree, leaves)


def _structure(tree: object, leaves: list[Any]) -> Hashable:
    """Return the structure of a nest and append its leaves to `leaves`; the structure of a leaf is None."""
    if isinstance(tree, dict):
        return "dict", *[(key, _structure(child, leaves)) for key, child in tree.items()]
    if isinstance(tree, tuple | list):
        return type(tree).__name__, *[_structure(child, leaves) for child in tree]
    leaves.append(tree)
    return None


@overload
def map_leaves(function: Callable[[T], R], tree: tuple[Nest[T], ...]) -> tuple[Nest[R], ...]: ...


@overload
def map_leaves(function: Callable[[T], R], tree: dict[str, Nest[T]]) -> dict[str, Nest[R]]: ...


@overload
def map_leaves(function: Callable[[T], R], tree: Nest[T]) -> Nest[R]: ...


def map_leaves(function: Callable[[Any], R], tree: object) -> Any:
    """Return `tree` with every leaf replaced by ``function(leaf)``, in the order of `flatten`; tuples keep their names.

    Example:
        >>> map_leaves(abs, {"a": (-1, 2)})
        {'a': (1, 2)}
    """
    if isinstance(tree, tuple):
        children = [map_leaves(function, child) for child in tree]
        return type(tree)(*children) if hasattr(tree, "_fields") else tuple(children)
    if isinstance(tree, list):
        return [map_leaves(function, child) for child in tree]
    if isinstance(tree, dict):
        return {key: map_leaves(function, child) for key, child in tree.items()}
    return function(tree)


def same_value(one: object, other: object) -> bool:
    """Return whether a step computes the same with both values: 1, 1.0 and True differ, and so do 0.0 and -0.0.

    Arrays and tensors are the same only if they are the same object.

    Example:
        >>> same_value((1, float("nan")), (1, float("nan"))), same_value(1, 1.0)
        (True, False)
    """
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, float | np.generic):
        return repr(one) == repr(other)
    if hasattr(one, "__array__"):
        return False
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(map(same_value, one.values(), other.values()))
    return bool(one == other)
