"""Layers that pad sequences, images and volumes with zeros, or cut their edges off."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

import numpy as np

from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.kernels.geometry import Ints, Pads
from gpudl.layers._windowed import Spatial
from gpudl.layers.base.options import LayerOptions
from gpudl.ops.primitives.shape import slice_grad, take_slice

__all__ = [
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
]

Edge = int | Iterable[int]
Edges = Edge | Iterable[Edge]


def _edges(who: str, name: str, rank: int, value: object) -> Pads:
    """Return (before, after) along each of `rank` axes, from one number, or one number or pair for each axis."""
    several = isinstance(value, list | tuple)
    given = (value,) if rank == 1 else tuple(value) if several else (value,) * rank  # type: ignore[arg-type]
    pairs = [tuple(v) if isinstance(v, list | tuple) else (v, v) for v in given]
    if len(pairs) != rank or not all(
        len(pair) == 2 and all(isinstance(n, int | np.integer) and n >= 0 for n in pair) for pair in pairs
    ):
        many = "" if rank == 1 else f", or {rank} of these, one for each axis"
        raise ValueError(
            f"{who}: {name} must be an integer of at least 0, or a pair of them for before and after{many}, got "
            f"{value!r}."
        )
    return tuple((int(before), int(after)) for before, after in pairs)


class _Edged(Spatial):
    def _given(self, name: str, value: Edges) -> None:
        """Set the edges as an attribute: a pair for sequences, a pair for each axis for images and volumes."""
        self._edges = _edges(type(self).__name__, name, self.rank, value)
        setattr(self, name, self._edges[0] if self.rank == 1 else self._edges)

    def _slices(self, x: Tensor, shape: Ints) -> tuple[tuple[int | None, int | None, None], ...]:
        """Return where what lies between the edges is, in an array of `shape`."""
        key: list[tuple[int | None, int | None, None]] = [(None, None, None)] * x.ndim
        for axis, (before, after) in zip(self.axes, self._edges, strict=True):
            key[axis] = (before, shape[axis] - after, None)
        return tuple(key)


class _ZeroPadding(_Edged):
    def __init__(self, padding: Edges = 1, data_format: str | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(data_format=data_format, **options)
        self._given("padding", padding)

    def call(self, x: Tensor) -> Tensor:
        """Return the inputs between zeros."""
        whole = list(x.shape)
        for axis, edge in zip(self.axes, self._edges, strict=True):
            whole[axis] += sum(edge)
        return slice_grad(x, keys=(self._slices(x, tuple(whole)),), shape=tuple(whole))


class ZeroPadding1D(_ZeroPadding, rank=1):
    """Put zeros before and after sequences (batch, steps, channels).

    Args:
        padding: number of zeros on either side, or (before, after).
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, steps).
        **options: those of `Layer`.

    Example:
        >>> gpudl.layers.ZeroPadding1D((2, 1))(np.ones((1, 2, 1))).numpy().ravel()
        array([0., 0., 1., 1., 0.], dtype=float32)
    """


class ZeroPadding2D(_ZeroPadding, rank=2):
    """Put rows and columns of zeros around images (batch, height, width, channels).

    Args:
        padding: their number on every side; or one for each axis; or ``((top, bottom), (left, right))``.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        **options: those of `Layer`.

    Raises:
        ValueError: a number is not an integer of at least 0.

    Example:
        >>> gpudl.layers.ZeroPadding2D(((1, 0), (2, 0)))(np.ones((1, 1, 1, 1))).numpy()[0, :, :, 0]
        array([[0., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """


class ZeroPadding3D(_ZeroPadding, rank=3, defaults={"padding": ((1, 1),) * 3}):
    """Put zeros around volumes (batch, depth, height, width, channels); the arguments are those of `ZeroPadding2D`.

    Example:
        >>> gpudl.layers.ZeroPadding3D((0, 1, 2))(np.ones((1, 2, 2, 2, 1))).shape
        (1, 2, 4, 6, 1)
    """


class _Cropping(_Edged):
    def __init__(self, cropping: Edges, data_format: str | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(data_format=data_format, **options)
        self._given("cropping", cropping)

    def call(self, x: Tensor) -> Tensor:
        """Return the inputs without their edges."""
        if any(sum(edge) >= x.shape[axis] for axis, edge in zip(self.axes, self._edges, strict=True)):
            raise ShapeError(
                f"cropping {self._edges} leaves nothing of inputs of shape {x.shape}. Crop less than their size along "
                "each axis."
            )
        return take_slice(x, key=self._slices(x, x.shape))


class Cropping1D(_Cropping, rank=1):
    """Cut steps off sequences (batch, steps, channels).

    Args:
        cropping: number of steps on either side, or (before, after).
        **options: those of `Layer`.

    Raises:
        ShapeError: nothing would be left.

    Example:
        >>> gpudl.layers.Cropping1D((2, 1))(np.arange(5.0).reshape(1, 5, 1)).numpy().ravel()
        array([2., 3.], dtype=float32)
    """

    def __init__(self, cropping: Edges = (1, 1), **options: Unpack[LayerOptions]) -> None:
        super().__init__(cropping, "channels_last", **options)


class Cropping2D(_Cropping, rank=2, defaults={"cropping": ((0, 0),) * 2}):
    """Cut rows and columns off images (batch, height, width, channels).

    Args:
        cropping: their number on every side; or one for each axis; or ``((top, bottom), (left, right))``.
        data_format: ``"channels_last"``, or ``"channels_first"`` for (batch, channels, height, width).
        **options: those of `Layer`.

    Raises:
        ValueError: a number is not an integer of at least 0.
        ShapeError: nothing would be left.

    Example:
        >>> gpudl.layers.Cropping2D((1, 0))(np.arange(6.0).reshape(1, 3, 2, 1)).numpy().ravel()
        array([2., 3.], dtype=float32)
    """


class Cropping3D(_Cropping, rank=3, defaults={"cropping": ((1, 1),) * 3}):
    """Cut the edges off volumes (batch, depth, height, width, channels); the arguments are those of `Cropping2D`.

    Example:
        >>> gpudl.layers.Cropping3D()(np.ones((1, 3, 4, 5, 2))).shape
        (1, 1, 2, 3, 2)
    """
