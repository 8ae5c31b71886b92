"""The metrics that others build on: a running sum, a running mean, and the mean of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError, broadcast
from gpudl.engine.tensor import Tensor
from gpudl.losses.measure import Function, OfFunction
from gpudl.losses.options import MetricOptions
from gpudl.losses.values import as_dtype, mask_of, masked, same_rank, single
from gpudl.metrics.base import COUNTER, FUNCTIONS, Metric

__all__ = ["Mean", "MeanMetricWrapper", "Sum"]

Reduction = Callable[[Tensor, tuple[int, ...]], Tensor]


def _total(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return ops.sum(x, axis=axes)


def _per_sample(
    values: ArrayLike | Tensor, sample_weight: ArrayLike | Tensor | None, dtype: str, reduce: Reduction
) -> tuple[Tensor, Tensor | None]:
    """Return one weighted value per sample, and one weight per sample where there are weights.

    Values outside of their own mask count as 0 where there are weights, as in Keras.
    """
    mask, values = mask_of(values), as_dtype(values, dtype)
    if sample_weight is None:
        return _flat(values, 1, reduce), None
    weight = masked(as_dtype(sample_weight, dtype), mask, values, "sum")
    values, weight = same_rank(values, as_tensor(weight))
    values = _flat(values, weight.ndim, reduce)
    try:
        fits = broadcast(values.shape, weight.shape) == values.shape
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"sample_weight of shape {weight.shape} does not fit values of shape {values.shape}. "
            "Give one weight per sample, or one per value."
        )
    if weight.shape != values.shape:
        weight = ops.broadcast_to(weight, shape=values.shape)
    return _flat(values * weight, 1, reduce), _flat(weight, 1, reduce)


def _flat(x: Tensor, kept: int, reduce: Reduction) -> Tensor:
    """Return x with at most the first `kept` of its axes."""
    return reduce(x, tuple(range(kept, x.ndim))) if x.ndim > kept else x


class Sum(Metric, options=MetricOptions):
    """The weighted sum of all values.

    Example:
        >>> total = Sum()
        >>> float(total([1.0, 2.0])), float(total([4.0]))
        (3.0, 7.0)
    """

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(**options)
        self.total = self.add_counter("total")

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add `values`, any shape, times `sample_weight`, which broadcasts to them."""
        added, _ = _per_sample(values, sample_weight, self.dtype, _total)
        self.total.assign_add(as_dtype(ops.sum(added), COUNTER))

    def result(self) -> Tensor:
        """Return the sum."""
        return as_dtype(self.total, self.dtype)


class Average(Metric):
    """The base of all means over samples: a total and a count.

    A value with several axes counts as the mean of its elements, so that every sample weighs the same.
    """

    def __init__(self, name: str | None = None, dtype: DtypeLike = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_counter("total")
        self.count = self.add_counter("count")

    def add(self, values: ArrayLike | Tensor, sample_weight: ArrayLike | Tensor | None = None) -> None:
        """Take in `values`, (samples, ...) or a scalar, with weights that broadcast to them."""
        added, weight = _per_sample(values, sample_weight, self.dtype, ops.mean)
        self.total.assign_add(as_dtype(ops.sum(added) if added.ndim else added, COUNTER))
        if weight is None:
            self.count.assign_add(float(added.size))
        else:
            self.count.assign_add(as_dtype(ops.sum(weight) if weight.ndim else weight, COUNTER))

    def result(self) -> Tensor:
        """Return the mean; 0 before the first sample."""
        return as_dtype(ops.divide_no_nan(self.total, self.count), self.dtype)


class Mean(Average, options=MetricOptions):
    """The weighted mean over samples; 0 before the first one.

    Example:
        >>> mean = Mean()
        >>> float(mean([1.0, 2.0, 3.0])), float(mean([6.0]))
        (2.0, 3.0)
    """

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(**options)

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in `values`, (samples, ...) or a scalar, with weights that broadcast to them."""
        self.add(values, sample_weight)


class MeanMetricWrapper(OfFunction, Average):
    """The mean of a function of targets and predictions.

    Args:
        fn: ``fn(y_true, y_pred, **kwargs)``, returning one value per sample, or a scalar.
        name: for reports.
        dtype: of the results.
        **kwargs: passed on to `fn`, and readable as attributes.

    Raises:
        ValueError: an argument that `fn` does not take.

    Example:
        >>> distance = MeanMetricWrapper(lambda y, p: abs(p - y), name="distance")
        >>> float(distance(gpudl.convert_to_tensor([1.0, 2.0]), gpudl.convert_to_tensor([1.5, 2.0])))
        0.25
    """

    FUNCTIONS = FUNCTIONS

    def __init__(self, fn: Function, name: str | None = None, dtype: DtypeLike = None, **kwargs: object) -> None:
        super().__init__(name, dtype)
        self._made_of(fn, kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: ArrayLike | None = None) -> None:
        """Take in one batch of targets and predictions, with weights that broadcast to the values.

        Predictions outside of their mask do not count.
        """
        values = as_tensor(self._values(y_true, single(y_pred)))
        weight = None if sample_weight is None else as_tensor(sample_weight)
        self.add(values, masked(weight, mask_of(y_pred), values, "sum"))
