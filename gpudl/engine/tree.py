"""Nested tuples, lists and dicts of tensors, flattened and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """Return the leaves of a nest of tuples, lists and dicts, and a hashable picture of its structure.

    Example:
        >>> flatten({"a": (1, 2), "b": None})[0]
        [1, 2, None]
    """
    if isinstance(tree, tuple | list):
        children = [flatten(child) for child in tree]
        kind: tuple[Any, ...] = (type(tree).__name__, *(shape for _, shape in children))
    elif isinstance(tree, dict):
        children = [flatten(child) for child in tree.values()]
        kind = ("dict", *zip(tree, (shape for _, shape in children), strict=True))
    else:
        return [tree], None
    return [leaf for leaves, _ in children for leaf in leaves], kind


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return `tree` with every leaf replaced by ``function(leaf)``, in the order of `flatten`."""
    if isinstance(tree, tuple):
        return tuple(map_leaves(function, child) for child in tree)
    if isinstance(tree, list):
        return [map_leaves(function, child) for child in tree]
    if isinstance(tree, dict):
        return {key: map_leaves(function, child) for key, child in tree.items()}
    return function(tree)
