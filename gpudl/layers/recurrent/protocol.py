"""What a cell is: a layer, or another object, with `call(inputs, states)` and `state_size`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from numpy.typing import DTypeLike

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest
from gpudl.layers.base.input_spec import Shape
from gpudl.layers.base.layer import Layer
from gpudl.layers.recurrent.states import States, listed

Size = int | Sequence[int]


class AnyCell(Protocol):
    """One step of a recurrent layer.

    It may also have an `output_size`, by default the first of its state sizes, and `get_initial_state(batch_size)`, by
    default zeros.

    Attributes:
        state_size: the size of the state, or a list of those of several states.
        call: a function of the inputs of a step and a list of states, which returns outputs and states.
    """

    @property
    def state_size(self) -> Size | Sequence[Size]: ...  # noqa: D102

    @property
    def call(self) -> Callable[..., tuple[Tensor, Nest[Tensor]]]: ...  # noqa: D102


def require_cell(who: str, cell: object) -> None:
    """Raise ValueError, which names the layer `who`, for something that is not a cell."""
    absent = [name for name in ("call", "state_size") if not hasattr(cell, name)]
    if absent:
        raise ValueError(
            f"{who} needs a cell, an object with call(inputs, states) and state_size, which is the size of its state "
            f"or a list of sizes. {cell!r} has no {' and no '.join(absent)}. Give a cell, such as LSTMCell(8)."
        )


def initial(cell: AnyCell, batch_size: int, dtype: DTypeLike) -> States:
    """Return the list of states of a cell before the first step."""
    make = getattr(cell, "get_initial_state", None)
    if make is not None:
        return listed(make(batch_size=batch_size))
    sizes = cell.state_size if isinstance(cell.state_size, list | tuple) else [cell.state_size]
    return [ops.zeros((batch_size, *(size if isinstance(size, list | tuple) else (size,))), dtype) for size in sizes]


def output_shape(cell: AnyCell, batch_size: int | None) -> Shape:
    """Return the shape of the outputs of one step, by `output_size` or the first of the states."""
    size = getattr(cell, "output_size", None)
    while size is None or (isinstance(size, list) and size):
        size = cell.state_size if size is None else size[0]
    return (batch_size, *(size if isinstance(size, tuple) else (size,)))


def built(cell: AnyCell, input_shape: Shape) -> None:
    """Build a cell for the inputs of one step, if it is a layer that is not."""
    if isinstance(cell, Layer) and not cell.built:
        cell.build(input_shape)
        cell.built = True


def applied(cell: AnyCell, x: Tensor, states: Nest[Tensor], training: bool) -> tuple[Tensor, Nest[Tensor]]:
    """Return the outputs of one step of a cell, and the states after it."""
    if isinstance(cell, Layer):
        y, after = cell(x, states, training=training)
    else:
        y, after = (cell if callable(cell) else cell.call)(x, states)
    return y, after
