"""What functions compute with variables left alone, and the choice between such results, variables included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from gpudl.engine.state import state
from gpudl.engine.stateless import StatelessScope
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tensor import Tensor
from gpudl.ops.primitives import elementwise, logic

R = TypeVar("R")


def is_unknown(tensor: Tensor) -> bool:
    """Return whether the host cannot read a tensor now: in a recorded step, on symbols, while shapes are inferred."""
    return state.recorder is not None or isinstance(tensor, KerasTensor) or tensor.data is None


def apart(function: Callable[[], R]) -> tuple[R, StatelessScope]:
    """Return what a function returns, and a scope with the values that variables would have; none of them changes."""
    outer = state.stateless
    scope = StatelessScope(outer.updates if isinstance(outer, StatelessScope) else ())
    if state.recorder is None:  # on symbols, where nothing is updated
        return function(), scope
    with scope:
        return function(), scope


def select(chosen: Tensor, values: Sequence[Tensor]) -> Tensor:
    """Return the value of number `chosen`, an integer or a bool; one out of range means the first or the last."""
    result = values[-1]
    for number in range(len(values) - 1)[::-1]:
        first = logic.less_equal(chosen, number)
        result = elementwise.where(first, values[number], result)
    return result


def assign_selected(chosen: Tensor, scopes: Sequence[StatelessScope]) -> None:
    """Give variables the values that they have in the scope of number `chosen`."""
    outer = state.stateless
    before = {id(v): value for v, value in (outer.updates if isinstance(outer, StatelessScope) else ())}
    changed = {id(v): v for scope in scopes for v, value in scope.updates if value is not before.get(id(v))}
    for variable in changed.values():
        now = before.get(id(variable), variable)
        found = (scope.get_current_value(variable) for scope in scopes)
        variable.assign(select(chosen, [now if value is None else value for value in found]))
