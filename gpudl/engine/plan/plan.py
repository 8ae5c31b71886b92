"""A recorded step, made ready for replay: dead code out, lifetimes packed, kernels bound to addresses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpudl.backend import Array, Backend
from gpudl.engine.plan.capture import Graph, Outcome
from gpudl.engine.plan.ir import BYTE, Instruction
from gpudl.engine.plan.schedule import Schedule, array_of
from gpudl.engine.tree import flatten
from gpudl.engine.value import Value


class Plan:
    """A flat list of bound kernel calls over one arena.

    Args:
        on: the backend that computes.
        record: what the step did, in order.
        results: the values that the step returns; they live outside the arena.

    Attributes:
        steps: the instructions, those included that need no call.
        calls: the calls that a replay makes.
        results: the values that the step returns, some of them perhaps the same.
        returned: the arrays of the results.
        scratch: bytes that kernels may need for themselves, one after another.
        unpacked: bytes of all that lies in the arena, each value in a place of its own.
        kept: bytes that its kernels keep for themselves, some of them shared with other plans of the thread.
        outcome: whether it is launched as a CUDA graph, or why not.
    """

    def __init__(self, on: Backend, record: Sequence[Instruction], results: Sequence[Value]) -> None:
        self.on = on
        schedule = Schedule(on, record, results)
        self.steps, self.results, self.unpacked = schedule.steps, schedule.results, schedule.unpacked
        self.arena = on.empty((schedule.nbytes,), BYTE)
        arrays = {value: on.empty(value.spec.shape, value.spec.dtype) for value in schedule.computed}
        self._pinned = list(arrays.values())
        self.calls = schedule.bind(self.arena, arrays)
        self.returned = [array_of(arrays, value) for value in self.results]
        # A kernel that finds no memory in the middle of the first step would leave half of its updates done.
        self.scratch = schedule.scratch
        on.reserve(self.scratch)
        self.kept = self._kept(arrays)
        self.outcome = Outcome()
        self._graph = Graph(on, self.calls, self.outcome) if on.captures else None
        self._has_run = False

    def _kept(self, arrays: dict[Value, Array]) -> int:
        """Return how many bytes bound kernels hold beside the arena, the results and what was there before."""
        there = (array_of(arrays, value) for step in self.steps for value in (*step.ins, *step.outs))
        known = {id(_owner(array)) for array in (self.arena, *there)}
        held = (array for call in self.calls for array in flatten(getattr(call, "kept", ()))[0])
        owners = {id(owner): owner for owner in map(_owner, held) if isinstance(owner, np.ndarray)}
        return sum(int(owner.nbytes) for key, owner in owners.items() if key not in known)

    @property
    def nbytes(self) -> int:
        """The memory that the plan takes: the arena, and the results."""
        return int(self.arena.nbytes) + sum(int(array.nbytes) for array in self._pinned)

    def run(self) -> None:
        """Run the step on what the input buffers hold now, kernel by kernel."""
        try:
            for call in self.calls:
                call()
        except MemoryError as error:
            self.on.out_of_memory(error, "what kernels need for themselves")

    def replay(self) -> None:
        """Run the step on what the input buffers hold now: from the second time on as one graph, if there are any."""
        if self._graph is not None:
            if self._has_run and self._graph.launched():
                return
            self._has_run = True
        self.run()

    def poison(self) -> None:
        """Fill the arena and the results with NaN: a replay that reads what it did not write shows it."""
        self.arena[...] = 255
        for array in self._pinned:
            array.reshape(-1).view(BYTE)[...] = 255


def _owner(array: Array) -> Array:
    """Return the array that has the memory."""
    owner = getattr(array, "base", None)
    return array if owner is None else owner
