"""A recorded step, made ready for replay: dead code out, lifetimes packed, kernels bound to addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpudl.backend import Array, Backend
from gpudl.engine.plan.arena import Block, pack
from gpudl.engine.plan.capture import Graph, Outcome
from gpudl.engine.plan.elementwise_fusion import with_runs
from gpudl.engine.plan.ir import Instruction, Slot, like
from gpudl.engine.plan.passes import laid_in_place, without_dead, without_repeats
from gpudl.engine.plan.rewrite import rewritten
from gpudl.engine.spec import Spec
from gpudl.engine.state import state
from gpudl.engine.tree import flatten

_BYTE = np.dtype(np.uint8)
_REFERENCE_TAKES = 3  # arrays at a time, in the formulas that take most


class Plan:
    """A flat list of bound kernel calls over one arena.

    Args:
        on: the backend that computes.
        record: what the step did, in order.
        results: the slots that the step returns; they live outside the arena.

    Attributes:
        kept: bytes that its kernels keep for themselves, some of them shared with other plans of the thread.
        outcome: whether it is launched as a CUDA graph, or why not.
    """

    def __init__(self, on: Backend, record: Sequence[Instruction], results: Sequence[Slot]) -> None:
        self.on = on
        self.results = results
        steps = without_dead(without_repeats(record), results)
        pinned = {slot.root for slot in results}  # now that it is known which results are the same
        if state.fusion and state.twins:
            steps = with_runs(rewritten(on, steps, results), results, on)
        self.steps, inside = laid_in_place(steps, pinned)
        works = [
            step.op.work_spec(on, tuple(map(like, step.outs)), tuple(map(like, step.ins)), step.static)
            for step in self.steps
        ]
        blocks = self._lifetimes(pinned, inside, works)
        self.arena = on.empty((pack(list(blocks.values())),), _BYTE)
        self._pinned = [slot for slot in pinned if slot.external is None]
        for slot in self._pinned:
            slot.array = on.empty(slot.spec.shape, slot.spec.dtype)
        for owner, block in blocks.items():
            if isinstance(owner, Slot):
                owner.array = _view(self.arena, block.offset, owner.spec)
        for slot, (outer, offset) in inside.items():
            slot.array = _view(outer.array.reshape(-1).view(_BYTE), offset, slot.spec)
        self.calls = self._bind(works, blocks)
        # A kernel that finds no memory in the middle of the first step would leave half of its updates done.
        self.scratch = max((self._scratch(step) for step in self.steps), default=0)
        on.reserve(self.scratch)
        self.kept = self._kept()
        self.outcome = Outcome()
        self._graph = Graph(on, self.calls, self.outcome) if on.captures else None
        self._has_run = False

    def _lifetimes(
        self,
        pinned: set[Slot],
        inside: dict[Slot, tuple[Slot, int]],
        works: Sequence[Spec | None],
    ) -> dict[Slot | int, Block]:
        """Return a block for each value in the arena, and for each scratch array by instruction number."""
        blocks: dict[Slot | int, Block] = {}
        for at, (step, work) in enumerate(zip(self.steps, works, strict=True)):
            if work is not None:
                blocks[at] = Block(work.nbytes, at, at)
            for slot in (*step.ins, *step.outs):
                root = slot.root
                owner = inside[root][0] if root in inside else root
                if owner.external is None and owner not in pinned:
                    block = blocks.setdefault(owner, Block(owner.spec.nbytes, at, at))
                    block.end = at
        return blocks

    def _bind(self, works: Sequence[Spec | None], blocks: dict[Slot | int, Block]) -> list[Callable[[], None]]:
        calls: list[Callable[[], None]] = []
        for at, (step, spec) in enumerate(zip(self.steps, works, strict=True)):
            ins = tuple(slot.value.array for slot in step.ins)
            if step.op.alias:
                step.outs[0].array = step.op.forward(self.on.xp, *ins, **step.static)
                continue
            work = None if spec is None else _view(self.arena, blocks[at].offset, spec)
            outs = tuple(slot.array for slot in step.outs)
            calls.append(step.op.bind(self.on, (*outs, *ins), step.static, work))
        return calls

    def _scratch(self, step: Instruction) -> int:
        """Return how many bytes an instruction may take for itself: a reference makes arrays like those it works on."""
        arrays = tuple(slot.value.array for slot in (*step.outs, *step.ins))
        if step.op.alias or step.op.has_twin(self.on, arrays, step.static):
            return 0
        return _REFERENCE_TAKES * max((int(array.nbytes) for array in arrays), default=0)

    def _kept(self) -> int:
        """Return how many bytes bound kernels hold beside the arena, the results and what was there before."""
        there = (slot.value.array for step in self.steps for slot in (*step.ins, *step.outs))
        known = {id(_owner(array)) for array in (self.arena, *there)}
        held = (array for call in self.calls for array in flatten(getattr(call, "kept", ()))[0])
        owners = {id(owner): owner for owner in map(_owner, held) if isinstance(owner, np.ndarray)}
        return sum(int(owner.nbytes) for key, owner in owners.items() if key not in known)

    @property
    def nbytes(self) -> int:
        """The memory that the plan takes: the arena, and the results."""
        return int(self.arena.nbytes) + sum(slot.spec.nbytes for slot in self._pinned)

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
        for slot in self._pinned:
            slot.array.reshape(-1).view(_BYTE)[...] = 255


def _owner(array: Any) -> Any:
    """Return the array that has the memory."""
    owner = getattr(array, "base", None)
    return array if owner is None else owner


def _view(arena: Array, offset: int, spec: Spec) -> Array:
    return arena[offset : offset + spec.nbytes].view(spec.dtype).reshape(spec.shape)
