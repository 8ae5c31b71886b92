"""The plan of a recorded step: an optimised list of instructions, an arena, and kernels bound to addresses."""

from __future__ import annotations

from collections.abc import Sequence

from gpudl.backend import Backend
from gpudl.engine.plan.capture import Graph, Outcome
from gpudl.engine.plan.ir import BYTE, Instruction
from gpudl.engine.plan.schedule import Schedule, array_of
from gpudl.engine.value import Value


class Plan:
    """A flat list of bound kernel calls over one arena.

    Args:
        on: the backend that computes.
        record: the instructions of the step, in order.
        results: the values that the step returns; they are outside the arena.

    Attributes:
        instructions: the instructions, including those that need no call.
        calls: the calls of a replay.
        results: the values that the step returns, possibly with repetitions.
        returned: the arrays of the results.
        scratch: the most scratch memory that a kernel may allocate, in bytes.
        unpacked: total size of the values in the arena, in bytes, without overlap.
        outcome: whether it is launched as a CUDA graph, or the reason why not.
    """

    def __init__(self, on: Backend, record: Sequence[Instruction], results: Sequence[Value]) -> None:
        self.on = on
        schedule = Schedule(on, record, results)
        self.instructions, self.results, self.unpacked = schedule.instructions, schedule.results, schedule.unpacked
        self.arena = on.empty((schedule.nbytes,), BYTE)
        arrays = {value: on.empty(value.spec.shape, value.spec.dtype) for value in schedule.computed}
        self._pinned = list(arrays.values())
        self.calls = schedule.bind(self.arena, arrays)
        self.returned = [array_of(arrays, value) for value in self.results]
        # A kernel that runs out of memory in the middle of the first step would leave half of its updates done.
        self.scratch = schedule.scratch
        on.reserve(self.scratch)
        self.outcome = Outcome()
        self._graph = Graph(on, self.calls, self.outcome) if on.captures else None
        self._has_run = False

    @property
    def nbytes(self) -> int:
        """The memory of the plan in bytes: the arena and the results."""
        return int(self.arena.nbytes) + sum(int(array.nbytes) for array in self._pinned)

    def run(self) -> None:
        """Run the step on the current contents of the input buffers, kernel by kernel."""
        try:
            for call in self.calls:
                call()
        except MemoryError as error:
            self.on.out_of_memory(error, "the scratch memory of kernels")

    def replay(self) -> None:
        """Run the step on the current input buffers, from the second time on as one CUDA graph if possible."""
        if self._graph is not None:
            if self._has_run and self._graph.launched():
                return
            self._has_run = True
        self.run()

    def poison(self) -> None:
        """Fill the arena and the results with NaN, to expose a replay that reads memory it did not write."""
        self.arena[...] = 255
        for array in self._pinned:
            array.reshape(-1).view(BYTE)[...] = 255
