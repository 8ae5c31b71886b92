"""Handling Ctrl-C between two steps, never in the middle of one.

A replayed step writes moving statistics, slots, weights and the count of updates with one kernel after another. Python
handles signals between them, so that an interrupt could leave some of these a step ahead of the others.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from gpudl.engine.plan.plan import Plan

_STEP = Plan.run.__code__
waiting: list[Callable[[], object]] = []
"""The deferred action of an interrupt that came while a step was being replayed; see `interrupted`."""


@contextmanager
def whole_steps() -> Iterator[None]:
    """Defer Ctrl-C inside a ``with`` block while a step is being replayed.

    A loop that runs steps checks after each one whether an interrupt is `waiting`. This costs a step nothing: only when
    the signal comes, its handler checks whether a step is on the stack.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return

    def after_the_step(number: int, frame: FrameType | None) -> object:
        if _within_a_step(frame) and not waiting:  # a second Ctrl-C is not deferred
            waiting.append(lambda: handler(number, None))
            return None
        return handler(number, frame)

    signal.signal(signal.SIGINT, after_the_step)
    try:
        yield
        if waiting:
            interrupted()
    finally:
        waiting.clear()
        if signal.getsignal(signal.SIGINT) is after_the_step:  # no other handler has been installed meanwhile
            signal.signal(signal.SIGINT, handler)


def interrupted() -> None:
    """Handle the signal that is `waiting`: by default, raise KeyboardInterrupt in the main thread."""
    if threading.current_thread() is threading.main_thread():
        while waiting:
            waiting.pop()()


def _within_a_step(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not _STEP:
        frame = frame.f_back
    return frame is not None
