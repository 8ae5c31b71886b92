"""The loop of a cell over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from gpudl import ops
from gpudl.engine.state import autocast, symbolic
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import map_leaves
from gpudl.layers.base.layer import Layer
from gpudl.layers.recurrent.cell import Cell, Masks
from gpudl.layers.recurrent.protocol import AnyCell, applied
from gpudl.layers.recurrent.stacked import StackedRNNCells
from gpudl.layers.recurrent.states import States, filled, leaves_of, listed

Step = Callable[[Tensor, States], States]


@dataclass(frozen=True)
class Way:
    """How to go through the steps.

    Attributes:
        mask: which steps count, (batch, time); None for all.
        training: whether there is dropout.
        reverse: whether the last step comes first.
        every: whether the outputs of all steps are wanted.
        zeros: whether the outputs of masked steps are 0, not those of the step before.
        unroll: whether to take the steps one by one, also where an op has the whole loop.
    """

    mask: Tensor | None = None
    training: bool = False
    reverse: bool = False
    every: bool = False
    zeros: bool = False
    unroll: bool = False


class Passed(NamedTuple):
    """The last outputs, those of all steps in the order of the inputs if they are wanted, and the last states."""

    last: Tensor
    outputs: Tensor | None
    states: States


def over_time(cell: AnyCell, inputs: Tensor, states: States, way: Way) -> Passed:
    """Apply a cell to the steps of the inputs, (batch, time, ...), in turn.

    A step that is masked keeps the states and repeats the outputs before it, which at the beginning are the first
    state where it has their shape, else 0.
    """
    if isinstance(cell, StackedRNNCells) and type(cell).call is StackedRNNCells.call:
        return _one_by_one(cell, inputs, states, way)
    if not isinstance(cell, Cell):
        return _by_calls(cell, inputs, states, way)
    try:
        if type(cell).call is Cell.call:
            with autocast(cell._seen_as()):
                return _by_parts(
                    cell, cell._floating(cell._typed(inputs)), [cell._typed(state) for state in states], way
                )
        cell.draw_masks(inputs, states[0], way.training)
        return _by_calls(cell, inputs, states, way)
    finally:
        cell.reset_dropout_mask()
        cell.reset_recurrent_dropout_mask()


def _one_by_one(stack: StackedRNNCells, x: Tensor, states: States, way: Way) -> Passed:
    """Have each of the cells on top of one another go through all steps before the next does."""
    after = []
    for cell, begin in zip(stack.cells, states, strict=True):
        top = cell is stack.cells[-1]
        passed = over_time(cell, x, listed(begin), way if top else replace(way, every=True, zeros=False))
        after.append(passed.states)
        x = passed.last if passed.outputs is None else passed.outputs
    return passed._replace(states=after)


def _by_parts(cell: Cell, x: Tensor, states: States, way: Way) -> Passed:
    """Have a cell of gpudl's compute one product for all inputs, and then the steps, by one op if there is one.

    Its first state is its outputs.
    """
    whole = cell.has_whole(way.training) and not way.unroll and x.shape[1] > 0
    masks = _for_all(cell.draw_masks(x, states[0], way.training), 1 if whole else 0)
    outputs: Tensor | None
    if whole:
        mask = ops.ones(x.shape[:2], "bool") if way.mask is None else way.mask
        outputs, after = cell.whole(cell.product(x, masks), states, mask, way.reverse)
    else:
        rows = cell.projected(_time_first(x), masks)
        outputs, after = _scanned(lambda x, states: cell.step(x, states, way.training)[1], rows, states, way)
    return _with_zeros(Passed(after[0], outputs if way.every else None, after), way)


def _for_all(masks: Masks, time_axis: int) -> Masks:
    if isinstance(masks, list):
        return [ops.expand_dims(mask, time_axis) for mask in masks]
    return None if masks is None else ops.expand_dims(masks, time_axis)


def _by_calls(cell: AnyCell, x: Tensor, states: States, way: Way) -> Passed:
    """Call a cell of the user's for each step."""
    inside: list[Layer] = list(cell._flattened()) if isinstance(cell, Layer) else []
    inner = [each for each in inside if isinstance(each, Cell)]

    def step(x: Tensor, before: States) -> States:
        y, after = applied(cell, x, before[1:], way.training)
        for each in inner:
            if each is not cell:  # whose masks are for all steps; those inside draw others in each step
                each.reset_dropout_mask()
                each.reset_recurrent_dropout_mask()
        return [y, *filled(before[1:], leaves_of(after))]

    rows, first = _time_first(x), leaves_of(states)[0]
    with symbolic():
        y = step(_unknown(x[:, 0]), [first, *(map_leaves(_unknown, state) for state in states)])[0]
    same = (first.shape, first.dtype) == (y.shape, y.dtype)
    outputs, after = _scanned(step, rows, [first if same else ops.zeros(y.shape, y.dtype), *states], way)
    return _with_zeros(Passed(after[0], outputs, after[1:]), way)


def _unknown(tensor: Tensor) -> Tensor:
    return Tensor(None, tensor.spec)


def _scanned(step: Step, rows: Tensor, states: States, way: Way) -> tuple[Tensor | None, States]:
    """Apply `step` to rows, (time, batch, ...); return the first state of all steps if wanted, and the last states."""

    def body(states: States, row: tuple[Tensor, Tensor | None]) -> tuple[States, Tensor | None]:
        x, counts = row
        after = step(x, states)
        if counts is not None:
            pairs = zip(leaves_of(after), leaves_of(states), strict=True)
            after = filled(states, [_selected(counts, new, old) for new, old in pairs])
        return after, after[0] if way.every else None

    counts = None if way.mask is None else _time_first(way.mask)
    after, outputs = ops.scan(body, states, (rows, counts), reverse=way.reverse)
    return None if outputs is None else _time_first(outputs), after


def _selected(counts: Tensor, new: Tensor, old: Tensor | int) -> Tensor:
    return ops.where(ops.reshape(counts, (*counts.shape, *(1,) * (new.ndim - counts.ndim))), new, old)


def _with_zeros(passed: Passed, way: Way) -> Passed:
    """Return the outputs with 0 in masked steps, if that is wanted."""
    if way.mask is None or not way.zeros:
        return passed
    outputs = None if passed.outputs is None else _selected(way.mask, passed.outputs, 0)
    return passed._replace(outputs=outputs, last=_selected(way.mask[:, 0 if way.reverse else -1], passed.last, 0))


def _time_first(x: Tensor) -> Tensor:
    """Return (batch, time, ...) as (time, batch, ...), and vice versa."""
    return ops.transpose(x, axes=(1, 0, *range(2, x.ndim)))
