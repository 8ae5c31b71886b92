"""The intermediate representation of a step: instructions, which compute values from values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from copy import copy
from typing import Self, TypeGuard

import numpy as np

from gpudl.backend import Array, Backend, Static
from gpudl.backend.base import Composed, KernelFunction
from gpudl.engine.cost import all_read
from gpudl.engine.op import AnyOp
from gpudl.engine.spec import Spec
from gpudl.engine.tree import same_value
from gpudl.engine.value import Value

Call = Callable[[], None]
BYTE = np.dtype(np.uint8)
_REFERENCE_TAKES = 3  # arrays at a time, in the references that allocate most


class _Flags:
    c_contiguous = True


class _Contiguous(Spec):
    """The array that a plan will allocate for a spec: with the attributes by which a kernel is chosen."""

    flags = _Flags()


def like(value: Value) -> Array:
    """Return the array of an external value, or a stand-in for the one that a plan will allocate."""
    return _Contiguous(value.spec.shape, value.spec.dtype) if value.external is None else value.external


def _work(on: Backend, kernel: KernelFunction, arrays: tuple[Array, ...], static: Static) -> Spec | None:
    nbytes = on.work_bytes(kernel, arrays, static)
    return Spec((nbytes,), BYTE) if nbytes else None


class Instruction:
    """A computation by one call of a kernel, or of an op's reference.

    Attributes:
        name: name of the op, or of the kernel that computes several.
        outs: the values that it computes.
        ins: the values that it reads; the first `writes` of them are variables that it updates.
        origin: the layer that it comes from, or "loss", "optimizer", or the gradient of one of them.
        line: the line of the user's code, if it was recorded.
        members: the instructions that were fused into this one, or the body of a loop.
        times: how many times it runs its members.
        alias: whether its out is a view of its first input, and no call is needed.
        gathers: whether it concatenates its inputs in its out.
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

    @property
    def targets(self) -> tuple[Value, ...]:
        """The variables that it updates."""
        return self.ins[: self.writes]

    @property
    def written(self) -> tuple[Value, ...]:
        """What it writes: its outs, and the variables that it updates."""
        return (*self.outs, *self.targets)

    def read_instead(self, other: Mapping[Value, Value]) -> None:
        """Replace inputs as `other` maps them; only while this is being recorded."""
        self.ins = tuple(other.get(value, value) for value in self.ins)
        if self.alias:
            self.outs[0].rest_on(self.ins[0])

    def reading(self, other: Mapping[Value, Value]) -> Self:
        """Return the same computation of the same outs, with inputs replaced as `other` maps them."""
        changed = copy(self)
        changed.read_instead(other)
        return changed

    def is_kernel(self, on: Backend) -> bool:
        """Return whether a kernel computes this, and not an op's reference."""
        return True

    def work_spec(self, on: Backend) -> Spec | None:
        """Return the spec of the scratch array that a call needs, or None."""
        return None

    def scratch(self, on: Backend) -> int:
        """Return how many bytes of scratch memory this may need: a reference allocates arrays like its operands."""
        if self.alias or self.is_kernel(on):
            return 0
        return _REFERENCE_TAKES * max((value.spec.nbytes for value in (*self.outs, *self.ins)), default=0)

    def making(self, needed: Set[Value]) -> Self:
        """Return the same computation, without outs that are not `needed` if it supports that."""
        return self

    def is_like(self, other: Instruction) -> bool:
        """Return whether `other` is the same computation, possibly on other values."""
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
        self._chosen: tuple[KernelFunction | None] | None = None

    def is_like(self, other: Instruction) -> bool:
        """Return whether `other` is the same computation, possibly on other values."""
        return isinstance(other, Applied) and super().is_like(other) and same_value(self.static, other.static)

    def kernel(self, on: Backend) -> KernelFunction | None:
        """Return the kernel that computes this, or None for the op's reference; it is chosen once."""
        if self._chosen is None:
            self._chosen = (self.op.kernel(on, tuple(map(like, (*self.outs, *self.ins))), self.static),)
        return self._chosen[0]

    def is_kernel(self, on: Backend) -> bool:
        """Return whether a kernel computes this, and not the op's reference."""
        return self.kernel(on) is not None

    def work_spec(self, on: Backend) -> Spec | None:
        """Return the spec of the scratch array that the kernel or the reference needs, or None."""
        if self.alias:
            return None
        kernel, arrays = self.kernel(on), tuple(map(like, (*self.outs, *self.ins)))
        return self.op.work_spec(arrays, self.static) if kernel is None else _work(on, kernel, arrays, self.static)

    def bind(self, on: Backend, arrays: tuple[Array, ...], work: Array) -> Call:
        """Return a call without arguments on the arrays of the outs and inputs."""
        return self.op.bind(on, self.kernel(on), arrays, self.static, work)


