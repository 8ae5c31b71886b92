"""What a record is made of: values, and the instructions that compute them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gpudl.backend import Array, Backend
from gpudl.backend.base import Composed
from gpudl.engine.op import Op
from gpudl.engine.spec import Spec

_BYTE = np.dtype(np.uint8)


class Slot:
    """A value in a record.

    Attributes:
        base: the slot that this one is a view of, for the result of an alias op.
        same: the slot that holds this value already, once the planner has found that it does.
        external: the array of a variable, a constant or an input, which stays where it is.
        array: where the value lies when the plan is replayed.
    """

    __slots__ = ("array", "base", "external", "same", "spec")

    def __init__(self, spec: Spec, *, base: Slot | None = None, external: Array = None) -> None:
        self.spec = spec
        self.base = base
        self.same: Slot | None = None
        self.external = external
        self.array: Array = external

    @property
    def value(self) -> Slot:
        """The slot whose array holds this value."""
        return self if self.same is None else self.same.value

    @property
    def root(self) -> Slot:
        """The slot that owns the memory."""
        value = self.value
        return value if value.base is None else value.base.root

    @property
    def memory(self) -> int:
        """The identity of the memory: variables that are parts of one flat buffer have the same."""
        array = self.root.external
        owner = getattr(array, "base", None)
        return id(self.root) if array is None else id(array if owner is None else owner)


class Instruction:
    """One op applied to slots.

    Attributes:
        origin: who asked for it: a layer, "loss", "optimizer", or the gradient of one of them.
        members: the instructions that this one stands for, where the planner has joined several.
    """

    __slots__ = ("ins", "members", "op", "origin", "outs", "static")

    def __init__(
        self,
        op: Op,
        outs: tuple[Slot, ...],
        ins: tuple[Slot, ...],
        static: dict[str, Any],
        origin: str = "",
        members: tuple[Instruction, ...] = (),
    ) -> None:
        self.op = op
        self.outs = outs
        self.ins = ins
        self.static = static
        self.origin = origin
        self.members = members


def members(step: Instruction) -> Iterator[Instruction]:
    """Yield the instructions that `step` stands for, in order: itself, where nothing was joined."""
    if not step.members:
        yield step
    for member in step.members:
        yield from members(member)


def written(step: Instruction) -> list[Slot]:
    """Return what an instruction writes: its outs, and the variables that it, or a member, updates."""
    updated = (slot for part in members(step) for slot in part.ins[: part.op.writes])
    return list(dict.fromkeys((*step.outs, *updated)))


def flops(step: Instruction) -> int:
    """Return the arithmetic operations of an instruction; a joined one does those of its members."""
    return sum(
        part.op.flops(tuple(slot.spec for slot in part.outs), tuple(slot.spec for slot in part.ins), part.static)
        for part in members(step)
    )


def nbytes(step: Instruction) -> int:
    """Return the bytes of the distinct inputs that an instruction reads, and of what it writes.

    What lies between the members of a joined instruction never leaves the caches, and does not count. An update
    counts as reading what it writes.
    """
    if step.op.alias:
        return 0
    read = {slot.root: slot.spec.nbytes for slot in step.ins}
    return sum(read.values()) + sum(slot.spec.nbytes for slot in written(step))


class _Flags:
    c_contiguous = True


class _Contiguous(Spec):
    """What a plan will make of a spec: enough of an array to ask which twin would take it."""

    flags = _Flags()


def like(slot: Slot) -> Any:
    """Return the array of a slot, or what stands for the one that it will get."""
    array = slot.value.array
    return _Contiguous(slot.spec.shape, slot.spec.dtype) if array is None else array


class Fused:
    """What takes the place of an op in an instruction that stands for several: one kernel."""

    update = alias = gathers = False
    writes = 0
    workspace = None

    def __init__(self, name: str, kernel: Callable[..., None], outs: int) -> None:
        self.name = name
        self.kernel = kernel
        self.outs = outs

    def work_spec(self, on: Backend, outs: Any, ins: Any, static: dict[str, Any]) -> None:
        """Return None: the kernel wants no scratch array."""

    def has_twin(self, on: Backend, arrays: tuple[Array, ...], static: dict[str, Any]) -> bool:
        """Return True: it is a kernel, not a reference."""
        return True

    def bind(self, on: Backend, arrays: tuple[Array, ...], static: dict[str, Any], work: Array) -> Callable[[], None]:
        """Return a call without arguments."""
        return on.bind(self.kernel, arrays, static)

    def __repr__(self) -> str:
        return f"<fused {self.name}>"


class Run:
    """What takes the place of an op in an instruction that stands for a run."""

    name = "run"
    alias = gathers = False

    def __init__(self, kernel: Composed, outs: int, writes: int) -> None:
        self.kernel = kernel
        self.outs = outs
        self.writes = writes
        self.update = writes > 0

    def work_spec(self, on: Backend, outs: Any, ins: Any, static: dict[str, Any]) -> Spec | None:
        """Return the spec of the memory for values between the instructions."""
        return Spec((self.kernel.work,), _BYTE)

    def has_twin(self, on: Backend, arrays: tuple[Array, ...], static: dict[str, Any]) -> bool:
        """Return True: it is a kernel, not a reference."""
        return True

    def bind(self, on: Backend, arrays: tuple[Array, ...], static: dict[str, Any], work: Array) -> Callable[[], None]:
        """Return a call without arguments."""
        return self.kernel.bind(arrays, work)

    def __repr__(self) -> str:
        return f"<run of {self.outs} outs>"
