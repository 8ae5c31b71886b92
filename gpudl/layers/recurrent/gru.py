"""The gated recurrent unit."""

from __future__ import annotations

from typing import Unpack

from gpudl import activations, ops
from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor
from gpudl.layers.recurrent.cell import Cell, Tensors
from gpudl.layers.recurrent.of_cell import OfCell
from gpudl.layers.recurrent.options import GRUCellOptions, GRUOptions
from gpudl.ops.primitives.rnn import gru

__all__ = [
    "GRU",
    "GRUCell",
]


class GRUCell(Cell, options=GRUCellOptions):
    """One step of `GRU`.

    Args:
        units: size of the state and of the outputs.
        **options: the arguments of `GRU` with the same names.

    Example:
        >>> cell = gpudl.layers.GRUCell(4)
        >>> y, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
        >>> y.shape, [state.shape for state in states]
        ((2, 4), [(2, 4)])
    """

    blocks = 3
    reset_after: bool

    def __init__(self, units: int, **options: Unpack[GRUCellOptions]) -> None:
        super().__init__(units, **options)

    def _bias_shape(self, width: int) -> Shape:
        return (2, width) if self.reset_after else (width,)

    def _input_bias(self) -> Tensor | None:
        return self.bias if self.bias is None or not self.reset_after else self.bias[0]

    def recurrent(self, state: Tensor, training: bool) -> Tensor:
        """Return what the state contributes to the gates, with a bias of its own."""
        return self._biased(super().recurrent(state, training), None if self.bias is None else self.bias[1])

    def step(self, projected: Tensor, states: Tensors, training: bool) -> tuple[Tensor, Tensors]:
        """Return the new state as outputs, and in a list."""
        (h,), two = states, 2 * self.units
        if self.reset_after:
            inner = self.recurrent(h, training)
            z, r = self._gates(projected[:, :two] + inner[:, :two])
            reset = r * inner[:, two:]
        else:
            kernel, masks = self.recurrent_kernel, self.state_masks(h, training)
            first, last = (masks[:2], masks[2]) if isinstance(masks, list) else (None, 1)
            z, r = self._gates(projected[:, :two] + self._masked(self._of_state, h, kernel[:, :two], first))
            reset = (r * (h * last)) @ kernel[:, two:]
        h = z * h + (1 - z) * self.activation(projected[:, two:] + reset)
        return h, [h]

    def _gates(self, both: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gates z, how much of the state is kept, and r, how much of it the new one is computed from."""
        return self.recurrent_activation(both[:, : self.units]), self.recurrent_activation(both[:, self.units :])

    def has_whole(self, training: bool) -> bool:
        """Return whether the activations and the form are those of the op, and no part of the state is dropped."""
        return self._usual_gates(training) and self.reset_after

    def whole(self, product: Tensor, states: Tensors, mask: Tensor, reverse: bool) -> tuple[Tensor, Tensors]:
        """Return the states of all steps, and the last."""
        bias = ops.zeros((product.shape[-1],), product.dtype) if self.bias is None else self.bias[1]
        rows = activations.with_bias(ops.reshape(product, (-1, product.shape[-1])), self._input_bias(), None)
        projected = ops.reshape(rows, product.shape)
        hs, h, _ = gru(projected, self.recurrent_kernel, bias, *states, mask, reverse=reverse)
        return hs, [h]


class GRU(OfCell, cell=GRUCell, options=GRUOptions):
    """The gated recurrent unit: a recurrent layer whose gates say how much of the state is kept, and used.

    With x @ kernel + bias and h @ recurrent_kernel + second bias in three blocks each, the gates z and r are the
    recurrent activations of the sums of the first and of the second blocks, and the candidate is the activation of the
    third block of x plus r times that of h; then h = z * h + (1 - z) * candidate.

    Inputs (batch, time, features) become h of the last step, (batch, units), or of all steps with `return_sequences`.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014.

    Args:
        units: size of the state h and of the outputs.
        activation: a name or function; None for none.
        recurrent_activation: that of the gates. With ``"tanh"`` and ``"sigmoid"`` one kernel has the whole loop,
            unless there is recurrent dropout or `unroll`, or `reset_after` is false.
        use_bias: whether to add biases.
        kernel_initializer: initial values of the kernel, (features, 3 * units).
        recurrent_initializer: initial values of the recurrent kernel, (units, 3 * units).
        bias_initializer: initial values of the biases, (2, 3 * units), or (3 * units,) without `reset_after`.
        kernel_regularizer: penalty of the kernel.
        recurrent_regularizer: penalty of the recurrent kernel.
        bias_regularizer: penalty of the biases.
        activity_regularizer: penalty of the outputs.
        kernel_constraint: projection of the kernel after each update.
        recurrent_constraint: projection of the recurrent kernel after each update.
        bias_constraint: projection of the biases after each update.
        dropout: the fraction of the inputs that is set to 0 in training, the same in each step.
        recurrent_dropout: the fraction of h that is set to 0 in training, the same in each step.
        seed: an integer for reproducible dropout.
        return_sequences, return_state, go_backwards, stateful, unroll: see `RNN`.
        reset_after: whether r is applied to the product of h and the recurrent kernel, as above, or to h before it, as
            in the article; then there is one bias.
        use_cudnn: accepted as in Keras; gpudl has kernels of its own.
        **options: `zero_output_for_mask`, see `RNN`, and those of `Layer`.

    Raises:
        ValueError: `units` is not a positive integer, or as for `RNN`.
        ShapeError: the inputs are not sequences, or as for `RNN`.

    Example:
        >>> layer = gpudl.layers.GRU(4, return_sequences=True)
        >>> layer(np.ones((2, 5, 3))).shape
        (2, 5, 4)
    """

    def __init__(self, units: int, **options: Unpack[GRUOptions]) -> None:
        super().__init__(units=units, **options)
