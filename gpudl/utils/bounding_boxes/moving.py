"""Boxes around objects in images that are cropped, padded or transformed, with Keras's arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import pi

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor, TensorLike

__all__ = [
    "affine_transform",
    "clip_to_image_size",
    "crop",
    "pad",
]

Place = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Where points (x, y) of an image are afterwards."""


def clip_to_image_size(
    bounding_boxes: Mapping[str, object],
    height: TensorLike | None = None,
    width: TensorLike | None = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, object]:
    """Return boxes cut off at the edges of the image; those of which nothing is left get the label -1.

    Args:
        bounding_boxes: a dict of boxes (..., number, 4) and, if there are any, labels (..., number).
        height: of the image, in pixels.
        width: of the image, in pixels.
        bounding_box_format: ``"xyxy"`` or ``"rel_xyxy"``.

    Raises:
        ValueError: another format, or no size for ``"xyxy"``.

    Example:
        >>> found = clip_to_image_size({"boxes": np.float32([[-1, 2, 9, 3]]), "labels": np.array([5])}, 8, 8)
        >>> found["boxes"].numpy().tolist(), found["labels"].numpy().tolist()
        ([[0.0, 2.0, 8.0, 3.0]], [5])
    """
    _only("clip_to_image_size", bounding_box_format, "xyxy", "rel_xyxy")
    if bounding_box_format == "rel_xyxy":
        height = width = 1.0
    if height is None or width is None:
        raise ValueError("clip_to_image_size: boxes in pixels need the height and the width of the image.")
    boxes = as_tensor(bounding_boxes["boxes"])
    boxes = _within(ops.split(boxes, 4, axis=-1), height, width)
    result = {**bounding_boxes, "boxes": boxes}
    if bounding_boxes.get("labels") is not None:
        x1, y1, x2, y2 = ops.split(boxes, 4, axis=-1)
        labels = as_tensor(bounding_boxes["labels"])
        result["labels"] = ops.where(ops.squeeze((x2 - x1) * (y2 - y1), -1) > 0, labels, -1)
    return result


def _within(corners: Sequence[Tensor], height: TensorLike, width: TensorLike) -> Tensor:
    high, wide = (ops.cast_like(as_tensor(size), corners[0]) for size in (height, width))
    limited = (ops.minimum(ops.maximum(n, 0), most) for n, most in zip(corners, (wide, high, wide, high), strict=True))
    return ops.concatenate(list(limited), axis=-1)


def crop(
    boxes: TensorLike,
    top: TensorLike,
    left: TensorLike,
    height: TensorLike,
    width: TensorLike,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Return boxes as they are in a part of the image, cut off at its edges.

    Args:
        boxes: (..., 4), in pixels.
        top: the first row of the part.
        left: its first column.
        height: of the part.
        width: of the part.
        bounding_box_format: ``"xyxy"``.

    Raises:
        ValueError: another format.

    Example:
        >>> crop([[10.0, 20.0, 50.0, 60.0]], 10, 20, 40, 30).numpy()
        array([[ 0., 10., 30., 40.]], dtype=float32)
    """
    _only("crop", bounding_box_format, "xyxy")
    x1, y1, x2, y2 = ops.split(boxes, 4, axis=-1)
    return _within([x1 - left, y1 - top, x2 - left, y2 - top], height, width)


def pad(
    boxes: TensorLike,
    top: TensorLike,
    left: TensorLike,
    height: TensorLike | None = None,
    width: TensorLike | None = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Return boxes as they are in an image with more rows above and columns to the left.

    Args:
        boxes: (..., 4), in pixels.
        top: how many rows.
        left: how many columns.
        height: without effect.
        width: without effect.
        bounding_box_format: ``"xyxy"``.

    Raises:
        ValueError: another format.

    Example:
        >>> pad([[1.0, 2.0, 3.0, 4.0]], 10, 20).numpy()
        array([[21., 12., 23., 14.]], dtype=float32)
    """
    _only("pad", bounding_box_format, "xyxy")
    x1, y1, x2, y2 = ops.split(boxes, 4, axis=-1)
    return ops.concatenate([x1 + left, y1 + top, x2 + left, y2 + top], axis=-1)


def affine_transform(
    boxes: TensorLike,
    angle: TensorLike,
    translate_x: TensorLike,
    translate_y: TensorLike,
    scale: TensorLike,
    shear_x: TensorLike,
    shear_y: TensorLike,
    height: TensorLike,
    width: TensorLike,
    center_x: TensorLike | None = None,
    center_y: TensorLike | None = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Return the boxes around boxes that are turned, moved, scaled and sheared with their images.

    Args:
        boxes: (batch, number, 4), in pixels.
        angle: of each image, (batch,), counterclockwise, in degrees.
        translate_x: of each image, how far to the right, as a fraction of the width.
        translate_y: of each image, how far downwards, as a fraction of the height.
        scale: of each image.
        shear_x: of each image, the angle between rows before and after, in degrees.
        shear_y: of each image, the angle between columns.
        height: of the images.
        width: of the images.
        center_x: what stays at its place, as a fraction of the width; None is the middle.
        center_y: the same as a fraction of the height.
        bounding_box_format: ``"xyxy"``.

    Raises:
        ValueError: another format.

    Example:
        >>> none, one = np.zeros(1, "float32"), np.ones(1, "float32")
        >>> boxes = affine_transform(np.float32([[[0, 0, 2, 1]]]), 180 * one, none, none, one, none, none, 5, 5)
        >>> boxes.numpy().round(3).tolist()
        [[[2.0, 3.0, 4.0, 4.0]]]
    """
    _only("affine_transform", bounding_box_format, "xyxy")
    corners = ops.split(as_tensor(boxes), 4, axis=-1)

    def each(value: TensorLike) -> Tensor:
        return ops.reshape(as_tensor(value), (-1, 1, 1))

    turn, lean_x, lean_y = (each(degrees) * (-pi / 180) for degrees in (angle, shear_x, shear_y))
    spans = [ops.cast_like(as_tensor(size), turn) - 1 for size in (width, height)]
    middle = [(0.5 if at is None else at) * span for at, span in zip((center_x, center_y), spans, strict=True)]
    shift = [each(by) * span for by, span in zip((translate_x, translate_y), spans, strict=True)]
    # [[a, b], [c, d]] shears and turns the other way; its determinant is 1.
    a, c = (ops.cos(turn - lean_y) / ops.cos(lean_y), -ops.sin(turn - lean_y) / ops.cos(lean_y))
    b, d = (a * ops.tan(lean_x) + ops.sin(turn), ops.cos(turn) - c * ops.tan(lean_x))

    def place(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y = ((n - at + by) * each(scale) for n, at, by in zip((x, y), middle, shift, strict=True))
        return d * x - b * y + middle[0], a * y - c * x + middle[1]

    return bounding(corners, place)


def bounding(corners: Sequence[Tensor], place: Place) -> Tensor:
    """Return the boxes around where `place` moves the four corners of boxes x1, y1, x2, y2 to."""
    x1, y1, x2, y2 = corners
    moved = [place(x, y) for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))]
    across, down = (ops.concatenate([point[at] for point in moved], axis=-1) for at in (0, 1))
    ends = [end(numbers, axis=-1, keepdims=True) for end in (ops.min, ops.max) for numbers in (across, down)]
    return ops.concatenate(ends, axis=-1)


def _only(who: str, given: str, *allowed: str) -> None:
    if given not in allowed:
        raise ValueError(f"{who}: bounding_box_format must be {' or '.join(map(repr, allowed))}, got {given!r}.")
