"""User-defined classes and functions that configs may name: registered permanently, or for a ``with`` block."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "register_keras_serializable",
]

C = TypeVar("C", bound=Callable[..., object])

_registered: dict[str, object] = {}
_scope: ContextVar[Mapping[str, object]] = ContextVar("scope", default={})  # noqa: B039 (it is never written to)


def known() -> dict[str, object]:
    """Return the user's classes and functions that are currently registered, by name."""
    return {**_registered, **_scope.get()}


def get_custom_objects() -> dict[str, object]:
    """Return the user's classes and functions by name, a dict that may be changed.

    Example:
        >>> sorted(get_custom_objects())
        []
    """
    return _registered


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[C], C]:
    """Return a decorator that registers a class or a function as ``package>name``.

    Args:
        package: the package that it belongs to.
        name: its name there; by default that of the class or function.

    Raises:
        ValueError: a class without `get_config`.

    Example:
        >>> @register_keras_serializable("mine")
        ... class Fixed(gpudl.initializers.Constant): pass
        >>> config = gpudl.initializers.serialize(Fixed(2.0))
        >>> config["class_name"], config["registered_name"], config["config"]
        ('Fixed', 'mine>Fixed', {'value': 2.0})
        >>> gpudl.initializers.deserialize(config).value
        2.0
        >>> del get_custom_objects()["mine>Fixed"]
    """

    def register(item: C) -> C:
        if inspect.isclass(item) and not hasattr(item, "get_config"):
            raise ValueError(
                f"{item.__name__} has no get_config(), from which a copy could be made. Write one that returns the "
                "constructor's arguments."
            )
        _registered[f"{package}>{name or item.__name__}"] = item
        return item

    return register


def get_registered_name(obj: type | Callable[..., object]) -> str:
    """Return the name by which a class or function was registered, or else its own name.

    Example:
        >>> get_registered_name(gpudl.layers.Dense)
        'Dense'
    """
    return next((name for name, item in _registered.items() if item is obj), str(obj.__name__))


def get_registered_object(
    name: str, custom_objects: Mapping[str, object] | None = None, module_objects: Mapping[str, object] | None = None
) -> object:
    """Return the class or function of that name, also out of `custom_objects` and `module_objects`, or None."""
    return {**(module_objects or {}), **(custom_objects or {}), **known()}.get(name)


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, object] | None) -> Iterator[None]:
    """Register classes and functions by name inside a ``with`` block; None registers nothing.

    Example:
        >>> class Half(gpudl.initializers.Constant): pass
        >>> with custom_object_scope({"Half": Half}):
        ...     gpudl.initializers.get({"class_name": "Half", "config": {"value": 0.5}}).value
        0.5
    """
    token = _scope.set({**_scope.get(), **(custom_objects or {})})
    try:
        yield
    finally:
        _scope.reset(token)


CustomObjectScope = custom_object_scope
