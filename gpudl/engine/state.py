"""What the engine is doing right now, per thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpudl.engine.trace import Recorder

_PACKAGE = str(Path(__file__).resolve().parents[1])


class State(threading.local):
    """Per-thread switches: the recorder at work; whether gradients, twins, fusion and updates are on."""

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        self.gradients = True
        self.twins = True
        self.fusion = True
        self.symbolic = False
        self.open_tapes = 0
        self.scope = ""  # whose computation this is, for reports on recorded steps


state = State()
# Plans made before the last move of a variable's memory, or before a weight was frozen, are stale.
layout_epoch = [0]


@contextmanager
def gradients(on: bool) -> Iterator[None]:
    """Record what `grad` needs, or not, inside a ``with`` block."""
    before, state.gradients = state.gradients, on
    try:
        yield
    finally:
        state.gradients = before


@contextmanager
def reference_only() -> Iterator[None]:
    """Run every op by its portable reference, never by a faster twin, inside a ``with`` block."""
    before, state.twins = state.twins, False
    try:
        yield
    finally:
        state.twins = before


@contextmanager
def unfused() -> Iterator[None]:
    """Make plans with one kernel an op inside a ``with`` block."""
    before, state.fusion = state.fusion, False
    try:
        yield
    finally:
        state.fusion = before


@contextmanager
def symbolic() -> Iterator[None]:
    """Apply no update inside a ``with`` block, in which shapes alone are asked for."""
    before, state.symbolic = state.symbolic, True
    try:
        yield
    finally:
        state.symbolic = before


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Say that what is computed inside a ``with`` block, or a decorated function, belongs to `name`."""
    before, state.scope = state.scope, name
    try:
        yield
    finally:
        state.scope = before


class TracingError(RuntimeError):
    """A step that cannot be recorded, or something recorded that was used outside its step."""


class LayoutError(TracingError):
    """A variable would have to move to other memory while a step is being recorded."""


def user_line() -> str:
    """Return ``file:line`` of the innermost caller that is not part of gpudl."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def forbid_host_read() -> None:
    """Raise TracingError while a step is being recorded: what is read would be frozen into the plan."""
    if state.recorder is not None:
        raise TracingError(
            f"{user_line()}: a tensor's value was read on the host while a step was being recorded. The "
            "replayed steps would go on with this one value. Keep the computation in tensors, or "
            "compile(run_eagerly=True)."
        )
