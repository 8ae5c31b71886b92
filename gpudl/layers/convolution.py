"""Convolution over images."""

from __future__ import annotations

from functools import partial
from typing import Unpack

from gpudl import activations, ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.kernels.geometry import Window
from gpudl.layers._windowed import Pair, Size, Windowed, image_hint, pair
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.base.options import KernelOptions
from gpudl.registry import Identifier
from gpudl.utils.checks import positive

__all__ = [
    "Conv2D",
]


class Conv2D(Windowed, options=KernelOptions):
    """Slide `filters` small kernels over images: activation(x * kernel + bias), ``*`` a cross-correlation.

    Images (batch, height, width, channels) become (batch, new height, new width, filters).

    Args:
        filters: number of output channels.
        kernel_size: height and width of the window, in pixels; one integer for both.
        strides: step of the window, in pixels; not above 1 together with `dilation_rate`.
        padding: ``"valid"`` keeps the window inside the image; ``"same"`` pads with zeros so that the new size is
            ``ceil(size / stride)``.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        dilation_rate: distance between the pixels that a window covers.
        groups: number of groups that the channels are split into; each computes an equal share of the filters.
        activation: a name or function; None for none.
        use_bias: whether to add a bias to each filter.
        kernel_initializer: initial values of the kernel, (kernel height, kernel width, channels / groups, filters).
        bias_initializer: initial values of the bias, (filters,).
        kernel_regularizer: penalty of the kernel.
        bias_regularizer: penalty of the bias.
        activity_regularizer: penalty of the outputs.
        kernel_constraint: projection of the kernel after each update.
        bias_constraint: projection of the bias after each update.
        **options: those of `Layer`.

    Raises:
        ValueError: arguments are not positive integers, or cannot be combined.
        ShapeError: the inputs are not images, or are smaller than the window.

    Example:
        >>> layer = gpudl.layers.Conv2D(32, (3, 3), activation="relu")
        >>> layer(np.zeros((1, 28, 28, 1))).shape, layer.kernel.shape
        ((1, 26, 26, 32), (3, 3, 1, 32))
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Size,
        strides: Size = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Size = (1, 1),
        groups: int = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        **options: Unpack[KernelOptions],
    ) -> None:
        super().__init__(padding=padding, data_format=data_format, **options)
        self.filters, self.groups = positive("Conv2D", filters=filters), positive("Conv2D", groups=groups)
        self.kernel_size = pair("Conv2D", kernel_size=kernel_size)
        self.strides = pair("Conv2D", strides=strides)
        self.dilation_rate = pair("Conv2D", dilation_rate=dilation_rate)
        self.activation, self.use_bias = activations.get(activation), use_bias
        if self.filters % self.groups:
            raise ValueError(f"Conv2D: filters={self.filters} cannot be split into groups={self.groups}.")
        self.window = strided("Conv2D", self.kernel_size, self.strides, self.padding, self.dilation_rate)

    def build(self, input_shape: Shape) -> None:
        """Create kernel and bias for images of `input_shape`; raise ShapeError if the window is larger."""
        super().build(input_shape)
        share = shared_out(input_shape, self.channel_axis, self.groups)
        self.kernel = self._add("kernel", (*self.kernel_size, share, self.filters))
        self.bias = self._add("bias", (self.filters,)) if self.use_bias else None
        channels = self.kernel.shape[2] * self.groups
        self.input_spec = InputSpec(
            ndim=4, axes={self.channel_axis: channels}, hint=partial(image_hint, self.data_format)
        )

    def call(self, x: Tensor) -> Tensor:
        """Return the feature maps of a batch of images."""
        y = super().call(x)
        # The activation is applied in the layout of the outputs, since a softmax works along the last axis.
        return y if self.channel_axis == -1 else self.activation(y)

    def slide(self, x: Tensor) -> Tensor:
        """Return the feature maps, before the activation for channels-first images."""
        activation = self.activation if self.channel_axis == -1 else activations.linear
        y = convolved(self._floating(x), self.kernel, self.window, self.groups)
        return activations.with_bias(y, self.bias, activation)


def strided(who: str, size: Pair, strides: Pair, padding: str, dilation: Pair) -> Window:
    """Return the window of a convolution; raise ValueError for one with both strides and dilation."""
    if max(strides) > 1 and max(dilation) > 1:
        raise ValueError(
            f"{who}: strides {strides} above 1 cannot be combined with dilation_rate {dilation} above 1. "
            "Set one of the two to 1."
        )
    return Window(size, strides, padding, dilation)


def shared_out(input_shape: Shape, axis: int, groups: int) -> int | None:
    """Return the number of input channels of each group; raise ShapeError if they do not divide evenly."""
    channels = input_shape[axis]
    if channels is not None and channels % groups:
        raise ShapeError(f"{channels} channels of inputs {input_shape} cannot be split into {groups} groups.")
    return None if channels is None else channels // groups


def convolved(x: Tensor, kernel: Tensor, window: Window, groups: int) -> Tensor:
    """Return the convolution of images, with the channels in independent `groups`."""
    if groups == 1:
        return ops.conv2d(x, kernel, window=window)
    inputs, outputs = kernel.shape[2], kernel.shape[3] // groups
    parts = (
        ops.conv2d(x[..., g * inputs : (g + 1) * inputs], kernel[..., g * outputs : (g + 1) * outputs], window=window)
        for g in range(groups)
    )
    return ops.concatenate(list(parts), axis=-1)
