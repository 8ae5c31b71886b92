"""Passes that remove instructions: common subexpressions, dead code, copies into one buffer."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from gpudl.engine.plan.ir import Applied, Instruction
from gpudl.engine.value import Value


def without_common_subexpressions(
    record: Iterable[Instruction], results: Iterable[Value]
) -> tuple[list[Instruction], list[Value]]:
    """Remove instructions that repeat an earlier one with the same inputs and no write to them in between.

    Returns:
        The remaining instructions, whose inputs are replaced accordingly, and the values that hold the results.
    """
    kept: list[Instruction] = []
    seen: dict[object, Applied] = {}
    same: dict[Value, Value] = {}  # from a removed value to the one that replaces it
    writes: dict[int, int] = {}
    for recorded in record:
        is_moved = recorded.alias or any(value in same for value in recorded.ins)  # a view moves with its base
        instruction = recorded.reading(same) if is_moved else recorded
        for value in instruction.targets:
            writes[value.memory] = writes.get(value.memory, 0) + 1
        if isinstance(instruction, Applied) and instruction.ins and not instruction.writes:
            read = tuple((value, writes.get(value.memory, 0)) for value in instruction.ins)
            first = seen.setdefault((instruction.op, read, _key(instruction.static)), instruction)
            if first is not instruction:
                same.update(zip(instruction.outs, first.outs, strict=True))
                continue
        kept.append(instruction)
    return kept, [same.get(value, value) for value in results]


def _key(static: object) -> Hashable:
    """Return a hashable key of static arguments, which also distinguishes 1, 1.0 and True, and 0.0 and -0.0."""
    if isinstance(static, dict):
        return tuple((name, _key(static[name])) for name in sorted(static))
    if isinstance(static, tuple | list):
        return (type(static), *map(_key, static))
    if isinstance(static, np.ndarray):
        return static.shape, static.dtype.str, static.tobytes()
    return type(static), repr(static) if isinstance(static, float) else static


def without_dead_code(instructions: Sequence[Instruction], results: Iterable[Value]) -> list[Instruction]:
    """Remove instructions whose results are not read."""
    needed = {value.root for value in results}
    kept = []
    for instruction in reversed(instructions):
        if instruction.writes or any(value.root in needed for value in instruction.outs):
            kept.append(instruction.making(needed))
            needed.update(value.root for value in instruction.ins)
    return kept[::-1]


def gathered_in_place(
    instructions: Sequence[Instruction], pinned: set[Value]
) -> tuple[list[Instruction], dict[Value, tuple[Value, int]]]:
    """Have the inputs of a gathering op computed in its out, and remove the copy.

    Returns:
        The remaining instructions, and for each value that is inside another one, that one and the byte offset.
    """
    inside: dict[Value, tuple[Value, int]] = {}
    filled: set[Value] = set()  # these have other values inside them, and must not be moved
    kept = []
    for instruction in instructions:
        roots = [value.root for value in instruction.ins]
        movable = instruction.gathers and len(set(roots)) == len(roots)
        for value, root in zip(instruction.ins, roots, strict=True):
            movable = movable and root not in pinned and root not in inside and root not in filled
            movable = movable and root.external is None
            movable = movable and root.spec.nbytes == value.spec.nbytes
        if not movable:
            kept.append(instruction)
            continue
        filled.add(instruction.outs[0])
        offset = 0
        for root in roots:
            inside[root] = (instruction.outs[0], offset)
            offset += root.spec.nbytes
    return kept, inside
