"""Nests of tuples, lists and dicts: their leaves, and functions of these; the names are those of ``keras.tree``.

A leaf is anything else, None among them. Leaves are in the order of tuples and lists, and of the sorted keys of dicts.

Example:
    >>> map_structure(lambda x: 2 * x, {"b": 1, "a": (2, [3])})
    {'b': 2, 'a': (4, [6])}
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from typing import TypeVar

__all__ = [
    "MAP_TO_NONE",
    "assert_same_paths",
    "assert_same_structure",
    "flatten",
    "flatten_with_path",
    "is_nested",
    "lists_to_tuples",
    "map_shape_structure",
    "map_structure",
    "map_structure_up_to",
    "pack_sequence_as",
    "traverse",
]

K = TypeVar("K")
Path = tuple[int | str, ...]


class MAP_TO_NONE:  # noqa: N801 (Keras's name)
    """What the function of `traverse` returns to have a part replaced by None."""


def is_nested(structure: object) -> bool:
    """Return whether `structure` is a tuple, list or dict.

    Example:
        >>> is_nested([]), is_nested("text"), is_nested(None)
        (True, False, False)
    """
    return isinstance(structure, tuple | list | dict)


def _children(structure: object) -> list[tuple[int | str, object]]:
    """Return the parts of a tuple, list or dict by index or key, in the order of the leaves."""
    if isinstance(structure, dict):
        return [(key, structure[key]) for key in _keys(structure)]
    return list(enumerate(structure)) if isinstance(structure, tuple | list) else []


def _keys(structure: dict[K, object]) -> list[K]:
    """Return the keys of a dict: sorted, or in their order if the dict is about this."""
    if isinstance(structure, OrderedDict):
        return list(structure)
    return sorted(structure, key=lambda key: (type(key).__name__, key))


def _with_children(structure: object, children: Iterable[object]) -> object:
    """Return a tuple, list or dict like `structure` of other parts, which come in the order of `_children`."""
    if isinstance(structure, dict):
        made = copy(structure)
        made.update(zip(_keys(structure), children, strict=True))
        return made
    if hasattr(structure, "_fields"):
        return type(structure)(*children)
    return type(structure)(children)  # type: ignore[call-arg]


def flatten_with_path(structure: object) -> list[tuple[Path, object]]:
    """Return pairs of each leaf's path, a tuple of indices and keys, and the leaf.

    Example:
        >>> flatten_with_path({"b": 1, "a": [2, 3]})
        [(('a', 0), 2), (('a', 1), 3), (('b',), 1)]
    """
    if not is_nested(structure):
        return [((), structure)]
    found = [(at, pair) for at, child in _children(structure) for pair in flatten_with_path(child)]
    return [((at, *path), leaf) for at, (path, leaf) in found]


def flatten(structure: object) -> list[object]:
    """Return the leaves of a nest.

    Example:
        >>> flatten({"b": 1, "a": (2, None)})
        [2, None, 1]
    """
    return [leaf for _, leaf in flatten_with_path(structure)]


def pack_sequence_as(structure: object, flat_sequence: Sequence[object]) -> object:
    """Return a nest like `structure` whose leaves are those of a flat sequence.

    Raises:
        ValueError: there are more or fewer of them than `structure` has.

    Example:
        >>> pack_sequence_as({"b": 0, "a": (0, 0)}, [1, 2, 3])
        {'b': 3, 'a': (1, 2)}
    """
    count = len(flatten(structure))
    if len(flat_sequence) != count:
        raise ValueError(f"pack_sequence_as: the structure has {count} leaves, got {len(flat_sequence)}.")
    return _packed(structure, iter(flat_sequence))


def _packed(structure: object, leaves: Iterator[object]) -> object:
    if not is_nested(structure):
        return next(leaves)
    return _with_children(structure, [_packed(child, leaves) for _, child in _children(structure)])


def assert_same_structure(a: object, b: object, check_types: bool | None = None) -> None:
    """Raise ValueError unless two nests have the same types, lengths and keys; their leaves may differ.

    Args:
        a, b: the nests.
        check_types: accepted, without effect, as in Keras.

    Example:
        >>> assert_same_structure([1, {"a": 2}], [3, {"a": 4}])
    """
    _check_alike(a, b, ())


def _check_alike(a: object, b: object, path: Path) -> None:
    """Raise ValueError where `b` has not the structure of `a`, with the path to the place."""
    if not is_nested(a) and not is_nested(b):
        return
    alike = is_nested(a) and (type(a) is type(b) or (isinstance(a, dict) and isinstance(b, dict)))
    if not alike or [at for at, _ in _children(a)] != [at for at, _ in _children(b)]:
        where = "".join(f"[{at!r}]" for at in path)
        raise ValueError(f"the structures differ{f' at {where}' if where else ''}: expected one like {a!r}, got {b!r}.")
    for (at, one), (_, other) in zip(_children(a), _children(b), strict=True):
        _check_alike(one, other, (*path, at))


def assert_same_paths(a: object, b: object) -> None:
    """Raise ValueError unless two nests have leaves at the same paths; a tuple may stand for a list.

    Example:
        >>> assert_same_paths([1, 2], (3, 4))
    """
    paths, others = ({path for path, _ in flatten_with_path(nest)} for nest in (a, b))
    if paths != others:
        raise ValueError(
            f"the structures have different paths: only the first has {sorted(paths - others, key=repr)}, only the "
            f"second {sorted(others - paths, key=repr)}."
        )


def map_structure(func: Callable[..., object], *structures: object, none_is_leaf: bool = True) -> object:
    """Return a nest of what `func` returns for the leaves of nests of one structure.

    Args:
        func: called with one leaf of each nest.
        *structures: the nests, at least one.
        none_is_leaf: whether `func` is called for None too; otherwise None stays None.

    Raises:
        ValueError: no nest, or nests of different structures.

    Example:
        >>> map_structure(lambda x, y: x + y, [1, (2,)], [10, (20,)])
        [11, (22,)]
    """
    _check_given("map_structure", structures)
    for other in structures[1:]:
        assert_same_structure(structures[0], other)
    rows = zip(*map(flatten, structures), strict=True)
    leaves = [None if row[0] is None and not none_is_leaf else func(*row) for row in rows]
    return pack_sequence_as(structures[0], leaves)


def _check_given(who: str, structures: tuple[object, ...]) -> None:
    if not structures:
        raise ValueError(f"{who}: expected at least one structure, got none.")


def map_structure_up_to(shallow_structure: object, func: Callable[..., object], *structures: object) -> object:
    """Return a nest like `shallow_structure` of what `func` returns for the parts of nests at its leaves.

    Raises:
        ValueError: no nest, or one that has not the structure of `shallow_structure` that far down.

    Example:
        >>> map_structure_up_to([0, 0], lambda x, y: (x, y), [[1], 2], [3, [4]])
        [([1], 3), (2, [4])]
    """
    _check_given("map_structure_up_to", structures)
    rows = zip(*(_down_to(shallow_structure, nest) for nest in structures), strict=True)
    return pack_sequence_as(shallow_structure, [func(*row) for row in rows])


def _down_to(shallow: object, nest: object) -> list[object]:
    """Return the parts of a nest at the leaves of another."""
    if not is_nested(shallow):
        return [nest]
    places = [at for at, _ in _children(shallow)]
    if type(shallow) is not type(nest) or places != [at for at, _ in _children(nest)]:
        raise ValueError(f"the structures differ: expected one like {shallow!r}, got {nest!r}.")
    pairs = zip(_children(shallow), _children(nest), strict=True)
    return [part for (_, inner), (_, child) in pairs for part in _down_to(inner, child)]


def map_shape_structure(func: Callable[..., object], structure: object) -> object:
    """Return a nest of what `func` returns for the shapes in a nest: tuples and lists of integers and None.

    Example:
        >>> map_shape_structure(len, {"a": (None, 3), "b": [(2,)]})
        {'a': 2, 'b': [1]}
    """
    is_shape = isinstance(structure, tuple | list) and all(isinstance(size, int | None) for size in structure)
    if is_shape or not is_nested(structure):
        return func(structure)
    return _with_children(structure, [map_shape_structure(func, child) for _, child in _children(structure)])


def lists_to_tuples(structure: object) -> object:
    """Return a nest with tuples in place of lists.

    Example:
        >>> lists_to_tuples([1, {"a": [2]}])
        (1, {'a': (2,)})
    """
    if not is_nested(structure):
        return structure
    children = [lists_to_tuples(child) for _, child in _children(structure)]
    return tuple(children) if isinstance(structure, list) else _with_children(structure, children)


def traverse(func: Callable[[object], object], structure: object, top_down: bool = True) -> object:
    """Return a nest in which each part, or leaf, for which `func` returns something is replaced by this.

    Args:
        func: called with each tuple, list, dict and leaf; it returns None to keep it, `MAP_TO_NONE` for None.
        structure: the nest.
        top_down: whether parts come before what is in them, which is not visited where they are replaced.

    Example:
        >>> traverse(lambda part: "pair" if isinstance(part, tuple) else None, [1, (2, 3)])
        [1, 'pair']
    """
    result = structure
    if top_down and (found := func(structure)) is not None:
        return None if found is MAP_TO_NONE else found
    if is_nested(structure):
        result = _with_children(structure, [traverse(func, child, top_down) for _, child in _children(structure)])
    if not top_down and (found := func(result)) is not None:
        return None if found is MAP_TO_NONE else found
    return result
