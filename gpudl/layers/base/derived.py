"""Properties that an attribute of the same name overrides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class derived(Generic[T]):  # noqa: N801 (used as `property` is)
    """A property that an instance attribute overrides, so that a subclass may name one of its layers ``output``.

    Example:
        >>> class Named:
        ...     @derived
        ...     def name(self):
        ...         return "nobody"
        >>> named = Named()
        >>> before = named.name
        >>> named.name = "somebody"
        >>> before, named.name
        ('nobody', 'somebody')
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, holder: None, owner: type) -> derived[T]: ...

    @overload
    def __get__(self, holder: object, owner: type) -> T: ...

    def __get__(self, holder: object, owner: type) -> T | derived[T]:
        return self if holder is None else self._compute(holder)
