"""Long short-term memory of sequences of images, whose products are convolutions."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Unpack

from gpudl import config, ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.kernels.geometry import WindowError
from gpudl.layers._windowed import Size, sizes_of
from gpudl.layers.base.build_shapes import inferred_shape
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.recurrent.cell import Tensors
from gpudl.layers.recurrent.lstm import LSTMCell
from gpudl.layers.recurrent.of_cell import OfCell
from gpudl.layers.recurrent.options import ConvLSTMOptions, LSTMCellOptions
from gpudl.utils.checks import positive

__all__ = [
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
]

_AXES = {1: "steps", 2: "height, width", 3: "depth, height, width"}


class ConvLSTMCell(LSTMCell, options=LSTMCellOptions):
    """One step of a `ConvLSTM2D` and its like, with the states h and c.

    Args:
        rank: the number of axes between batch and channels of the inputs of a step.
        filters, kernel_size, strides, padding, data_format, dilation_rate: see `ConvLSTM2D`.
        **options: those of `LSTMCell`.
    """

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Size,
        strides: Size = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Size = 1,
        **options: Unpack[LSTMCellOptions],
    ) -> None:
        who = f"ConvLSTM{rank}D"
        super().__init__(positive(who, filters=filters), **options)
        self.rank, self.filters = rank, self.units
        self.kernel_size = sizes_of(who, rank, kernel_size=kernel_size)
        self.strides = sizes_of(who, rank, strides=strides)
        self.dilation_rate = sizes_of(who, rank, dilation_rate=dilation_rate)
        self.padding, self.data_format = str(padding).lower(), config.check_data_format(data_format)
        if self.padding not in ("valid", "same"):
            raise ValueError(f"{who}: padding must be 'valid' or 'same', got {padding!r}.")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{who}: strides {self.strides} above 1 cannot be combined with dilation_rate {self.dilation_rate} "
                "above 1. Set one of the two to 1."
            )
        self._state_shape: Shape | None = None

    @property
    def gate_axis(self) -> int:  # type: ignore[override]
        """The axis of the channels, counted from the last, which the gates are parts of."""
        return -1 if self.data_format == "channels_last" else -1 - self.rank

    @property
    def state_size(self) -> list[Shape | None]:  # type: ignore[override]
        """The shapes of the states of a sample; None before the cell is built."""
        return [self._state_shape] * 2

    @property
    def output_size(self) -> Shape | None:  # type: ignore[override]
        """The shape of the outputs of a sample; None before the cell is built."""
        return self._state_shape

    def build(self, input_shape: Shape) -> None:
        """Create the weights for the inputs of one step, whose sizes must be known."""
        self._add_weights((*self.kernel_size, input_shape[self.gate_axis]), (*self.kernel_size, self.filters))
        if None in input_shape[1:]:
            raise ValueError(
                f"ConvLSTM{self.rank}D: its states have the size of the images, which must be known, got steps of "
                f"shape {input_shape}. Say it in Input(shape=(None, 28, 28, 1))."
            )
        try:
            made = inferred_shape(partial(self._of_inputs, kernel=self.kernel), input_shape, self.compute_dtype)
        except WindowError as error:
            raise ShapeError(str(error)) from None
        size = made[1:-1] if self.gate_axis == -1 else made[2:]
        self._state_shape = (*size, self.filters) if self.gate_axis == -1 else (self.filters, *size)

    def get_initial_state(self, batch_size: int | None = None) -> Tensors:
        """Return the states before the first step: zeros, of the shape of the outputs."""
        if self._state_shape is None:
            raise ValueError(
                f"ConvLSTM{self.rank}D has no states yet, whose size depends on the inputs: call it, or build() it."
            )
        return [ops.zeros((batch_size or 1, *self._state_shape), self.compute_dtype) for _ in range(2)]  # type: ignore[arg-type]

    def _of_inputs(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Return the convolution of inputs with any number of axes before those of an image."""
        before = x.shape[: x.ndim - self.rank - 1]
        y = ops.conv(
            ops.reshape(x, (-1, *x.shape[len(before) :])),
            kernel,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
        )
        return ops.reshape(y, (*before, *y.shape[1:]))

    def _of_state(self, h: Tensor, kernel: Tensor) -> Tensor:
        return ops.conv(h, kernel, 1, "same", self.data_format)

    def _biased(self, gates: Tensor, bias: Tensor | None) -> Tensor:
        channels_last = bias is None or self.gate_axis == -1
        return super()._biased(gates, bias if channels_last else ops.reshape(bias, (-1, *(1,) * self.rank)))  # type: ignore[arg-type]

    def _one_for_each_gate(self) -> bool:
        return True

    def has_whole(self, training: bool) -> bool:
        """Return false: the op has products, not convolutions."""
        return False


