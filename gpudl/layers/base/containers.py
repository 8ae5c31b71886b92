"""Lists and dicts of layers that tell when their members change, so that recorded steps do not go on with the old."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from gpudl.engine.state import restructured
from gpudl.engine.variable import Variable
from gpudl.metrics import Metric
from gpudl.random import SeedGenerator


class Holder:
    """The base of what knows the variables it holds."""


KINDS = (Variable, Holder, SeedGenerator, Metric)
"""What is found in attributes, lists and dicts: steps are recorded with these."""


class TrackedList(list[Any]):
    """A list in an attribute of a layer."""


class TrackedDict(dict[Any, Any]):
    """A dict in an attribute of a layer."""


def tracked(value: Any) -> Any:
    """Return plain lists and dicts as ones that tell when their members change, and anything else as it is."""
    if type(value) is list:
        return TrackedList(map(tracked, value))
    if type(value) is dict:
        return TrackedDict({key: tracked(item) for key, item in value.items()})
    return tuple(map(tracked, value)) if type(value) is tuple else value


HOLDING = (*KINDS, list, tuple, dict)


def members(value: Any) -> list[Any]:
    """Return what is tracked of `value`: itself, or what is in it when it is a list, tuple or dict."""
    if isinstance(value, KINDS):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    elif not isinstance(value, list | tuple):
        return []
    return [found for item in value if isinstance(item, HOLDING) for found in members(item)]


def same(before: list[Any], after: list[Any]) -> bool:
    """Return whether two lists have the same objects in the same order."""
    return len(before) == len(after) and all(old is new for old, new in zip(before, after, strict=True))


def _telling(change: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(change)
    def changed(self: Any, *args: Any, **kwargs: Any) -> Any:
        if change.__name__ == "append" and not members(args):  # of a long list of numbers, say
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
