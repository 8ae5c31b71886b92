"""The state of the engine, per thread."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import _GeneratorContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeVar

import numpy as np

from gpudl.backend import Static

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
_PACKAGE = str(Path(__file__).resolve().parents[1])


class Recorder(Protocol):
    """Records the ops that are applied, instead of computing them.

    Attributes:
        born: the variables that are created while it records.
    """

    born: list[Any]

    def add(self, op: Any, specs: tuple[Any, ...], inputs: tuple[Any, ...], static: Static) -> tuple[Any, ...]:
        """Record one application of `op` to the tensors `inputs`; return its results, tensors of `specs`."""


class Computing(Protocol[R_co]):
    """An op, as far as it is known here.

    Attributes:
        update: whether it changes inputs of its own.
        writes: how many, the first ones.
    """

    update: bool
    writes: int

    def __call__(self, *inputs: Any, **static: Any) -> R_co:
        """Compute."""


class Stateless(Protocol):
    """Has ops computed with other values of variables."""

    def run(self, op: Computing[R], inputs: tuple[Any, ...], static: dict[str, Any]) -> R:
        """Return what `op` returns for the values of the variables among `inputs`."""

    def assign(self, variable: Any, value: Any, *, add: bool = False) -> None:
        """Note that `variable` would hold `value`, or that more than before."""


class State(threading.local):
    """Per-thread switches: the active recorder; whether gradients, kernels, fusion, graphs and updates are on."""

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        self.gradients = True
        self.largest_weight: int | None = None
        self.awaited: dict[int, tuple[Any, Any]] | None = None  # weights that get their first values from a file
        self.described = False  # whether objects are made from a description, which may not name files
        self.kernels = True
        self.fusion = True
        self.graphs = True
        self.symbolic = False
        self.building = False  # whether layers are creating their weights
        self.stateless: Stateless | None = None
        self.open_tapes = 0
        self.autocast: np.dtype | None = None  # the dtype that ops cast floating-point variables to; None for no cast
        self.scope = ""  # the layer or function that computes, for reports on recorded steps


state = State()
_Switch = _GeneratorContextManager[None]  # for a ``with`` block, or as a decorator
# Plans that are older than the last move of a variable's memory are stale.
layout_epoch = [0]
# Held while layers create their weights: of several threads that first call a layer, one builds it and the others wait;
# and while plans are evicted from the cache. A forked process has none of these threads, so its lock is free.
preparing = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=preparing._at_fork_reinit)  # type: ignore[attr-defined]
# A hash of the set of frozen weights and layers: a plan is used only while this is the same as when it was made.
frozen = [0]


def toggled(item: object) -> None:
    """Record that `item` was frozen or unfrozen; toggled twice, `frozen` is as before, and old plans are used again."""
    frozen[0] ^= hash((id(item), "trainable"))


# What is cached about the layers of a model is stale after layers have been added or removed.
structure_epoch = [0]


def restructured() -> None:
    """Make every step be recorded again: layers, weights or metrics have been added or removed."""
    structure_epoch[0] += 1
    layout_epoch[0] += 1


# The number of changes of anything that steps may depend on, and the number of passes over data that have begun: when
# this pair has changed, a plan is first compared with a new record.
seen = [(0, 0)]


def changed() -> None:
    """Record that an attribute or a setting was changed; changes by a step that is being recorded do not count."""
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


def weights_up_to(size: int) -> _Switch:
    """Refuse weights of more than `size` bytes inside a ``with`` block."""
    return _with("largest_weight", size)


def weights_awaited() -> _Switch:
    """Give large weights no initial values inside a ``with`` block: they come from a file, or later."""
    return _with("awaited", {})


def from_description() -> _Switch:
    """Refuse to open the files that arguments name inside a ``with`` block: they come from a description."""
    return _with("described", True)


def recording(recorder: Recorder | None) -> _Switch:
    """Record the ops that are applied inside a ``with`` block with `recorder`, or with None compute them."""
    return _with("recorder", recorder)


def gradients(on: bool) -> _Switch:
    """Record what `grad` needs, if `on`, inside a ``with`` block."""
    return _with("gradients", on)


def reference_only() -> _Switch:
    """Compute every op by its portable reference, never by a kernel, inside a ``with`` block."""
    return _with("kernels", False)


def unfused() -> _Switch:
    """Make plans without fusion, with one kernel per op, inside a ``with`` block."""
    return _with("fusion", False)


def ungraphed() -> _Switch:
    """Launch the kernels of plans one by one, never as a CUDA graph, inside a ``with`` block."""
    return _with("graphs", False)


def symbolic() -> _Switch:
    """Apply no updates inside a ``with`` block, in which only shapes are inferred."""
    return _with("symbolic", True)


def autocast(dtype: np.dtype | None) -> _Switch:
    """Cast floating-point variables to `dtype` in ops inside a ``with`` block; None for no cast."""
    return _with("autocast", dtype)


def scope(name: str) -> _Switch:
    """Attribute the computation inside a ``with`` block, or in a decorated function, to `name` in reports."""
    return _with("scope", name)


class TracingError(RuntimeError):
    """A step cannot be recorded, or a recorded tensor was used outside its step."""


class LayoutError(TracingError):
    """A variable would have to move to other memory while a step is being recorded."""


def _user_frame() -> FrameType:
    """Return the frame of the innermost caller that is not part of gpudl."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame


def user_line() -> str:
    """Return ``file:line`` of the innermost caller that is not part of gpudl."""
    frame = _user_frame()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the innermost caller that is not part of gpudl, however many calls lie between."""
    frame = _user_frame()
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno, registry=registry)


def forbid_host_read() -> None:
    """Raise TracingError while a step is being recorded: the value would be a constant of the plan."""
    if state.recorder is not None:
        raise TracingError(
            f"{user_line()}: a tensor's value was read on the host while a step was being recorded. The "
            "replayed steps would keep using this one value. Keep the computation in tensors, or "
            "compile(run_eagerly=True)."
        )
