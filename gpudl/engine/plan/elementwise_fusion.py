"""Runs of elementwise instructions become one kernel each.

For small arrays that saves the cost of the calls, for large ones that of moving what lies between to memory and back.
An instruction moves up to an earlier run where nothing in between needs to come first; which ops a run can have, and
what kernel it becomes, is the composer's business.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from gpudl.backend import Backend
from gpudl.backend.base import Call, Composer
from gpudl.engine.plan.ir import Applied, Instruction, Run, like
from gpudl.engine.value import Value


class _Group:
    """Instructions that are going to be one: a run of `size` elements, or any other instruction by itself."""

    def __init__(self, number: int, size: int | None) -> None:
        self.number = number
        self.size = size
        self.steps: list[Instruction] = []
        self.views: list[Instruction] = []  # of what this group computes
        self.touched: dict[int, set[Value]] = {}  # values by the identity of their memory

    def add(self, step: Instruction) -> None:
        """Let an instruction follow those that are here."""
        self.steps.append(step)
        for value in (*step.outs, *step.ins):
            self.touched.setdefault(value.memory, set()).add(value.root)

    def takes(self, step: Instruction, shared: Iterable[int]) -> bool:
        """Tell whether `step`, which must not come before this run, may become a part of it.

        What one of them writes and the other reads, in the memory `shared`, must be the same elements in the same
        order: parts of one variable and the whole of it must not meet in a run.
        """
        roots = {(value.memory, value.root) for value in (*step.outs, *step.ins)}
        meeting = (self.touched[memory] | {root for at, root in roots if at == memory} for memory in shared)
        return all(len(met) == 1 for met in meeting)


def _written(step: Instruction) -> set[int]:
    return {value.memory for value in step.written}


def _run_size(step: Instruction, composer: Composer) -> int | None:
    """Return how many elements an instruction works on that may be part of a run; None where it may not."""
    values = (*step.outs, *step.ins)
    if not isinstance(step, Applied) or not values:
        return None
    arrays = tuple(map(like, values))
    if not composer.joins(step.name, arrays, step.static):
        return None
    written = _written(step)
    roots = {value.root for value in values if value.memory in written}
    return arrays[0].size if len(roots) == len(written) else None  # else it overlaps itself


class _Groups:
    """The groups of a step, in order, and the last ones that wrote and touched a piece of memory."""

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self.all = [_Group(0, None)]  # the first has the views of variables and inputs
        self._makers: dict[Value, _Group] = {}
        self._wrote: dict[int, int] = {}
        self._touched: dict[int, int] = {}
        self._runs: dict[int, list[int]] = {}  # the numbers of the runs of a size
        self._closed = 0  # runs of large arrays take nothing more once another large value has been made

    def add(self, step: Instruction) -> None:
        """Let an instruction join the earliest run that may have it, or be a group of its own."""
        if step.alias:
            self._makers.get(step.outs[0].root, self.all[0]).views.append(step)
            return
        size = _run_size(step, self._composer)
        group = None if size is None else self._home(step, size)
        if group is None:
            group = self._opened(size)
            if size is None and any(value.spec.size > self._composer.large for value in step.outs):
                self._closed = len(self.all)
        group.add(step)
        self._makers.update(dict.fromkeys(step.outs, group))
        written = _written(step)
        for memory in {value.memory for value in (*step.outs, *step.ins)}:
            self._touched[memory] = max(group.number, self._touched.get(memory, 0))
            if memory in written:
                self._wrote[memory] = max(group.number, self._wrote.get(memory, 0))

    def _opened(self, size: int | None) -> _Group:
        group = _Group(len(self.all), size)
        self.all.append(group)
        if size is not None:
            self._runs.setdefault(size, []).append(group.number)
        return group

    def _home(self, step: Instruction, size: int) -> _Group | None:
        """Return the earliest run that may have `step`, which must stay behind what it reads and overwrites."""
        first = self._closed if size > self._composer.large else 0
        written = _written(step)
        before = {value.memory: self._wrote.get(value.memory, 0) for value in step.ins}
        before |= {memory: self._touched.get(memory, 0) for memory in written}
        barrier = max(before.values(), default=0)
        shared = [memory for memory, number in before.items() if number == barrier]
        if barrier >= max(first, 1):
            group = self.all[barrier]
            if group.size == size and group.takes(step, shared):
                return group
        runs = self._runs.get(size, [])
        at = bisect_left(runs, max(first, barrier + 1))
        return self.all[runs[at]] if at < len(runs) else None


def with_runs(steps: Sequence[Instruction], results: Iterable[Value], on: Backend) -> list[Instruction]:
    """Return the instructions with runs in place of what can be part of one.

    Args:
        steps: what the step does, without what nobody needs.
        results: the values that it returns.
        on: the backend, whose composer makes the kernels; without one nothing changes.
    """
    composer = on.composer()
    if composer is None:
        return list(steps)
    groups = _Groups(composer)
    for step in steps:
        groups.add(step)
    users: dict[Value, set[int]] = {value.root: {-1} for value in results}
    for group in groups.all:
        for value in (value for step in group.steps for value in step.ins):
            users.setdefault(value.root, set()).add(group.number)
    joined: list[Instruction] = []
    for group in groups.all:
        made = [value for step in group.steps for value in step.outs]
        outside = {value for value in made if users.get(value, set()) - {group.number}}
        members = tuple(step for step in group.steps if isinstance(step, Applied))
        joined += group.steps if group.size is None else [_run(members, outside, composer)]
        joined += (view for view in group.views if group.size is None or view.outs[0].root in outside)
    return joined


def _call(step: Applied, outs: tuple[int, ...], ins: tuple[int, ...]) -> Call:
    shapes = tuple(value.spec.shape for value in (*step.outs, *step.ins))
    return Call(step.name, outs, ins, step.static, shapes)


def _run(members: tuple[Applied, ...], outside: set[Value], composer: Composer) -> Run:
    """Return one instruction for a run, of whose results those in `outside` are needed by others."""
    values: dict[Value, int] = {}

    def numbers(found: Iterable[Value]) -> tuple[int, ...]:
        return tuple(values.setdefault(value.root, len(values)) for value in found)

    calls = [_call(step, numbers(step.outs), numbers(step.ins)) for step in members]
    made = {value: None for step in members for value in step.outs}
    targets = {value.root: None for step in members for value in step.targets}
    outs = tuple(value for value in made if value in outside)
    ins = (*targets, *(value for value in values if value not in made and value not in targets))
    specs = [(value.spec.dtype, value.spec.size) for value in values]
    kernel = composer.compose(calls, specs, [values[value] for value in (*outs, *ins)])
    return Run(kernel, outs, ins, len(targets), members)
