"""What the engine is doing right now, per thread."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import _GeneratorContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gpudl.backend import Static

_PACKAGE = str(Path(__file__).resolve().parents[1])


class Recorder(Protocol):
    """Notes what is applied, instead of having it computed.

    Attributes:
        born: the variables that are made meanwhile.
    """

    born: list[Any]

    def add(self, op: Any, specs: tuple[Any, ...], inputs: tuple[Any, ...], static: Static) -> tuple[Any, ...]:
        """Note one application of `op` to the tensors `inputs`; return its results, tensors of `specs`."""


class State(threading.local):
    """Per-thread switches: the recorder at work; whether gradients, kernels, fusion, graphs and updates are on."""

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        self.gradients = True
        self.kernels = True
        self.fusion = True
        self.graphs = True
        self.symbolic = False
        self.building = False  # whether layers make their weights
        self.open_tapes = 0
        self.autocast: np.dtype | None = None  # in which dtype ops see float variables; None: in their own
        self.scope = ""  # whose computation this is, for reports on recorded steps


state = State()
_Switch = _GeneratorContextManager[None]  # for a ``with`` block, or as a decorator
# Plans made before the last move of a variable's memory are stale.
layout_epoch = [0]
# Held while layers make their weights: of several threads that call a layer first, one builds it and the others wait;
# and while it is decided which plans are kept. The child of a fork has none of these threads.
preparing = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=preparing._at_fork_reinit)  # type: ignore[attr-defined]
# Tells which weights and layers are frozen: plans made when this was another number are for other times.
frozen = [0]


def toggled(item: object) -> None:
    """Note that `item` was frozen or set free; when it is as before, so is `frozen`, and old plans serve again."""
    frozen[0] ^= hash((id(item), "trainable"))


# What was found out about the layers of a model before the last time that some came or went is stale too.
structure_epoch = [0]


def restructured() -> None:
    """Let every step be recorded anew: layers, weights or metrics came or went."""
    structure_epoch[0] += 1
    layout_epoch[0] += 1


# How many changes there were of what steps may depend on, and how many passes over data have begun: when this is
# another pair, a plan is compared with a new record first.
seen = [(0, 0)]


def changed() -> None:
    """Note that an attribute or a setting was changed; what a step itself sets while it is recorded does not count."""
    if state.recorder is None and not state.symbolic and not state.building:
        changes, passes = seen[0]
        seen[0] = changes + 1, passes


@contextmanager
def _with(name: str, value: object) -> Iterator[None]:
    before = getattr(state, name)
    setattr(state, name, value)
    try:
        yield
    finally:
        setattr(state, name, before)


def recording(recorder: Recorder) -> _Switch:
    """Let `recorder` note what is applied inside a ``with`` block."""
    return _with("recorder", recorder)


def gradients(on: bool) -> _Switch:
    """Record what `grad` needs, or not, inside a ``with`` block."""
    return _with("gradients", on)


def reference_only() -> _Switch:
    """Run every op by its portable reference, never by a faster kernel, inside a ``with`` block."""
    return _with("kernels", False)


def unfused() -> _Switch:
    """Make plans with one kernel an op inside a ``with`` block."""
    return _with("fusion", False)


def ungraphed() -> _Switch:
    """Launch the kernels of plans one by one, never as a CUDA graph, inside a ``with`` block."""
    return _with("graphs", False)


def symbolic() -> _Switch:
    """Apply no update inside a ``with`` block, in which shapes alone are asked for."""
    return _with("symbolic", True)


def autocast(dtype: np.dtype | None) -> _Switch:
    """Let ops see float variables in `dtype` inside a ``with`` block; None leaves them as they are."""
    return _with("autocast", dtype)


def scope(name: str) -> _Switch:
    """Say that what is computed inside a ``with`` block, or a decorated function, belongs to `name`."""
    return _with("scope", name)


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
