"""Convolution of sequences, images and volumes."""

from __future__ import annotations

from typing import Unpack

from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.layers._convolving import Convolving
from gpudl.layers._windowed import Size
from gpudl.layers.base.input_spec import Shape
from gpudl.layers.base.options import KernelOptions
from gpudl.ops.nn.convolution import convolved
from gpudl.registry import Identifier
from gpudl.utils.checks import positive

__all__ = [
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Convolution1D",
    "Convolution2D",
    "Convolution3D",
]


class _Conv(Convolving, options=KernelOptions):
    def __init__(
        self,
        filters: int,
        kernel_size: Size,
        strides: Size = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Size = 1,
        groups: int = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        **options: Unpack[KernelOptions],
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
        self.filters, self.groups = positive(who, filters=filters), positive(who, groups=groups)
        if self.filters % self.groups:
            raise ValueError(f"{who}: filters={self.filters} cannot be split into groups={self.groups}.")

    def add_kernels(self, channels: int | None, input_shape: Shape) -> int:
        """Create the kernel (size, ..., channels / groups, filters)."""
        if channels is not None and channels % self.groups:
            raise ShapeError(f"{channels} channels of inputs {input_shape} cannot be split into {self.groups} groups.")
        share = None if channels is None else channels // self.groups
        self.kernel = self._add("kernel", (*self.kernel_size, share, self.filters))
        return self.filters

    def convolve(self, x: Tensor) -> Tensor:
        """Return the sums for inputs (batch, ..., channels), before the bias."""
        return convolved(x, self.kernel, self.window, self.groups)


class Conv1D(_Conv, rank=1):
    """Slide `filters` small kernels over sequences: (batch, steps, channels) become (batch, new steps, filters).

    The arguments are those of `Conv2D`, with one size for each axis. ``padding="causal"`` pads with zeros before the
    first step only, so that no output depends on later steps.

    Example:
        >>> layer = gpudl.layers.Conv1D(8, 3, padding="causal")
        >>> layer(np.zeros((1, 10, 4))).shape, layer.kernel.shape
        ((1, 10, 8), (3, 4, 8))
    """

    causal = True


class Conv2D(_Conv, rank=2):
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


class Conv3D(_Conv, rank=3):
    """Slide `filters` small kernels over volumes (batch, depth, height, width, channels).

    The arguments are those of `Conv2D`, with three sizes for each of its pairs.

    Example:
        >>> layer = gpudl.layers.Conv3D(8, 3, padding="same")
        >>> layer(np.zeros((1, 4, 6, 6, 2))).shape, layer.kernel.shape
        ((1, 4, 6, 6, 8), (3, 3, 3, 2, 8))
    """


Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D
