"""Class labels as targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gpudl import ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Tensor])


def takes_labels(fn: F) -> F:
    """Let losses that wrap `fn` pass integer targets to it unchanged."""
    vars(fn)["keeps_labels"] = True
    return fn


def class_labels(y_true: Tensor, y_pred: Tensor, axis: int, name: str) -> Tensor:
    """Return class labels as int32, without the axis of the classes."""
    plain, kept = label_shapes(y_pred, axis)
    if y_true.shape not in (plain, kept):
        advice = "Reshape y_true."
        if y_true.shape == y_pred.shape:
            advice = "It looks one-hot: use categorical_crossentropy, or y_true.argmax(axis=-1)."
        raise ShapeError(
            f"{name} expected one class label per prediction, "
            f"shape {plain} for predictions of shape {y_pred.shape}, got {y_true.shape}. {advice}"
        )
    if y_true.dtype != "int32":  # one dtype, so that the kernels are compiled once
        y_true = ops.cast(y_true, dtype="int32")
    return y_true if y_true.shape == plain else ops.reshape(y_true, plain)


def label_shapes(y_pred: Tensor, axis: int) -> tuple[tuple[int, ...], ...]:
    """Return the two shapes that class labels can have: without the axis of the classes, or with size 1."""
    at = axis % y_pred.ndim
    before, after = y_pred.shape[:at], y_pred.shape[at + 1 :]
    return (*before, *after), (*before, 1, *after)
