"""Pooling of whole sequences, images and volumes, or of as many windows as the outputs are to have."""

from __future__ import annotations

from math import prod
from typing import Unpack

from gpudl import ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.kernels.geometry import Window
from gpudl.layers._windowed import Size, Spatial
from gpudl.layers.base.masks import Masks
from gpudl.layers.base.options import LayerOptions
from gpudl.ops.nn.pooling import adaptive_maxima, adaptive_means
from gpudl.ops.primitives.pool import avg_pool

__all__ = [
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
]


class _GlobalPooling(Spatial, complete=True):
    def __init__(self, data_format: str | None = None, keepdims: bool = False, **options: Unpack[LayerOptions]) -> None:
        super().__init__(data_format=data_format, **options)
        self.keepdims = bool(keepdims)


class _GlobalMax(_GlobalPooling):
    def call(self, x: Tensor) -> Tensor:
        """Return the maxima."""
        return ops.max(self._floating(x), axis=self.axes, keepdims=self.keepdims)


class _GlobalAverage(_GlobalPooling):
    def call(self, x: Tensor) -> Tensor:
        """Return the means: those of a window as large as the inputs."""
        x = self._floating(x)
        kept = tuple(1 if axis in self.axes else size for axis, size in enumerate(x.shape))
        size = tuple(x.shape[axis] for axis in self.axes)
        if 0 in size:
            raise ShapeError(f"the mean of nothing is undefined: the inputs have shape {x.shape}.")
        last = self.channel_axis == -1
        # Where channels come first, each becomes an image of one channel.
        images = (x.shape[0], prod(size), 1, x.shape[-1]) if last else (x.shape[0] * x.shape[1], prod(size), 1, 1)
        mean = avg_pool(ops.reshape(x, images), window=Window(images[1:3], images[1:3]))
        return ops.reshape(mean, kept if self.keepdims else (kept[0], kept[self.channel_axis]))


class GlobalMaxPooling1D(_GlobalMax, rank=1):
    """Replace each channel of each sequence by its maximum: (batch, steps, channels) -> (batch, channels).

    The arguments are those of `GlobalMaxPooling2D`.

    Example:
        >>> gpudl.layers.GlobalMaxPooling1D()(np.arange(8.0).reshape(1, 4, 2)).numpy()
        array([[6., 7.]], dtype=float32)
    """


class GlobalMaxPooling2D(_GlobalMax, rank=2):
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


class GlobalMaxPooling3D(_GlobalMax, rank=3):
    """Replace each channel of each volume by its maximum: (batch, depth, height, width, channels) -> (batch, channels).

    The arguments are those of `GlobalMaxPooling2D`.

    Example:
        >>> gpudl.layers.GlobalMaxPooling3D()(np.arange(16.0).reshape(1, 2, 2, 2, 2)).numpy()
        array([[14., 15.]], dtype=float32)
    """


