"""The base class of metrics, and the running sum and the running mean, of which others are derived."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from gpudl import config, dtype_policies, initializers, ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError, broadcast
from gpudl.engine.state import state
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.losses.base import divide_no_nan, same_rank, single
from gpudl.names import auto_name, snake_case
from gpudl.registry import Config, Configurable, Family

__all__ = ["Mean", "MeanMetricWrapper", "Metric", "Sum"]

COUNTER = "float64"
"""The dtype of sums over batches."""


class Metric(Configurable):
    """Base class: a quantity accumulated over batches, in variables that training steps update.

    A subclass creates its variables in ``__init__`` with `add_variable`, updates them in `update_state` and
    computes the quantity in `result`; both compute with tensors only, for they are part of recorded steps.

    Args:
        name: for reports; the class's name in snake case by default.
        dtype: of the results and of the variables that `add_variable` makes; `gpudl.config.floatx` by default.

    Example:
        >>> class Largest(Metric):
        ...     def __init__(self, name="largest", dtype=None):
        ...         super().__init__(name, dtype)
        ...         self.seen = self.add_variable((), "zeros", name="seen")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.seen.assign(gpudl.ops.maximum(self.seen, gpudl.ops.max(y_pred)))
        ...     def result(self):
        ...         return self.seen
        >>> largest = Largest()
        >>> largest.update_state(None, gpudl.convert_to_tensor([1.0, 3.0]))
        >>> float(largest.result())
        3.0
    """

    def __init__(self, name: str | None = None, dtype: DtypeLike = None) -> None:
        self.name = name or auto_name(snake_case(type(self).__name__))
        self.dtype = dtype_policies.get(config.floatx() if dtype is None else dtype).compute_dtype
        self._variables: list[Variable] = []

    def add_variable(
        self,
        shape: tuple[int, ...] = (),
        initializer: Any = None,
        dtype: DTypeLike | None = None,
        name: str | None = None,
    ) -> Variable:
        """Return a new variable that `reset_state` sets to zero, with zeros or what `initializer` gives."""
        value = initializers.get(initializer or "zeros")(shape, np.dtype(dtype or self.dtype))
        variable = Variable(value, trainable=False, name=name or "variable")
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: tuple[int, ...] = (),
        initializer: object = None,
        dtype: DTypeLike | None = None,
        name: str | None = None,
    ) -> Variable:
        """Return a new variable; another name of `add_variable`."""
        return self.add_variable(shape, initializer, dtype, name)

    def add_counter(self, name: str) -> Variable:
        """Return a new variable for a sum over all samples: float64, whatever the dtype of the metric.

        A float32 would stop at 16,777,216, where adding 1 is less than half the distance to the next float32.
        """
        return self.add_variable(dtype=COUNTER, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The variables of this metric and of the metrics it holds."""
        return list({id(v): v for v in _variables_in(list(vars(self).values()))}.values())

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Update the metric with one batch; implemented by subclasses."""
        raise NotImplementedError(f"{type(self).__name__} must define update_state.")

    def result(self) -> Any:
        """Return the metric over all batches since the last reset; implemented by subclasses."""
        raise NotImplementedError(f"{type(self).__name__} must define result(self).")

    def reset_state(self) -> None:
        """Set every variable to zero."""
        for variable in self.variables:
            if state.recorder is None and not state.symbolic:
                variable.data.fill(0)  # not an op: a model resets its metrics before each single batch
            else:
                ops.assign_(variable, 0)

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Update the metric with one batch and return the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _variables_in(value: object) -> Iterator[Variable]:
    if isinstance(value, Variable):
        yield value
    elif isinstance(value, Metric):
        yield from value.variables
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _variables_in(item)
    elif isinstance(value, dict):
        yield from _variables_in(list(value.values()))


Reduction = Callable[[Tensor, tuple[int, ...]], Tensor]


def _total(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    result: Tensor = ops.sum(x, axis=axes)
    return result


def _per_sample(
    values: ArrayLike, sample_weight: ArrayLike | None, dtype: str, reduce: Reduction
) -> tuple[Tensor, Tensor | None]:
    """Return one weighted value per sample, and one weight per sample where there are weights."""
    values = _as(values, dtype)
    if sample_weight is None:
        return _flat(values, 1, reduce), None
    values, weight = same_rank(values, _as(sample_weight, dtype))
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


def _as(x: ArrayLike, dtype: str) -> Tensor:
    x = as_tensor(x)
    result: Tensor = x if x.dtype == dtype else ops.cast(x, dtype=dtype)
    return result


def _flat(x: Tensor, kept: int, reduce: Reduction) -> Tensor:
    """Return x with at most the first `kept` of its axes."""
    return reduce(x, tuple(range(kept, x.ndim))) if x.ndim > kept else x


class Sum(Metric):
    """The weighted sum of all values.

    Example:
        >>> total = Sum()
        >>> float(total([1.0, 2.0])), float(total([4.0]))
        (3.0, 7.0)
    """

    def __init__(self, name: str | None = "sum", dtype: DtypeLike = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_counter("total")

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add `values`, any shape, times `sample_weight`, which broadcasts to them."""
        values, _ = _per_sample(values, sample_weight, self.dtype, _total)
        self.total.assign_add(_as(ops.sum(values), COUNTER))

    def result(self) -> Tensor:
        """Return the sum."""
        return _as(self.total, self.dtype)


