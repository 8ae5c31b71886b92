"""Long short-term memory."""

from __future__ import annotations

from typing import Unpack

from numpy.typing import DTypeLike

from gpudl import ops
from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor
from gpudl.layers.recurrent.cell import Cell, Tensors
from gpudl.layers.recurrent.of_cell import OfCell
from gpudl.layers.recurrent.options import LSTMCellOptions, LSTMOptions
from gpudl.ops.primitives.rnn import lstm

__all__ = [
    "LSTM",
    "LSTMCell",
]


class LSTMCell(Cell, options=LSTMCellOptions):
    """One step of `LSTM`, with the states h and c.

    Args:
        units: size of the states and of the outputs.
        **options: the arguments of `LSTM` with the same names.

    Example:
        >>> cell = gpudl.layers.LSTMCell(4)
        >>> y, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
        >>> y.shape, [state.shape for state in states]
        ((2, 4), [(2, 4), (2, 4)])
    """

    blocks, state_count = 4, 2
    unit_forget_bias: bool

    def __init__(self, units: int, **options: Unpack[LSTMCellOptions]) -> None:
        super().__init__(units, **options)

    def _first_bias(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        if not self.unit_forget_bias:
            return super()._first_bias(shape, dtype)
        i, others = (self.bias_initializer((n * self.units,), dtype=dtype) for n in (1, 2))
        return ops.concatenate([i, ops.ones_like(i), others])

    def step(self, projected: Tensor, states: Tensors, training: bool) -> tuple[Tensor, Tensors]:
        """Return the new h as outputs, and the list of the new h and c."""
        h, c = states
        i, f, g, o = self._gates(projected + self.recurrent(h, training))
        i, f, o = (self.recurrent_activation(gate) for gate in (i, f, o))
        c = f * c + i * self.activation(g)
        h = o * self.activation(c)
        return h, [h, c]

    def _gates(self, z: Tensor) -> tuple[Tensor, ...]:
        """Return the four gates, which are parts along an axis."""
        front = (slice(None),) * (self.gate_axis % z.ndim)
        return tuple(z[(*front, slice(n * self.units, (n + 1) * self.units))] for n in range(4))

    def has_whole(self, training: bool) -> bool:
        """Return whether the activations are those of the op, and no part of the state is dropped."""
        return self._usual_gates(training)

    def whole(self, product: Tensor, states: Tensors, mask: Tensor, reverse: bool) -> tuple[Tensor, Tensors]:
        """Return h of all steps, and the last h and c."""
        bias = ops.zeros((product.shape[-1],), product.dtype) if self.bias is None else self.bias
        hs, h, c, *_ = lstm(product, self.recurrent_kernel, bias, *states, mask, reverse=reverse)
        return hs, [h, c]


class LSTM(OfCell, cell=LSTMCell, options=LSTMOptions):
    """Long short-term memory: a recurrent layer with a cell state c, which gates write, keep and read.

    With z = x @ kernel + bias + h @ recurrent_kernel in four blocks, i, f and o are the recurrent activations of the
    first, the second and the last; then c = f * c + i * activation(third block) and h = o * activation(c).

    Inputs (batch, time, features) become h of the last step, (batch, units), or of all steps with `return_sequences`.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 1997.

    Args:
        units: size of the states and of the outputs.
        activation: a name or function; None for none.
        recurrent_activation: that of the gates. With ``"tanh"`` and ``"sigmoid"`` one kernel has the whole loop,
            unless there is recurrent dropout or `unroll`.
        use_bias: whether to add a bias.
        kernel_initializer: initial values of the kernel, (features, 4 * units).
        recurrent_initializer: initial values of the recurrent kernel, (units, 4 * units).
        bias_initializer: initial values of the bias, (4 * units,).
        unit_forget_bias: whether the bias of the forget gate f is 1 at the beginning.
        kernel_regularizer: penalty of the kernel.
        recurrent_regularizer: penalty of the recurrent kernel.
        bias_regularizer: penalty of the bias.
        activity_regularizer: penalty of the outputs.
        kernel_constraint: projection of the kernel after each update.
        recurrent_constraint: projection of the recurrent kernel after each update.
        bias_constraint: projection of the bias after each update.
        dropout: the fraction of the inputs that is set to 0 in training, the same in each step.
        recurrent_dropout: the fraction of h that is set to 0 in training before it is multiplied by the recurrent
            kernel, the same in each step.
        seed: an integer for reproducible dropout.
        return_sequences, return_state, go_backwards, stateful, unroll: see `RNN`.
        use_cudnn: accepted as in Keras; gpudl has kernels of its own.
        **options: `zero_output_for_mask`, see `RNN`, and those of `Layer`.

    Raises:
        ValueError: `units` is not a positive integer, or as for `RNN`.
        ShapeError: the inputs are not sequences, or as for `RNN`.

    Example:
        >>> layer = gpudl.layers.LSTM(4, return_state=True)
        >>> y, h, c = layer(np.ones((2, 5, 3)))
        >>> y.shape, h.shape, c.shape
        ((2, 4), (2, 4), (2, 4))
    """

    def __init__(self, units: int, **options: Unpack[LSTMOptions]) -> None:
        super().__init__(units=units, **options)
