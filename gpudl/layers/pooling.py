"""Pooling over images: each window becomes its maximum or its mean."""

from __future__ import annotations

from typing import Any

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.kernels.geometry import Window
from gpudl.layers._windowed import Windowed, pair


class _Pooling2D(Windowed):
    def __init__(
        self,
        pool_size: int | tuple[int, int] = (2, 2),
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(padding=padding, data_format=data_format, **kwargs)
        who = type(self).__name__
        self.pool_size = pair(pool_size, f"{who}: pool_size")
        self.strides = self.pool_size if strides is None else pair(strides, f"{who}: strides")
        self.window = Window(self.pool_size, self.strides, self.padding)


class MaxPooling2D(_Pooling2D):
    """Replace each window of each channel by its maximum.

    Args:
        pool_size: height and width of the window, in pixels; one integer for both.
        strides: step of the window; None for windows side by side.
        padding: ``"valid"`` leaves out what fills no window; ``"same"`` keeps it, and padding never wins.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        **kwargs: those of `Layer`.

    Raises:
        ValueError: sizes that are not positive integers, unknown padding.
        ShapeError: inputs that are no images, or are smaller than the window.

    Example:
        >>> gpudl.layers.MaxPooling2D()(np.arange(16.0).reshape(1, 4, 4, 1)).numpy().ravel()
        array([ 5.,  7., 13., 15.], dtype=float32)
    """

    def slide(self, x: Tensor) -> Tensor:
        """Return the maxima."""
        largest: Tensor = ops.max_pool(self._floating(x), window=self.window)[0]
        return largest


class AveragePooling2D(_Pooling2D):
    """Replace each window of each channel by its mean.

    Args:
        pool_size: height and width of the window, in pixels; one integer for both.
        strides: step of the window; None for windows side by side.
        padding: ``"valid"`` leaves out what fills no window; ``"same"`` keeps it, and padding does not count.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        **kwargs: those of `Layer`.

    Raises:
        ValueError: sizes that are not positive integers, unknown padding.
        ShapeError: inputs that are no images, or are smaller than the window.

    Example:
        >>> gpudl.layers.AveragePooling2D()(np.arange(16.0).reshape(1, 4, 4, 1)).numpy().ravel()
        array([ 2.5,  4.5, 10.5, 12.5], dtype=float32)
    """

    def slide(self, x: Tensor) -> Tensor:
        """Return the means."""
        mean: Tensor = ops.avg_pool(self._floating(x), window=self.window)
        return mean


MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
