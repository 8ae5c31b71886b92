"""Passes that remove instructions: common subexpressions, dead code, copies into one buffer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

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
    seen: dict[Any, Applied] = {}
    same: dict[Value, Value] = {}  # from a removed value to the one that replaces it
    writes: dict[int, int] = {}
    for recorded in record:
        is_moved = recorded.alias or any(value in same for value in recorded.ins)  # a view moves with its base
        step = recorded.reading(same) if is_moved else recorded
        for value in step.targets:
            writes[value.memory] = writes.get(value.memory, 0) + 1
        if isinstance(step, Applied) and step.ins and not step.writes:
            read = tuple((value, writes.get(value.memory, 0)) for value in step.ins)
            first = seen.setdefault((step.op, read, _key(step.static)), step)
            if first is not step:
                same.update(zip(step.outs, first.outs, strict=True))
                continue
        kept.append(step)
    return kept, [same.get(value, value) for value in results]


def _key(static: Any) -> Any:
    """Return a hashable key of static arguments, which also distinguishes 1, 1.0 and True, and 0.0 and -0.0."""
    if isinstance(static, dict):
        return tuple((name, _key(static[name])) for name in sorted(static))
    if isinstance(static, tuple | list):
        return (type(static), *map(_key, static))
    if isinstance(static, np.ndarray):
        return static.shape, static.dtype.str, static.tobytes()
    return type(static), repr(static) if isinstance(static, float) else static


def without_dead_code(steps: Sequence[Instruction], results: Iterable[Value]) -> list[Instruction]:
    """Remove instructions whose results are not read."""
    needed = {value.root for value in results}
    kept = []
    for step in reversed(steps):
        if step.writes or any(value.root in needed for value in step.outs):
            kept.append(step.making(needed))
            needed.update(value.root for value in step.ins)
    return kept[::-1]


def gathered_in_place(
    steps: Sequence[Instruction], pinned: set[Value]
) -> tuple[list[Instruction], dict[Value, tuple[Value, int]]]:
    """Have the inputs of a gathering op computed in its out, and remove the copy.

    Returns:
        The remaining instructions, and for each value that is inside another one, that one and the byte offset.
    """
    inside: dict[Value, tuple[Value, int]] = {}
    filled: set[Value] = set()  # these have other values inside them, and must not be moved
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
