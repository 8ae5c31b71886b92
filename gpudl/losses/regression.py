"""Regression losses: the distance of predictions from targets.

The functions return the mean along the last axis, one loss per sample; the classes reduce those (see `Loss`).
"""

from __future__ import annotations

from math import log

from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.activations import softplus
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.tensor import Tensor
from gpudl.losses.base import LossFunctionWrapper, pair
from gpudl.utils.checks import require_number

__all__ = [
    "Huber",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "huber",
    "log_cosh",
    "mean_absolute_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
]


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return mean((y_true - y_pred)**2) along the last axis.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> mean_squared_error([[1.0, 2.0]], [[1.0, 4.0]]).numpy()
        array([2.], dtype=float32)
    """
    y_true, y_pred = pair(y_true, y_pred, "mean_squared_error")
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return mean(|y_true - y_pred|) along the last axis.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> mean_absolute_error([[1.0, 2.0]], [[1.0, 4.0]]).numpy()
        array([1.], dtype=float32)
    """
    y_true, y_pred = pair(y_true, y_pred, "mean_absolute_error")
    return ops.mean(abs(y_true - y_pred), axis=-1)


def mean_squared_logarithmic_error(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return the mean of (log(1 + t) - log(1 + p))**2 along the last axis, t and p at least `config.epsilon`.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> mean_squared_logarithmic_error([[0.0, 1.0]], [[0.0, 3.0]]).numpy().round(3)
        array([0.24], dtype=float32)
    """
    t, p = pair(y_true, y_pred, "mean_squared_logarithmic_error")
    low = config.epsilon()
    return ops.mean(ops.square(ops.log1p(ops.maximum(t, low)) - ops.log1p(ops.maximum(p, low))), axis=-1)


def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: float = 1.0) -> Tensor:
    """Return the mean along the last axis of e**2 / 2 for errors e up to `delta`, linear beyond.

    Source: Huber, "Robust estimation of a location parameter", 1964.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> huber([[0.0, 0.0]], [[1.0, 3.0]]).numpy()
        array([1.5], dtype=float32)
    """
    y_true, y_pred = pair(y_true, y_pred, "huber")
    error = y_pred - y_true
    size = abs(error)
    return ops.mean(ops.where(size <= delta, ops.square(error) * 0.5, size * delta - 0.5 * delta**2), axis=-1)


def log_cosh(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return the mean of log(cosh(y_pred - y_true)) along the last axis, without overflow.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> log_cosh([[0.0]], [[1.0]]).numpy().round(3)
        array([0.434], dtype=float32)
    """
    y_true, y_pred = pair(y_true, y_pred, "log_cosh")
    error = y_pred - y_true
    return ops.mean(error + softplus(error * -2.0) - log(2.0), axis=-1)


class MeanSquaredError(LossFunctionWrapper):
    """The mean of squared errors.

    Example:
        >>> float(MeanSquaredError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]))
        0.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: DtypeLike = None,
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """The mean of squared differences of log(1 + x).

    Example:
        >>> round(float(MeanSquaredLogarithmicError()([[0.0, 1.0]], [[0.0, 3.0]])), 4)
        0.2402
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: DtypeLike = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    """The mean of absolute errors.

    Example:
        >>> float(MeanAbsoluteError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]))
        0.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: DtypeLike = None,
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


class Huber(LossFunctionWrapper):
    """The Huber loss: squared for errors up to `delta`, linear beyond.

    Example:
        >>> float(Huber()([[0.0, 0.0]], [[1.0, 3.0]]))
        1.5
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: DtypeLike = None,
    ) -> None:
        require_number("Huber", 0, delta=delta)
        super().__init__(huber, reduction, name, dtype, delta=delta)


class LogCosh(LossFunctionWrapper):
    """The mean of log(cosh(error)).

    Example:
        >>> round(float(LogCosh()([[0.0]], [[1.0]])), 4)
        0.4338
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "log_cosh",
        dtype: DtypeLike = None,
    ) -> None:
        super().__init__(log_cosh, reduction, name, dtype)
