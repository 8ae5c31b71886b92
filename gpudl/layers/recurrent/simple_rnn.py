"""The simple recurrent layer: its outputs are its state."""

from __future__ import annotations

from typing import Unpack

from gpudl.engine.tensor import Tensor
from gpudl.layers.recurrent.cell import Cell, Tensors
from gpudl.layers.recurrent.of_cell import OfCell
from gpudl.layers.recurrent.options import SimpleRNNCellOptions, SimpleRNNOptions

__all__ = [
    "SimpleRNN",
    "SimpleRNNCell",
]


class SimpleRNNCell(Cell, options=SimpleRNNCellOptions):
    """One step of `SimpleRNN`: h = activation(x @ kernel + bias + h @ recurrent_kernel).

    Args:
        units: size of the state h and of the outputs.
        **options: the arguments of `SimpleRNN` with the same names.

    Example:
        >>> cell = gpudl.layers.SimpleRNNCell(4)
        >>> y, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
        >>> y.shape, [state.shape for state in states]
        ((2, 4), [(2, 4)])
    """

    def __init__(self, units: int, **options: Unpack[SimpleRNNCellOptions]) -> None:
        super().__init__(units, **options)

    def step(self, projected: Tensor, states: Tensors, training: bool) -> tuple[Tensor, Tensors]:
        """Return the new state as outputs, and in a list."""
        h = self.activation(projected + self.recurrent(states[0], training))
        return h, [h]


class SimpleRNN(OfCell, cell=SimpleRNNCell, options=SimpleRNNOptions):
    """A recurrent layer whose outputs are its state: h = activation(x @ kernel + bias + h @ recurrent_kernel).

    Inputs (batch, time, features) become (batch, units), or (batch, time, units) with `return_sequences`.

    Args:
        units: size of the state h and of the outputs.
        activation: a name or function; None for none.
        use_bias: whether to add a bias.
        kernel_initializer: initial values of the kernel, (features, units).
        recurrent_initializer: initial values of the recurrent kernel, (units, units).
        bias_initializer: initial values of the bias, (units,).
        kernel_regularizer: penalty of the kernel.
        recurrent_regularizer: penalty of the recurrent kernel.
        bias_regularizer: penalty of the bias.
        activity_regularizer: penalty of the outputs.
        kernel_constraint: projection of the kernel after each update.
        recurrent_constraint: projection of the recurrent kernel after each update.
        bias_constraint: projection of the bias after each update.
        dropout: the fraction of the inputs that is set to 0 in training, the same in each step.
        recurrent_dropout: the fraction of the state that is set to 0 in training before it is multiplied by the
            recurrent kernel, the same in each step.
        return_sequences, return_state, go_backwards, stateful, unroll: see `RNN`.
        seed: an integer for reproducible dropout.
        **options: `zero_output_for_mask`, see `RNN`, and those of `Layer`.

    Raises:
        ValueError: `units` is not a positive integer, or as for `RNN`.
        ShapeError: the inputs are not sequences, or as for `RNN`.

    Example:
        >>> layer = gpudl.layers.SimpleRNN(4, return_sequences=True)
        >>> layer(np.ones((2, 5, 3))).shape
        (2, 5, 4)
    """

    def __init__(self, units: int, **options: Unpack[SimpleRNNOptions]) -> None:
        super().__init__(units=units, **options)
