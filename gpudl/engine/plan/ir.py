"""What a record is made of: instructions, which compute values from values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from copy import copy
from typing import Self, TypeGuard

import numpy as np

from gpudl.backend import Array, Backend, Static
from gpudl.backend.base import Composed, Kernel
from gpudl.engine.op import AnyOp
from gpudl.engine.spec import Spec
from gpudl.engine.tree import same_value
from gpudl.engine.value import Value

Call = Callable[[], None]
BYTE = np.dtype(np.uint8)
_REFERENCE_TAKES = 3  # arrays at a time, in the formulas that take most


class _Flags:
    c_contiguous = True


class _Contiguous(Spec):
    """What a plan will make of a spec: enough of an array to ask which kernel would take it."""

    flags = _Flags()


def like(value: Value) -> Array:
    """Return the array of an external value, or what stands for the one that a plan will give it."""
    return _Contiguous(value.spec.shape, value.spec.dtype) if value.external is None else value.external


class Instruction:
    """A computation that is one call of a kernel, or of an op's reference.

    Attributes:
        name: of the op, or of the kernel that computes several.
        outs: what it computes.
        ins: what it reads; the first `writes` of them are variables that it updates.
        origin: who asked for it: a layer, "loss", "optimizer", or the gradient of one of them.
        line: where in the user's code, if that was noted.
        members: the instructions that this one stands for: those that the planner has joined, or the body of a loop.
        times: how often it does what its members do.
        alias: whether its out is a view of its first input, and nothing has to be called.
        gathers: whether it copies its inputs one after another into its out.
    """

    alias = False
    gathers = False
    line = ""
    times = 1
    writes = 0

    def __init__(
        self,
        name: str,
        outs: tuple[Value, ...],
        ins: tuple[Value, ...],
        origin: str = "",
        members: tuple[Instruction, ...] = (),
    ) -> None:
        self.name = name
        self.outs = outs
        self.ins = ins
        self.origin = origin
        self.members = members

    def read_instead(self, other: Mapping[Value, Value]) -> None:
        """Read what `other` names in place of the inputs that it lists; only while this is being recorded."""
        self.ins = tuple(other.get(value, value) for value in self.ins)
        if self.alias:
            self.outs[0].rest_on(self.ins[0])

    def reading(self, other: Mapping[Value, Value]) -> Self:
        """Return the same computation of the same outs from what `other` names in place of the inputs that it lists."""
        changed = copy(self)
        changed.read_instead(other)
        return changed

    def is_kernel(self, on: Backend) -> bool:
        """Tell whether a kernel computes this, and not the reference of an op."""
        return True

    def work_spec(self, on: Backend) -> Spec | None:
        """Return the spec of the scratch array that a call needs, or None."""
        return None

    def scratch(self, on: Backend) -> int:
        """Return how many bytes this may take for itself: a reference makes arrays like those it works on."""
        if self.alias or self.is_kernel(on):
            return 0
        return _REFERENCE_TAKES * max((value.spec.nbytes for value in (*self.outs, *self.ins)), default=0)

    def making(self, needed: Set[Value]) -> Self:
        """Return the same computation without outs that are not `needed`, where it can do without them."""
        return self

    def is_like(self, other: Instruction) -> bool:
        """Tell whether `other`, from other values, does the same."""
        return self.name == other.name and self.origin == other.origin and len(self.ins) == len(other.ins)

    def bind(self, on: Backend, arrays: tuple[Array, ...], work: Array) -> Call:
        """Return a call without arguments on the arrays of the outs and inputs."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class Applied(Instruction):
    """One op applied to values.

    Attributes:
        op: the op.
        static: its static arguments.
    """

    def __init__(
        self, op: AnyOp, outs: tuple[Value, ...], ins: tuple[Value, ...], static: Static, origin: str = ""
    ) -> None:
        super().__init__(op.name, outs, ins, origin)
        self.op = op
        self.static = static
        self.alias = op.alias
        self.gathers = op.gathers
        self.writes = op.writes
        self._chosen: tuple[Kernel | None] | None = None

    def is_like(self, other: Instruction) -> bool:
        """Tell whether `other`, from other values, does the same."""
        return isinstance(other, Applied) and super().is_like(other) and same_value(self.static, other.static)

    def kernel(self, on: Backend) -> Kernel | None:
        """Return the kernel that computes this in place of the op's reference, or None; it is chosen once."""
        if self._chosen is None:
            self._chosen = (self.op.kernel(on, tuple(map(like, (*self.outs, *self.ins))), self.static),)
        return self._chosen[0]

    def is_kernel(self, on: Backend) -> bool:
        """Tell whether a kernel computes this, and not the reference of the op."""
        return self.kernel(on) is not None

    def work_spec(self, on: Backend) -> Spec | None:
        """Return the spec of the scratch array that the reference wants; a kernel wants none."""
        if self.op.workspace is None or self.is_kernel(on):
            return None
        return self.op.work_spec(tuple(map(like, (*self.outs, *self.ins))), self.static)

    def bind(self, on: Backend, arrays: tuple[Array, ...], work: Array) -> Call:
        """Return a call without arguments on the arrays of the outs and inputs."""
        return self.op.bind(on, self.kernel(on), arrays, self.static, work)


