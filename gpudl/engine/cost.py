"""What an instruction costs: arithmetic operations, and bytes that have to move.

An operation is one addition, multiplication, comparison, or one elementary function such as a quotient, a root or
an exponential: the count is that of the plainest algorithm, whatever a kernel makes of it. Copies count nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from gpudl.engine.spec import Spec

if TYPE_CHECKING:
    from gpudl.engine.plan.plan import Instruction, Slot

Flops = Callable[[tuple[Spec, ...], tuple[Spec, ...], dict[str, Any]], int]
"""A count of operations from the specs of an op's outs, those of its inputs, and its static arguments."""


def free(outs: tuple[Spec, ...], ins: tuple[Spec, ...], static: dict[str, Any]) -> int:
    """Count nothing: for ops that copy, fill, or look at the same memory in another way."""
    return 0


def per_output(count: int) -> Flops:
    """Count `count` operations for each element of the first out.

    Example:
        >>> import numpy as np
        >>> image = Spec((2, 3), np.dtype("float32"))
        >>> per_output(5)((image,), (), {})
        30
    """
    return lambda outs, ins, static: count * outs[0].size


def per_input(count: int) -> Flops:
    """Count `count` operations for each element of the first input."""
    return lambda outs, ins, static: count * ins[0].size


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
