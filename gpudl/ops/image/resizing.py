"""Images of other sizes: resized, scaled and moved, cropped and padded."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.image.layout import one_of, spatial
from gpudl.ops.image.weights import SMOOTH, along, moved, nearest, resizing_weights
from gpudl.ops.numpy.selection import take
from gpudl.ops.primitives.elementwise import cast, clip, floor_divide
from gpudl.ops.primitives.shape import slice_grad, take_slice

__all__ = [
    "crop_images",
    "pad_images",
    "resize",
    "scale_and_translate",
]

RESIZING = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5", "area")
_MOVING = {"linear": "bilinear", "trilinear": "bilinear", "cubic": "bicubic", "tricubic": "bicubic"}


def resize(
    images: TensorLike,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Return images of another size, in their dtype; integers are rounded.

    Args:
        images: an image (height, width, channels), or a batch of them.
        size: (height, width) of the results.
        interpolation: ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"lanczos3"``, ``"lanczos5"`` or ``"area"``.
        antialias: whether to smooth what gets smaller.
        crop_to_aspect_ratio: whether to cut the largest part of the target's aspect ratio out of the middle first.
        pad_to_aspect_ratio: whether to pad to the target's aspect ratio first.
        fill_mode: ``"constant"``, the only one.
        fill_value: the value of padding.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.

    Raises:
        ShapeError: neither an image nor a batch.
        ValueError: an unknown method, a size that is not positive, or both ways to keep the aspect ratio.

    Example:
        >>> resize(np.arange(4.0).reshape(1, 4, 1), (1, 2)).numpy().ravel()
        array([0.5, 2.5])
    """
    one_of("interpolation", interpolation, RESIZING)
    one_of("fill_mode", fill_mode, ("constant",))
    if not isinstance(size, Sequence) or len(size) != 2 or min(map(index, size)) < 1:
        raise ValueError(f"size must be a positive (height, width), got {size!r}.")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("Only one of crop_to_aspect_ratio and pad_to_aspect_ratio can be true.")
    x, at = spatial(images, data_format)
    height, width = map(index, size)
    if crop_to_aspect_ratio:
        x = middle(x, at, *fitting(x.shape[at], x.shape[at + 1], height, width, max_=False))
    if pad_to_aspect_ratio:
        x = _padded_to(x, at, *fitting(x.shape[at], x.shape[at + 1], height, width, max_=True), fill_value)
    return resized(x, at, (height, width), interpolation, antialias)


def resized(x: Tensor, at: int, size: tuple[int, int], interpolation: str, antialias: bool = False) -> Tensor:
    """Return x with the axes from `at` on resized, in its dtype."""
    y = x
    for axis, new in enumerate(size, at):
        old = x.shape[axis]
        if interpolation == "nearest":
            y = y if old == new else take(y, nearest(old, new), axis)
        elif old != new:
            y = along(y, resizing_weights(old, new, interpolation, bool(antialias)), axis)
    return saturated(y, x.dtype)


def saturated(y: Tensor, dtype: np.dtype) -> Tensor:
    """Return y in another dtype; for integers it is rounded and limited to what they hold."""
    if y.dtype == dtype:
        return y
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        y = clip(rounded(y), low=float(limits.min), high=float(limits.max))
    return cast(y, dtype=dtype)


def rounded(y: Tensor) -> Tensor:
    """Return y rounded to whole numbers, halves to even ones."""
    down = floor_divide(y, 1.0)
    over = y - down
    odd = down - 2.0 * floor_divide(down, 2.0)
    return down + cast((over > 0.5) | ((over == 0.5) & (odd == 1.0)), dtype=y.dtype)


def fitting(height: int, width: int, target_height: int, target_width: int, max_: bool) -> tuple[int, int]:
    """Return the size of the target's aspect ratio that just fits into, or with `max_` around, an image."""
    tall, wide = int(width * target_height / target_width), int(height * target_width / target_height)
    if max_:
        return max(height, tall), max(width, wide)
    return max(min(height, tall), 1), max(min(width, wide), 1)


def middle(x: Tensor, at: int, height: int, width: int) -> Tensor:
    """Return the part of this size in the middle of x, whose axes from `at` on are height and width."""
    top, left = (x.shape[at] - height) // 2, (x.shape[at + 1] - width) // 2
    return _cropped(x, at, top, left, height, width)


def _cropped(x: Tensor, at: int, top: int, left: int, height: int, width: int) -> Tensor:
    key = ((None, None, None),) * at + ((top, top + height, None), (left, left + width, None))
    return take_slice(x, key=key)


def padded(x: Tensor, at: int, *pads: tuple[int, int]) -> Tensor:
    """Return x with zeros (before, after) it along the axes from `at` on."""
    whole = ((None, None, None),)
    key = whole * at + tuple((a, a + n, None) for n, (a, _) in zip(x.shape[at:], pads, strict=False))
    sizes = (n + a + b for n, (a, b) in zip(x.shape[at:], pads, strict=False))
    return slice_grad(x, keys=(key,), shape=(*x.shape[:at], *sizes, *x.shape[at + len(pads) :]))


