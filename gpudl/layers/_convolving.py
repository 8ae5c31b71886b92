"""The base of layers that convolve: the window, the kernel, the bias and the activation."""

from __future__ import annotations

from gpudl import activations
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.layers._windowed import Size, Windowed
from gpudl.layers.base.input_spec import Shape
from gpudl.ops.nn.convolution import sliding
from gpudl.registry import Identifier


class Convolving(Windowed):
    """A layer that convolves; subclasses add their kernels in `add_kernels` and implement `convolve`.

    Args:
        kernel_size: size of the window.
        strides: step of the window.
        padding: ``"valid"``, ``"same"`` or, for sequences if `causal` is true, ``"causal"``.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        dilation_rate: distance between the positions that a window covers.
        activation: a name or function; None for none.
        use_bias: whether to add a bias to each filter.
        **options: those of `Layer`, and of the kernels.
    """

    causal = False
    """Whether padding may all be before the first step."""
    either = True
    """Whether strides above 1 exclude dilation rates above 1."""
    bias: Variable | None

    def __init__(
        self,
        *,
        kernel_size: Size,
        strides: Size,
        padding: str,
        data_format: str | None,
        dilation_rate: Size,
        activation: Identifier,
        use_bias: bool,
        **options: object,
    ) -> None:
        super().__init__(data_format=data_format, **options)  # type: ignore[arg-type]
        self.kernel_size = self._sizes(kernel_size=kernel_size)
        self.strides = self._sizes(strides=strides)
        self.dilation_rate = self._sizes(dilation_rate=dilation_rate)
        self.padding = str(padding).lower()
        self.activation, self.use_bias = activations.get(activation), use_bias
        if self.either and max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{type(self).__name__}: strides {self.strides} above 1 cannot be combined with dilation_rate "
                f"{self.dilation_rate} above 1. Set one of the two to 1."
            )
        if self.causal and self.padding == "causal":
            self.window = sliding(self.kernel_size, self.strides, self.padding, self.dilation_rate)
        else:
            self.window = self._sliding(self.kernel_size, self.strides, padding, self.dilation_rate)

    def build(self, input_shape: Shape) -> None:
        """Create kernels and bias for inputs of `input_shape`; raise ShapeError if the window is larger."""
        super().build(input_shape)
        self.create(input_shape)

    def create(self, input_shape: Shape) -> None:
        """Create kernels and bias for inputs of `input_shape`."""
        channels = input_shape[self.channel_axis]
        if channels == 0:
            raise ShapeError(f"the inputs have no channels: their shape is {input_shape}.")
        filters = self.add_kernels(channels, input_shape)
        self.bias = self._add("bias", (filters,)) if self.use_bias else None
        self.input_spec = self._spec(channels)

    def add_kernels(self, channels: int | None, input_shape: Shape) -> int:
        """Create the kernels for inputs of so many channels; return the number of filters."""
        raise NotImplementedError(f"{type(self).__name__} must implement add_kernels(channels, input_shape).")

    def call(self, x: Tensor) -> Tensor:
        """Return the feature maps of a batch."""
        y = super().call(x)
        # The activation is applied in the layout of the outputs, since a softmax works along the last axis.
        return y if self.channel_axis == -1 else self.activation(y)

    def slide(self, x: Tensor) -> Tensor:
        """Return the feature maps, before the activation for inputs whose channels come first."""
        activation = self.activation if self.channel_axis == -1 else activations.linear
        return activations.with_bias(self.convolve(self._floating(x)), self.bias, activation)

    def convolve(self, x: Tensor) -> Tensor:
        """Return the sums for inputs (batch, ..., channels), before the bias."""
        raise NotImplementedError(f"{type(self).__name__} must implement convolve(x).")