class Average(Metric):
    """The base of all means over samples: a total and a count.

    A value with several axes counts as the mean of its elements, so that every sample weighs the same.
    """

    def __init__(self, name: str | None = None, dtype: DtypeLike = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_counter("total")
        self.count = self.add_counter("count")

    def add(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in `values`, (samples, ...) or a scalar, with weights that broadcast to them."""
        values, weight = _per_sample(values, sample_weight, self.dtype, ops.mean)
        self.total.assign_add(_as(ops.sum(values) if values.ndim else values, COUNTER))
        if weight is None:
            self.count.assign_add(float(values.size))
        else:
            self.count.assign_add(_as(ops.sum(weight) if weight.ndim else weight, COUNTER))

    def result(self) -> Tensor:
        """Return the mean; 0 before the first sample."""
        return _as(divide_no_nan(self.total, self.count), self.dtype)


class Mean(Average):
    """The weighted mean over samples; 0 before the first one.

    Example:
        >>> mean = Mean()
        >>> float(mean([1.0, 2.0, 3.0])), float(mean([6.0]))
        (2.0, 3.0)
    """

    def __init__(self, name: str | None = "mean", dtype: DtypeLike = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in `values`, (samples, ...) or a scalar, with weights that broadcast to them."""
        self.add(values, sample_weight)


class MeanMetricWrapper(Average):
    """The mean of a function of targets and predictions.

    Args:
        fn: ``fn(y_true, y_pred, **kwargs)``, returning one value per sample, or a scalar.
        name: for reports.
        dtype: of the results.
        **kwargs: passed on to `fn`, and readable as attributes.

    Example:
        >>> distance = MeanMetricWrapper(lambda y, p: abs(p - y), name="distance")
        >>> float(distance(gpudl.convert_to_tensor([1.0, 2.0]), gpudl.convert_to_tensor([1.5, 2.0])))
        0.25
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: DtypeLike = None, **kwargs: Any) -> None:
        super().__init__(name, dtype)
        self.fn = fn
        self.options = kwargs
        vars(self).update(kwargs)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Update the metric with one batch of targets and predictions, and weights that broadcast to the values."""
        self.add(self.fn(y_true, single(y_pred), **self.options), sample_weight)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a metric with the arguments of `config`, its function found by name."""
        if "fn" in config:
            config = {**config, "fn": FUNCTIONS.get(config["fn"])}
        return cls(**config)


METRICS: Family[Metric | Callable[..., Tensor], None] = Family("metric", Metric)
FUNCTIONS: Family[Callable[..., Tensor], None] = Family("metric function")
"""The functions of a `MeanMetricWrapper` that its config can name."""
