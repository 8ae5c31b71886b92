"""Layers that enlarge sequences, images and volumes."""

from __future__ import annotations

from typing import Unpack

from gpudl.engine.tensor import Tensor
from gpudl.kernels.geometry import Ints
from gpudl.layers._windowed import Size, Spatial
from gpudl.layers.base.options import LayerOptions
from gpudl.ops import image
from gpudl.ops.numpy.arrangement import broadcast_to
from gpudl.ops.primitives.shape import reshape
from gpudl.utils.checks import positive

__all__ = [
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
]

_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


def _repeated(x: Tensor, axes: Ints, times: Ints) -> Tensor:
    """Return x with each position along `axes` repeated."""
    by = dict(zip(axes, times, strict=True))
    split = [size for axis, n in enumerate(x.shape) for size in ((n, 1) if axis in by else (n,))]
    whole = [size for axis, n in enumerate(x.shape) for size in ((n, by[axis]) if axis in by else (n,))]
    return reshape(broadcast_to(reshape(x, split), whole), [n * by.get(axis, 1) for axis, n in enumerate(x.shape)])


class UpSampling1D(Spatial, rank=1):
    """Repeat each step of sequences (batch, steps, channels) `size` times.

    Args:
        size: how many times.
        **options: those of `Layer`.

    Raises:
        ValueError: `size` is not a positive integer.

    Example:
        >>> gpudl.layers.UpSampling1D(2)(np.arange(2.0).reshape(1, 2, 1)).numpy().ravel()
        array([0., 0., 1., 1.], dtype=float32)
    """

    def __init__(self, size: int = 2, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.size = positive("UpSampling1D", size=size)

    def call(self, x: Tensor) -> Tensor:
        """Return the longer sequences."""
        return _repeated(x, self.axes, (self.size,))


class UpSampling2D(Spatial, rank=2):
    """Enlarge images (batch, height, width, channels) by whole factors.

    Args:
        size: how many times as many rows and columns; one integer for both.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        interpolation: ``"nearest"`` repeats each pixel; the others, ``"bilinear"``, ``"bicubic"``, ``"lanczos3"`` and
            ``"lanczos5"``, are those of `ops.image.resize`.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor is not a positive integer, or the interpolation is unknown.

    Example:
        >>> gpudl.layers.UpSampling2D((1, 2))(np.arange(4.0).reshape(1, 2, 2, 1)).numpy()[0, :, :, 0]
        array([[0., 0., 1., 1.],
               [2., 2., 3., 3.]], dtype=float32)
    """

    def __init__(
        self,
        size: Size = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self.size = self._sizes(size=size)
        self.interpolation = str(interpolation).lower()
        if self.interpolation not in _INTERPOLATIONS:
            known = ", ".join(_INTERPOLATIONS)
            raise ValueError(f"UpSampling2D: interpolation must be one of {known}, got {interpolation!r}.")

    def call(self, x: Tensor) -> Tensor:
        """Return the larger images."""
        if self.interpolation == "nearest":
            return _repeated(x, self.axes, self.size)
        size = [x.shape[axis] * times for axis, times in zip(self.axes, self.size, strict=True)]
        return image.resize(x, size, self.interpolation, data_format=self.data_format)


class UpSampling3D(Spatial, rank=3):
    """Repeat each voxel of volumes (batch, depth, height, width, channels); the arguments are those of `UpSampling2D`.

    Example:
        >>> gpudl.layers.UpSampling3D((1, 2, 3))(np.ones((1, 2, 2, 2, 1))).shape
        (1, 2, 4, 6, 1)
    """

    def __init__(self, size: Size = 2, data_format: str | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(data_format=data_format, **options)
        self.size = self._sizes(size=size)

    def call(self, x: Tensor) -> Tensor:
        """Return the larger volumes."""
        return _repeated(x, self.axes, self.size)
