"""Batches as tuples of inputs, targets and sample weights."""

from __future__ import annotations

from typing import Any

PARTS = ("x", "y", "sample_weight")


def unpack_x_y_sample_weight(data: object) -> tuple[Any, Any, Any]:
    """Return x, y and sample weights of what `train_step` received, None for what is missing.

    Args:
        data: x, (x,), (x, y) or (x, y, sample_weight).

    Raises:
        ValueError: a tuple of more parts, or of none.

    Example:
        >>> gpudl.utils.unpack_x_y_sample_weight(("images", "labels"))
        ('images', 'labels', None)
    """
    data = tuple(data) if isinstance(data, list) else data
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= len(PARTS):
        raise ValueError(f"a batch is x, (x, y) or (x, y, sample_weight), got {len(data)} parts.")
    x, y, sample_weight = (*data, None, None)[: len(PARTS)]
    return x, y, sample_weight


def pack_x_y_sample_weight(x: object, y: object = None, sample_weight: object = None) -> object:
    """Return a batch as `train_step` receives it: x alone as it is, unless it is a list or tuple, else a tuple.

    Example:
        >>> gpudl.utils.pack_x_y_sample_weight("images"), gpudl.utils.pack_x_y_sample_weight("images", "labels")
        ('images', ('images', 'labels'))
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, list | tuple) else x
