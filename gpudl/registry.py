"""Names to objects and back: what `get`, `serialize` and `from_config` share in every family."""

from __future__ import annotations

import copy
import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from gpudl.engine.state import changed
from gpudl.engine.tree import same_value

_NOTHING = object()


def snake_case(name: str) -> str:
    """Return a class name in Keras's snake case.

    Example:
        >>> snake_case("MaxPooling2D"), snake_case("CategoricalCrossentropy")
        ('max_pooling2d', 'categorical_crossentropy')
    """
    words: list[str] = []
    for at, letter in enumerate(name):
        before, after = name[at - 1 : at], name[at + 1 : at + 2]
        starts = letter.isupper() and at > 0 and (before.islower() or (after.islower() and before.isupper()))
        words.append(("_" if starts else "") + letter.lower())
    return "".join(words)


def unknown(kind: str, name: str, known: Mapping[str, Any]) -> ValueError:
    """Return the error for a `name` that is not in `known`, with the nearest name that is."""
    # Of the two spellings of a name the one with underscores, unless it cuts off a stump, as in rm_sprop.
    spelled = {other.replace("_", ""): other for other in known if "_" in other and min(map(len, other.split("_"))) > 2}
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    hint = f" Known: {', '.join(sorted({spelled.get(other, other) for other in known}))}."
    if near:
        hint = f" Did you mean {spelled.get(near[0], near[0])!r}?"
    return ValueError(f"Unknown {kind}: {name!r}.{hint}")


def unknown_argument(cls: type, name: str) -> ValueError:
    """Return the error for an argument that neither `cls` nor a base of it takes, with the nearest that one does.

    Example:
        >>> print(unknown_argument(gpudl.layers.Dense, "activaton"))
        Dense has no argument 'activaton'. Did you mean 'activation'?
    """
    taken = [
        parameter.name
        for base in cls.__mro__
        if "__init__" in vars(base) and base is not object
        for parameter in list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    near = difflib.get_close_matches(name.lower(), taken, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(dict.fromkeys(taken))}."
    return ValueError(f"{cls.__name__} has no argument {name!r}. {hint}")


def refuse_others(cls: type, others: Mapping[str, Any], off: Mapping[str, Any]) -> None:
    """Raise ValueError for arguments that no constructor takes, unless they have the values that `off` lists."""
    for name, value in others.items():
        if name not in off:
            raise unknown_argument(cls, name)
        if value != off[name]:
            raise ValueError(f"{cls.__name__}({name}={value!r}) is not supported yet. Leave {name} out.")


def lookup(kind: str, identifier: Any, known: Mapping[str, Any]) -> Any:
    """Return what `identifier` stands for: a name, a `serialize`d dict, a class, or the object itself.

    Args:
        kind: what is looked up, for the error: ``"loss"``, ``"optimizer"``.
        identifier: a name in `known` (in any case), a dict with ``class_name`` and ``config``, a class (made
            with its defaults), a callable, or None, which is returned as it is.
        known: classes and functions by every accepted name, in lower case.

    Raises:
        ValueError: an unknown name; the text offers the nearest one.
        TypeError: something that is no name, dict or callable.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        if "class_name" not in identifier:
            raise TypeError(
                f"the config of a {kind} is a dict with class_name and config, got the keys {list(identifier)!r}."
            )
        cls = _named(kind, str(identifier.get("class_name")), known)
        return cls.from_config(identifier.get("config", {}))
    if isinstance(identifier, str):
        identifier = _named(kind, identifier, known)
    if inspect.isclass(identifier):
        return identifier()
    if callable(identifier) or hasattr(identifier, "get_config"):
        return identifier
    article = "an" if kind[0] in "aeiou" else "a"
    raise TypeError(
        f"{article} {kind} is a name, an object of its class, a function or a config dict, got {identifier!r}."
    )


def _named(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    found = known.get(name) or known.get(name.lower())
    if found is None:
        raise unknown(kind, name, known)
    return found


def names(*objects: Any) -> dict[str, Any]:
    """Return `objects` by their names, in lower case and in snake case."""
    table: dict[str, Any] = {}
    for item in objects:
        table[item.__name__.lower()] = item
        table[snake_case(item.__name__)] = item
    return table


class Configurable:
    """What steps are made with: recorded steps are looked at again when an attribute gets another value.

    It remembers the arguments of its constructor, so that `get_config` needs no code in subclasses.
    """

    _arguments: dict[str, Any]
    _obsolete: tuple[str, ...] = ()  # arguments under old names, which no config has
    _unread: frozenset[str] = frozenset()  # attributes of which no step depends

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Note the arguments, with the defaults of those that were not given."""
        made = super().__new__(cls)
        try:
            given = inspect.signature(cls.__init__).bind(made, *args, **kwargs)
        except TypeError:
            return made  # a copy, whose attributes come later; or a wrong call, and the constructor says so
        given.apply_defaults()
        arguments: dict[str, Any] = {}
        for name, parameter in list(inspect.signature(cls.__init__).parameters.items())[1:]:
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments.update(given.arguments[name])
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                arguments[name] = given.arguments[name]
        for name in cls._obsolete:
            arguments.pop(name, None)
        object.__setattr__(made, "_arguments", arguments)
        return made

    def __setattr__(self, name: str, value: Any) -> None:
        before = vars(self).get(name, _NOTHING)
        object.__setattr__(self, name, value)
        if before is not value:
            self._note_change(name, before)

    def __delattr__(self, name: str) -> None:
        before = vars(self).get(name, _NOTHING)
        object.__delattr__(self, name)
        self._note_change(name, before)

    def _note_change(self, name: str, before: Any) -> None:
        """Have steps looked at again that may depend on an attribute; one that an object has first is none's yet."""
        known = before is not _NOTHING or hasattr(type(self), name) or getattr(self, "built", False)
        if known and name not in self._unread and not same_value(before, vars(self).get(name, _NOTHING)):
            changed()

    def __copy__(self) -> Any:
        """Return a copy that shares nothing with this object, as `copy.deepcopy` does."""
        return copy.deepcopy(self)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data; an attribute of the same name is preferred."""
        return {name: serialize(getattr(self, name, value)) for name, value in self._arguments.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return a new object with the arguments of `config`; what it does not take and is None is left out."""
        parameters = inspect.signature(cls.__init__).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            config = {name: value for name, value in config.items() if name in parameters or value is not None}
        return cls(**config)


def serialize(value: Any) -> Any:
    """Return `value` as plain data: objects with a config as a dict, functions by name."""
    if hasattr(value, "get_config"):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if isinstance(value, tuple | list):
        return type(value)(serialize(v) for v in value)
    if inspect.isfunction(value):
        return value.__name__
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value


_counts: dict[str, int] = {}


def auto_name(prefix: str) -> str:
    """Return ``prefix``, then ``prefix_1``, ``prefix_2`` and so on, as Keras names layers."""
    count = _counts.get(prefix, 0)
    _counts[prefix] = count + 1
    return f"{prefix}_{count}" if count else prefix


def clear_names() -> None:
    """Begin to count names from the start."""
    _counts.clear()
