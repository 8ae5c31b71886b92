"""The base class of metrics, and the running sum and the running mean, of which others are derived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from gpudl import config, initializers, ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.state import state
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.losses.measure import Function, Measure
from gpudl.registry import Family, Identifier

__all__ = ["Metric"]

COUNTER = "float64"
"""The dtype of sums over batches."""


class Metric(Measure):
    """Base class: a quantity accumulated over batches, in variables that training steps update.

    A subclass creates its variables in ``__init__`` with `add_variable`, updates them in `update_state` and
    computes the quantity in `result`; both compute with tensors only, for they are part of recorded steps.

    Args:
        dtype: of the results; `gpudl.config.floatx` by default.
        name: for reports; the class's name in snake case by default.

    Example:
        >>> class Largest(Metric):
        ...     def __init__(self, name="largest", dtype=None):
        ...         super().__init__(name=name, dtype=dtype)
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

    def __init__(self, dtype: DtypeLike = None, name: str | None = None) -> None:
        self._begin(name, dtype)
        self._variables: list[Variable] = []

    def add_variable(
        self,
        shape: Iterable[int] = (),
        initializer: Identifier = None,
        dtype: DTypeLike | None = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """Return a new variable that `reset_state` sets to zero.

        Args:
            shape: of the variable.
            initializer: gives its first value; zeros by default.
            dtype: `gpudl.config.floatx` by default.
            aggregation: Keras's, for variables on several devices; without effect.
            name: for reports.

        Raises:
            RuntimeError: ``super().__init__()`` has not been called yet.
        """
        self._require_begun()
        kind = np.dtype(config.floatx() if dtype is None else dtype)
        value = initializers.get("zeros" if initializer is None else initializer)(tuple(shape), kind)
        variable = Variable(value, trainable=False, name=name or "variable")
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: Iterable[int] = (),
        initializer: Identifier = None,
        dtype: DTypeLike | None = None,
        name: str | None = None,
    ) -> Variable:
        """Return a new variable; another name of `add_variable`."""
        return self.add_variable(shape, initializer, dtype, name=name)

    def add_counter(self, name: str, shape: Iterable[int] = ()) -> Variable:
        """Return a new variable for sums over all samples: float64, whatever the dtype of the metric.

        A float32 would stop at 16,777,216, where adding 1 is less than half the distance to the next float32.
        """
        return self.add_variable(shape, dtype=COUNTER, name=name)

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

    def stateless_update_state(
        self, metric_variables: Sequence[ArrayLike], *args: object, **kwargs: object
    ) -> list[Tensor]:
        """Return what `update_state` would make of variables of these values; those of the metric stay as they are.

        Raises:
            ValueError: another number of values than of variables.
        """
        with self._holding(metric_variables):
            self.update_state(*args, **kwargs)
            return [variable.value for variable in self.variables]

    def stateless_result(self, metric_variables: Sequence[ArrayLike]) -> Any:
        """Return what `result` would be for variables of these values.

        Raises:
            ValueError: another number of values than of variables.
        """
        with self._holding(metric_variables):
            return self.result()

    def stateless_reset_state(self) -> list[Tensor]:
        """Return what `reset_state` would set the variables to."""
        with self._holding(self.variables):
            self.reset_state()
            return [variable.value for variable in self.variables]

    @contextmanager
    def _holding(self, values: Sequence[ArrayLike | Tensor]) -> Iterator[None]:
        """Give the variables other values, as long as a ``with`` block lasts."""
        variables = self.variables
        if len(values) != len(variables):
            raise ValueError(
                f"{type(self).__name__} has {len(variables)} variables, got {len(values)} values. Give one for each of "
                "metric.variables, in their order."
            )
        before = [variable.value for variable in variables]
        try:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            yield
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)

    def _require_begun(self) -> None:
        if "_variables" not in vars(self):
            raise RuntimeError(f"the __init__ of {type(self).__name__} must call super().__init__() first.")

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Take in one batch and return the result so far."""
        self._require_begun()
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


METRICS: Family[Metric | Function, None] = Family("metric", Metric)
FUNCTIONS: Family[Function, None] = Family("metric function")
"""The functions that a `MeanMetricWrapper` can wrap, for its config."""
