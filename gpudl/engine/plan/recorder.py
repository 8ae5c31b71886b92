"""What a step does, noted while it is called once."""

from __future__ import annotations

import weakref
from time import perf_counter
from typing import Any

from gpudl.backend import Array
from gpudl.engine.op import Op
from gpudl.engine.plan.ir import Instruction, Slot
from gpudl.engine.spec import Spec
from gpudl.engine.state import TracingError, seen, state, user_line
from gpudl.engine.tensor import Tensor, Variable


class Recorder:
    """Notes every op that is applied, and to which arrays; nothing is computed meanwhile, the plan will do it.

    Args:
        lines: whether to note which line of the user's asked for each instruction, too.
    """

    def __init__(self, lines: bool = False) -> None:
        self.seen = seen()
        self.begun = perf_counter()
        self.instructions: list[Instruction] = []
        self.lines: list[str] | None = [] if lines else None
        self.variables: set[Slot] = set()
        self.born: list[Any] = []  # variables that the step itself makes, anew each time that it is recorded
        # By the identity of arrays that `_alive` keeps from being freed, so that no identity recurs.
        self._slots: dict[int, Slot] = {}
        self._alive: list[Array] = []
        self._made: list[weakref.ref[Tensor]] = []

    def slot(self, array: Array) -> Slot:
        """Return the slot of `array`; one that no recorded op made is external."""
        if id(array) not in self._slots:
            self._enter(array, Slot(Spec(array.shape, array.dtype), external=array))
        return self._slots[id(array)]

    def _enter(self, array: Array, slot: Slot) -> Slot:
        self._alive.append(array)
        self._slots[id(array)] = slot
        return slot

    def add(self, op: Op, outs: tuple[Tensor, ...], ins: tuple[Tensor, ...], static: dict[str, Any]) -> None:
        """Note one application of `op`; raises TracingError if it updates something else than a variable."""
        sources = tuple(self.slot(t.data) for t in ins)
        if any(slot.root.external is None for slot in sources[: op.writes]):
            raise TracingError(f"{op.name} would overwrite a value computed in the step; it takes variables.")
        self.variables.update(slot for t, slot in zip(ins, sources, strict=True) if isinstance(t, Variable))
        if self.lines is not None:
            self.lines.append(user_line())
        base = sources[0] if op.alias else None
        slots = tuple(self._enter(t.data, Slot(t.spec, base=base)) for t in outs)
        self.instructions.append(Instruction(op, slots, sources, static, state.scope))
        self._made.extend(weakref.ref(t) for t in outs)

    def release(self) -> None:
        """Take the memory from the tensors that outlive the step, so that a stale value is an error."""
        for reference in self._made:
            tensor = reference()
            if tensor is not None:
                tensor.data, tensor.node, tensor.released = None, None, True