class Fused(Instruction):
    """Several instructions that one kernel computes.

    Attributes:
        kernel: the kernel.
        stages: the static arguments of each of the members.
    """

    def __init__(
        self, name: str, kernel: Kernel, outs: tuple[Value, ...], ins: tuple[Value, ...], members: tuple[Applied, ...]
    ) -> None:
        super().__init__(name, outs, ins, members[0].origin, members)
        self.stages = tuple(member.static for member in members)
        self._kernel = kernel

    def bind(self, on: Backend, arrays: tuple[Array, ...], work: Array) -> Call:
        """Return a call without arguments on the arrays of the outs and inputs."""
        return on.bind(self._kernel, arrays, {"stages": self.stages})


class Run(Instruction):
    """Elementwise instructions that one kernel computes, which was composed for them; the first inputs are updated."""

    def __init__(
        self,
        kernel: Composed,
        outs: tuple[Value, ...],
        ins: tuple[Value, ...],
        writes: int,
        members: tuple[Applied, ...],
    ) -> None:
        super().__init__("run", outs, ins, members[0].origin, members)
        self.writes = writes
        self._kernel = kernel

    def work_spec(self, on: Backend) -> Spec:
        """Return the spec of the memory for values between the members."""
        return Spec((self._kernel.work,), BYTE)

    def bind(self, on: Backend, arrays: tuple[Array, ...], work: Array) -> Call:
        """Return a call without arguments on the arrays of the outs and inputs."""
        return self._kernel.bind(arrays, work)


def applies(instruction: Instruction, op: AnyOp) -> TypeGuard[Applied]:
    """Tell whether an instruction is `op` applied, by itself."""
    return isinstance(instruction, Applied) and instruction.op is op


def members(instruction: Instruction) -> Iterator[Applied]:
    """Yield the ops that `instruction` stands for, in order: its own, where nothing was joined."""
    if isinstance(instruction, Applied):
        yield instruction
    for member in instruction.members:
        yield from members(member)


def written(instruction: Instruction) -> list[Value]:
    """Return what an instruction writes: its outs, and the variables that it, or a member, updates."""
    updated = (value for part in members(instruction) for value in part.ins[: part.writes])
    return list(dict.fromkeys((*instruction.outs, *updated)))


def flops(instruction: Instruction) -> int:
    """Return the arithmetic operations of an instruction; a joined one does those of its members."""
    if not isinstance(instruction, Applied):
        return instruction.times * sum(map(flops, instruction.members))
    outs, ins = (tuple(value.spec for value in values) for values in (instruction.outs, instruction.ins))
    return instruction.op.flops(outs, ins, instruction.static)


def nbytes(instruction: Instruction) -> int:
    """Return the bytes of the distinct inputs that an instruction reads, and of what it writes.

    What lies between the members of a joined instruction never leaves the caches, and does not count. An update
    counts as reading what it writes.
    """
    if instruction.alias:
        return 0
    read = {value.root: value.spec.nbytes for value in instruction.ins}
    return sum(read.values()) + sum(value.spec.nbytes for value in written(instruction))
