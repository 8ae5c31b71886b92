"""A loop as one instruction: its body is planned once, and replayed in each iteration."""

from __future__ import annotations

from collections.abc import Sequence, Set
from copy import copy
from typing import Self

from gpudl.backend import Array, Backend
from gpudl.engine.plan.arena import padded
from gpudl.engine.plan.body import Body
from gpudl.engine.plan.ir import BYTE, Call, Instruction
from gpudl.engine.plan.schedule import Schedule, array_of, view
from gpudl.engine.spec import Spec
from gpudl.engine.value import Value

Copies = list[tuple[Array, Array]]
"""Pairs of arrays, destination and source."""


class Loop(Instruction):
    """A loop over the rows of its inputs.

    A carry is double-buffered: the value that one iteration writes to one buffer is read there by the next. So the body
    is bound twice, however many iterations there are. A carry that the body returns unchanged has one buffer.

    Args:
        body: the recorded body.
        carried: the new value of each of its carries.
        ys: the values that it returns for each iteration.
        length: the number of iterations.
        reverse: whether to start with the last rows.
        origin: the layer or function that it comes from.

    Attributes:
        slots: the values of the body that it is given for each of the inputs: of variables that it updates, of the
            `carries`, of the `streams`, which have a row per iteration, and of values that stay.
        carried: the new value of each of the carries.
        ys: the values that become a row each.
    """

    def __init__(
        self, body: Body, carried: Sequence[Value], ys: Sequence[Value], length: int, reverse: bool, origin: str
    ) -> None:
        record = tuple(body.instructions)
        written = {value: None for step in record for value in step.targets}
        read = {value for step in record for value in step.ins} | {*carried, *ys}
        captured = {outer: inner for outer, inner in body.captured.items() if inner in read and inner not in written}
        fed = (*body.carries, *body.streams)
        self.slots = (*written, *(each.slot for each in fed), *captured.values())
        self.carries, self.streams = ([each.slot for each in part] for part in (body.carries, body.streams))
        sources = tuple(body.outer.value(each.source) for each in fed)
        self._recording = body.outer.recording
        outs = tuple(Value(value.spec, self._recording) for value in carried)
        super().__init__("scan", outs, (*written, *sources, *captured), origin, record)
        self.writes = len(written)
        self.times = length
        self.reverse = reverse
        self.carried = list(carried)
        self.ys: list[Value] = []
        for value in ys:
            self.keep(value)
        self._planned: Schedule | None = None

    def keep(self, value: Value) -> Value:
        """Return the rows of a value of the body, one per iteration, which become an out."""
        rows = Value(value.spec.with_shape((self.times, *value.spec.shape)), self._recording)
        self.ys.append(value)
        self.outs = (*self.outs, rows)
        return rows

    def making(self, needed: Set[Value]) -> Self:
        """Return the same loop, without rows that are not `needed`."""
        first = len(self.carried)
        kept = [(rows, y) for rows, y in zip(self.outs[first:], self.ys, strict=True) if rows in needed]
        made = copy(self)
        made.outs = (*self.outs[:first], *(rows for rows, _ in kept))
        made.ys = [y for _, y in kept]
        return made

    def is_like(self, other: Instruction) -> bool:
        """Return whether `other` has the same length and signature; bodies are compared separately (`inside`)."""
        return isinstance(other, Loop) and super().is_like(other) and self._frame() == other._frame()

    def _frame(self) -> tuple[int, ...]:
        counts = len(self.carries), len(self.streams), len(self.slots), len(self.carried), len(self.ys)
        return self.times, self.reverse, self.writes, *counts

    @property
    def results(self) -> tuple[Value, ...]:
        """The results of an iteration: new values of the carries, and rows."""
        return (*self.carried, *self.ys)

    def _schedule(self, on: Backend) -> Schedule:
        if self._planned is None:
            self._planned = Schedule(on, self.members, self.results, self.slots)
            first = len(self.carried)
            self.carried, self.ys = self._planned.results[:first], self._planned.results[first:]
            self.members = tuple(self._planned.instructions)
        return self._planned

    def _places(self, on: Backend) -> tuple[dict[Value, int], int]:
        """Return the offsets of the slots and the results in the scratch array, and that of the arena."""
        schedule = self._schedule(on)
        places: dict[Value, int] = {}
        end = 0
        apart = (value for value in schedule.computed if value not in self._direct(schedule))
        for value in (*self.carries, *self.streams, *apart):
            places[value] = end
            end += padded(value.spec.nbytes) * (2 if value in self.carries else 1)
        return places, end

    def _direct(self, schedule: Schedule) -> dict[Value, int]:
        """Return the values that are computed directly in the buffer of a carry, and the number of the carry."""
        found: dict[Value, int] = {}
        for number, value in enumerate(self.carried):
            if value.root in schedule.computed and value.root.spec.nbytes == value.spec.nbytes:
                found.setdefault(value.root, number)
        return found

    def work_spec(self, on: Backend) -> Spec:
        """Return the spec of the memory for the intermediate values of one iteration, and for the carries."""
        return Spec((self._places(on)[1] + self._schedule(on).nbytes,), BYTE)

    def scratch(self, on: Backend) -> int:
        """Return how many bytes of scratch memory an instruction of the body may need."""
        return self._schedule(on).scratch

    def bind(self, on: Backend, arrays: tuple[Array, ...], work: Array) -> Call:
        """Return a call without arguments on the arrays of the outs and inputs."""
        schedule, (places, end) = self._schedule(on), self._places(on)
        direct = self._direct(schedule)
        count = len(self.carries)
        outs, ins = arrays[: len(self.outs)], arrays[len(self.outs) :]
        given = dict(zip(self.slots, ins, strict=True))
        stays = [value is slot for value, slot in zip(self.carried, self.carries, strict=True)]
        buffers = [
            [
                view(work, places[slot] + (0 if kept else turn) * padded(slot.spec.nbytes), slot.spec)
                for slot, kept in zip(self.carries, stays, strict=True)
            ]
            for turn in (0, 1)
        ]
        there = {value: view(work, place, value.spec) for value, place in places.items()}
        turns = []
        for now, then in (buffers, buffers[::-1]):
            made = {**given, **there, **dict(zip(self.carries, now, strict=True))}
            made |= {root: then[number].reshape(root.spec.shape) for root, number in direct.items()}
            calls = schedule.bind(work[end:], made)
            found = [array_of(made, value) for value in self.results]
            handed = [
                (then[number], found[number])
                for number, value in enumerate(self.carried)
                if direct.get(value.root) != number and not stays[number]
            ]
            turns.append(_Iteration(calls, handed, list(zip(outs[count:], found[count:], strict=True))))
        begins: Copies = [(buffer, given[slot]) for buffer, slot in zip(buffers[0], self.carries, strict=True)]
        ends: Copies = list(zip(outs[:count], buffers[self.times % 2], strict=True))
        reads: Copies = [(there[slot], given[slot]) for slot in self.streams]
        order = range(self.times)[:: -1 if self.reverse else 1]
        return _Steps(order, begins, reads, turns, ends)


class _Iteration:
    """An iteration that reads the carries in one of their two buffers, and writes them to the other."""

    def __init__(self, calls: list[Call], handed: Copies, rows: Copies) -> None:
        self.calls = calls
        self.handed = handed
        self.rows = [(list(rows[:, None]), row[None]) for rows, row in rows]


class _Steps:
    """All iterations of a loop.

    Attributes:
        turns: an iteration, for either buffer of the carries.
    """

    def __init__(self, order: range, begins: Copies, reads: Copies, turns: list[_Iteration], ends: Copies) -> None:
        self._order = order
        self._begins = begins
        self._reads = [(buffer[None], list(rows[:, None])) for buffer, rows in reads]
        self.turns = turns
        self._ends = ends

    def __call__(self) -> None:
        for target, source in self._begins:
            target[...] = source
        now, then = self.turns
        for t in self._order:
            for buffer, rows in self._reads:
                buffer[...] = rows[t]
            for call in now.calls:
                call()
            for rows, row in now.rows:
                rows[t][...] = row
            for target, source in now.handed:
                target[...] = source
            now, then = then, now
        for target, source in self._ends:
            target[...] = source
