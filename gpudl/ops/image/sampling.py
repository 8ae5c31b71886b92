"""Values between the elements of an array: by coordinates, or of images that are turned, sheared, warped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.image.layout import as_batch, one_of
from gpudl.ops.image.resizing import saturated
from gpudl.ops.numpy.arrangement import expand_dims, stack
from gpudl.ops.primitives.elementwise import cast, clip, floor_divide, mod, where
from gpudl.ops.primitives.gather import take
from gpudl.ops.primitives.matmul import matmul
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "affine_transform",
    "map_coordinates",
    "perspective_transform",
]

FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
ORDERS = {"nearest": 0, "bilinear": 1}
"""How many elements along each axis a value between them depends on, minus one."""


def map_coordinates(
    inputs: TensorLike,
    coordinates: Tensor | Sequence[Tensor] | NDArray[np.generic],
    order: int,
    fill_mode: str = "constant",
    fill_value: float = 0,
) -> Tensor:
    """Return the values of an array at coordinates, which may lie between its elements, in its dtype.

    Args:
        inputs: an array.
        coordinates: for each of its axes an array of coordinates.
        order: 0 takes the nearest element, 1 interpolates linearly.
        fill_mode: what is beyond the edges: ``"constant"`` a value, ``"nearest"`` the last element, ``"wrap"`` the
            array again, ``"reflect"`` and ``"mirror"`` its mirror image, with and without the last element again.
        fill_value: the value for ``"constant"``.

    Raises:
        ShapeError: the first axis of the coordinates is not as long as the inputs have axes.
        ValueError: another order or fill mode.

    Example:
        >>> map_coordinates([[1.0, 3.0], [5.0, 7.0]], [[0.5, 0.0], [0.5, 1.0]], order=1).numpy()
        array([4., 3.], dtype=float32)
    """
    one_of("order", order, (0, 1))
    one_of("fill_mode", fill_mode, FILL_MODES)
    x = operand(inputs)
    places = stack(coordinates) if isinstance(coordinates, list | tuple) else operand(coordinates)
    if places.ndim < 2 or places.shape[0] != x.ndim:
        raise ShapeError(
            f"coordinates must have a first axis of {x.ndim}, one for each axis of the inputs {x.shape}, and others, "
            f"got shape {places.shape}."
        )
    rows = reshape(x, (x.size, 1))
    along = [places[axis] for axis in range(x.ndim)]
    return reshape(sampled(rows, None, along, x.shape, order, fill_mode, fill_value), places.shape[1:])


def sampled(
    rows: Tensor,
    first: Tensor | None,
    coordinates: Sequence[Tensor],
    sizes: Sequence[int],
    order: int,
    fill_mode: str,
    fill_value: float,
) -> Tensor:
    """Return the weighted sums of the rows around coordinates, one more axis than they have.

    The rows are the elements of arrays of shape `sizes`; `first` is the number of the row where each array begins.
    """
    axes = [_around(at, n, order, fill_mode) for at, n in zip(coordinates, sizes, strict=True)]
    result: Tensor | None = None
    for corner in product(*axes):
        at, weight, inside = first, None, None
        for axis, (number, share, valid) in enumerate(corner):
            row = number * prod(sizes[axis + 1 :])
            at = row if at is None else at + row
            weight = share if weight is None or share is None else weight * share
            inside = valid if inside is None or valid is None else inside & valid
        if at is None:
            raise ShapeError("an array without axes has no coordinates.")
        part = take(rows, at)
        if inside is not None:
            part = where(expand_dims(inside, -1), part, cast(operand(fill_value, part), dtype=part.dtype))
        if weight is not None:
            part = part * expand_dims(weight, -1)
        result = part if result is None else result + part
    if result is None:
        raise ShapeError("an array without axes has no coordinates.")
    return saturated(result, rows.dtype)


Corner = tuple[Tensor, Tensor | None, Tensor | None]


def _around(at: Tensor, size: int, order: int, fill_mode: str) -> list[Corner]:
    """Return the elements next to coordinates: their numbers, their weights, and which of them there are."""
    if at.dtype.kind in "iu":
        return [_fixed(cast(at, dtype=np.int32), None, size, fill_mode)]
    if order == 0:
        half = where(at < 0, -0.5, 0.5)
        away = floor_divide(abs(at) + 0.5, 1.0) * (half * 2.0)
        return [_fixed(cast(away, dtype=np.int32), None, size, fill_mode)]
    low = floor_divide(at, 1.0)
    share = at - low
    number = cast(low, dtype=np.int32)
    return [_fixed(number, 1.0 - share, size, fill_mode), _fixed(number + 1, share, size, fill_mode)]


def _fixed(number: Tensor, share: Tensor | None, size: int, fill_mode: str) -> Corner:
    """Return numbers of elements within an axis, as beyond its edges they are those of other elements."""
    if fill_mode == "wrap":
        return mod(number, size), share, None
    if fill_mode == "mirror":
        return _mirrored(number, size), share, None
    if fill_mode == "reflect":
        return floor_divide(_mirrored(number * 2 + 1, 2 * size + 1) - 1, 2), share, None
    inside = (number >= 0) & (number < size) if fill_mode == "constant" else None
    return clip(number, low=0, high=size - 1), share, inside


def _mirrored(number: Tensor, size: int) -> Tensor:
    last = max(size - 1, 1)
    return abs(mod(number + last, 2 * last) - last) if size > 1 else number * 0


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the coordinates (1, H, 1) and (1, 1, W) of pixels."""
    return operand(np.arange(height, dtype=np.float32)[:, None][None]), operand(
        np.arange(width, dtype=np.float32)[None, None]
    )


