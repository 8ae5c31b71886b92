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
    """Attribute the weights that are created in a ``with`` block to `layer`."""
    outer = innermost.get()
    known = training if training is not None or outer is None else outer.training
    before = innermost.set(Frame(layer, name, known, outer))
    try:
        yield
    finally:
        innermost.reset(before)


def computes(layer: object) -> bool:
    """Return whether the innermost call or build is one of `layer`."""
    frame = innermost.get()
    return frame is not None and frame.layer is layer


def path_of(layer: object, name: str) -> str:
    """Return the names of the layers around `layer`, and its own, with slashes between."""
    names = [name]
    frame = innermost.get()
    while frame is not None:
        if frame.layer is not layer:
            names.append(frame.name)
        layer, frame = frame.layer, frame.outer
    return "/".join(reversed(names))
