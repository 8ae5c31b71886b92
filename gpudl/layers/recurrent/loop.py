"""The loop of a cell over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from gpudl import ops
from gpudl.engine.state import autocast, symbolic
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves
from gpudl.layers.base.layer import Layer
from gpudl.layers.recurrent.cell import Cell
from gpudl.layers.recurrent.stacked import StackedRNNCells, applied
from gpudl.layers.recurrent.states import States, filled, listed

Step = Callable[[Tensor, States], tuple[Tensor, Nest[Tensor]]]


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


def over_time(cell: object, inputs: Tensor, states: States, way: Way) -> Passed:
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
                return _by_parts(cell, cell._floating(cell._typed(inputs)), [cell._typed(s) for s in states], way)  # type: ignore[arg-type]
        cell.input_masks(inputs[:, 0], way.training)  # drawn before the loop, for all steps
        cell.state_masks(states[0], way.training)  # type: ignore[arg-type]
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
        after.append(filled(begin, flatten(passed.states)[0]))
        x = passed.last if passed.outputs is None else passed.outputs
    return passed._replace(states=after)


def _by_parts(cell: Cell, x: Tensor, states: list[Tensor], way: Way) -> Passed:
    """Have a cell of gpudl's compute one product for all inputs, and then the steps, by one op if there is one."""
    whole = cell.has_whole(way.training) and not way.unroll
    masks = cell.input_masks(x[:, 0], way.training)
    cell.state_masks(states[0], way.training)  # drawn before the loop, for all steps
    masks = map_leaves(lambda mask: None if mask is None else ops.expand_dims(mask, 1 if whole else 0), masks)
    if not whole:
        projected = cell.projected(_time_first(x), masks)
        return _scanned(lambda x, states: cell.step(x, states, way.training), projected, states, states[0], way)
    mask = ops.ones(x.shape[:2], "bool") if way.mask is None else way.mask
    outputs, after = cell.whole(cell.product(x, masks), states, mask, way.reverse)
    last = after[0]
    if way.zeros and way.mask is not None:
        outputs = ops.where(ops.expand_dims(mask, -1), outputs, 0)
        last = ops.where(mask[:, :1] if way.reverse else mask[:, -1:], last, 0)
    return Passed(last, outputs if way.every else None, after)


def _by_calls(cell: object, x: Tensor, states: States, way: Way) -> Passed:
    """Call a cell of the user's for each step."""
    inner = [each for each in cell._flattened() if isinstance(each, Cell)] if isinstance(cell, Layer) else []

    def step(x: Tensor, states: States) -> tuple[Tensor, Nest[Tensor]]:
        y, after = applied(cell, x, states, way.training)
        for each in inner:
            if each is not cell:  # whose masks are for all steps; those inside draw others in each step
                each.reset_dropout_mask()
                each.reset_recurrent_dropout_mask()
        return y, after

    rows = _time_first(x)
    with symbolic():
        y, _ = step(*map_leaves(_unknown, (x[:, 0], states)))
    first = flatten(states)[0][0]
    same = (first.shape, first.dtype) == (y.shape, y.dtype)
    return _scanned(step, rows, states, first if same else ops.zeros(y.shape, y.dtype), way)


def _unknown(tensor: Tensor) -> Tensor:
    return Tensor(None, tensor.spec)


def _scanned(step: Step, rows: Tensor, states: States, first: Tensor, way: Way) -> Passed:
    """Apply `step` to rows, (time, batch, ...), with `first` for the outputs before the first step."""

    def body(
        carry: tuple[Tensor, States], row: tuple[Tensor, Tensor | None]
    ) -> tuple[tuple[Tensor, States], Tensor | None]:
        (before, states), (x, counts) = carry, row
        y, made = step(x, states)
        after = filled(states, flatten(made)[0])
        if counts is not None:
            y = _selected(counts, y, ops.zeros_like(y) if way.zeros else before)
            olds = iter(flatten(states)[0])
            after = map_leaves(lambda new: _selected(counts, new, next(olds)), after)  # type: ignore[assignment]
        return (y, after), y if way.every else None

    counts = None if way.mask is None else _time_first(way.mask)
    (last, after), outputs = ops.scan(body, (first, states), (rows, counts), reverse=way.reverse)
    return Passed(last, None if outputs is None else _time_first(outputs), after)


def _selected(counts: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return ops.where(ops.reshape(counts, (-1, *(1,) * (new.ndim - 1))), new, old)


def _time_first(x: Tensor) -> Tensor:
    """Return (batch, time, ...) as (time, batch, ...), and vice versa."""
    return ops.transpose(x, axes=(1, 0, *range(2, x.ndim)))
