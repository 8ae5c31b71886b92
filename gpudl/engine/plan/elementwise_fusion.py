"""Fusing elementwise instructions into single kernels.

For small arrays this saves the overhead of calls, for large ones the memory traffic of intermediate values. An
instruction moves up to an earlier group if it does not depend on anything in between; the composer decides which ops
can be fused, and makes the kernel.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from gpudl.backend import Backend
from gpudl.backend.base import Call, Composer
from gpudl.engine.plan.ir import Applied, FusedElementwise, Instruction, like
from gpudl.engine.value import Value


class _Group:
    """Instructions that will be fused: elementwise ones of `size` elements, or, if `size` is None, any other one."""

    def __init__(self, number: int, size: int | None) -> None:
        self.number = number
        self.size = size
        self.instructions: list[Instruction] = []
        self.views: list[Instruction] = []  # views of values that this group computes
        self.touched: dict[int, set[Value]] = {}  # values by the identity of their memory

    def add(self, instruction: Instruction) -> None:
        """Append an instruction."""
        self.instructions.append(instruction)
        for value in (*instruction.outs, *instruction.ins):
            self.touched.setdefault(value.memory, set()).add(value.root)

    def accepts(self, instruction: Instruction, shared: Iterable[int]) -> bool:
        """Return whether `instruction`, which must not come before this group, may be added to it.

        Where one of them writes and the other reads the memory `shared`, the elements and their order must be the same:
        a variable and a part of it must not be in one group.
        """
        roots = {(value.memory, value.root) for value in (*instruction.outs, *instruction.ins)}
        meeting = (self.touched[memory] | {root for at, root in roots if at == memory} for memory in shared)
        return all(len(met) == 1 for met in meeting)


def _written(instruction: Instruction) -> set[int]:
    return {value.memory for value in instruction.written}


def _fusable_size(instruction: Instruction, composer: Composer) -> int | None:
    """Return the number of elements of an instruction that can be fused, or None if it cannot."""
    values = (*instruction.outs, *instruction.ins)
    if not isinstance(instruction, Applied) or not values:
        return None
    arrays = tuple(map(like, values))
    if not composer.joins(instruction.name, arrays, instruction.static):
        return None
    written = _written(instruction)
    roots = {value.root for value in values if value.memory in written}
    return arrays[0].size if len(roots) == len(written) else None  # else its outs overlap


class _Groups:
    """The groups of a step, in order, and for each piece of memory the last groups that wrote and accessed it."""

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self.all = [_Group(0, None)]  # the first has the views of variables and inputs
        self._makers: dict[Value, _Group] = {}
        self._wrote: dict[int, int] = {}
        self._touched: dict[int, int] = {}
        self._open: dict[int, list[int]] = {}  # the numbers of the elementwise groups by size
        self._closed = 0  # groups of large arrays are complete when another large value is computed

    def add(self, instruction: Instruction) -> None:
        """Add an instruction to the earliest group that accepts it, or to a new one."""
        if instruction.alias:
            self._makers.get(instruction.outs[0].root, self.all[0]).views.append(instruction)
            return
        size = _fusable_size(instruction, self._composer)
        group = None if size is None else self._home(instruction, size)
        if group is None:
            group = self._opened(size)
            if size is None and any(value.spec.size > self._composer.large for value in instruction.outs):
                self._closed = len(self.all)
        group.add(instruction)
        self._makers.update(dict.fromkeys(instruction.outs, group))
        written = _written(instruction)
        for memory in {value.memory for value in (*instruction.outs, *instruction.ins)}:
            self._touched[memory] = max(group.number, self._touched.get(memory, 0))
            if memory in written:
                self._wrote[memory] = max(group.number, self._wrote.get(memory, 0))

    def _opened(self, size: int | None) -> _Group:
        group = _Group(len(self.all), size)
        self.all.append(group)
        if size is not None:
            self._open.setdefault(size, []).append(group.number)
        return group

    def _home(self, instruction: Instruction, size: int) -> _Group | None:
        """Return the earliest group that accepts `instruction`, which must stay after those that it depends on."""
        first = self._closed if size > self._composer.large else 0
        written = _written(instruction)
        before = {value.memory: self._wrote.get(value.memory, 0) for value in instruction.ins}
        before |= {memory: self._touched.get(memory, 0) for memory in written}
        barrier = max(before.values(), default=0)
        shared = [memory for memory, number in before.items() if number == barrier]
        if barrier >= max(first, 1):
            group = self.all[barrier]
            if group.size == size and group.accepts(instruction, shared):
                return group
        runs = self._open.get(size, [])
        at = bisect_left(runs, max(first, barrier + 1))
        return self.all[runs[at]] if at < len(runs) else None


def with_fused_elementwise(
    instructions: Sequence[Instruction], results: Iterable[Value], on: Backend
) -> list[Instruction]:
    """Return the instructions with elementwise ones fused.

    Args:
        instructions: the instructions, without dead code.
        results: the values that the step returns.
        on: the backend, whose composer makes the kernels; without one nothing changes.
    """
    composer = on.composer()
    if composer is None:
        return list(instructions)
    groups = _Groups(composer)
    for instruction in instructions:
        groups.add(instruction)
    users: dict[Value, set[int]] = {value.root: {-1} for value in results}
    for group in groups.all:
        for value in (value for instruction in group.instructions for value in instruction.ins):
            users.setdefault(value.root, set()).add(group.number)
    joined: list[Instruction] = []
    for group in groups.all:
        made = [value for instruction in group.instructions for value in instruction.outs]
        outside = {value for value in made if users.get(value, set()) - {group.number}}
        members = tuple(instruction for instruction in group.instructions if isinstance(instruction, Applied))
        joined += group.instructions if group.size is None else [_fused(members, outside, composer)]
        joined += (view for view in group.views if group.size is None or view.outs[0].root in outside)
    return joined


def _call(instruction: Applied, outs: tuple[int, ...], ins: tuple[int, ...]) -> Call:
    shapes = tuple(value.spec.shape for value in (*instruction.outs, *instruction.ins))
    return Call(instruction.name, outs, ins, instruction.static, shapes)


def _fused(members: tuple[Applied, ...], outside: set[Value], composer: Composer) -> FusedElementwise:
    """Return one instruction for `members`, whose results in `outside` other instructions read."""
    values: dict[Value, int] = {}

    def numbers(found: Iterable[Value]) -> tuple[int, ...]:
        return tuple(values.setdefault(value.root, len(values)) for value in found)

    calls = [_call(instruction, numbers(instruction.outs), numbers(instruction.ins)) for instruction in members]
    made = {value: None for instruction in members for value in instruction.outs}
    targets = {value.root: None for instruction in members for value in instruction.targets}
    outs = tuple(value for value in made if value in outside)
    ins = (*targets, *(value for value in values if value not in made and value not in targets))
    specs = [(value.spec.dtype, value.spec.size) for value in values]
    kernel = composer.compose(calls, specs, [values[value] for value in (*outs, *ins)])
    return FusedElementwise(kernel, outs, ins, len(targets), members)