def _padded_to(x: Tensor, at: int, height: int, width: int, fill_value: float) -> Tensor:
    """Return x in the middle of a larger image; what is odd of the padding is left out, as in Keras."""
    top, left = (height - x.shape[at]) // 2, (width - x.shape[at + 1]) // 2
    pads = ((top, top), (0, 0)) if top else ((0, 0), (left, left))
    y = padded(x, at, *pads)
    if not fill_value or y.shape == x.shape:
        return y
    edge = np.ones(y.shape[at : at + 2])
    edge[pads[0][0] : edge.shape[0] - pads[0][1], pads[1][0] : edge.shape[1] - pads[1][1]] = 0
    fill = (edge * fill_value).astype(y.dtype).reshape(*edge.shape, *(1,) * (y.ndim - at - 2))
    return y + operand(fill)


def crop_images(
    images: TensorLike,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Return a part of images, given by two of (top, bottom, height) and two of (left, right, width).

    Raises:
        ShapeError: neither an image nor a batch, or they are smaller than the part.
        ValueError: more or fewer than two are given, or one is negative.

    Example:
        >>> crop_images(np.zeros((8, 6, 3)), 1, 2, target_height=4, right_cropping=1).shape
        (4, 3, 3)
    """
    x, at = spatial(images, data_format)
    top, height, _ = _third("cropping", x.shape[at], "height", top_cropping, bottom_cropping, target_height)
    left, width, _ = _third("cropping", x.shape[at + 1], "width", left_cropping, right_cropping, target_width)
    return _cropped(x, at, top, left, height, width)


def pad_images(
    images: TensorLike,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Return images within zeros, given by two of (top, bottom, height) and two of (left, right, width).

    Raises:
        ShapeError: neither an image nor a batch, or they are larger than the target.
        ValueError: more or fewer than two are given, or one is negative.

    Example:
        >>> pad_images(np.zeros((8, 6, 3)), 1, 2, target_height=10, right_padding=1).shape
        (10, 9, 3)
    """
    x, at = spatial(images, data_format)
    top, _, bottom = _third("padding", x.shape[at], "height", top_padding, bottom_padding, target_height)
    left, _, right = _third("padding", x.shape[at + 1], "width", left_padding, right_padding, target_width)
    return padded(x, at, (top, bottom), (left, right))


def _third(
    what: str, size: int, side: str, before: int | None, after: int | None, target: int | None
) -> tuple[int, int, int]:
    """Return all three of before, target and after, of which two are given."""
    first, last = ("top", "bottom") if side == "height" else ("left", "right")
    names = (f"{first}_{what}", f"{last}_{what}", f"target_{side}")
    given = dict(zip(names, (before, after, target), strict=True))
    if list(given.values()).count(None) != 1:
        raise ValueError(f"Give exactly two of {', '.join(names)}, got {given}.")
    if any(n is not None and n < 0 for n in given.values()):
        raise ValueError(f"None of {', '.join(names)} can be negative, got {given}.")
    sign = -1 if what == "cropping" else 1
    before = sign * ((target or 0) - size) - (after or 0) if before is None else before
    after = sign * ((target or 0) - size) - before if after is None else after
    target = size + sign * (before + after) if target is None else target
    if min(before, after, target) < 0:
        raise ShapeError(
            f"images of {side} {size} cannot be changed by {given}: that makes "
            f"{dict(zip(names, (before, after, target), strict=True))}."
        )
    return before, target, after


def scale_and_translate(
    images: TensorLike,
    output_shape: Sequence[int],
    scale: TensorLike,
    translation: TensorLike,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Tensor:
    """Return an array of another shape, in which pixel x is what was at (x - translation) / scale.

    Args:
        images: an array of any number of axes.
        output_shape: the shape of the result; only sizes of `spatial_dims` may differ from those of the images.
        scale: a factor for each of `spatial_dims`.
        translation: an offset in pixels for each of them.
        spatial_dims: the axes that are scaled.
        method: ``"linear"``, ``"bilinear"``, ``"trilinear"``, ``"cubic"``, ``"bicubic"``, ``"tricubic"``,
            ``"lanczos3"`` or ``"lanczos5"``.
        antialias: whether to smooth what gets smaller.

    Raises:
        ShapeError: the shapes do not match.
        ValueError: an unknown method.

    Example:
        >>> shifted = scale_and_translate(np.arange(3.0).reshape(3), (3,), [1.0], [1.0], (0,), "linear")
        >>> shifted.numpy()
        array([0., 0., 1.])
    """
    one_of("method", method, (*_MOVING, *(known for known in SMOOTH if known not in ("gaussian", "mitchellcubic"))))
    x, by, to = operand(images), operand(scale), operand(translation)
    axes = [index(axis) % x.ndim for axis in spatial_dims]
    same = all(n == m for a, (n, m) in enumerate(zip(x.shape, output_shape, strict=False)) if a not in axes)
    if len(output_shape) != x.ndim or not same or {by.shape, to.shape} != {(len(axes),)}:
        raise ShapeError(
            f"an array of shape {x.shape} cannot become {tuple(output_shape)} along the axes {tuple(spatial_dims)} "
            f"by a scale of shape {by.shape} and a translation of {to.shape}: each of these axes needs one of both."
        )
    if x.dtype.kind in "iub":
        x = cast(x, dtype=np.float32)
    for at, axis in enumerate(axes):
        new = index(output_shape[axis])
        x = along(x, moved(x.shape[axis], new, by[at], to[at], _MOVING.get(method, method), antialias), axis)
    return x
