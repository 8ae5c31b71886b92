"""The outputs of a model, and the losses, metrics, targets and sample weights for each of them.

A model returns one array or a nest of lists, tuples and dicts. The losses, metrics, targets and weights of its outputs
are nests of the same structure. Lists and tuples are equivalent, and a list can replace a dict: its entries are then
for the sorted names, which is the order of the outputs too. For the outputs of a functional model a dict by the names
of the layers that return them can replace a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from gpudl.backend import Array
from gpudl.engine.tensor import Tensor
from gpudl.tree import pack_sequence_as

Path: TypeAlias = tuple[object, ...]
"""The keys and indices of an output in the nest of all outputs; () for a single array."""


class Outputs:
    """The outputs of one call of a model.

    Args:
        nest: what the model returned.
        names: the names of the outputs, in their order; None, or another number of them, where they have none.

    Attributes:
        paths: the keys and indices of each output.
        values: the outputs.
        names: the name of each output, None where it has none.

    Example:
        >>> outputs = Outputs({"b": 0.5, "a": [1.0, 2.0]})
        >>> outputs.paths, outputs.values
        ([('a', 0), ('a', 1), ('b',)], [1.0, 2.0, 0.5])
    """

    def __init__(self, nest: object, names: Sequence[str] | None = None) -> None:
        self.nest = nest
        found = list(leaves(nest))
        self.paths: list[Path] = [path for path, _ in found]
        self.values: list[Tensor] = [value for _, value in found]
        known = names is not None and len(names) == len(found)
        self.names: list[str | None] = list(names) if known and names else [None] * len(found)

    @property
    def prefixes(self) -> list[str]:
        """The prefixes of the names of metrics: the names of the outputs, if there are several."""
        if len(self.paths) == 1:
            return [""]
        keyed = isinstance(self.nest, dict) and all(len(path) == 1 for path in self.paths)
        names = [path[0] for path in self.paths] if keyed else self.names
        return ["" if name is None else f"{name}_" for name in names]

    def each(self, what: str, given: object) -> list[Any]:
        """Return the entry of `given` for each output, None for those without: one for all, or a nest like the outputs.

        Args:
            what: the argument of the user, for errors.
            given: for an only output without a name also a list or dict of one, whatever its name. An entry may be a
                list of one.

        Raises:
            ValueError: a nest of another form, or a name that no output has.

        Example:
            >>> two = Outputs({"b": 0, "a": 0})
            >>> two.each("loss", "mse"), two.each("loss", {"b": ["mse"]})
            (['mse', 'mse'], [None, 'mse'])
        """
        found = self.fitted(what, given)
        if found is None:
            raise self.misfit(what, given)
        return found

    def fitted(self, what: str, given: object) -> list[Any] | None:
        """Return the result of `each`, or None for a nest of another form."""
        if not is_nest(given):
            return [given] * len(self.paths)
        found = self._by_name(what, given)
        if found is None:
            only = [value for _, value in leaves(given)]
            if len(self.paths) == len(only) == 1:
                return only
            found = _entries(what, given, self.nest)
        each = None if found is None else [*map(_only, found)]
        return None if each is None or any(map(is_nest, each)) else each

    def below(self, path: Path) -> list[int]:
        """Return the numbers of the outputs in the part of the nest at a path."""
        return [number for number, own in enumerate(self.paths) if own[: len(path)] == path]

    def part(self, path: Path, values: Sequence[object]) -> object:
        """Return the part of the nest at a path, with the entry of `values` for each of its outputs.

        Example:
            >>> Outputs({"b": 0, "a": [0, 0]}).part(("a",), [1, 2, 3])
            [1, 2]
        """
        part: Any = self.nest
        for key in path:
            part = part[key]
        return pack_sequence_as(part, [values[number] for number in self.below(path)])

    def lists(self, what: str, given: object) -> list[list[object]]:
        """Return a list of entries of `given` for each output; a single output gets all of them.

        Example:
            >>> Outputs([0, 0]).lists("metrics", [["mse", "mae"], "mae"]), Outputs(0).lists("metrics", {"a": ["mae"]})
            ([['mse', 'mae'], ['mae']], [['mae']])
        """
        if given is None:
            return [[] for _ in self.paths]
        each = self._by_name(what, given)
        if each is None and len(self.paths) == 1:
            return [[value for _, value in leaves(given)]]
        each = self._placed(what, given) if each is None else each
        return [[] if one is None else list(one) if isinstance(one, list | tuple) else [one] for one in each]

    def targets(self, y: object, compared: Sequence[int], counted: Sequence[int] = ()) -> list[Array]:
        """Return the target of each output, None for those without.

        Args:
            y: a nest like the outputs; or the targets of those that have a loss, one or a list.
            compared: the numbers of the outputs with a loss.
            counted: the numbers of the outputs with metrics.

        Raises:
            ValueError: a target is missing, or the nests differ.
        """
        named = self._by_name("y", y)
        given = [target for _, target in leaves(y)]
        if named is not None:
            found = self._leaves_only("y", y, named)
        elif len(self.paths) == len(given) == 1:
            return given
        elif len(given) == len(compared) < len(self.paths) and not isinstance(y, dict):
            placed = dict(zip(compared, given, strict=True))
            found = [placed.get(number) for number in range(len(self.paths))]
        else:
            found = self._matched("y", y)
        for number in (*compared, *counted):
            if found[number] is None:
                raise ValueError(
                    f"the output {self.called(number)!r} has a loss or metrics, but y has no target for it."
                )
        return found

    def called(self, number: int) -> str:
        """Return the name of an output in errors."""
        return self.names[number] or "/".join(map(str, self.paths[number]))

    def _by_name(self, what: str, given: object) -> list[object] | None:
        """Return the entry of a dict for the name of each output; None if its keys are not names of outputs."""
        names = [name for name in self.names if name is not None]
        if not names or not isinstance(given, dict) or not is_nest(given) or isinstance(self.nest, dict):
            return None
        known = ", ".join(map(repr, names))
        if len(set(names)) < len(names):
            raise ValueError(
                f"the outputs of the model are named {known}: give {what} as a list, for names that differ."
            )
        for name in given:
            if name not in names:
                raise ValueError(f"{what} has an entry for {name!r}, and the outputs of the model are {known}.")
        return [given.get(name) for name in names]

    def _matched(self, what: str, given: object) -> list[object]:
        """Return `one` for each output."""
        return self._leaves_only(what, given, self._placed(what, given))

    def _placed(self, what: str, given: object) -> list[object]:
        """Return the entry of `given` for each output, which may be a nest itself."""
        found = _entries(what, given, self.nest)
        if found is None:
            raise self.misfit(what, given)
        return found

    def _leaves_only(self, what: str, given: object, found: list[object]) -> list[object]:
        if any(map(is_nest, found)):
            raise self.misfit(what, given)
        return found

    def misfit(self, what: str, given: object) -> ValueError:
        """Return the error for a nest of another form."""
        wanted, got = ("one array" if hasattr(nest, "shape") else _form(nest) for nest in (self.nest, given))
        named = "" if None in self.names else f", or of a dict by the names {', '.join(map(repr, self.names))}"
        return ValueError(
            f"{what} must have the form of what the model returns, {wanted}{named}, got {got}. None stands for nothing."
        )


def is_nest(value: object) -> bool:
    """Return whether `value` holds others; the config of a loss or metric, a dict with a class_name, is one thing."""
    return isinstance(value, list | tuple) or (isinstance(value, dict) and "class_name" not in value)


def _only(entry: object) -> object:
    """Return what is in a list of one thing, and anything else itself."""
    return entry[0] if isinstance(entry, list | tuple) and len(entry) == 1 else entry


def leaves(nest: object, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the path of each leaf of a nest, and the leaf."""
    if not is_nest(nest):
        yield path, nest
        return
    for key, child in _children(nest):
        yield from leaves(child, (*path, key))


