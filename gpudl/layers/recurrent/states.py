"""The states of recurrent layers: where they begin, what is given for them, and what a stateful layer keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpudl.engine.spec import ShapeError
from gpudl.engine.symbol import open_shape
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves
from gpudl.engine.variable import Variable

States = list[Any]
"""Those of a cell: tensors, or, of cells on top of one another, the lists of each."""


def leaves_of(states: Any) -> list[Any]:
    """Return the tensors of a nest in a row."""
    return flatten(states)[0]


def filled(nest: States, leaves: list[Tensor]) -> States:
    """Return `nest` with `leaves`, in order, in place of its own."""
    given = iter(leaves)
    return [map_leaves(lambda _: next(given), each) for each in nest]


def listed(states: object) -> States:
    """Return the states of a cell as a list, also if there is one."""
    return list(states) if isinstance(states, list | tuple) else [states]


def matched(who: str, given: Nest[Tensor], wanted: States) -> States:
    """Return states that were given, in the nest of those `wanted`.

    Raises:
        ValueError: there is another number of them.
        ShapeError: one has another shape.
    """
    states, like = leaves_of(listed(given)), leaves_of(wanted)
    shapes, right = (", ".join(str(open_shape(s.shape)) for s in each) for each in (states, like))
    wrong = len(states) != len(like)
    if wrong or any(s.shape != w.shape for s, w in zip(states, like, strict=True)):
        error = ValueError if wrong else ShapeError
        raise error(
            f"{who}: initial_state has {len(states)} tensor(s), of shape {shapes}, but the cell has {len(like)} "
            f"state(s), of shape {right} for this batch. Give one tensor for each state, in a list, as the layer "
            "returns them with return_state=True."
        )
    return filled(wanted, states)


class Kept:
    """The states that a stateful layer keeps between batches, which are no weights of it.

    Args:
        first: the states before the first batch.
    """

    def __init__(self, first: States) -> None:
        self.variables: States = [map_leaves(_variable, state) for state in first]

    def assign(self, states: Nest[Tensor]) -> None:
        """Set them, at the end of a batch."""
        for variable, state in zip(leaves_of(self.variables), leaves_of(states), strict=True):
            variable.assign(state)

    def reset(self) -> None:
        """Set them to 0."""
        for variable in leaves_of(self.variables):
            variable.assign(np.zeros(variable.shape, variable.dtype))


def _variable(state: Tensor) -> Variable:
    return Variable(np.zeros(state.shape, state.dtype), trainable=False, name="rnn_state")
