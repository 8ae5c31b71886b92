"""Convolution over images."""

from __future__ import annotations

from typing import Any

from gpudl import activations, ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.kernels.geometry import Window
from gpudl.layers._affine import Affine
from gpudl.layers._windowed import Windowed, pair
from gpudl.layers.base.input_spec import InputSpec, Shape

__all__ = [
    "Conv2D",
]


class Conv2D(Affine, Windowed):
    """Slide `filters` small kernels over images: activation(x * kernel + bias), ``*`` a cross-correlation.

    Images (batch, height, width, channels) become (batch, new height, new width, filters).

    Args:
        filters: number of output channels.
        kernel_size: height and width of the window, in pixels; one integer for both.
        strides: step of the window, in pixels; not above 1 together with `dilation_rate`.
        padding: ``"valid"`` keeps the window inside the image; ``"same"`` pads with zeros so that the new size is
            ``ceil(size / stride)``.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        dilation_rate: distance between the pixels that a window looks at.
        groups: number of parts that the channels are split into; each makes its share of the filters.
        activation: a name or function; None for none.
        use_bias: whether to add a bias to each filter.
        kernel_initializer: first values of the kernel, (kernel height, kernel width, channels / groups, filters).
        bias_initializer: first values of the bias, (filters,).
        kernel_regularizer: penalty of the kernel.
        bias_regularizer: penalty of the bias.
        activity_regularizer: penalty of the outputs.
        kernel_constraint: projection of the kernel after each update.
        bias_constraint: projection of the bias after each update.
        **kwargs: those of `Layer`.

    Raises:
        ValueError: arguments that are no positive integers or do not go together.
        ShapeError: inputs that are no images, or are smaller than the window.

    Example:
        >>> layer = gpudl.layers.Conv2D(32, (3, 3), activation="relu")
        >>> layer(np.zeros((1, 28, 28, 1))).shape, layer.kernel.shape
        ((1, 26, 26, 32), (3, 3, 1, 32))
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, int] = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            padding=padding,
            data_format=data_format,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
        self.filters, _ = pair(filters, "Conv2D: filters")
        self.kernel_size = pair(kernel_size, "Conv2D: kernel_size")
        self.strides = pair(strides, "Conv2D: strides")
        self.dilation_rate = pair(dilation_rate, "Conv2D: dilation_rate")
        self.groups, _ = pair(groups, "Conv2D: groups")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"Conv2D: strides {self.strides} above 1 cannot be combined with dilation_rate "
                f"{self.dilation_rate} above 1. Set one of the two to 1."
            )
        if self.filters % self.groups:
            raise ValueError(f"Conv2D: filters={self.filters} cannot be split into groups={self.groups}.")
        self.window = Window(self.kernel_size, self.strides, self.padding, self.dilation_rate)

    def build(self, input_shape: Shape) -> None:
        """Create kernel and bias for images of `input_shape`; raises ShapeError when the window is larger."""
        super().build(input_shape)
        channels = input_shape[self.channel_axis]
        if channels is not None and channels % self.groups:
            raise ShapeError(f"{channels} channels of inputs {input_shape} cannot be split into {self.groups} groups.")
        share = None if channels is None else channels // self.groups
        self.add_kernel_and_bias((*self.kernel_size, share, self.filters))
        assert channels is not None  # add_weight refuses an unknown size
        self.input_spec = InputSpec(ndim=4, axes={self.channel_axis: channels}, hint=self._hint)

    def call(self, x: Tensor) -> Tensor:
        """Return the feature maps of a batch of images."""
        y = super().call(x)
        # A softmax works along the last axis, whichever that is.
        return y if self.channel_axis == -1 else self.activation(y)

    def slide(self, x: Tensor) -> Tensor:
        """Return the feature maps, before the activation for channels-first images."""
        activation = self.activation if self.channel_axis == -1 else activations.linear
        return activations.with_bias(self._convolved(self._floating(x)), self.bias, activation)

    def _convolved(self, x: Tensor) -> Tensor:
        if self.groups == 1:
            whole: Tensor = ops.conv2d(x, self.kernel, window=self.window)
            return whole
        inputs, outputs = self.kernel.shape[2], self.filters // self.groups
        parts = (
            ops.conv2d(
                x[..., g * inputs : (g + 1) * inputs],
                self.kernel[..., g * outputs : (g + 1) * outputs],
                window=self.window,
            )
            for g in range(self.groups)
        )
        return ops.concatenate(list(parts), axis=-1)
