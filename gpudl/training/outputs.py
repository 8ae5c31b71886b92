"""The outputs of a model, and what is given for each of them: losses, metrics, targets, sample weights.

A model returns one array or a nest: a list, tuple or dict, and these inside each other. What is given for its outputs
has the same form. Lists and tuples are alike, and a list can stand for a dict: its entries are for the sorted names
then, which is the order of the outputs too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Path = tuple[Any, ...]
"""The keys and indices that lead to an output from the whole of them; () for an only array."""


class Outputs:
    """The outputs of one call of a model.

    Args:
        nest: what the model returned.

    Attributes:
        paths: where each output lies.
        values: the outputs.

    Example:
        >>> outputs = Outputs({"b": 0.5, "a": [1.0, 2.0]})
        >>> outputs.paths, outputs.values
        ([('a', 0), ('a', 1), ('b',)], [1.0, 2.0, 0.5])
    """

    def __init__(self, nest: Any) -> None:
        self.nest = nest
        found = list(leaves(nest))
        self.paths: list[Path] = [path for path, _ in found]
        self.values: list[Any] = [value for _, value in found]

    @property
    def prefixes(self) -> list[str]:
        """What the names of metrics begin with: the names of the outputs where they are a dict of several arrays."""
        named = isinstance(self.nest, dict) and len(self.paths) > 1 and all(len(path) == 1 for path in self.paths)
        return [f"{path[0]}_" if named else "" for path in self.paths]

    def each(self, what: str, given: Any) -> list[Any]:
        """Return what is given for each output, None for those without: one for all, or a nest as the outputs are.

        Args:
            what: the argument of the user, for errors.
            given: for an only output also a list or dict of one, whatever its name.

        Raises:
            ValueError: a nest of another form, or a name that no output has.

        Example:
            >>> two = Outputs({"b": 0, "a": 0})
            >>> two.each("loss", "mse"), two.each("loss", {"b": "mse"})
            (['mse', 'mse'], [None, 'mse'])
        """
        if not is_nest(given):
            return [given] * len(self.paths)
        only = [value for _, value in leaves(given)]
        return only if len(self.paths) == len(only) == 1 else self._matched(what, given)

    def lists(self, what: str, given: Any) -> list[list[Any]]:
        """Return the list of what is given for each output; an only output gets all there is.

        Example:
            >>> Outputs([0, 0]).lists("metrics", [["mse", "mae"], "mae"]), Outputs(0).lists("metrics", {"a": ["mae"]})
            ([['mse', 'mae'], ['mae']], [['mae']])
        """
        if given is None:
            return [[] for _ in self.paths]
        if len(self.paths) == 1:
            return [[value for _, value in leaves(given)]]
        each = _matched(what, given, self.nest)
        return [[] if one is None else list(one) if isinstance(one, list | tuple) else [one] for one in each]

    def targets(self, y: Any, compared: Sequence[int], counted: Sequence[int] = ()) -> list[Any]:
        """Return the target of each output, None for those without.

        Args:
            y: a nest as the outputs are; or the targets of those that have a loss, one or a list.
            compared: the numbers of the outputs with a loss.
            counted: the numbers of the outputs with metrics.

        Raises:
            ValueError: a target is missing, or the nests differ.
        """
        given = [target for _, target in leaves(y)]
        if len(self.paths) == len(given) == 1:
            return given
        if len(given) == len(compared) < len(self.paths) and not isinstance(y, dict):
            placed = dict(zip(compared, given, strict=True))
            found = [placed.get(number) for number in range(len(self.paths))]
        else:
            found = self._matched("y", y)
        for number in (*compared, *counted):
            if found[number] is None:
                where = "/".join(map(str, self.paths[number]))
                raise ValueError(f"the output {where!r} has a loss or metrics, but y has no target for it.")
        return found

    def _matched(self, what: str, given: Any) -> list[Any]:
        """Return one thing for each output."""
        found = _matched(what, given, self.nest)
        if any(map(is_nest, found)):
            raise _misfit(what, given, self.nest)
        return found


def is_nest(value: Any) -> bool:
    """Return whether `value` holds others; the config of a loss or metric, a dict with a class_name, is one thing."""
    return isinstance(value, list | tuple) or (isinstance(value, dict) and "class_name" not in value)


def leaves(nest: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield where each leaf of a nest lies, and the leaf."""
    if not is_nest(nest):
        yield path, nest
        return
    for key, child in _children(nest):
        yield from leaves(child, (*path, key))


def _children(nest: Any) -> list[tuple[Any, Any]]:
    if isinstance(nest, dict):
        return [(name, nest[name]) for name in sorted(nest, key=str)]
    return list(enumerate(nest))


def _matched(what: str, given: Any, outputs: Any) -> list[Any]:
    """Return the entry of `given` for each of `outputs`; it may be a nest itself, and is None where a name misses."""
    if not is_nest(outputs):
        return [given]
    children = _children(outputs)
    if given is None:
        parts = [None] * len(children)
    elif isinstance(given, dict) and isinstance(outputs, dict):
        for name in given:
            if name not in outputs:
                known = ", ".join(repr(other) for other, _ in children)
                raise ValueError(f"{what} has an entry for {name!r}, and the outputs of the model are {known}.")
        parts = [given.get(name) for name, _ in children]
    elif isinstance(given, list | tuple) and len(given) == len(children):
        parts = list(given)
    elif isinstance(given, list | tuple) and len(given) == len(list(leaves(outputs))) and not any(map(is_nest, given)):
        return list(given)
    else:
        raise _misfit(what, given, outputs)
    return [one for part, (_, child) in zip(parts, children, strict=True) for one in _matched(what, part, child)]


def _misfit(what: str, given: Any, outputs: Any) -> ValueError:
    wanted, got = ("one array" if hasattr(nest, "shape") else _form(nest) for nest in (outputs, given))
    return ValueError(
        f"{what} must have the form of what the model returns, {wanted}, got {got}. None stands for nothing."
    )


def _form(nest: Any) -> str:
    """Return a nest as text, in which dots stand for arrays."""
    if not is_nest(nest):
        return "..." if hasattr(nest, "shape") else repr(nest)
    parts = [(key, _form(child)) for key, child in _children(nest)]
    if isinstance(nest, dict):
        return "{" + ", ".join(f"{key!r}: {part}" for key, part in parts) + "}"
    return "[" + ", ".join(part for _, part in parts) + "]"
