"""Boxes as distances from anchors, which a network learns, with Keras's arguments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gpudl import ops
from gpudl.config import epsilon
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.utils.bounding_boxes.formats import converted

__all__ = [
    "decode_deltas_to_boxes",
    "encode_box_to_deltas",
]

Size = tuple[int, int, int] | None


def encode_box_to_deltas(
    anchors: TensorLike,
    boxes: TensorLike,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: TensorLike | None = None,
    image_shape: Size = None,
) -> Tensor:
    """Return how boxes differ from anchors: the distance of their middles in sizes of the anchor, the log of the ratio.

    Args:
        anchors: (number, 4).
        boxes: (number, 4), or a batch of them.
        anchor_format: see `convert_format`.
        box_format: see `convert_format`.
        encoding_format: the order of the result: ``"center_xywh"`` or ``"center_yxhw"``.
        variance: four numbers that the result is divided by.
        image_shape: (height, width, channels), for relative formats.

    Raises:
        ValueError: another `encoding_format`, or a variance of other than four numbers.

    Example:
        >>> encode_box_to_deltas([[0, 0, 4, 4]], [[1, 0, 5, 4]], "xyxy", "xyxy").numpy()
        array([[0.  , 0.25, 0.  , 0.  ]], dtype=float32)
    """
    high, wide = _checked("encode_box_to_deltas", encoding_format, variance, image_shape)
    base = converted(anchors, anchor_format, encoding_format, high, wide)
    box = converted(boxes, box_format, encoding_format, high, wide)
    size, own = (ops.maximum(part[..., 2:], epsilon()) for part in (base, box))
    deltas = ops.concatenate([(box[..., :2] - base[..., :2]) / size, ops.log(own / size)], axis=-1)
    return deltas if variance is None else deltas / ops.cast(as_tensor(variance), "float32")


def decode_deltas_to_boxes(
    anchors: TensorLike | Mapping[str, TensorLike],
    boxes_delta: TensorLike | Mapping[str, TensorLike],
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: TensorLike | None = None,
    image_shape: Size = None,
) -> Tensor | dict[str, Tensor]:
    """Return the boxes that differ from anchors as `encode_box_to_deltas` says.

    Args:
        anchors: (number, 4), or a dict of such arrays.
        boxes_delta: (..., number, 4), or a dict of such arrays with the same keys.
        anchor_format: see `convert_format`.
        box_format: the format of the result.
        encoded_format: the order of the distances: ``"center_xywh"`` or ``"center_yxhw"``.
        variance: four numbers that the distances are multiplied by.
        image_shape: (height, width, channels), for relative formats.

    Raises:
        ValueError: another `encoded_format`, or a variance of other than four numbers.

    Example:
        >>> decode_deltas_to_boxes([[0, 0, 4, 4]], [[0, 0.25, 0, 0]], "xyxy", "xyxy").numpy()
        array([[1., 0., 5., 4.]], dtype=float32)
    """
    high, wide = _checked("decode_deltas_to_boxes", encoded_format, variance, image_shape)

    def level(anchor: TensorLike, deltas: TensorLike) -> Tensor:
        base, by = converted(anchor, anchor_format, encoded_format, high, wide), as_tensor(deltas)
        by = by if variance is None else by * ops.cast(as_tensor(variance), "float32")
        middle = by[..., :2] * base[..., 2:] + base[..., :2]
        boxes = ops.concatenate([middle, ops.exp(by[..., 2:]) * base[..., 2:]], axis=-1)
        return converted(boxes, encoded_format, box_format, high, wide)

    if isinstance(anchors, Mapping) and isinstance(boxes_delta, Mapping):
        return {name: level(anchor, boxes_delta[name]) for name, anchor in anchors.items()}
    if isinstance(anchors, Mapping) or isinstance(boxes_delta, Mapping):
        raise ValueError("decode_deltas_to_boxes: anchors and boxes_delta must both be dicts, or neither of them.")
    return level(anchors, boxes_delta)


def _checked(who: str, kind: str, variance: TensorLike | None, shape: Size) -> tuple[int | None, int | None]:
    """Return the height and the width of the images."""
    if kind not in ("center_xywh", "center_yxhw"):
        raise ValueError(f"{who}: the encoding must be 'center_xywh' or 'center_yxhw', got {kind!r}.")
    if variance is not None and np.shape(variance)[-1:] != (4,):
        raise ValueError(f"{who}: variance must be four numbers, got {variance!r}.")
    return (None, None) if shape is None else shape[:2]
