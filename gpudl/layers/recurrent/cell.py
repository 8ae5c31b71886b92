"""The base of the cells that come with gpudl: their weights, their dropout, their states."""

from __future__ import annotations

from typing import Unpack

from gpudl import activations, ops, random
from gpudl.activations import Activation
from gpudl.engine.spec import Shape as Sizes
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.initializers import Initializer
from gpudl.layers.base.input_spec import Shape
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import Common
from gpudl.layers.recurrent.states import listed, zeros
from gpudl.random import SeedGenerator
from gpudl.utils.checks import positive, require_number

Tensors = list[Tensor]


class Cell(Layer):
    """The base of cells: one step of a recurrent layer.

    The product of the inputs and the kernel does not depend on the states, so that a layer computes it for all steps
    at once, by `projected`. A subclass implements the rest, `step`, and, if there is an op for all steps, `whole`.

    Args:
        units: size of the state and of the outputs.
        **options: those of the cell.
    """

    blocks = 1  # of units in the kernels
    state_count = 1
    _obsolete = ("implementation", "use_cudnn")  # how Keras computes
    _unread = Layer._unread | {"_dropout_mask", "_recurrent_dropout_mask"}
    activation: Activation
    use_bias: bool
    bias_initializer: Initializer
    dropout: float
    recurrent_dropout: float
    seed: int | None
    _dropout_mask: Tensor | None = None
    _recurrent_dropout_mask: Tensor | None = None

    def __init__(self, units: int, **options: Unpack[Common]) -> None:
        super().__init__(**{name: value for name, value in options.items() if name not in self._obsolete})  # type: ignore[arg-type]
        self.units = positive(type(self).__name__, units=units)
        rates = {"dropout": self.dropout, "recurrent_dropout": self.recurrent_dropout}
        require_number(type(self).__name__, **rates)
        self.dropout, self.recurrent_dropout = (min(1.0, max(0.0, rate)) for rate in rates.values())
        self.seed_generator = SeedGenerator(self.seed)

    @property
    def state_size(self) -> int | list[int]:
        """The size of the state, or a list of those of several states."""
        return self.units if self.state_count == 1 else [self.units] * self.state_count

    @property
    def output_size(self) -> int:
        """The size of the outputs."""
        return self.units

    def get_initial_state(self, batch_size: int | None = None) -> Tensors:
        """Return the states before the first step: zeros, (batch, units)."""
        return [zeros((batch_size or 1, self.units), self.compute_dtype) for _ in range(self.state_count)]

    def build(self, input_shape: Shape) -> None:
        """Create the weights for the inputs of one step, (batch, features)."""
        self._add_weights((input_shape[-1],), (self.units,))

    def _add_weights(self, inputs: Shape, states: Shape) -> None:
        """Create the kernels, of these shapes before the axis of the gates, and the bias."""
        width = self.blocks * self.units
        self.kernel = self._add("kernel", (*inputs, width))
        self.recurrent_kernel = self._add("recurrent_kernel", (*states, width), prefix="recurrent")
        self.bias: Variable | None = None
        if self.use_bias:
            self.bias = self._add("bias", self._bias_shape(width), initializer=self._first_bias)

    def _bias_shape(self, width: int) -> Sizes:
        return (width,)

    def _first_bias(self, shape: Sizes, dtype: object = None) -> Tensor:
        return self.bias_initializer(shape, dtype=dtype)

    def _input_bias(self) -> Tensor | None:
        return self.bias

    def projected(self, inputs: Tensor) -> Tensor:
        """Return what inputs (..., features) contribute to the gates."""
        rows = ops.reshape(inputs, (-1, inputs.shape[-1])) @ self.kernel
        biased = activations.with_bias(rows, self._input_bias(), None)
        return ops.reshape(biased, (*inputs.shape[:-1], biased.shape[-1]))

    def recurrent(self, state: Tensor) -> Tensor:
        """Return what the state contributes to the gates."""
        return state @ self.recurrent_kernel

    def step(self, projected: Tensor, states: Tensors, training: bool) -> tuple[Tensor, Tensors]:
        """Return the outputs of one step and the states after it, for inputs that are `projected`."""
        raise NotImplementedError(f"{type(self).__name__} must implement step().")

    def whole(self, projected: Tensor, states: Tensors, mask: Tensor, reverse: bool) -> tuple[Tensor, Tensors]:
        """Return the outputs of all steps, (batch, time, units), and the last states; where `has_whole` says so."""
        raise NotImplementedError(f"{type(self).__name__} has no op for all steps.")

    def has_whole(self, training: bool) -> bool:
        """Return whether `whole` computes what the steps would."""
        return False

    def call(self, inputs: Tensor, states: Tensor | Tensors, training: bool = False) -> tuple[Tensor, Tensor | Tensors]:
        """Return the outputs of one step and the states after it, in a list if they were.

        Args:
            inputs: (batch, features).
            states: those before the step.
            training: whether there is dropout.
        """
        y, after = self.step(self.projected(self.dropped(self._floating(inputs), training)), listed(states), training)  # type: ignore[arg-type]
        return y, after if isinstance(states, list | tuple) else after[0]

    def dropped(self, inputs: Tensor, training: bool, time_axis: int | None = None) -> Tensor:
        """Return the inputs of one step, or of all along an axis of time, with dropout in training."""
        if not training or not 0 < self.dropout < 1:
            return inputs
        if time_axis is None:
            return inputs * self.get_dropout_mask(inputs)
        return inputs * ops.expand_dims(self.get_dropout_mask(ops.take(inputs, 0, axis=time_axis)), time_axis)

    def _state_dropped(self, state: Tensor, training: bool) -> Tensor:
        if not training or not 0 < self.recurrent_dropout < 1:
            return state
        return state * self.get_recurrent_dropout_mask(state)

    def draw_masks(self, inputs: Tensor, state: Tensor) -> None:
        """Draw the masks of dropout for all steps, given the inputs of one and the first state."""
        if 0 < self.dropout < 1:
            self.get_dropout_mask(inputs)
        if 0 < self.recurrent_dropout < 1:
            self.get_recurrent_dropout_mask(state)

    def get_dropout_mask(self, step_input: Tensor) -> Tensor:
        """Return what the inputs of each step are multiplied by in training, the same until it is reset."""
        if self._dropout_mask is None:
            self._dropout_mask = self._drawn(step_input, self.dropout)
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, step_input: Tensor) -> Tensor:
        """Return what the state is multiplied by in each step in training, the same until it is reset."""
        if self._recurrent_dropout_mask is None:
            self._recurrent_dropout_mask = self._drawn(step_input, self.recurrent_dropout)
        return self._recurrent_dropout_mask

    def _drawn(self, like: Tensor, rate: float) -> Tensor:
        return random.dropout(ops.ones_like(like), rate, seed=self.seed_generator)

    def reset_dropout_mask(self) -> None:
        """Have the next step draw another mask of the inputs."""
        self._dropout_mask = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Have the next step draw another mask of the state."""
        self._recurrent_dropout_mask = None
