"""Which layers' calls and builds are going on, one inside the other, in this thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Frame(NamedTuple):
    """A call, or a build, of a layer that is going on.

    Attributes:
        layer: the layer.
        name: its name, a part of the paths of the weights that are made meanwhile.
        training: whether it is one of training; None where nobody has said so.
        outer: what it is inside of.
    """

    layer: object
    name: str
    training: bool | None
    outer: Frame | None


innermost: ContextVar[Frame | None] = ContextVar("innermost", default=None)


@contextmanager
def inside(layer: object, name: str, training: bool | None = None) -> Iterator[None]:
    """Let what a ``with`` block makes belong to `layer`."""
    outer = innermost.get()
    known = training if training is not None or outer is None else outer.training
    before = innermost.set(Frame(layer, name, known, outer))
    try:
        yield
    finally:
        innermost.reset(before)


def computes(layer: object) -> bool:
    """Tell whether the innermost call or build is one of `layer`."""
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
