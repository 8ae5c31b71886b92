"""Pooling of sequences, images and volumes: the maximum or mean of each window."""

from __future__ import annotations

from typing import Unpack

from gpudl.engine.tensor import Tensor
from gpudl.layers._windowed import Size, Windowed
from gpudl.layers.base.options import LayerOptions, NameLast
from gpudl.ops.nn.pooling import maxima, means

__all__ = [
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
]


class _Pooling(Windowed, options=NameLast, complete=True):
    def __init__(
        self,
        pool_size: Size = 2,
        strides: Size | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self.pool_size = self._sizes(pool_size=pool_size)
        self.strides = self.pool_size if strides is None else self._sizes(strides=strides)
        self.padding = str(padding).lower()
        self.window = self._sliding(self.pool_size, self.strides, padding)

    def call(self, x: Tensor) -> Tensor:
        """Return the maximum or mean of each window; raise ShapeError if the window does not fit the inputs."""
        self._require_fit(x.shape)
        return super().call(x)


class _MaxPooling(_Pooling):
    def slide(self, x: Tensor) -> Tensor:
        """Return the maxima."""
        return maxima(self._floating(x), self.window)


class _AveragePooling(_Pooling):
    def slide(self, x: Tensor) -> Tensor:
        """Return the means."""
        return means(self._floating(x), self.window)


class MaxPooling1D(_MaxPooling, rank=1):
    """Replace each window of each channel of sequences (batch, steps, channels) by its maximum.

    The arguments are those of `MaxPooling2D`, with one size for each axis.

    Example:
        >>> gpudl.layers.MaxPooling1D()(np.arange(6.0).reshape(1, 6, 1)).numpy().ravel()
        array([1., 3., 5.], dtype=float32)
    """


class MaxPooling2D(_MaxPooling, rank=2):
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


class MaxPooling3D(_MaxPooling, rank=3):
    """Replace each window of each channel of volumes (batch, depth, height, width, channels) by its maximum.

    The arguments are those of `MaxPooling2D`, with three sizes for each of its pairs.

    Example:
        >>> gpudl.layers.MaxPooling3D()(np.arange(8.0).reshape(1, 2, 2, 2, 1)).numpy().ravel()
        array([7.], dtype=float32)
    """


class AveragePooling1D(_AveragePooling, rank=1):
    """Replace each window of each channel of sequences (batch, steps, channels) by its mean.

    The arguments are those of `AveragePooling2D`, with one size for each axis.

    Example:
        >>> gpudl.layers.AveragePooling1D(2)(np.arange(6.0).reshape(1, 6, 1)).numpy().ravel()
        array([0.5, 2.5, 4.5], dtype=float32)
    """


class AveragePooling2D(_AveragePooling, rank=2):
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


class AveragePooling3D(_AveragePooling, rank=3):
    """Replace each window of each channel of volumes (batch, depth, height, width, channels) by its mean.

    The arguments are those of `AveragePooling2D`, with three sizes for each of its pairs.

    Example:
        >>> gpudl.layers.AveragePooling3D(2)(np.arange(8.0).reshape(1, 2, 2, 2, 1)).numpy().ravel()
        array([3.5], dtype=float32)
    """


MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
