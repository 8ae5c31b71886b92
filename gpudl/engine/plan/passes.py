"""What is left out of a record: values computed twice, values that nobody reads, copies into one buffer."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from gpudl.engine.plan.ir import Applied, Instruction
from gpudl.engine.value import Value


def without_repeats(record: Iterable[Instruction], results: Iterable[Value]) -> tuple[list[Instruction], list[Value]]:
    """Compute once what was asked for twice with the same inputs and no write to them in between.

    Returns:
        The remaining instructions, which read what the others would have computed from those that do, and the values
        that hold the results.
    """
    kept: list[Instruction] = []
    seen: dict[object, Applied] = {}
    same: dict[Value, Value] = {}  # values by those that hold the same
    writes: dict[int, int] = {}
    for recorded in record:
        is_moved = recorded.alias or any(value in same for value in recorded.ins)  # a view follows what it is a view of
        step = recorded.reading(same) if is_moved else recorded
        for value in step.ins[: step.writes]:
            writes[value.memory] = writes.get(value.memory, 0) + 1
        if isinstance(step, Applied) and step.ins and not step.writes:
            read = tuple((value, writes.get(value.memory, 0)) for value in step.ins)
            first = seen.setdefault((step.op, read, _key(step.static)), step)
            if first is not step:
                same.update(zip(step.outs, first.outs, strict=True))
                continue
        kept.append(step)
    return kept, [same.get(value, value) for value in results]


def _key(static: object) -> Hashable:
    """Return a hashable value that tells static arguments apart: also 1, 1.0 and True, and 0.0 and -0.0."""
    if isinstance(static, dict):
        return tuple((name, _key(static[name])) for name in sorted(static))
    if isinstance(static, tuple | list):
        return (type(static), *map(_key, static))
    if isinstance(static, np.ndarray):
        return static.shape, static.dtype.str, static.tobytes()
    return type(static), repr(static) if isinstance(static, float) else static


def without_dead(steps: Sequence[Instruction], results: Iterable[Value]) -> list[Instruction]:
    """Drop instructions whose results nobody reads."""
    needed = {value.root for value in results}
    kept = []
    for step in reversed(steps):
        if step.writes or any(value.root in needed for value in step.outs):
            kept.append(step.making(needed))
            needed.update(value.root for value in step.ins)
    return kept[::-1]


def laid_in_place(
    steps: Sequence[Instruction], pinned: set[Value]
) -> tuple[list[Instruction], dict[Value, tuple[Value, int]]]:
    """Let the inputs of a gathering op be computed where it would copy them, and drop the copy.

    Returns:
        The remaining instructions, and for each value laid inside another: that one and its byte offset.
    """
    inside: dict[Value, tuple[Value, int]] = {}
    filled: set[Value] = set()  # these have values laid inside them, and must stay where they are
    kept = []
    for step in steps:
        roots = [value.root for value in step.ins]
        movable = step.gathers and len(set(roots)) == len(roots)
        for value, root in zip(step.ins, roots, strict=True):
            movable = movable and root not in pinned and root not in inside and root not in filled
            movable = movable and root.external is None
            movable = movable and root.spec.nbytes == value.spec.nbytes
        if not movable:
            kept.append(step)
            continue
        filled.add(step.outs[0])
        offset = 0
        for root in roots:
            inside[root] = (step.outs[0], offset)
            offset += root.spec.nbytes
    return kept, inside
