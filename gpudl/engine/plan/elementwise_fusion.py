"""Runs of elementwise instructions become one kernel each.

For small arrays that saves the cost of the calls, for large ones that of moving what lies between to memory and back.
An instruction moves up to an earlier run where nothing in between needs to come first; which ops a run can have, and
what kernel it becomes, is the composer's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gpudl.backend import Backend
from gpudl.backend.base import Call, Composer
from gpudl.engine.plan.ir import Instruction, Run, Slot, like


class _Group:
    """Instructions that are going to be one: a run of `size` elements, or any other instruction by itself."""

    def __init__(self, size: int | None) -> None:
        self.size = size
        self.steps: list[Instruction] = []
        self.views: list[Instruction] = []  # of what this group computes
        self.touched: dict[int, set[Slot]] = {}  # values by the identity of their memory
        self.written: set[int] = set()

    def add(self, step: Instruction) -> None:
        """Let an instruction follow those that are here."""
        self.steps.append(step)
        for slot in (*step.outs, *step.ins):
            self.touched.setdefault(slot.root.memory, set()).add(slot.root)
        self.written |= _written(step)

    def blocks(self, other: _Group) -> set[int]:
        """Return the memory for whose sake `other` has to come after this group."""
        return (self.written & other.touched.keys()) | (self.touched.keys() & other.written)

    def takes(self, other: _Group) -> bool:
        """Tell whether `other` may become a part of this run.

        What one of them writes and the other reads must be the same elements in the same order: parts of one
        variable and the whole of it must not meet in a run.
        """
        shared = self.blocks(other)
        return self.size == other.size and all(len(self.touched[m] | other.touched[m]) == 1 for m in shared)


def _written(step: Instruction) -> set[int]:
    return {slot.root.memory for slot in (*step.outs, *step.ins[: step.op.writes])}


def _run_size(step: Instruction, composer: Composer) -> int | None:
    """Return how many elements an instruction works on that may be part of a run; None where it may not."""
    arrays = tuple(map(like, (*step.outs, *step.ins)))
    if step.members or not arrays or not composer.joins(step.op.name, arrays, step.static):
        return None
    written = _written(step)
    roots = {slot.root for slot in (*step.outs, *step.ins) if slot.root.memory in written}
    return arrays[0].size if len(roots) == len(written) else None  # else it overlaps itself


def _grouped(steps: Iterable[Instruction], composer: Composer) -> list[_Group]:
    groups: list[_Group] = [_Group(None)]  # the first has the views of variables and inputs
    makers: dict[Slot, _Group] = {}
    closed = 0  # runs of large arrays take nothing more once another large value has been made
    for step in steps:
        if step.op.alias:
            makers.get(step.outs[0].root, groups[0]).views.append(step)
            continue
        new = _Group(_run_size(step, composer))
        new.add(step)
        group = _home(new, groups, closed if (new.size or 0) > composer.large else 0)
        if group is new:
            groups.append(new)
            if new.size is None and any(slot.spec.size > composer.large for slot in step.outs):
                closed = len(groups)
        else:
            group.add(step)
        makers.update(dict.fromkeys(step.outs, group))
    return groups


def _home(new: _Group, groups: Sequence[_Group], first: int) -> _Group:
    """Return the earliest run, not before number `first`, that may have the instruction of `new`, or `new` itself."""
    found = new
    if new.size is None:
        return found
    for group in reversed(groups[first:]):
        if group.takes(new):
            found = group
        if group.blocks(new):
            break
    return found


def with_runs(steps: Sequence[Instruction], results: Iterable[Slot], on: Backend) -> list[Instruction]:
    """Return the instructions with runs in place of what can be part of one.

    Args:
        steps: what the step does, without what nobody needs.
        results: the values that it returns.
        on: the backend, whose composer makes the kernels; without one nothing changes.
    """
    composer = on.composer()
    if composer is None:
        return list(steps)
    groups = _grouped(steps, composer)
    users: dict[Slot, set[int]] = {slot.root: {-1} for slot in results}
    for number, group in enumerate(groups):
        for slot in (slot for step in group.steps for slot in step.ins):
            users.setdefault(slot.root, set()).add(number)
    joined: list[Instruction] = []
    for number, group in enumerate(groups):
        outside = {slot for slot, numbers in users.items() if numbers - {number}}
        joined += group.steps if group.size is None else [_run(group, outside, composer)]
        joined += (view for view in group.views if group.size is None or view.outs[0].root in outside)
    return joined


def _call(step: Instruction, outs: tuple[int, ...], ins: tuple[int, ...]) -> Call:
    shapes = tuple(slot.spec.shape for slot in (*step.outs, *step.ins))
    return Call(step.op.name, outs, ins, step.static, shapes)


def _run(group: _Group, outside: set[Slot], composer: Composer) -> Instruction:
    """Return one instruction for a run, of whose results those in `outside` are needed by others."""
    values: dict[Slot, int] = {}

    def numbers(slots: Iterable[Slot]) -> tuple[int, ...]:
        return tuple(values.setdefault(slot.root, len(values)) for slot in slots)

    calls = [_call(step, numbers(step.outs), numbers(step.ins)) for step in group.steps]
    made = {slot: None for step in group.steps for slot in step.outs}
    targets = {slot.root: None for step in group.steps for slot in step.ins[: step.op.writes]}
    outs = tuple(slot for slot in made if slot in outside)
    ins = (*targets, *(slot for slot in values if slot not in made and slot not in targets))
    specs = [(slot.spec.dtype, slot.spec.size) for slot in values]
    kernel = composer.compose(calls, specs, [values[slot] for slot in (*outs, *ins)])
    op: Any = Run(kernel, len(outs), len(targets))
    return Instruction(op, outs, ins, {}, group.steps[0].origin, tuple(group.steps))
