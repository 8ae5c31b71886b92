"""The formats of boxes around objects in images, with Keras's arguments."""

from __future__ import annotations

from numpy.typing import DTypeLike

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor, TensorLike

__all__ = [
    "convert_format",
]

FORMATS = (
    *("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw"),
    *("rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh"),
)


def convert_format(
    boxes: TensorLike | dict[str, object],
    source: str,
    target: str,
    height: TensorLike | None = None,
    width: TensorLike | None = None,
    dtype: DTypeLike = "float32",
) -> Tensor | dict[str, object]:
    """Return boxes in another format.

    The formats say what the four numbers are: x to the right, y downwards, w the width and h the height, in pixels or,
    with ``rel_``, as fractions of the image; ``xyxy`` are two corners, ``xywh`` a corner and a size, ``center_xywh``
    the middle and a size.

    Args:
        boxes: (..., 4), or a dict with boxes.
        source: their format: one of ``"xyxy"``, ``"yxyx"``, ``"xywh"``, ``"center_xywh"``, ``"center_yxhw"``,
            ``"rel_xyxy"``, ``"rel_yxyx"``, ``"rel_xywh"`` and ``"rel_center_xywh"``.
        target: the format of the result.
        height: of the images, for relative formats.
        width: of the images, for relative formats.
        dtype: of the result.

    Raises:
        ValueError: an unknown format, numbers that are not four, or a relative format without the size of the images.

    Example:
        >>> convert_format([[10, 20, 30, 60]], "xyxy", "center_xywh").numpy()
        array([[20., 40., 20., 40.]], dtype=float32)
    """
    if isinstance(boxes, dict):
        return {**boxes, "boxes": converted(boxes["boxes"], source, target, height, width, dtype)}
    return converted(boxes, source, target, height, width, dtype)


def converted(
    given: object,
    source: str,
    target: str,
    height: TensorLike | None,
    width: TensorLike | None,
    dtype: DTypeLike = "float32",
) -> Tensor:
    """Return boxes (..., 4) in another format, see `convert_format`."""
    boxes = as_tensor(given)
    if not boxes.ndim or boxes.shape[-1] != 4:
        raise ValueError(f"convert_format: a box has four numbers along the last axis, got shape {boxes.shape}.")
    source, target = source.lower(), target.lower()
    for kind in (source, target):
        if kind not in FORMATS:
            raise ValueError(f"convert_format: the format must be one of {', '.join(FORMATS)}, got {kind!r}.")
    relative = source.startswith("rel_"), target.startswith("rel_")
    if any(relative) and (height is None or width is None):
        raise ValueError(f"convert_format: from {source} to {target} takes the height and width of the images.")
    boxes = ops.cast(boxes, dtype)
    if source == target:
        return boxes
    x1, y1, x2, y2 = corners_of(boxes, source)
    if relative[0] != relative[1] and height is not None and width is not None:
        high, wide = (ops.cast(size, dtype) for size in (height, width))
        x1, y1, x2, y2 = (
            n * size if relative[0] else n / size for n, size in zip((x1, y1, x2, y2), (wide, high) * 2, strict=True)
        )
    across, down = (x1, x2), (y1, y2)
    if target.endswith(("wh", "hw")):
        (x1, wide), (y1, high) = ((low, high - low) for low, high in (across, down))
        across, down = (
            ((x1 + wide / 2, wide), (y1 + high / 2, high)) if "center" in target else ((x1, wide), (y1, high))
        )
    pairs = (down, across) if _y_first(target) else (across, down)
    return ops.concatenate([pair[at] for at in (0, 1) for pair in pairs], axis=-1)


def corners_of(boxes: Tensor, kind: str) -> list[Tensor]:
    """Return x1, y1, x2, y2 of boxes, each with an axis of size 1 at the end."""
    first, second, third, fourth = ops.split(boxes, 4, axis=-1)
    across, down = ((second, fourth), (first, third)) if _y_first(kind) else ((first, third), (second, fourth))
    if kind.endswith(("wh", "hw")):
        across, down = (
            (at - size / 2, at + size / 2) if "center" in kind else (at, at + size) for at, size in (across, down)
        )
    return [across[0], down[0], across[1], down[1]]


def _y_first(kind: str) -> bool:
    return kind.removeprefix("rel_").removeprefix("center_").startswith("y")