class _ConvLSTM(OfCell):
    _rank: ClassVar[int]

    def __init__(
        self,
        filters: int,
        kernel_size: Size,
        strides: Size = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Size = 1,
        **options: Unpack[ConvLSTMOptions],
    ) -> None:
        super().__init__(
            rank=self._rank,
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            **options,
        )

    @property
    def _features(self) -> int:  # type: ignore[override]
        return -1 if self.data_format == "channels_last" else 2  # type: ignore[attr-defined]

    def _spec(self, axes: dict[int, int | None]) -> InputSpec:
        size = _AXES[self._rank]
        step = f"{size}, channels" if self._features == -1 else f"channels, {size}"
        hint = f"Inputs are (batch, time, {step}); the number of channels cannot change after the first call."
        return InputSpec(ndim=self._rank + 3, axes=axes, hint=hint)


class ConvLSTM1D(_ConvLSTM, cell=ConvLSTMCell, options=ConvLSTMOptions):
    """A `ConvLSTM2D` of sequences of sequences: (batch, time, steps, channels) becomes (batch, new steps, filters).

    Args:
        filters: number of channels of the states and of the outputs.
        kernel_size, strides, dilation_rate: as for `ConvLSTM2D`, one integer.
        padding, data_format: as for `ConvLSTM2D`.
        **options: those of `ConvLSTM2D`.

    Example:
        >>> gpudl.layers.ConvLSTM1D(4, 3)(np.ones((2, 5, 8, 1))).shape
        (2, 6, 4)
    """

    _rank = 1


class ConvLSTM2D(_ConvLSTM, cell=ConvLSTMCell, options=ConvLSTMOptions):
    """Long short-term memory of sequences of images: an `LSTM` whose products are convolutions.

    Inputs (batch, time, height, width, channels) become (batch, new height, new width, filters), the outputs of the
    last step, or those of all steps with `return_sequences`. The states have the shape of the outputs; their
    convolution has no strides and keeps their size.

    Source: Shi et al., "Convolutional LSTM network: a machine learning approach for precipitation nowcasting",
    NeurIPS 2015.

    Args:
        filters: number of channels of the states and of the outputs.
        kernel_size: height and width of both windows; one integer for both.
        strides: step of the window over the inputs; not above 1 together with `dilation_rate`.
        padding: that of the inputs, ``"valid"`` for none or ``"same"``.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, time, channels, height, width).
        dilation_rate: distance between the pixels that the window over the inputs covers.
        **options: the arguments of `LSTM` from `activation` on, but without `unroll` and `use_cudnn`.

    Raises:
        ValueError: arguments that are not positive integers, or cannot be combined; or as for `RNN`.
        ShapeError: the inputs are not sequences of images, or are smaller than the window; or as for `RNN`.

    Example:
        >>> layer = gpudl.layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)
        >>> layer(np.ones((2, 5, 8, 8, 1))).shape
        (2, 5, 8, 8, 4)
    """

    _rank = 2


class ConvLSTM3D(_ConvLSTM, cell=ConvLSTMCell, options=ConvLSTMOptions):
    """A `ConvLSTM2D` of sequences of volumes: (batch, time, depth, height, width, channels).

    Args:
        filters: number of channels of the states and of the outputs.
        kernel_size, strides, dilation_rate: as for `ConvLSTM2D`, one integer or three.
        padding, data_format: as for `ConvLSTM2D`.
        **options: those of `ConvLSTM2D`.

    Example:
        >>> gpudl.layers.ConvLSTM3D(4, 3)(np.ones((2, 5, 4, 4, 4, 1))).shape
        (2, 2, 2, 2, 4)
    """

    _rank = 3