class Fused(Instruction):
    """Several instructions that are fused into one kernel.

    Attributes:
        kernel: the kernel.
        stages: the static arguments of each of the members.
    """

    def __init__(
        self,
        name: str,
        kernel: KernelFunction,
        outs: tuple[Value, ...],
        ins: tuple[Value, ...],
        members: tuple[Applied, ...],
    ) -> None:
        super().__init__(name, outs, ins, members[0].origin, members)
        self.stages = tuple(member.static for member in members)
        self._kernel = kernel

    def work_spec(self, on: Backend) -> Spec | None:
        """Return the spec of the scratch array that the kernel needs, or None."""
        return _work(on, self._kernel, tuple(map(like, (*self.outs, *self.ins))), {"stages": self.stages})

    def bind(self, on: Backend, arrays: tuple[Array, ...], work: Array) -> Call:
        """Return a call without arguments on the arrays of the outs and inputs."""
        return on.bind(self._kernel, arrays, {"stages": self.stages}, work)


class FusedElementwise(Instruction):
    """Elementwise instructions that are fused into a composed kernel; the first inputs are updated."""

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
        """Return the spec of the memory for intermediate values."""
        return Spec((self._kernel.work,), BYTE)

    def bind(self, on: Backend, arrays: tuple[Array, ...], work: Array) -> Call:
        """Return a call without arguments on the arrays of the outs and inputs."""
        return self._kernel.bind(arrays, work)


def applies(instruction: Instruction, op: AnyOp) -> TypeGuard[Applied]:
    """Return whether an instruction is an application of `op`, not fused."""
    return isinstance(instruction, Applied) and instruction.op is op


def members(instruction: Instruction) -> Iterator[Applied]:
    """Yield the ops that `instruction` computes, in order: its members, or itself if nothing was fused."""
    if isinstance(instruction, Applied):
        yield instruction
    for member in instruction.members:
        yield from members(member)


def flops(instruction: Instruction) -> int:
    """Return the number of arithmetic operations of an instruction, for a fused one those of its members."""
    if not isinstance(instruction, Applied):
        return instruction.times * sum(map(flops, instruction.members))
    outs, ins = (tuple(value.spec for value in values) for values in (instruction.outs, instruction.ins))
    return instruction.op.flops(outs, ins, instruction.static)


def nbytes(instruction: Instruction) -> int:
    """Return the bytes of the distinct inputs that an instruction reads, and of the values that it writes.

    Of an input that is sliced or gathered from, the elements that are read count. Intermediate values of a fused
    instruction stay in the caches, and do not count. The variables of an update are both read and written.
    """
    if instruction.alias:
        return 0
    outs, ins = (tuple(value.spec for value in values) for values in (instruction.outs, instruction.ins))
    count = instruction.op.reads if isinstance(instruction, Applied) else all_read
    read = {value.root: nbytes for value, nbytes in zip(instruction.ins, count(outs, ins), strict=True)}
    return sum(read.values()) + sum(value.spec.nbytes for value in instruction.written)