class GlobalAveragePooling1D(_GlobalAverage, rank=1):
    """Replace each channel of each sequence by its mean: (batch, steps, channels) -> (batch, channels).

    Steps that a mask (batch, steps) leaves out do not count. The arguments are those of `GlobalAveragePooling2D`.

    Example:
        >>> gpudl.layers.GlobalAveragePooling1D()(np.arange(8.0).reshape(1, 4, 2)).numpy()
        array([[3., 4.]], dtype=float32)
    """

    supports_masking = True

    def call(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the means of the steps that count."""
        if mask is None:
            return super().call(x)
        x, steps = self._floating(x), (x.shape[0], x.shape[self.axes[0]])
        if mask.ndim != 2 or any(n not in (1, m) for n, m in zip(mask.shape, steps, strict=True)):
            raise ShapeError(
                f"the mask of shape {mask.shape} does not fit inputs of shape {x.shape}: it has a value for each step, "
                f"{steps}. Give such a mask, or mask=None."
            )
        counted = ops.expand_dims(ops.cast_like(mask, x), self.channel_axis)
        total = ops.sum(x * counted, axis=self.axes, keepdims=self.keepdims)
        return total / ops.sum(counted, axis=self.axes, keepdims=self.keepdims)

    def compute_mask(self, inputs: object, previous_mask: Masks = None) -> Masks:
        """Return None: the outputs have no steps."""
        return None


class GlobalAveragePooling2D(_GlobalAverage, rank=2):
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


class GlobalAveragePooling3D(_GlobalAverage, rank=3):
    """Replace each channel of each volume by its mean: (batch, depth, height, width, channels) -> (batch, channels).

    The arguments are those of `GlobalAveragePooling2D`.

    Example:
        >>> gpudl.layers.GlobalAveragePooling3D()(np.arange(16.0).reshape(1, 2, 2, 2, 2)).numpy()
        array([[7., 8.]], dtype=float32)
    """


class _AdaptivePooling(Spatial):
    def __init__(self, output_size: Size, data_format: str | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(data_format=data_format, **options)
        self.output_size = self._sizes(output_size=output_size)


class _AdaptiveMax(_AdaptivePooling):
    def slide(self, x: Tensor) -> Tensor:
        """Return the maxima."""
        return adaptive_maxima(self._floating(x), self.output_size)


class _AdaptiveAverage(_AdaptivePooling):
    def slide(self, x: Tensor) -> Tensor:
        """Return the means."""
        return adaptive_means(self._floating(x), self.output_size)


class AdaptiveMaxPooling1D(_AdaptiveMax, rank=1):
    """Replace sequences by the maxima of `output_size` windows that cover them evenly.

    The arguments are those of `AdaptiveMaxPooling2D`.

    Example:
        >>> gpudl.layers.AdaptiveMaxPooling1D(3)(np.arange(7.0).reshape(1, 7, 1)).numpy().ravel()
        array([2., 4., 6.], dtype=float32)
    """


class AdaptiveMaxPooling2D(_AdaptiveMax, rank=2):
    """Replace images by the maxima of as many windows as `output_size` says, which cover them evenly.

    Window i of n over a size s goes from ``floor(i * s / n)`` up to, but without, ``ceil((i + 1) * s / n)``.

    Args:
        output_size: height and width of the outputs; one integer for both.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        **options: those of `Layer`.

    Raises:
        ValueError: a size is not a positive integer.
        ShapeError: the inputs are not images, or have no pixels.

    Example:
        >>> gpudl.layers.AdaptiveMaxPooling2D((1, 2))(np.arange(6.0).reshape(1, 2, 3, 1)).numpy().ravel()
        array([4., 5.], dtype=float32)
    """


class AdaptiveMaxPooling3D(_AdaptiveMax, rank=3):
    """Replace volumes by the maxima of as many windows as `output_size` says; see `AdaptiveMaxPooling2D`.

    Example:
        >>> gpudl.layers.AdaptiveMaxPooling3D((1, 1, 2))(np.arange(8.0).reshape(1, 2, 2, 2, 1)).numpy().ravel()
        array([6., 7.], dtype=float32)
    """


class AdaptiveAveragePooling1D(_AdaptiveAverage, rank=1):
    """Replace sequences by the means of `output_size` windows that cover them evenly; see `AdaptiveMaxPooling2D`.

    Example:
        >>> gpudl.layers.AdaptiveAveragePooling1D(3)(np.arange(7.0).reshape(1, 7, 1)).numpy().ravel()
        array([1., 3., 5.], dtype=float32)
    """


class AdaptiveAveragePooling2D(_AdaptiveAverage, rank=2):
    """Replace images by the means of as many windows as `output_size` says; see `AdaptiveMaxPooling2D`.

    Example:
        >>> gpudl.layers.AdaptiveAveragePooling2D((1, 2))(np.arange(6.0).reshape(1, 2, 3, 1)).numpy().ravel()
        array([2., 3.], dtype=float32)
    """


class AdaptiveAveragePooling3D(_AdaptiveAverage, rank=3):
    """Replace volumes by the means of as many windows as `output_size` says; see `AdaptiveMaxPooling2D`.

    Example:
        >>> gpudl.layers.AdaptiveAveragePooling3D((1, 1, 2))(np.arange(8.0).reshape(1, 2, 2, 2, 1)).numpy().ravel()
        array([3., 4.], dtype=float32)
    """


GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
