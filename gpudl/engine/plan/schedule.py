"""The order of a record's instructions, and an offset for each value in one arena; no memory is allocated yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpudl.backend import Array, Backend
from gpudl.engine.plan.arena import Block, pack
from gpudl.engine.plan.elementwise_fusion import with_fused_elementwise
from gpudl.engine.plan.ir import BYTE, Applied, Call, Instruction
from gpudl.engine.plan.passes import gathered_in_place, without_common_subexpressions, without_dead_code
from gpudl.engine.plan.rewrite import rewritten
from gpudl.engine.spec import Spec
from gpudl.engine.state import state
from gpudl.engine.value import Value


class Schedule:
    """The instructions of a replay, in order, and the offset of each value in an arena.

    Args:
        on: the backend that computes.
        record: the recorded instructions, in order.
        results: the values that are returned; they are outside the arena.
        given: values that exist before, outside the arena.

    Attributes:
        instructions: the instructions, including those that need no call.
        results: the values that are returned, possibly with repetitions.
        computed: the values that own the memory of results that are computed here.
        nbytes: the size of the arena.
        unpacked: total size of the values in the arena, in bytes, without overlap.
        scratch: the most scratch memory that a kernel may allocate, in bytes.
    """

    def __init__(
        self, on: Backend, record: Sequence[Instruction], results: Sequence[Value], given: Iterable[Value] = ()
    ) -> None:
        self._on = on
        once, self.results = without_common_subexpressions(record, results)
        needed = without_dead_code(once, self.results)
        instructions: Sequence[Instruction] = needed
        if state.fusion and state.kernels:
            instructions = with_fused_elementwise(rewritten(on, needed, self.results), self.results, on)
        there = {value.root for value in given}
        pinned = {value.root: None for value in self.results}
        self.computed = [value for value in pinned if value.external is None and value not in there]
        self.instructions, self._inside = gathered_in_place(instructions, {*pinned, *there})
        self._blocks = self._lifetimes({*pinned, *there})
        self._values_end = pack(list(self._blocks.values()))
        # One after another all instructions use the same scratch memory, which so stays in the caches.
        self._works = [instruction.work_spec(on) for instruction in self.instructions]
        works = [0 if work is None else work.nbytes for work in self._works]
        self.nbytes = self._values_end + max(works, default=0)
        self.unpacked = sum(block.nbytes for block in self._blocks.values()) + sum(works)
        self.unpacked += sum(value.spec.nbytes for value in self._inside)
        self.scratch = max((instruction.scratch(on) for instruction in self.instructions), default=0)

    def _lifetimes(self, apart: set[Value]) -> dict[Value, Block]:
        """Return a block for each value in the arena."""
        blocks: dict[Value, Block] = {}
        for at, instruction in enumerate(self.instructions):
            for value in (*instruction.ins, *instruction.outs):
                root = value.root
                owner = self._inside[root][0] if root in self._inside else root
                if owner.external is None and owner not in apart:
                    block = blocks.setdefault(owner, Block(owner.spec.nbytes, at, at))
                    block.end = at
        return blocks

    def bind(self, arena: Array, arrays: dict[Value, Array]) -> list[Call]:
        """Return the calls of a replay.

        Args:
            arena: `nbytes` bytes.
            arrays: the arrays of the values that are `computed` or given; those of all others are added.
        """
        for owner, block in self._blocks.items():
            arrays[owner] = view(arena, block.offset, owner.spec)
        for value, (outer, offset) in self._inside.items():
            arrays[value] = view(arrays[outer].reshape(-1).view(BYTE), offset, value.spec)
        calls: list[Call] = []
        for instruction, spec in zip(self.instructions, self._works, strict=True):
            ins = tuple(array_of(arrays, value) for value in instruction.ins)
            if isinstance(instruction, Applied) and instruction.alias:
                arrays[instruction.outs[0]] = instruction.op.forward(self._on.xp, *ins, **instruction.static)
                continue
            work = None if spec is None else view(arena, self._values_end, spec)
            calls.append(instruction.bind(self._on, (*(arrays[value] for value in instruction.outs), *ins), work))
        return calls


def array_of(arrays: dict[Value, Array], value: Value) -> Array:
    """Return the array of a value when the plan is replayed."""
    return arrays[value] if value.external is None else value.external


def view(arena: Array, offset: int, spec: Spec) -> Array:
    """Return the bytes of `arena` from `offset` on as an array of `spec`."""
    return arena[offset : offset + spec.nbytes].view(spec.dtype).reshape(spec.shape)
