"""Capturing a whole step as one CUDA graph, or reporting why that is not possible.

A plan is a list of kernel calls whose addresses never change, so that they can be captured in a CUDA graph, which one
call launches. Everything that differs between steps is in the device's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpudl.backend import Backend, CaptureError
from gpudl.engine.state import state, warn_user

STEPS_PER_LAUNCH = 16
"""Steps per launch, in a loop without callbacks for batches."""

Calls = Sequence[Callable[[], None]]


@dataclass
class Outcome:
    """The result of the capture of a plan.

    Attributes:
        captured: whether there is a graph.
        reason: why the calls cannot be captured; None if they can, or if no capture has been tried.
    """

    captured: bool = False
    reason: str | None = None


class Graph:
    """Kernel calls that are captured at the first launch, and launched as one graph from then on.

    Args:
        on: the backend whose device runs them.
        calls: the calls, in order; each has been made before, so that all kernels are compiled and all libraries are
            initialised.
        outcome: updated with the result.
    """

    def __init__(self, on: Backend, calls: Calls, outcome: Outcome) -> None:
        self._on = on
        self._calls = calls
        self._outcome = outcome
        self._launch: Callable[[], None] | None = None

    def launched(self) -> bool:
        """Launch the calls and return True; return False if they have to be made one by one."""
        # References may call libraries of the array module, which need not support capture.
        if not (state.graphs and state.kernels) or self._outcome.reason is not None:
            return False
        if self._launch is None:
            try:
                self._launch = self._on.capture(self._calls)
            except CaptureError as error:
                self._outcome.reason = str(error)
                warn_user(
                    "a recorded step cannot be captured as a CUDA graph. Its kernels are launched one by one, with the "
                    f"same results, which is slower: {error}",
                    RuntimeWarning,
                )
                return False
            self._outcome.captured = True
        self._launch()
        return True


class Steps:
    """Steps that advance their position in the data on the device, so that several can be launched at once.

    Args:
        on: the backend whose device runs them.
        calls: the calls of one step, with the gathering of its batch; they have been made before.
        outcome: updated with the result.
    """

    def __init__(self, on: Backend, calls: Calls, outcome: Outcome) -> None:
        self._calls = calls
        self._one = Graph(on, calls, outcome)
        self._many = Graph(on, [*calls] * STEPS_PER_LAUNCH, outcome)

    def run(self, times: int) -> None:
        """Run `times` steps."""
        while times >= STEPS_PER_LAUNCH and self._many.launched():
            times -= STEPS_PER_LAUNCH
        for _ in range(times):
            if not self._one.launched():
                for call in self._calls:
                    call()
