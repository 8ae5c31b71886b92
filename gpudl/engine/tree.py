"""Flattening nested tuples, lists and dicts of tensors, and restoring them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """Return the leaves of a nest of tuples, lists and dicts, and a hashable description of its structure.

    Example:
        >>> flatten({"a": (1, 2), "b": None})[0]
        [1, 2, None]
    """
    named = isinstance(tree, dict)
    if not named and not isinstance(tree, tuple | list):
        return [tree], None
    leaves: list[Any] = []
    structure: list[Any] = ["dict" if named else type(tree).__name__]
    for item in tree.items() if named else tree:
        found, kind = flatten(item[1] if named else item)
        leaves += found
        structure.append((item[0], kind) if named else kind)
    return leaves, tuple(structure)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return `tree` with every leaf replaced by ``function(leaf)``, in the order of `flatten`."""
    if isinstance(tree, tuple):
        return tuple([map_leaves(function, child) for child in tree])
    if isinstance(tree, list):
        return [map_leaves(function, child) for child in tree]
    if isinstance(tree, dict):
        return {key: map_leaves(function, child) for key, child in tree.items()}
    return function(tree)


def same_value(one: Any, other: Any) -> bool:
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
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same_value, one.values(), other.values()))
    return bool(one == other)
