"""Pooling over images: the maximum or mean of each window, or of each image."""

from __future__ import annotations

from typing import Unpack

from gpudl import ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.kernels.geometry import Window
from gpudl.layers._windowed import OnImages, Size, Windowed, pair
from gpudl.layers.base.options import LayerOptions
from gpudl.ops.primitives.pool import avg_pool, max_pool

__all__ = [
    "AveragePooling2D",
    "AvgPool2D",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "MaxPool2D",
    "MaxPooling2D",
]


class _Pooling2D(Windowed):
    def __init__(
        self,
        pool_size: Size = (2, 2),
        strides: Size | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(padding=padding, data_format=data_format, **options)
        who = type(self).__name__
        self.pool_size = pair(who, pool_size=pool_size)
        self.strides = self.pool_size if strides is None else pair(who, strides=strides)
        self.window = Window(self.pool_size, self.strides, self.padding)


class MaxPooling2D(_Pooling2D):
    """Replace each window of each channel by its maximum.

    Args:
        pool_size: height and width of the window, in pixels; one integer for both.
        strides: step of the window; None for `pool_size`.
        padding: ``"valid"`` drops incomplete windows; ``"same"`` pads them, and padding is never the maximum.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        **options: those of `Layer`.

    Raises:
        ValueError: a size is not a positive integer, or the padding is unknown.
        ShapeError: the inputs are not images, or are smaller than the window.

    Example:
        >>> gpudl.layers.MaxPooling2D()(np.arange(16.0).reshape(1, 4, 4, 1)).numpy().ravel()
        array([ 5.,  7., 13., 15.], dtype=float32)
    """

    def slide(self, x: Tensor) -> Tensor:
        """Return the maxima."""
        return max_pool(self._floating(x), window=self.window)[0]


class AveragePooling2D(_Pooling2D):
    """Replace each window of each channel by its mean.

    Args:
        pool_size: height and width of the window, in pixels; one integer for both.
        strides: step of the window; None for `pool_size`.
        padding: ``"valid"`` drops incomplete windows; ``"same"`` pads them, and padding does not count.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        **options: those of `Layer`.

    Raises:
        ValueError: a size is not a positive integer, or the padding is unknown.
        ShapeError: the inputs are not images, or are smaller than the window.

    Example:
        >>> gpudl.layers.AveragePooling2D()(np.arange(16.0).reshape(1, 4, 4, 1)).numpy().ravel()
        array([ 2.5,  4.5, 10.5, 12.5], dtype=float32)
    """

    def slide(self, x: Tensor) -> Tensor:
        """Return the means."""
        return avg_pool(self._floating(x), window=self.window)


class _GlobalPooling2D(OnImages):
    def __init__(self, data_format: str | None = None, keepdims: bool = False, **options: Unpack[LayerOptions]) -> None:
        super().__init__(data_format=data_format, **options)
        self.keepdims = bool(keepdims)

    @property
    def _pixels(self) -> tuple[int, int]:
        """The axes of height and width."""
        return (1, 2) if self.channel_axis == -1 else (2, 3)


class GlobalMaxPooling2D(_GlobalPooling2D):
    """Replace each channel of each image by its maximum: (batch, height, width, channels) -> (batch, channels).

    Args:
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        keepdims: whether to keep height and width, with size 1.
        **options: those of `Layer`.

    Raises:
        ShapeError: the inputs are not images, or have no pixels.

    Example:
        >>> gpudl.layers.GlobalMaxPooling2D()(np.arange(8.0).reshape(1, 2, 2, 2)).numpy()
        array([[6., 7.]], dtype=float32)
    """

    def call(self, x: Tensor) -> Tensor:
        """Return the maxima."""
        return ops.max(self._floating(x), axis=self._pixels, keepdims=self.keepdims)


class GlobalAveragePooling2D(_GlobalPooling2D):
    """Replace each channel of each image by its mean: (batch, height, width, channels) -> (batch, channels).

    Args:
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        keepdims: whether to keep height and width, with size 1.
        **options: those of `Layer`.

    Raises:
        ShapeError: the inputs are not images, or have no pixels.

    Example:
        >>> gpudl.layers.GlobalAveragePooling2D()(np.arange(8.0).reshape(1, 2, 2, 2)).numpy()
        array([[3., 4.]], dtype=float32)
    """

    def call(self, x: Tensor) -> Tensor:
        """Return the means: those of a window as large as the images."""
        x = self._floating(x)
        kept = tuple(1 if axis in self._pixels else size for axis, size in enumerate(x.shape))
        size = tuple(x.shape[axis] for axis in self._pixels)
        if 0 in size:
            raise ShapeError(f"the mean of no pixels is undefined: the images have shape {x.shape}.")
        if self.channel_axis != -1:  # each channel becomes an image of one channel
            x = ops.reshape(x, (x.shape[0] * x.shape[1], *size, 1))
        mean = avg_pool(x, window=Window(size, size))
        return ops.reshape(mean, kept if self.keepdims else (kept[0], kept[self.channel_axis]))


MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