def _children(nest: object) -> list[tuple[object, object]]:
    if isinstance(nest, dict):
        return [(name, nest[name]) for name in sorted(nest, key=str)]
    return list(enumerate(nest)) if isinstance(nest, list | tuple) else []


def _entries(what: str, given: object, outputs: object) -> list[object] | None:
    """Return the entry of `given` for each of `outputs`, None for a missing name; or None if the structures differ."""
    if not is_nest(outputs):
        return [given]
    children = _children(outputs)
    if given is None:
        parts: list[object] = [None] * len(children)
    elif isinstance(given, dict) and isinstance(outputs, dict):
        for name in given:
            if name not in outputs:
                known = ", ".join(repr(other) for other, _ in children)
                raise ValueError(f"{what} has an entry for {name!r}, and the outputs of the model are {known}.")
        parts = [given.get(name) for name, _ in children]
    elif not isinstance(given, list | tuple):
        return None
    elif len(given) == len(children):
        parts = list(given)
    elif len(given) == len(list(leaves(outputs))) and not any(map(is_nest, given)):
        return list(given)
    else:
        return None
    found = [_entries(what, part, child) for part, (_, child) in zip(parts, children, strict=True)]
    return None if None in found else [one for each in found for one in each or ()]


def _form(nest: object) -> str:
    """Return a nest as text, with dots in place of arrays."""
    if not is_nest(nest):
        return "..." if hasattr(nest, "shape") else repr(nest)
    parts = [(key, _form(child)) for key, child in _children(nest)]
    if isinstance(nest, dict):
        return "{" + ", ".join(f"{key!r}: {part}" for key, part in parts) + "}"
    return "[" + ", ".join(part for _, part in parts) + "]"
