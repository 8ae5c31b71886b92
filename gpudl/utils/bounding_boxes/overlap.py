"""How much boxes overlap, with Keras's arguments."""

from __future__ import annotations

from math import pi

from gpudl import ops
from gpudl.config import epsilon
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.utils.bounding_boxes.formats import converted

__all__ = [
    "compute_ciou",
    "compute_iou",
]

Size = tuple[int, int, int] | None


def compute_iou(
    boxes1: TensorLike,
    boxes2: TensorLike,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Size = None,
) -> Tensor:
    """Return the area that each two boxes share, as a fraction of that of both together.

    Args:
        boxes1: (number, 4), or a batch of them.
        boxes2: (other number, 4), or a batch of them.
        bounding_box_format: see `convert_format`.
        use_masking: whether boxes of negative numbers do not count.
        mask_val: the result for these.
        image_shape: (height, width, channels), for relative formats.

    Returns:
        (number, other number), or a batch of them.

    Raises:
        ShapeError: boxes that have other than two or three axes.
        ValueError: a relative format without the size of the images.

    Example:
        >>> compute_iou([[0, 0, 4, 4]], [[0, 0, 4, 4], [2, 0, 6, 4]], "xyxy").numpy().round(3)
        array([[1.   , 0.333]], dtype=float32)
    """
    one, other = (_in_pixels("compute_iou", boxes, bounding_box_format, image_shape) for boxes in (boxes1, boxes2))
    for boxes in (one, other):
        if boxes.ndim not in (2, 3):
            raise ShapeError(f"compute_iou takes boxes (number, 4) or (batch, number, 4), got shape {boxes.shape}.")
    ratio = _shared(ops.expand_dims(one, -2), ops.expand_dims(other, -3))
    if not use_masking:
        return ratio
    absent = [ops.max(boxes, axis=-1) < 0 for boxes in (one, other)]
    return ops.where(
        ops.logical_or(ops.expand_dims(absent[0], -1), ops.expand_dims(absent[1], -2)),
        ops.cast_like(ops.convert_to_tensor(mask_val), ratio),
        ratio,
    )


def compute_ciou(boxes1: TensorLike, boxes2: TensorLike, bounding_box_format: str, image_shape: Size = None) -> Tensor:
    """Return the complete IoU of pairs of boxes: less where middles are far apart or aspect ratios differ.

    Source: Zheng et al., "Distance-IoU loss: faster and better learning for bounding box regression", AAAI 2020.

    Args:
        boxes1: (..., 4).
        boxes2: (..., 4).
        bounding_box_format: see `convert_format`.
        image_shape: (height, width, channels), for relative formats.

    Raises:
        ValueError: a relative format without the size of the images.

    Example:
        >>> compute_ciou([[0, 0, 4, 4]], [[2, 0, 6, 4]], "xyxy").numpy().round(3)  # 1 / 3 - 2**2 / (6**2 + 4**2)
        array([0.256], dtype=float32)
    """
    one, other = (_in_pixels("compute_ciou", boxes, bounding_box_format, image_shape) for boxes in (boxes1, boxes2))
    ratio = _shared(one, other)
    around = ops.maximum(one[..., 2:], other[..., 2:]) - ops.minimum(one[..., :2], other[..., :2])
    apart = (one[..., :2] + one[..., 2:] - other[..., :2] - other[..., 2:]) / 2
    distance = ops.sum(ops.square(apart), -1) / (ops.sum(ops.square(around), -1) + epsilon())
    angles = [ops.arctan(size[..., 0] / (size[..., 1] + epsilon())) for size in map(_size, (one, other))]
    aspect = ops.square(angles[1] - angles[0]) * (4 / pi**2)
    return ratio - distance - aspect * aspect / (1.0 - ratio + aspect + epsilon())


def _in_pixels(who: str, boxes: TensorLike, kind: str, shape: Size) -> Tensor:
    if "rel" in kind and shape is None:
        raise ValueError(f"{who}: boxes in the format {kind} need image_shape=(height, width, channels).")
    high, wide = (None, None) if shape is None else shape[:2]
    return converted(boxes, kind, "xyxy", high, wide)


def _size(boxes: Tensor) -> Tensor:
    return boxes[..., 2:] - boxes[..., :2]


def _shared(one: Tensor, other: Tensor) -> Tensor:
    """Return the area that pairs of boxes share, as a fraction of that of both together."""
    low, high = ops.maximum(one[..., :2], other[..., :2]), ops.minimum(one[..., 2:], other[..., 2:])
    within, *areas = (size[..., 0] * size[..., 1] for size in (ops.maximum(high - low, 0), _size(one), _size(other)))
    return within / (areas[0] + areas[1] - within + epsilon())
