"""A recurrent layer of any cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, Unpack

from gpudl import ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.symbol import open_shape
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.base.layer import LAYERS, Layer
from gpudl.layers.base.masks import Masks
from gpudl.layers.recurrent.loop import Passed, Way, over_time
from gpudl.layers.recurrent.options import RNNOptions
from gpudl.layers.recurrent.protocol import AnyCell, built, initial, require_cell
from gpudl.layers.recurrent.stacked import StackedRNNCells
from gpudl.layers.recurrent.states import Kept, States, leaves_of, listed, matched
from gpudl.registry import Config

__all__ = ["RNN"]

_SEQUENCES = "Sequences are (batch, time, features): add the axis that is missing, e.g. x[:, :, None]."


class RNN(Layer):
    """Apply a cell to the steps of sequences in turn, with states that it passes from each step to the next.

    Inputs (batch, time, ...) become the outputs of the last step, (batch, ...), or those of all steps. A step that is
    masked keeps the states and repeats the outputs before it.

    Args:
        cell: a cell, or a list of cells, for `StackedRNNCells`. A cell is a layer, or another object, with
            ``call(inputs, states)``, which gets the inputs of one step and a list of states and returns outputs and
            states, and with ``state_size``, an integer or a list of them. It may have ``output_size`` and
            ``get_initial_state(batch_size)``.
        return_sequences: whether to return the outputs of all steps.
        return_state: whether to return the last states too: ``(outputs, *states)``.
        go_backwards: whether to begin with the last step; the outputs of all steps are then in the order in which they
            were computed.
        stateful: whether a batch begins with the states that the batch before ended with, until `reset_state`. All
            batches must then have the same size.
        unroll: whether to take the steps one by one even where one kernel has the whole loop; results differ by
            rounding only.
        zero_output_for_mask: whether the outputs of masked steps are 0.
        **options: those of `Layer`.

    Raises:
        ValueError: something that is not a cell, another number of initial states than the cell has, or a stateful
            layer whose batch size is not known.
        ShapeError: initial states or masks of another shape.

    Example:
        >>> class Sum(gpudl.layers.Layer):
        ...     state_size = 3
        ...
        ...     def call(self, inputs, states):
        ...         total = states[0] + inputs
        ...         return total, [total]
        >>> gpudl.layers.RNN(Sum(), return_sequences=True)(np.ones((1, 2, 3))).numpy()
        array([[[1., 1., 1.],
                [2., 2., 2.]]], dtype=float32)
    """

    supports_masking = True
    _kept: Kept | None = None

    def __init__(
        self,
        cell: AnyCell | Sequence[AnyCell],
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **options: Unpack[RNNOptions],
    ) -> None:
        super().__init__(**options)
        made: Any = StackedRNNCells(cell) if isinstance(cell, list | tuple) else cell
        require_cell(type(self).__name__, made)
        self.cell: AnyCell = made
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.stateful, self.unroll = go_backwards, stateful, unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.input_spec = InputSpec(min_ndim=3, hint=_SEQUENCES)

    @property
    def state_size(self) -> list[object]:
        """The list of the sizes of the states."""
        return listed(self.cell.state_size)

    @property
    def states(self) -> States | None:
        """The states that a stateful layer keeps; None before it is built."""
        return None if self._kept is None else self._kept.variables

    def _keeps_batch(self) -> bool:
        return self.stateful

    def build(self, sequences_shape: Shape, initial_state_shape: Nest[Shape] | None = None) -> None:
        """Build the cell for the steps of sequences of this shape; `stateful` requires a batch size."""
        batch, _, *step = sequences_shape
        built(self.cell, (batch, *step))
        if self.stateful:
            if batch is None:
                raise ValueError(
                    f"{self._who()}: stateful=True requires a fixed batch size, got sequences of shape "
                    f"{sequences_shape}. Say Input(batch_shape=(32, ...)), or call the layer on a batch first."
                )
            self._kept = Kept(self.get_initial_state(batch))

    def get_initial_state(self, batch_size: int) -> States:
        """Return the list of states before the first step."""
        return initial(self.cell, batch_size, self.compute_dtype)

    def compute_mask(self, inputs: object, previous_mask: Masks = None) -> Masks:
        """Return the mask of the outputs, and None for each state that is returned."""
        mask = leaves_of(previous_mask)[0] if self.return_sequences else None
        return [mask, *(None for _ in self.state_size)] if self.return_state else mask

    def call(
        self,
        sequences: Tensor,
        initial_state: Nest[Tensor] | None = None,
        mask: Tensor | None = None,
        training: bool = False,
    ) -> Tensor | tuple[Nest[Tensor], ...]:
        """Return the outputs, and with `return_state` the last states, in one tuple.

        Args:
            sequences: (batch, time, ...).
            initial_state: a tensor for each state of the cell, or one tensor for the only one; by default zeros, or
                what a stateful layer kept.
            mask: which steps count, (batch, time).
            training: whether there is dropout.
        """
        last, outputs, after = self.inner_loop(sequences, self._first(sequences, initial_state), mask, training)
        if self._kept is not None:
            self._kept.assign(after)
        y = last if outputs is None else outputs
        return (y, *after) if self.return_state else y

    def inner_loop(
        self, sequences: Tensor, initial_state: States, mask: Tensor | None, training: bool = False
    ) -> Passed:
        """Return the outputs of the last step, those of all steps with `return_sequences`, and the last states."""
        way = Way(
            mask=None if mask is None else self._checked(mask, sequences),
            training=training,
            reverse=self.go_backwards,
            every=self.return_sequences,
            zeros=self.zero_output_for_mask,
            unroll=self.unroll,
        )
        passed = over_time(self.cell, sequences, initial_state, way)
        if passed.outputs is None or not self.go_backwards:
            return passed
        return passed._replace(outputs=passed.outputs[:, ::-1])

    def _first(self, sequences: Tensor, given: Nest[Tensor] | None) -> States:
        """Return the states before the first step, checked."""
        batch = sequences.shape[0]
        if given is not None:
            return matched(self._who(), given, self.get_initial_state(batch))
        if self._kept is None:
            return self.get_initial_state(batch)
        kept = leaves_of(self._kept.variables)[0].shape[0]
        if kept != batch:
            raise ShapeError(
                f"a stateful layer keeps states for the {kept} samples of its first batch, but this one has {batch}. "
                f"Give batches of {kept}: leave out a smaller last one, or pad it."
            )
        return self._kept.variables

    def _checked(self, mask: Tensor, sequences: Tensor) -> Tensor:
        """Return the mask as bools, (batch, time)."""
        if mask.ndim > 2:  # of parts of steps: one counts if one of its parts does
            mask = ops.any(mask, axis=tuple(range(2, mask.ndim)))
        if mask.shape != sequences.shape[:2]:
            raise ShapeError(
                f"the mask of shape {open_shape(mask.shape)} does not fit sequences of shape "
                f"{open_shape(sequences.shape)}: it says of each step whether it counts. Give one of shape "
                f"{open_shape(sequences.shape[:2])}."
            )
        return mask if mask.dtype == bool else ops.not_equal(mask, 0)

    def reset_state(self) -> None:
        """Set the states that a stateful layer keeps to 0."""
        if self._kept is not None:
            self._kept.reset()

    def reset_states(self) -> None:
        """Call `reset_state`."""
        self.reset_state()

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, object] | None = None) -> Self:
        """Return a new layer; of an `RNN` with a new cell."""
        if "cell" in config:
            config = {**config, "cell": LAYERS.deserialize(config["cell"], custom_objects)}
        return super().from_config(config)
