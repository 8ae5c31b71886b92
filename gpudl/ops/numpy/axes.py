"""Axes and shapes as arguments."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TypeAlias

import numpy as np

from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import sizes

Axis: TypeAlias = int | Sequence[int] | None


def plain(axis: Axis) -> int | tuple[int, ...] | None:
    """Return an axis or several as Python integers, which can be compared with those of a recorded step."""
    return None if axis is None else sizes(axis) if isinstance(axis, Sequence) else index(axis)


def integers(values: TensorLike) -> np.ndarray:
    """Return integers on the host, on which the shape of a result depends; raise TracingError for computed ones."""
    return values.numpy() if isinstance(values, Tensor) else np.asarray(values, None if np.size(values) else np.int64)


def axes_in_order(ndim: int, axes: int | Sequence[int]) -> list[int]:
    """Return non-negative axes in the order in which they are given; raise ShapeError if one is out of range."""
    return [axes_of(ndim, axis)[0] for axis in sizes(axes)]
