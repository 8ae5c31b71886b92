"""Convolutions in which every channel has kernels of its own, alone or before a mixture of the channels."""

from __future__ import annotations

from typing import Unpack

from gpudl.engine.tensor import Tensor
from gpudl.layers._convolving import Convolving
from gpudl.layers._windowed import Size
from gpudl.layers.base.input_spec import Shape
from gpudl.layers.base.options import DepthwiseOptions, SeparableOptions
from gpudl.ops.nn.convolution import convolved, depthwise, one_position
from gpudl.registry import Identifier
from gpudl.utils.checks import positive

__all__ = [
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
]


class _Depthwise(Convolving, options=DepthwiseOptions):
    either = False

    def __init__(
        self,
        kernel_size: Size,
        strides: Size = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Size = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        **options: Unpack[DepthwiseOptions],
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            **options,
        )
        self.depth_multiplier = positive(type(self).__name__, depth_multiplier=depth_multiplier)

    def add_kernels(self, channels: int | None, input_shape: Shape) -> int:
        """Create the kernel (size, ..., channels, depth_multiplier)."""
        self.kernel = self._add("kernel", (*self.kernel_size, channels, self.depth_multiplier), prefix="depthwise")
        return self.kernel.shape[-2] * self.depth_multiplier

    def convolve(self, x: Tensor) -> Tensor:
        """Return the sums for inputs (batch, ..., channels), before the bias."""
        return depthwise(x, self.kernel, self.window)


class DepthwiseConv1D(_Depthwise, rank=1):
    """Slide kernels over sequences (batch, steps, channels), `depth_multiplier` for each channel.

    The arguments are those of `DepthwiseConv2D`, with one size for each axis.

    Example:
        >>> layer = gpudl.layers.DepthwiseConv1D(3, depth_multiplier=2)
        >>> layer(np.zeros((1, 10, 4))).shape, layer.kernel.shape
        ((1, 8, 8), (3, 4, 2))
    """


class DepthwiseConv2D(_Depthwise, rank=2):
    """Slide kernels over images, `depth_multiplier` for each channel, which sees nothing of the other channels.

    Images (batch, height, width, channels) become (batch, new height, new width, channels * depth_multiplier).

    Args:
        kernel_size: height and width of the window, in pixels; one integer for both.
        strides: step of the window, in pixels.
        padding: ``"valid"`` or ``"same"``, see `Conv2D`.
        depth_multiplier: number of kernels, and of output channels, of each channel.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        dilation_rate: distance between the pixels that a window covers.
        activation: a name or function; None for none.
        use_bias: whether to add a bias to each output channel.
        depthwise_initializer: initial values of the kernel, (height, width, channels, depth_multiplier).
        bias_initializer: initial values of the bias, (channels * depth_multiplier,).
        depthwise_regularizer: penalty of the kernel.
        bias_regularizer: penalty of the bias.
        activity_regularizer: penalty of the outputs.
        depthwise_constraint: projection of the kernel after each update.
        bias_constraint: projection of the bias after each update.
        **options: those of `Layer`.

    Raises:
        ValueError: arguments are not positive integers.
        ShapeError: the inputs are not images, or are smaller than the window.

    Example:
        >>> layer = gpudl.layers.DepthwiseConv2D(3, padding="same")
        >>> layer(np.zeros((1, 8, 8, 4))).shape, layer.kernel.shape
        ((1, 8, 8, 4), (3, 3, 4, 1))
    """


class _Separable(Convolving, options=SeparableOptions):
    either = False

    def __init__(
        self,
        filters: int,
        kernel_size: Size,
        strides: Size = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Size = 1,
        depth_multiplier: int = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        **options: Unpack[SeparableOptions],
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            **options,
        )
        who = type(self).__name__
        self.filters = positive(who, filters=filters)
        self.depth_multiplier = positive(who, depth_multiplier=depth_multiplier)

    def add_kernels(self, channels: int | None, input_shape: Shape) -> int:
        """Create the kernels (size, ..., channels, depth_multiplier) and (1, ..., their outputs, filters)."""
        each = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_kernel = self._add("depthwise_kernel", each, prefix="depthwise")
        mixed = (*(1,) * self.rank, self.depthwise_kernel.shape[-2] * self.depth_multiplier, self.filters)
        self.pointwise_kernel = self._add("pointwise_kernel", mixed, prefix="pointwise")
        return self.filters

    def convolve(self, x: Tensor) -> Tensor:
        """Return the sums for inputs (batch, ..., channels), before the bias."""
        y = depthwise(x, self.depthwise_kernel, self.window)
        return convolved(y, self.pointwise_kernel, one_position(self.rank))


class SeparableConv1D(_Separable, rank=1):
    """Slide kernels over each channel of sequences (batch, steps, channels), then mix their outputs to `filters`.

    The arguments are those of `SeparableConv2D`, with one size for each axis.

    Example:
        >>> layer = gpudl.layers.SeparableConv1D(8, 3)
        >>> layer(np.zeros((1, 10, 4))).shape, layer.pointwise_kernel.shape
        ((1, 8, 8), (1, 4, 8))
    """


class SeparableConv2D(_Separable, rank=2):
    """Slide kernels over each channel of images, as `DepthwiseConv2D` does, then mix their outputs to `filters`.

    Images (batch, height, width, channels) become (batch, new height, new width, filters). The weights are
    ``depthwise_kernel`` (height, width, channels, depth_multiplier), ``pointwise_kernel`` (1, 1, channels *
    depth_multiplier, filters) and the bias, which is added at the end.

    Args:
        filters: number of output channels.
        kernel_size: height and width of the window, in pixels; one integer for both.
        strides: step of the window, in pixels.
        padding: ``"valid"`` or ``"same"``, see `Conv2D`.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        dilation_rate: distance between the pixels that a window covers.
        depth_multiplier: number of kernels of each channel.
        activation: a name or function; None for none.
        use_bias: whether to add a bias to each filter.
        depthwise_initializer: initial values of the depthwise kernel.
        pointwise_initializer: initial values of the pointwise kernel.
        bias_initializer: initial values of the bias, (filters,).
        depthwise_regularizer: penalty of the depthwise kernel.
        pointwise_regularizer: penalty of the pointwise kernel.
        bias_regularizer: penalty of the bias.
        activity_regularizer: penalty of the outputs.
        depthwise_constraint: projection of the depthwise kernel after each update.
        pointwise_constraint: projection of the pointwise kernel after each update.
        bias_constraint: projection of the bias after each update.
        **options: those of `Layer`.

    Raises:
        ValueError: arguments are not positive integers.
        ShapeError: the inputs are not images, or are smaller than the window.

    Example:
        >>> layer = gpudl.layers.SeparableConv2D(16, 3, padding="same")
        >>> layer(np.zeros((1, 8, 8, 4))).shape
        (1, 8, 8, 16)
    """


SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
