"""The stack of layers whose calls and builds are running in this thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Frame(NamedTuple):
    """A running call, or build, of a layer.

    Attributes:
        layer: the layer.
        name: its name, a part of the paths of the weights that are created in it.
        training: whether it is a call in training; None if that was not specified.
        outer: the enclosing call or build.
    """

    layer: object
    name: str
    training: bool | None
    outer: Frame | None


innermost: ContextVar[Frame | None] = ContextVar("innermost", default=None)


@contextmanager
def inside(layer: object, name: str, training: bool | None = None) -> Iterator[None]:
    """Attribute the variables that are created in a ``with`` block to `layer`."""
    outer = innermost.get()
    known = training if training is not None or outer is None else outer.training
    before = innermost.set(Frame(layer, name, known, outer))
    try:
        yield
    finally:
        innermost.reset(before)


class Scope:
    """What stands in place of a layer in a scope of names."""


@contextmanager
def name_scope(name: str, **options: object) -> Iterator[None]:
    """Begin the paths of the variables that are created in a ``with`` block, by layers too, with `name`.

    Args:
        name: text without a slash.
        **options: accepted, without effect.

    Example:
        >>> with gpudl.name_scope("tower"):
        ...     layer = gpudl.layers.Dense(1, name="top")
        ...     layer.build((None, 2))
        >>> layer.kernel.path
        'tower/top/kernel'
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise ValueError(f"name_scope needs a name, text without a slash, got {name!r}.")
    with inside(Scope(), name):
        yield


def computes(layer: object) -> bool:
    """Return whether the innermost call or build is one of `layer`."""
    frame = innermost.get()
    return frame is not None and frame.layer is layer


def path_of(layer: object, name: str) -> str:
    """Return the names of the layers around `layer`, or of all where it is None, and `name`, with slashes between."""
    names = [name]
    frame = innermost.get()
    while frame is not None:
        if frame.layer is not layer:
            names.append(frame.name)
        layer, frame = frame.layer, frame.outer
    return "/".join(reversed(names))
