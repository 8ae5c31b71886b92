"""The registry of serializable classes and functions: from names and configs to objects and back.

A `Family` has the classes and functions of one kind, and `get`, `serialize` and `deserialize` for them. User-defined
ones are in `custom_objects`.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Generic, Self, TypeVar, cast, overload

from gpudl import custom_objects as users
from gpudl.argument_errors import unknown, unregistered
from gpudl.descriptions import Config as Config
from gpudl.descriptions import described, made_from
from gpudl.engine.state import changed
from gpudl.engine.tree import same_value
from gpudl.names import snake_case

T = TypeVar("T")
R = TypeVar("R")
_NOTHING = object()
Identified = str | Mapping[str, object] | Callable[..., object]
Identifier = Identified | None
"""An argument of `Family.get`: a name, a config, a class, a callable object or function, or None."""
N = TypeVar("N")
_LOOKUPS = ("deserialize", "get", "serialize")  # functions of a module that are no members of its family


class Family(Generic[T, N]):
    """The classes and functions of one kind, such as losses, by all their names.

    Args:
        kind: the kind in error messages, such as ``"loss"``.
        base: the base class.
        functions: whether functions, and callable objects of other classes, are accepted as well.
        default: the value for None.

    Example:
        >>> norms = Family("norm", gpudl.constraints.Constraint)
        >>> norms.add(vars(gpudl.constraints))
        >>> norms.alias(unit="UnitNorm")
        >>> norms.get("unit_norm").axis, norms.get("UNIT").axis
        (0, 0)
    """

    def __init__(self, kind: str, base: type | None = None, functions: bool = True, default: N = None) -> None:  # type: ignore[assignment]
        self.kind = kind
        self.base: type = base or type(None)
        self.functions = functions
        self.default = default
        self.known: dict[str, object] = {}

    def add(self, *modules: Mapping[str, Any], functions: bool = True) -> None:
        """Register the classes in the ``__all__`` of `modules`, and, with `functions`, the functions.

        A class is registered by its name, and by that in lower case, with and without underscores. If a function has
        one of the latter names, as `losses.huber` has that of `losses.Huber`, it takes precedence.
        """
        named = {name: module[name] for module in modules for name in module["__all__"]}
        for name, item in named.items():
            if inspect.isclass(item) and issubclass(item, self.base) and item is not self.base:
                self.known |= {name: item, name.lower(): item, snake_case(name): item}
        if functions and self.functions:
            self.known |= {n: item for n, item in named.items() if inspect.isfunction(item) and n not in _LOOKUPS}

    def alias(self, **names: str) -> None:
        """Register another name: ``alias(mse="mean_squared_error")``."""
        self.known |= {alias: self.known[name] for alias, name in names.items()}

    @overload
    def get(self, identifier: None) -> N: ...

    @overload
    def get(self, identifier: str | Mapping[str, object] | Callable[..., object] | T) -> T: ...

    def get(self, identifier: object) -> T | N:
        """Return the object or function of `identifier`.

        Args:
            identifier: a name, in any case; a dict from `serialize`; a class, which is called with its defaults; an
                object or a function, which is returned unchanged; or None.

        Raises:
            ValueError: an unknown name, for which the message suggests the most similar one, or any other identifier.

        Example:
            >>> gpudl.losses.get("mse") is gpudl.losses.mean_squared_error
            True
            >>> gpudl.losses.get({"class_name": "Huber", "config": {"delta": 2.0}}).delta
            2.0
        """
        return self.deserialize(identifier)

    def serializer(self, argument: str) -> Callable[..., object]:
        """Return `serialize` with the name that its argument has in Keras, ``"layer"`` for layers."""
        return named_like(self.serialize, {"value": argument})

    def deserializer(self, argument: str) -> Callable[..., T]:
        """Return `deserialize` with the name that its first argument has in Keras."""
        return named_like(self.deserialize, {"config": argument})

    def serialize(self, value: object) -> object:
        """Return `value` as plain data: the class and the config of an object, the name of a function.

        Example:
            >>> gpudl.regularizers.serialize(gpudl.regularizers.L2(0.5))
            {'module': 'keras.regularizers', 'class_name': 'L2', 'config': {'l2': 0.5}, 'registered_name': None}
            >>> gpudl.activations.serialize(gpudl.activations.silu)
            'silu'
        """
        return serialize(value)

    def deserialize(self, config: object, custom_objects: Mapping[str, object] | None = None) -> T:
        """Return the object of a config from `serialize`, like `get`; `custom_objects` adds classes and functions.

        Example:
            >>> gpudl.metrics.deserialize({"class_name": "BinaryAccuracy", "config": {"threshold": 0.25}}).threshold
            0.25
        """
        if config is None:
            return cast(T, self.default)
        found = self._found(config, {**users.known(), **(custom_objects or {})})
        if isinstance(found, self.base) or (self.functions and _can_be_called(found)):
            return cast(T, found)
        allowed = f"{self._a_kind} is a name, an object of its class, a function or a config dict"
        if not self.functions:
            example = next(name for name in self.known if name != name.lower())
            allowed = f"expected {self._a_kind} or its name, such as {example.lower()!r} or {example}()"
        raise ValueError(f"{allowed}, got {config!r}.")

    @property
    def _a_kind(self) -> str:
        return f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"

    def _found(self, identifier: object, custom: Mapping[str, object]) -> object:
        """Return the function or object of a name or a config, and anything else unchanged."""
        if isinstance(identifier, str):
            return _made(self._named(custom, identifier))
        if not isinstance(identifier, dict):
            return _made(identifier)
        if "class_name" not in identifier:
            raise ValueError(
                f"the config of {self._a_kind} is a dict with class_name and config, got the keys {list(identifier)!r}."
            )
        name, registered = str(identifier["class_name"]), identifier.get("registered_name")
        if name == "function":  # the form of Keras's configs
            return self._named(custom, identifier["config"])
        module = str(identifier.get("module") or "keras")
        if module.split(".")[0] == "keras":
            found = self._named(custom, name, registered or name)
        else:  # the user's, which may have the name of one of gpudl's
            found = custom.get(str(registered)) or custom.get(name)
            if found is None:
                raise unregistered(name, module)
        if not inspect.isclass(found):
            return found
        return made_from(found, identifier)

    def _named(self, custom: Mapping[str, object], *names: str) -> object:
        for name in names[::-1]:
            for known in (custom, self.known):
                if found := known.get(name) or known.get(name.lower()):
                    return found
        raise unknown(self.kind, names[0], [*custom, *(name for name in self.known if name == name.lower())])


def _made(found: object) -> object:
    return found() if inspect.isclass(found) else found


def _can_be_called(found: object) -> bool:
    return callable(found) or hasattr(found, "get_config")


_WITHOUT_OWN = inspect.signature(object.__init__)  # which `inspect` reads from text, with copies of all modules' names


def _signature(constructor: Callable[..., None]) -> inspect.Signature:
    """Return the signature of an ``__init__``."""
    return _WITHOUT_OWN if constructor is object.__init__ else inspect.signature(constructor)


class Configurable:
    """The base of objects that steps depend on: recorded steps are checked again after an attribute has changed.

    It records the arguments of its constructor, so that `get_config` needs no code in subclasses.
    """

    _arguments: Config
    _obsolete: tuple[str, ...] = ()  # old names of arguments, which are not in configs
    _unread: frozenset[str] = frozenset()  # attributes that no step depends on

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Record the arguments, with defaults for those that were not passed."""
        made = super().__new__(cls)
        try:
            given = _signature(cls.__init__).bind(made, *args, **kwargs)
        except TypeError:
            return made  # a copy, whose attributes are set later, or a wrong call, for which the constructor raises
        given.apply_defaults()
        arguments: Config = {}
        for name, parameter in list(_signature(cls.__init__).parameters.items())[1:]:
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments.update(given.arguments[name])
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                arguments[name] = given.arguments[name]
        for name in cls._obsolete:
            arguments.pop(name, None)
        object.__setattr__(made, "_arguments", arguments)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        before = vars(self).get(name, _NOTHING)
        object.__setattr__(self, name, value)
        if before is not value:
            self._note_change(name, before)

    def __delattr__(self, name: str) -> None:
        before = vars(self).get(name, _NOTHING)
        object.__delattr__(self, name)
        self._note_change(name, before)

    def _note_change(self, name: str, before: object) -> None:
        """Have steps checked again that may depend on an attribute; no step depends on a new one."""
        known = before is not _NOTHING or hasattr(type(self), name) or getattr(self, "built", False)
        if known and name not in self._unread and not same_value(before, vars(self).get(name, _NOTHING)):
            changed()

    def __copy__(self) -> Self:
        """Return a deep copy."""
        return copy.deepcopy(self)

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data; an attribute of the same name is preferred."""
        return {name: serialize(getattr(self, name, value)) for name, value in self._arguments.items()}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a new object with the arguments of `config`; unknown ones that are None are ignored."""
        parameters = _signature(cls.__init__).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            config = {name: value for name, value in config.items() if name in parameters or value is not None}
        return cls(**config)


def serialize(value: object) -> object:
    """Return `value` as plain data: objects with a config as Keras describes them, functions by name."""
    if hasattr(value, "get_config"):
        return described(value, value.get_config())
    if isinstance(value, tuple | list):
        return type(value)(serialize(v) for v in value)
    if inspect.isfunction(value):
        return users.get_registered_name(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value


def named_like(function: Callable[..., R], names: Mapping[str, str]) -> Callable[..., R]:
    """Return a function whose arguments have other names: those of `names`, by their present ones."""
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    shown = signature.replace(parameters=[p.replace(name=names.get(p.name, p.name)) for p in parameters])

    @wraps(function)
    def called(*args: object, **kwargs: object) -> R:
        return function(*shown.bind(*args, **kwargs).args)

    vars(called)["__signature__"] = shown
    return called
