"""Transposed convolution of sequences, images and volumes: the gradient of a convolution, as a layer."""

from __future__ import annotations

from typing import Unpack

from gpudl.engine.tensor import Tensor
from gpudl.layers._convolving import Convolving
from gpudl.layers._windowed import Size
from gpudl.layers.base.input_spec import Shape
from gpudl.layers.base.options import KernelOptions
from gpudl.ops.nn.convolution import scattering, transposed
from gpudl.registry import Identifier
from gpudl.utils.checks import positive

__all__ = [
    "Conv1DTranspose",
    "Conv2DTranspose",
    "Conv3DTranspose",
    "Convolution1DTranspose",
    "Convolution2DTranspose",
    "Convolution3DTranspose",
]


class _ConvTranspose(Convolving, options=KernelOptions):
    def __init__(
        self,
        filters: int,
        kernel_size: Size,
        strides: Size = 1,
        padding: str = "valid",
        output_padding: Size | None = None,
        data_format: str | None = None,
        dilation_rate: Size = 1,
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
        self.filters = positive(who, filters=filters)
        self.output_padding = None if output_padding is None else self._sizes(0, output_padding=output_padding)
        if self.output_padding and any(p >= s for p, s in zip(self.output_padding, self.strides, strict=True)):
            raise ValueError(
                f"{who}: output_padding {self.output_padding} must be below strides {self.strides} along each axis."
            )

    def build(self, input_shape: Shape) -> None:
        """Create kernel and bias for inputs of `input_shape`, which may be smaller than the window."""
        self.create(input_shape)

    def add_kernels(self, channels: int | None, input_shape: Shape) -> int:
        """Create the kernel (size, ..., filters, channels)."""
        self.kernel = self._add("kernel", (*self.kernel_size, self.filters, channels))
        return self.filters

    def convolve(self, x: Tensor) -> Tensor:
        """Return the sums for inputs (batch, ..., channels), before the bias."""
        how = self.kernel_size, self.strides, self.padding, self.output_padding, self.dilation_rate
        size, window = scattering(x.shape[1:-1], *how)
        return transposed(x, self.kernel, size, window)


class Conv1DTranspose(_ConvTranspose, rank=1):
    """Let each step of sequences (batch, steps, channels) add its channels times a kernel to a window of new steps.

    The arguments are those of `Conv2DTranspose`, with one size for each axis.

    Example:
        >>> layer = gpudl.layers.Conv1DTranspose(8, 3, strides=2, padding="same")
        >>> layer(np.zeros((1, 5, 4))).shape, layer.kernel.shape
        ((1, 10, 8), (3, 8, 4))
    """


class Conv2DTranspose(_ConvTranspose, rank=2):
    """Let each pixel of images add its channels times a kernel to a window of a larger image.

    Images (batch, height, width, channels) become (batch, new height, new width, filters): with ``padding="same"`` the
    new size is ``size * stride``, else ``(size - 1) * stride + max(window, stride)``.

    Args:
        filters: number of output channels.
        kernel_size: height and width of the window, in pixels; one integer for both.
        strides: step of the window in the new image; not above 1 together with `dilation_rate`.
        padding: ``"valid"`` for all pixels that a window reaches; ``"same"`` for ``size * stride``.
        output_padding: with it the new size is ``(size - 1) * stride + window + output_padding``, with
            ``padding="same"`` minus ``2 * (window // 2)``; below `strides`.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        dilation_rate: distance between the pixels that a window covers.
        activation: a name or function; None for none.
        use_bias: whether to add a bias to each filter.
        kernel_initializer: initial values of the kernel, (kernel height, kernel width, filters, channels).
        bias_initializer: initial values of the bias, (filters,).
        kernel_regularizer: penalty of the kernel.
        bias_regularizer: penalty of the bias.
        activity_regularizer: penalty of the outputs.
        kernel_constraint: projection of the kernel after each update.
        bias_constraint: projection of the bias after each update.
        **options: those of `Layer`.

    Raises:
        ValueError: arguments are not positive integers, or cannot be combined.
        ShapeError: the inputs are not images.

    Example:
        >>> layer = gpudl.layers.Conv2DTranspose(32, 3, strides=2, padding="same")
        >>> layer(np.zeros((1, 7, 7, 16))).shape, layer.kernel.shape
        ((1, 14, 14, 32), (3, 3, 32, 16))
    """


class Conv3DTranspose(_ConvTranspose, rank=3, options=KernelOptions):
    """Let each voxel of volumes add its channels times a kernel to a window of a larger volume.

    The arguments are those of `Conv2DTranspose`, with three sizes for each of its pairs.

    Example:
        >>> layer = gpudl.layers.Conv3DTranspose(8, 3, strides=2, padding="same")
        >>> layer(np.zeros((1, 2, 3, 3, 4))).shape, layer.kernel.shape
        ((1, 4, 6, 6, 8), (3, 3, 3, 8, 4))
    """

    def __init__(  # in Keras's order, which is another one here
        self,
        filters: int,
        kernel_size: Size,
        strides: Size = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Size | None = None,
        dilation_rate: Size = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        **options: Unpack[KernelOptions],
    ) -> None:
        before = (filters, kernel_size, strides, padding, output_padding, data_format)
        super().__init__(*before, dilation_rate, activation, use_bias, **options)


Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
