"""The whole step as one CUDA graph, or the reason why not.

A plan is a list of kernel calls whose addresses never change, so the device can be told all of them at once: they are
captured into a graph, which one call launches. Everything that differs between steps lies in the device's memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpudl.backend import Backend, CaptureError
from gpudl.engine.state import state

STEPS_A_LAUNCH = 16
"""Steps of a loop that nobody watches that are launched at once."""

Calls = Sequence[Callable[[], None]]


@dataclass
class Outcome:
    """What became of the graphs of a plan.

    Attributes:
        captured: whether there is one.
        reason: why its calls cannot be captured; None where they can, or where nobody has asked yet.
    """

    captured: bool = False
    reason: str | None = None


class Graph:
    """Kernel calls that are launched as one, from the first time that this is asked for.

    Args:
        on: the backend whose device runs them.
        calls: in order; each has been made before, so that all kernels are compiled and all libraries are awake.
        outcome: where to note what becomes of it.
    """

    def __init__(self, on: Backend, calls: Calls, outcome: Outcome) -> None:
        self._on = on
        self._calls = calls
        self._outcome = outcome
        self._launch: Callable[[], None] | None = None

    def launched(self) -> bool:
        """Launch the calls and return True; False where they have to be made one by one."""
        # What references call, such as a library of the array module, need not be fit for capture.
        if not (state.graphs and state.kernels) or self._outcome.reason is not None:
            return False
        if self._launch is None:
            try:
                self._launch = self._on.capture(self._calls)
            except CaptureError as error:
                self._outcome.reason = str(error)
                warnings.warn(
                    "a recorded step cannot be captured as a CUDA graph. Its kernels are launched one by one, with the "
                    f"same results, which is slower: {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )
                return False
            self._outcome.captured = True
        self._launch()
        return True


class Steps:
    """Steps that read on in the device's memory by themselves, so that several can be launched at once.

    Args:
        on: the backend whose device runs them.
        calls: one step, with the reading of its batch; they have been made before.
        outcome: where to note what becomes of it.
    """

    def __init__(self, on: Backend, calls: Calls, outcome: Outcome) -> None:
        self._calls = calls
        self._one = Graph(on, calls, outcome)
        self._many = Graph(on, [*calls] * STEPS_A_LAUNCH, outcome)

    def run(self, times: int) -> None:
        """Run so many steps."""
        while times >= STEPS_A_LAUNCH and self._many.launched():
            times -= STEPS_A_LAUNCH
        for _ in range(times):
            if not self._one.launched():
                for call in self._calls:
                    call()
