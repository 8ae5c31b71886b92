"""Lists and dicts of layers that report changes of their members, so that recorded steps do not use stale ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from gpudl.engine.state import restructured
from gpudl.engine.variable import Variable
from gpudl.metrics import Metric
from gpudl.random import SeedGenerator


class Holder:
    """The base of objects that track the variables they hold."""


KINDS = (Variable, Holder, SeedGenerator, Metric)
"""The types that are tracked in attributes, lists and dicts, and on which recorded steps depend."""


class TrackedList(list[Any]):
    """A list in an attribute of a layer."""


class TrackedDict(dict[Any, Any]):
    """A dict in an attribute of a layer."""


def tracked(value: object) -> Any:
    """Return plain lists and dicts as tracked ones, and anything else unchanged."""
    if type(value) is list:
        return TrackedList(map(tracked, value))
    if type(value) is dict:
        return TrackedDict({key: tracked(item) for key, item in value.items()})
    return tuple(map(tracked, value)) if type(value) is tuple else value


HOLDING = (*KINDS, list, tuple, dict)


def members(value: object) -> list[Any]:
    """Return the tracked objects of `value`: itself, or those in a list, tuple or dict."""
    if isinstance(value, KINDS):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    elif not isinstance(value, list | tuple):
        return []
    return [found for item in value if isinstance(item, HOLDING) for found in members(item)]


def same(before: list[object], after: list[object]) -> bool:
    """Return whether two lists have the same objects in the same order."""
    return len(before) == len(after) and all(old is new for old, new in zip(before, after, strict=True))


def _telling(change: Callable[..., object]) -> Callable[..., object]:
    @wraps(change)
    def changed(self: object, *args: object, **kwargs: object) -> Any:
        if change.__name__ == "append" and not members(args):  # such as the append to a long list of numbers
            return change(self, *args)
        before = members(self)
        try:
            return change(self, *args, **kwargs)
        finally:
            if not same(before, members(self)):
                restructured()

    return changed


_CHANGES = {
    TrackedList: "append clear extend insert pop remove reverse sort __delitem__ __iadd__ __imul__ __setitem__",
    TrackedDict: "clear pop popitem setdefault update __delitem__ __ior__ __setitem__",
}
for _kind, _names in _CHANGES.items():
    for _name in _names.split():
        setattr(_kind, _name, _telling(getattr(_kind, _name)))
