"""What is left out of a record: values computed twice, values that nobody reads, copies into one buffer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gpudl.engine.plan.ir import Instruction, Slot


def without_repeats(record: Iterable[Instruction]) -> list[Instruction]:
    """Compute once what was asked for twice with the same inputs and no write to them in between."""
    kept: list[Instruction] = []
    seen: dict[tuple[Any, ...], Instruction] = {}
    writes: dict[int, int] = {}
    for step in record:
        ins = tuple(slot.value for slot in step.ins)
        if step.op.update:
            for slot in ins[: step.op.writes]:
                writes[slot.memory] = writes.get(slot.memory, 0) + 1
        elif ins:
            key = (
                step.op.name,
                tuple((id(slot), writes.get(slot.memory, 0)) for slot in ins),
                tuple(sorted((name, repr(value)) for name, value in step.static.items())),
            )
            first = seen.setdefault(key, step)
            if first is not step:
                for slot, other in zip(step.outs, first.outs, strict=True):
                    slot.same = other
                continue
        kept.append(step)
    return kept


def without_dead(steps: Sequence[Instruction], results: Iterable[Slot]) -> list[Instruction]:
    """Drop instructions whose results nobody reads."""
    needed = {slot.root for slot in results}
    kept = []
    for step in reversed(steps):
        if step.op.update or any(slot.root in needed for slot in step.outs):
            needed.update(slot.root for slot in step.ins)
            kept.append(step)
    return kept[::-1]


def laid_in_place(
    steps: Sequence[Instruction], pinned: set[Slot]
) -> tuple[list[Instruction], dict[Slot, tuple[Slot, int]]]:
    """Let the inputs of a gathering op be computed where it would copy them, and drop the copy.

    Returns:
        The remaining instructions, and for each value laid inside another: that one and its byte offset.
    """
    inside: dict[Slot, tuple[Slot, int]] = {}
    filled: set[Slot] = set()  # these have values laid inside them, and must stay where they are
    kept = []
    for step in steps:
        roots = [slot.root for slot in step.ins]
        movable = step.op.gathers and len(set(roots)) == len(roots)
        for slot, root in zip(step.ins, roots, strict=True):
            movable = movable and root not in pinned and root not in inside and root not in filled
            movable = movable and root.external is None
            movable = movable and root.spec.nbytes == slot.spec.nbytes
        if not movable:
            kept.append(step)
            continue
        filled.add(step.outs[0])
        offset = 0
        for root in roots:
            inside[root] = (step.outs[0], offset)
            offset += root.spec.nbytes
    return kept, inside
