"""Boxes around objects, in any format, that move with the pixels of their images."""

from __future__ import annotations

from collections.abc import Callable

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor
from gpudl.utils.bounding_boxes import clip_to_image_size
from gpudl.utils.bounding_boxes.formats import converted

Size = tuple[int, int]
"""(height, width) of images, in pixels."""


def parts(who: str, given: object) -> tuple[dict[str, object], Tensor, Tensor]:
    """Return a dict, its boxes (..., number, 4) and labels (..., number); raise ValueError for anything else."""
    if not isinstance(given, dict) or {"boxes", "labels"} - given.keys():
        raise ValueError(f"{who}: bounding_boxes must be a dict of boxes and labels, got {given!r}.")
    boxes, labels = as_tensor(given["boxes"]), as_tensor(given["labels"])
    if boxes.ndim not in (2, 3) or boxes.shape[-1] != 4 or labels.shape[: boxes.ndim - 1] != boxes.shape[:-1]:
        raise ValueError(
            f"{who}: bounding_boxes are boxes (batch, number, 4) and a label for each, got {boxes.shape} and "
            f"{labels.shape}."
        )
    return given, boxes, labels


def moved(
    who: str, given: object, kind: str | None, before: Size, after: Size, move: Callable[[Tensor], Tensor]
) -> dict[str, object]:
    """Return a dict of boxes, moved and cut off at the edges, and labels, -1 where nothing of a box is left.

    Args:
        who: the name of the layer.
        given: a dict of boxes (batch, number, 4), or (number, 4), and labels.
        kind: the format of the boxes, see `convert_format`.
        before: the size of the images.
        after: the size of the results.
        move: a function of boxes (batch, number, 4), x1, y1, x2, y2 in pixels.
    """
    if kind is None:
        raise ValueError(f"{who}: to move boxes, say what their numbers mean, such as bounding_box_format='xyxy'.")
    whole, boxes, labels = parts(who, given)
    single = boxes.ndim == 2
    corners = converted(ops.expand_dims(boxes, 0) if single else boxes, kind, "xyxy", *before)
    corners = move(corners)
    found = clip_to_image_size({"boxes": ops.squeeze(corners, 0) if single else corners, "labels": labels}, *after)
    return {**whole, **found, "boxes": converted(found["boxes"], "xyxy", kind, *after)}
