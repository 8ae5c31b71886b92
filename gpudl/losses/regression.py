"""Regression losses: the distance of predictions from targets.

The functions return the mean along the last axis, one loss per sample; the classes reduce those (see `Loss`).
"""

from __future__ import annotations

from math import log
from typing import Unpack

from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.activations import softplus
from gpudl.engine.tensor import Tensor
from gpudl.losses.base import LossFunctionWrapper
from gpudl.losses.options import LossOptions
from gpudl.losses.values import pair
from gpudl.utils.checks import require_number

__all__ = [
    "CosineSimilarity",
    "Huber",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "cosine_similarity",
    "huber",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
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


def mean_absolute_percentage_error(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return the mean of |(y_true - y_pred) / y_true| along the last axis in percent, |y_true| kept off 0.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> mean_absolute_percentage_error([[1.0, 2.0]], [[1.0, 4.0]]).numpy()
        array([50.], dtype=float32)
    """
    y_true, y_pred = pair(y_true, y_pred, "mean_absolute_percentage_error")
    return 100.0 * ops.mean(abs((y_true - y_pred) / ops.maximum(abs(y_true), config.epsilon())), axis=-1)


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


def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Tensor:
    """Return minus the cosine of the angle between targets and predictions along `axis`: -1 for the same direction.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> cosine_similarity([[1.0, 0.0]], [[3.0, 4.0]]).numpy().round(3)
        array([-0.6], dtype=float32)
    """
    return -cosine(y_true, y_pred, axis)


def cosine(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Tensor:
    """Return the cosine of the angle between targets and predictions along `axis`; 0 for a vector of zeros."""
    t, p = (x / _length(x, axis) for x in pair(y_true, y_pred, "cosine_similarity"))
    return ops.sum(t * p, axis=axis)


def _length(x: Tensor, axis: int) -> Tensor:
    return ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), config.epsilon() ** 2))


class MeanSquaredError(LossFunctionWrapper, options=LossOptions):
    """The mean of squared errors.

    Example:
        >>> float(MeanSquaredError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]))
        0.5
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(mean_squared_error, **options)


class MeanAbsoluteError(LossFunctionWrapper, options=LossOptions):
    """The mean of absolute errors.

    Example:
        >>> float(MeanAbsoluteError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]))
        0.5
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(mean_absolute_error, **options)


class MeanAbsolutePercentageError(LossFunctionWrapper, options=LossOptions):
    """The mean of absolute errors, in percent of the targets.

    Example:
        >>> float(MeanAbsolutePercentageError()([[1.0, 2.0]], [[1.0, 4.0]]))
        50.0
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(mean_absolute_percentage_error, **options)


class MeanSquaredLogarithmicError(LossFunctionWrapper, options=LossOptions):
    """The mean of squared differences of log(1 + x).

    Example:
        >>> round(float(MeanSquaredLogarithmicError()([[0.0, 1.0]], [[0.0, 3.0]])), 4)
        0.2402
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(mean_squared_logarithmic_error, **options)


class CosineSimilarity(LossFunctionWrapper, options=LossOptions):
    """Minus the cosine of the angle between targets and predictions along `axis`.

    Example:
        >>> round(float(CosineSimilarity()([[1.0, 0.0]], [[3.0, 4.0]])), 4)
        -0.6
    """

    def __init__(self, axis: int = -1, **options: Unpack[LossOptions]) -> None:
        super().__init__(cosine_similarity, axis=axis, **options)


class Huber(LossFunctionWrapper, options=LossOptions, name="huber_loss"):
    """The Huber loss: squared for errors up to `delta`, linear beyond.

    Example:
        >>> float(Huber()([[0.0, 0.0]], [[1.0, 3.0]]))
        1.5
    """

    def __init__(self, delta: float = 1.0, **options: Unpack[LossOptions]) -> None:
        require_number("Huber", 0, delta=delta)
        super().__init__(huber, delta=delta, **options)


class LogCosh(LossFunctionWrapper, options=LossOptions):
    """The mean of log(cosh(error)).

    Example:
        >>> round(float(LogCosh()([[0.0]], [[1.0]])), 4)
        0.4338
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(log_cosh, **options)