def at_places(x: Tensor, y_at: Tensor, x_at: Tensor, order: int, fill_mode: str, fill_value: float) -> Tensor:
    """Return the pixels of a batch (N, H, W, C) at coordinates (N, H', W'): (N, H', W', C)."""
    n, height, width, depth = x.shape
    first = operand((np.arange(n, dtype=np.int32) * (height * width)).reshape(n, 1, 1))
    rows = reshape(x, (n * height * width, depth))
    return sampled(rows, first, [y_at, x_at], (height, width), order, fill_mode, fill_value)


def displaced(x: Tensor, down: Tensor, across: Tensor, order: int, fill_mode: str, fill_value: float) -> Tensor:
    """Return a batch (N, H, W, C) whose pixels are those at distances (N, H, W) from their places."""
    y, x_ = grid(*x.shape[1:3])
    return at_places(x, y + down, x_ + across, order, fill_mode, fill_value)


def affine_transform(
    images: TensorLike,
    transform: TensorLike,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Return images whose pixel (x, y) is that of the inputs at (a0 x + a1 y + a2, b0 x + b1 y + b2).

    Args:
        images: an image (height, width, channels), or a batch of them.
        transform: (8,) or (batch, 8): a0, a1, a2, b0, b1, b2, and two numbers that are ignored.
        interpolation: ``"nearest"`` or ``"bilinear"``.
        fill_mode: what is beyond the edges, see `map_coordinates`.
        fill_value: the value for ``"constant"``.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.

    Raises:
        ShapeError: neither an image nor a batch, or another number of transforms.
        ValueError: another interpolation or fill mode.

    Example:
        >>> left = affine_transform(np.arange(3.0).reshape(1, 3, 1), [1, 0, 1, 0, 1, 0, 0, 0.0])
        >>> left.numpy().ravel()
        array([1., 2., 0.])
    """
    one_of("interpolation", interpolation, tuple(ORDERS))
    one_of("fill_mode", fill_mode, FILL_MODES)
    by = operand(transform)

    def moved(x: Tensor) -> Tensor:
        if by.shape not in ((8,), (1, 8), (x.shape[0], 8)):
            raise ShapeError(
                f"transform must have shape (8,), or ({x.shape[0]}, 8) for as many images, got {by.shape}."
            )
        a0, a1, a2, b0, b1, b2 = (reshape(by[..., at], (by.size // 8, 1, 1)) for at in range(6))
        y, x_ = grid(x.shape[1], x.shape[2])
        to_x, to_y = x_ * a0 + y * a1 + a2, x_ * b0 + y * b1 + b2
        return at_places(x, to_y, to_x, ORDERS[interpolation], fill_mode, fill_value)

    return as_batch(images, data_format, moved)


def perspective_transform(
    images: TensorLike,
    start_points: TensorLike,
    end_points: TensorLike,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Return images warped in perspective, so that four points move to four others.

    Args:
        images: an image (height, width, channels), or a batch of them.
        start_points: (4, 2) or (batch, 4, 2): x and y of points of the inputs.
        end_points: where they are in the results.
        interpolation: ``"nearest"`` or ``"bilinear"``.
        fill_value: the value beyond the edges.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.

    Raises:
        ShapeError: neither an image nor a batch, or other shapes of points.
        ValueError: another interpolation.

    Example:
        >>> corners = np.array([[0, 0], [2, 0], [0, 1], [2, 1]], np.float32)
        >>> perspective_transform(np.arange(6.0).reshape(2, 3, 1), corners, corners).numpy().ravel()
        array([0., 1., 2., 3., 4., 5.])
    """
    one_of("interpolation", interpolation, tuple(ORDERS))
    start, end = (cast(operand(points), dtype=np.float32) for points in (start_points, end_points))

    def warped(x: Tensor) -> Tensor:
        if start.shape != end.shape or start.shape not in ((4, 2), (1, 4, 2), (x.shape[0], 4, 2)):
            raise ShapeError(
                f"start_points and end_points must both have shape (4, 2), or ({x.shape[0]}, 4, 2) for as many "
                f"images, got {start.shape} and {end.shape}."
            )
        by = reshape(homography(start, end), (start.size // 8, 9, 1, 1))
        y, x_ = grid(x.shape[1], x.shape[2])
        to_x, to_y, depth = (x_ * by[:, at] + y * by[:, at + 1] + by[:, at + 2] for at in (0, 3, 6))
        return at_places(x, to_y / depth, to_x / depth, ORDERS[interpolation], "constant", fill_value)

    return as_batch(images, data_format, warped)


def homography(start: Tensor, end: Tensor) -> Tensor:
    """Return the matrices (N, 3, 3), the last element 1, that map four points `end` (N, 4, 2) to `start`."""
    found = matmul(_from_square(start), _adjugate(_from_square(end)))
    return found / found[:, 2:, 2:]


def _from_square(points: Tensor) -> Tensor:
    """Return the matrices that map the corners (0, 0), (1, 0), (1, 1), (0, 1) to four points.

    Source: Heckbert, "Fundamentals of texture mapping and image warping", 1989.
    """
    places = reshape(points, (points.size // 8, 8))
    x0, y0, x1, y1, x2, y2, x3, y3 = (places[:, at] for at in range(8))
    dx1, dx2, dy1, dy2 = x1 - x2, x3 - x2, y1 - y2, y3 - y2
    sx, sy = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    area = dx1 * dy2 - dx2 * dy1
    g, h = (sx * dy2 - dx2 * sy) / area, (dx1 * sy - sx * dy1) / area
    rows = [x1 - x0 + g * x1, x3 - x0 + h * x3, x0, y1 - y0 + g * y1, y3 - y0 + h * y3, y0, g, h, x0 * 0.0 + 1.0]
    return reshape(stack(rows, axis=1), (-1, 3, 3))


def _adjugate(m: Tensor) -> Tensor:
    """Return the inverses of matrices (N, 3, 3), times their determinants."""

    def minor(row: int, column: int) -> Tensor:
        (r0, r1), (c0, c1) = ([k for k in range(3) if k != skipped] for skipped in (row, column))
        size = m[:, r0, c0] * m[:, r1, c1] - m[:, r0, c1] * m[:, r1, c0]
        return size if (row + column) % 2 == 0 else -size

    return reshape(stack([minor(row, column) for column in range(3) for row in range(3)], axis=1), (-1, 3, 3))
