"""The base of the cells that come with gpudl: their weights, their products, their dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import DTypeLike

from gpudl import activations, ops, random
from gpudl.activations import Activation
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import Shape as Sizes
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.initializers import Initializer
from gpudl.layers.base.input_spec import Shape
from gpudl.layers.base.layer import Layer
from gpudl.layers.recurrent.states import listed
from gpudl.random import SeedGenerator
from gpudl.utils.checks import positive, require_number

Tensors = list[Tensor]
Masks = Tensor | Tensors | None
Product = Callable[[Tensor, Tensor], Tensor]


class Cell(Layer):
    """The base of cells: one step of a recurrent layer.

    The product of the inputs and the kernel does not depend on the states, so that a layer computes it for all steps
    at once, by `projected`. A subclass implements the rest, `step`, and, if there is an op for all steps, `whole`.

    Dropout multiplies the inputs, or the state, of all steps by the same mask; each gate has a mask of its own if there
    is recurrent dropout.

    Args:
        units: size of the state and of the outputs.
        **options: those of the cell.
    """

    blocks = 1  # of units in the kernels, one for each gate
    state_count = 1
    gate_axis = -1
    _obsolete = ("implementation", "use_cudnn")  # how Keras computes
    _unread = Layer._unread | {"_dropout_mask", "_recurrent_dropout_mask"}
    activation: Activation
    recurrent_activation: Activation
    use_bias: bool
    bias_initializer: Initializer
    dropout: float
    recurrent_dropout: float
    seed: int | None
    _dropout_mask: Masks = None
    _recurrent_dropout_mask: Masks = None

    def __init__(self, units: int, *, implementation: int = 2, **options: Any) -> None:
        super().__init__(**options)
        self.units = positive(type(self).__name__, units=units)
        rates = {"dropout": self.dropout, "recurrent_dropout": self.recurrent_dropout}
        require_number(type(self).__name__, **rates)
        self.dropout, self.recurrent_dropout = (min(1.0, max(0.0, rate)) for rate in rates.values())
        self.implementation = implementation
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
        return [ops.zeros((batch_size or 1, self.units), self.compute_dtype) for _ in range(self.state_count)]

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

    def _first_bias(self, shape: Sizes, dtype: DTypeLike | None = None) -> Tensor:
        return as_tensor(self.bias_initializer(shape, dtype=dtype))

    def _input_bias(self) -> Tensor | None:
        return self.bias

    def product(self, inputs: Tensor, masks: Masks = None) -> Tensor:
        """Return the product of inputs (..., features), times the masks of dropout, and the kernel."""
        return self._masked(self._of_inputs, inputs, self.kernel, masks)

    def projected(self, inputs: Tensor, masks: Masks = None) -> Tensor:
        """Return what inputs (..., features), times the masks of dropout, contribute to the gates."""
        return self._biased(self.product(inputs, masks), self._input_bias())

    def _biased(self, gates: Tensor, bias: Tensor | None) -> Tensor:
        return gates if bias is None else gates + bias

    def _masked(self, product: Product, x: Tensor, kernel: Tensor, masks: Masks) -> Tensor:
        """Return the product of x and the kernel, with a mask of x for all gates, or one for each."""
        if not isinstance(masks, list):
            return product(x if masks is None else x * masks, kernel)
        parts = (kernel[..., n * self.units : (n + 1) * self.units] for n in range(len(masks)))
        each = [product(x * mask, part) for mask, part in zip(masks, parts, strict=True)]
        return ops.concatenate(each, axis=self.gate_axis)

    def _of_inputs(self, x: Tensor, kernel: Tensor) -> Tensor:
        y = ops.reshape(x, (-1, x.shape[-1])) @ kernel
        return ops.reshape(y, (*x.shape[:-1], y.shape[-1]))

    def _of_state(self, h: Tensor, kernel: Tensor) -> Tensor:
        return h @ kernel

    def recurrent(self, state: Tensor, training: bool) -> Tensor:
        """Return what the state contributes to the gates, with dropout in training."""
        return self._masked(self._of_state, state, self.recurrent_kernel, self.state_masks(state, training))

    def step(self, projected: Tensor, states: Tensors, training: bool) -> tuple[Tensor, Tensors]:
        """Return the outputs of one step and the states after it, for inputs that are `projected`."""
        raise NotImplementedError(f"{type(self).__name__} must implement step().")

    def whole(self, product: Tensor, states: Tensors, mask: Tensor, reverse: bool) -> tuple[Tensor, Tensors]:
        """Return the outputs of all steps, (batch, time, units), and the last states; where `has_whole` says so.

        Args:
            product: what `product` returns for all inputs, (batch, time, features); biases are not yet added.
            states: those before the first step.
            mask: which steps count, (batch, time).
            reverse: whether to begin with the last step.
        """
        raise NotImplementedError(f"{type(self).__name__} has no op for all steps.")

    def has_whole(self, training: bool) -> bool:
        """Return whether `whole` computes what the steps would."""
        return False

    def _usual_gates(self, training: bool) -> bool:
        """Return whether the activations are tanh and sigmoid, and no part of the state is dropped."""
        usual = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        return usual and not (training and 0 < self.recurrent_dropout < 1)

    def call(self, inputs: Tensor, states: Tensor | Tensors, training: bool = False) -> tuple[Tensor, Tensor | Tensors]:
        """Return the outputs of one step and the states after it, in a list if they were.

        Args:
            inputs: (batch, features).
            states: those before the step.
            training: whether there is dropout.
        """
        x = self._floating(inputs)
        y, after = self.step(self.projected(x, self.input_masks(x, training)), listed(states), training)
        return y, after if isinstance(states, list | tuple) else after[0]

    def input_masks(self, one: Tensor, training: bool) -> Masks:
        """Return the masks of dropout for the inputs of each step, of which `one` is given; None without dropout."""
        return self.get_dropout_mask(one) if training and 0 < self.dropout < 1 else None

    def state_masks(self, state: Tensor, training: bool) -> Masks:
        """Return the masks of dropout for the state; None without dropout."""
        return self.get_recurrent_dropout_mask(state) if training and 0 < self.recurrent_dropout < 1 else None

    def draw_masks(self, inputs: Tensor, state: Tensor, training: bool) -> Masks:
        """Draw the masks of dropout for a loop, before it begins; return those of the inputs, (batch, time, ...)."""
        self.state_masks(state, training)
        return self.input_masks(inputs[:, 0], training) if training and self.dropout else None

    def get_dropout_mask(self, step_input: Tensor) -> Masks:
        """Return what the inputs of each step are multiplied by in training, the same until it is reset."""
        if self._dropout_mask is None:
            self._dropout_mask = self._drawn(step_input, self.dropout)
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, step_input: Tensor) -> Masks:
        """Return what the state is multiplied by in each step in training, the same until it is reset."""
        if self._recurrent_dropout_mask is None:
            self._recurrent_dropout_mask = self._drawn(step_input, self.recurrent_dropout)
        return self._recurrent_dropout_mask

    def _one_for_each_gate(self) -> bool:
        return self.blocks > 1 and (self.recurrent_dropout > 0 or self.implementation == 1)

    def _drawn(self, like: Tensor, rate: float) -> Masks:
        count = self.blocks if self._one_for_each_gate() else 1
        masks = [random.dropout(ops.ones_like(like), rate, seed=self.seed_generator) for _ in range(count)]
        return masks if count > 1 else masks[0]

    def reset_dropout_mask(self) -> None:
        """Have the next step draw other masks of the inputs."""
        self._dropout_mask = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Have the next step draw other masks of the state."""
        self._recurrent_dropout_mask = None
