"""A recorded step, made ready for replay: dead code out, lifetimes packed, kernels bound to addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpudl.backend import Array, Backend
from gpudl.engine.plan.arena import Block, pack
from gpudl.engine.plan.capture import Graph, Outcome
from gpudl.engine.plan.elementwise_fusion import with_runs
from gpudl.engine.plan.ir import BYTE, Applied, Call, Instruction
from gpudl.engine.plan.passes import laid_in_place, without_dead, without_repeats
from gpudl.engine.plan.rewrite import rewritten
from gpudl.engine.spec import Spec
from gpudl.engine.state import state
from gpudl.engine.tree import flatten
from gpudl.engine.value import Value

_REFERENCE_TAKES = 3  # arrays at a time, in the formulas that take most


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

    def __init__(self, on: Backend, record: Sequence[Applied], results: Sequence[Value]) -> None:
        self.on = on
        once, self.results = without_repeats(record, results)
        needed = without_dead(once, self.results)
        steps: Sequence[Instruction] = needed
        if state.fusion and state.twins:
            steps = with_runs(rewritten(on, needed, self.results), self.results, on)
        pinned = {value.root: None for value in self.results}
        self.steps, inside = laid_in_place(steps, set(pinned))
        works = [step.work_spec(on) for step in self.steps]
        blocks = self._lifetimes(set(pinned), inside, works)
        self.unpacked = sum(block.nbytes for block in blocks.values()) + sum(value.spec.nbytes for value in inside)
        self.arena = on.empty((pack(list(blocks.values())),), BYTE)
        arrays = {value: on.empty(value.spec.shape, value.spec.dtype) for value in pinned if value.external is None}
        self._pinned = list(arrays.values())
        for owner, block in blocks.items():
            if isinstance(owner, Value):
                arrays[owner] = _view(self.arena, block.offset, owner.spec)
        for value, (outer, offset) in inside.items():
            arrays[value] = _view(arrays[outer].reshape(-1).view(BYTE), offset, value.spec)
        self.calls = self._bind(works, blocks, arrays)
        self.returned = [_array(arrays, value) for value in self.results]
        # A kernel that finds no memory in the middle of the first step would leave half of its updates done.
        self.scratch = max((self._scratch(step) for step in self.steps), default=0)
        on.reserve(self.scratch)
        self.kept = self._kept(arrays)
        self.outcome = Outcome()
        self._graph = Graph(on, self.calls, self.outcome) if on.captures else None
        self._has_run = False

    def _lifetimes(
        self,
        pinned: set[Value],
        inside: dict[Value, tuple[Value, int]],
        works: Sequence[Spec | None],
    ) -> dict[Value | int, Block]:
        """Return a block for each value in the arena, and for each scratch array by instruction number."""
        blocks: dict[Value | int, Block] = {}
        for at, (step, work) in enumerate(zip(self.steps, works, strict=True)):
            if work is not None:
                blocks[at] = Block(work.nbytes, at, at)
            for value in (*step.ins, *step.outs):
                root = value.root
                owner = inside[root][0] if root in inside else root
                if owner.external is None and owner not in pinned:
                    block = blocks.setdefault(owner, Block(owner.spec.nbytes, at, at))
                    block.end = at
        return blocks

    def _bind(
        self, works: Sequence[Spec | None], blocks: dict[Value | int, Block], arrays: dict[Value, Array]
    ) -> list[Call]:
        """Return the bound calls, and note the arrays of views."""
        calls: list[Call] = []
        for at, (step, spec) in enumerate(zip(self.steps, works, strict=True)):
            ins = tuple(_array(arrays, value) for value in step.ins)
            if isinstance(step, Applied) and step.alias:
                arrays[step.outs[0]] = step.op.forward(self.on.xp, *ins, **step.static)
                continue
            work = None if spec is None else _view(self.arena, blocks[at].offset, spec)
            calls.append(step.bind(self.on, (*(arrays[value] for value in step.outs), *ins), work))
        return calls

    def _scratch(self, step: Instruction) -> int:
        """Return how many bytes an instruction may take for itself: a reference makes arrays like those it works on."""
        if step.alias or step.is_kernel(self.on):
            return 0
        return _REFERENCE_TAKES * max((value.spec.nbytes for value in (*step.outs, *step.ins)), default=0)

    def _kept(self, arrays: dict[Value, Array]) -> int:
        """Return how many bytes bound kernels hold beside the arena, the results and what was there before."""
        there = (_array(arrays, value) for step in self.steps for value in (*step.ins, *step.outs))
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


def _array(arrays: dict[Value, Array], value: Value) -> Array:
    """Return where a value lies when the plan is replayed."""
    return arrays[value] if value.external is None else value.external


def _owner(array: Any) -> Any:
    """Return the array that has the memory."""
    owner = getattr(array, "base", None)
    return array if owner is None else owner


def _view(arena: Array, offset: int, spec: Spec) -> Array:
    return arena[offset : offset + spec.nbytes].view(spec.dtype).reshape(spec.shape)
