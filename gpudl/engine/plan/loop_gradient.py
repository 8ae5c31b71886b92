"""A recorded loop as a node of the graph, and its gradient: a backward loop, whose body is the gradient of the body."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import prod

from gpudl.engine.convert import constant
from gpudl.engine.grad import Key, between, carried_back, key_of, next_order
from gpudl.engine.parts import Part, total
from gpudl.engine.plan.body import Body, Fed, Forward
from gpudl.engine.plan.loop import Loop
from gpudl.engine.plan.recorder import Recorder, at_work
from gpudl.engine.spec import Spec, is_floating
from gpudl.engine.state import recording, state
from gpudl.engine.tensor import Tensor, faces
from gpudl.engine.value import Value

Step = Callable[[list[Tensor], list[Tensor]], tuple[list[Tensor], list[Tensor]]]
"""One iteration: from carries and rows to new carries and rows."""


class LoopNode:
    """A loop that is part of a recorded step, as a node of the graph.

    Args:
        outer: the recorder of the step.
        inits: the initial values of the carries.
        stacks: the inputs that have a row per iteration.
        step: called once, with tensors for the carries and for one row of each of the stacks.
        length: the number of iterations.
        reverse: whether to start with the last rows.
        forward: the loop whose gradient this one computes.

    Attributes:
        body: the recorded body.
        outs: the last carries, and the rows that the iterations returned.
    """

    def __init__(
        self,
        outer: Recorder,
        inits: Sequence[Tensor],
        stacks: Sequence[Tensor],
        step: Step,
        length: int,
        reverse: bool,
        forward: Forward | None = None,
    ) -> None:
        self.order = next_order()
        self.scope = state.scope
        self._length, self._reverse = length, reverse
        self.body = body = Body(outer, forward)
        try:
            with recording(body):
                carries = [body.carry(tensor) for tensor in inits]
                self._carried, self._ys = step(carries, [body.stream(rows) for rows in stacks])
            body.hoist()
            carried, ys = ([body.value(t) for t in tensors] for tensors in (self._carried, self._ys))
        finally:
            body.release()
        self._loop = Loop(body, carried, ys, length, reverse, state.scope)
        outer.note(self._loop)
        around = (t for t in body.tensors.values() if t.node is None or t.node.order < self.order)
        sources = (each.source for each in (*body.carries, *body.streams))
        self.inputs: tuple[Tensor, ...] = (*sources, *around)
        self._differentiable = state.gradients and any(t.requires_grad for t in self.inputs)
        self.outs = [self._out(number) for number in range(len(self._loop.outs))]

    @property
    def results(self) -> tuple[Value, ...]:
        """The values of the outs: the last carries, and the rows."""
        return self._loop.outs

    def _out(self, number: int) -> Tensor:
        out = Tensor(self._loop.outs[number])
        if self._differentiable and is_floating(out.dtype):
            out.node, out.out_number, out.requires_grad = self, number, True
        return out

    def rows(self, tensor: Tensor) -> Tensor:
        """Return the values of a tensor of the body in all iterations, as rows; they become an out of the loop."""
        for each in self.body.streams:
            if tensor.data in (each.slot, each.leaf.data):
                return each.source
        if tensor.data not in self._loop.ys:
            self._loop.keep(tensor.data)
            self._ys.append(tensor)
        return self._out(len(self._carried) + self._loop.ys.index(tensor.data))

    def _leaves(self) -> list[Tensor]:
        """Return the tensor of the body for each of the inputs."""
        fed: list[Fed] = [*self.body.carries, *self.body.streams]
        return [each.leaf for each in fed] + list(self.inputs[len(fed) :])

    def _active(self, wanted: Sequence[Tensor]) -> list[int]:
        """Return the numbers of the carries whose gradients are carried backwards through the iterations."""
        leaves = [each.leaf for each in self.body.carries]
        found: list[int] = []
        while True:
            starts = {key_of(t) for t in wanted} | {key_of(leaves[number]) for number in found}
            _, reached = between([*self._carried, *self._ys], starts, self.order)
            now = [n for n, t in enumerate(self._carried) if is_floating(t.dtype) and key_of(t) in reached]
            now = sorted({*now, *(n for n, leaf in enumerate(leaves) if key_of(leaf) in starts)})
            if now == found:
                return found
            found = now

    def _reaches(self, leaf: Tensor, ends: dict[Key, Tensor]) -> bool:
        """Return whether one of `ends` depends on `leaf`, the tensor of the body for an input."""
        return key_of(leaf) in ends or bool(between(ends.values(), {key_of(leaf)}, self.order)[0])

    def _ends(self, g: Sequence[Tensor | None]) -> dict[Key, Tensor]:
        """Return the results of the body that have a gradient, by keys; `g` are the gradients of the loop's outs."""
        outs = [*self._carried, *self._ys]
        ends = {key_of(t): t for t, each in zip(outs, g, strict=True) if each is not None}
        pairs = list(zip(self._carried, self.body.carries, strict=True))
        while self._length > 1:
            more = [t for t, fed in pairs if key_of(t) not in ends and self._reaches(fed.leaf, ends)]
            if not more:
                break
            ends.update((key_of(t), t) for t in more)
        return ends

    def gradients(
        self, wanted: Sequence[int], g: Sequence[Tensor | None], taken: Callable[[int], Tensor | None]
    ) -> Iterator[tuple[int, Tensor | Part | None]]:
        """Yield the position and the gradient of each input among `wanted`; see `Node`.

        The terms of every sum are added in the order of the unrolled loop: each iteration adds its own to the sum that
        an input of the enclosing record has so far. Gradients of its rows are collected, and assembled after the loop.
        """
        leaves, first = self._leaves(), len(self.body.carries)
        last = first + len(self.body.streams)
        ends = self._ends(g)
        wanted = [position for position in wanted if self._reaches(leaves[position], ends)]
        active = [n for n in self._active([leaves[p] for p in wanted]) if key_of(self._carried[n]) in ends]
        stacked = [position for position in wanted if first <= position < last]
        around = [position for position in wanted if position >= last]
        handed, before, others = self._cotangents(active, g)
        added_to = [_or_nothing(taken(p), self.inputs[p].spec) for p in around]
        targets = [leaves[n] for n in active] + [leaves[p] for p in (*around, *stacked)]
        parts: list[tuple[int, Part]] = []  # gradients of rows of inputs of the enclosing record

        def step(carries: list[Tensor], rows: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            returned, added = carries[: len(active)], carries[len(active) :]
            given = iter(rows)
            earlier = [None if each is None else next(given) for each in before]
            flows = [(self._carried[n], each) for n, each in zip(active, returned, strict=True)]
            flows += [(self._ys[n], next(given)) for n, _ in others]
            found = carried_back(flows, targets, (*earlier, *added), self.order)
            here = found[len(active) : len(carries)]
            parts.extend((position, part) for position, each in zip(around, here, strict=True) for part in each.rows)
            sums = [each.without_rows() if each in here else each.value() for each in found]
            whole = [_or_nothing(each, t.spec) for t, each in zip(targets, sums, strict=True)]
            kept = [tensor for _, part in parts for tensor in (part.g, part.at)]
            return whole[: len(carries)], whole[len(carries) :] + kept

        stacks = [each for each in before if each is not None] + [rows for _, rows in others]
        back = LoopNode(at_work(), handed + added_to, stacks, step, self._length, not self._reverse, self)
        yield from zip(around, back.outs[len(active) :], strict=False)
        carried = dict(zip(active, back.outs, strict=False))
        streams = dict(zip(stacked, back.outs[len(active) + len(around) :], strict=False))
        for position in wanted:
            part = carried.get(position) if position < first else streams.get(position)
            if position < last and part is not None:
                yield position, part
        kept = iter(back.outs[len(targets) :])
        stacked_parts = [(position, replace(part, g=next(kept), at=next(kept))) for position, part in parts]
        for position in dict.fromkeys(position for position, _ in parts):
            yield position, self._joined([part for p, part in stacked_parts if p == position])

    def _joined(self, parts: list[Part]) -> Part:
        """Return the rows of all iterations as one part, in the order of the backward iterations."""

        def flat(rows: Tensor, axes: int) -> Tensor:
            return faces["reshape_view"](rows, shape=(self._length, prod(rows.shape[1:axes]), *rows.shape[axes:]))

        at = faces["concatenate"](*(flat(part.at, part.at.ndim) for part in parts), axis=1)
        g = faces["concatenate"](*(flat(part.g, part.at.ndim) for part in parts), axis=1)
        if not self._reverse:
            g, at = (faces["take_slice"](rows, key=((None, None, -1),)) for rows in (g, at))
        return replace(parts[0], g=g, at=at)

    def _cotangents(
        self, active: Sequence[int], g: Sequence[Tensor | None]
    ) -> tuple[list[Tensor], list[Tensor | None], list[tuple[int, Tensor]]]:
        """Return the gradients of the active carries after the last iteration, those within the loop, and of other ys.

        Where a y is a carry itself, its gradient precedes the one that the next iteration adds to the carry: so the
        second list has for each active carry rows of such gradients, or None. The third list has the number and the
        rows of all other ys.
        """
        first = len(self._carried)
        rows = {number: each for number, each in enumerate(g[first:]) if each is not None}
        handed, before = [], []
        for number in active:
            same = [n for n in rows if key_of(self._ys[n]) == key_of(self._carried[number])]
            whole = total(*(rows.pop(n) for n in reversed(same)))
            whole_last, earlier = (None, None) if whole is None else self._shifted(whole)
            handed.append(_or_nothing(total(g[number], whole_last), self._carried[number].spec))
            before.append(earlier)
        return handed, before, list(rows.items())

    def _shifted(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the row of the last iteration, and the rows shifted by one: each is that of the iteration before."""
        nothing = _nothing(rows.spec.with_shape((1, *rows.shape[1:])))
        slices = [((0, 1, None),), ((1, None, None),)] if self._reverse else [((-1, None, None),), ((None, -1, None),)]
        last, others = (faces["take_slice"](rows, key=key) for key in slices)
        parts = (others, nothing) if self._reverse else (nothing, others)
        return faces["reshape_view"](last, shape=rows.shape[1:]), faces["concatenate"](*parts, axis=0)


def _nothing(spec: Spec) -> Tensor:
    """Return a tensor of -0.0, which can be added to any number without changing a bit of it."""
    return faces["broadcast_to"](constant(-0.0, spec.dtype, at_work().recording.on), shape=spec.shape)


def _or_nothing(gradient: Tensor | None, spec: Spec) -> Tensor:
    return _nothing(spec) if gradient is None else gradient
