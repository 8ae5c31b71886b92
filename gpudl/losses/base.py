"""The base of all losses: ranks, weighting and reduction."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from gpudl.dtype_policies import DtypeLike
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import flatten, map_leaves
from gpudl.losses.measure import Function, Measure, OfFunction
from gpudl.losses.values import REDUCTIONS, as_dtype, both, keeping_logits, mask_of, masked, reduced, same_rank
from gpudl.registry import Config, Family

__all__ = ["Loss", "LossFunctionWrapper"]


class Loss(Measure):
    """Base class: a subclass's `call` returns one loss per sample, the base weights and reduces them.

    Args:
        name: for reports; the class's name in snake case by default.
        reduction: ``"sum_over_batch_size"`` or ``"mean"`` (the sum divided by the number of values),
            ``"sum"``, ``"mean_with_sample_weight"`` (the sum divided by the sum of the weights), ``"none"`` or
            None (no reduction).
        dtype: dtype of computation; `gpudl.config.floatx` by default.

    Raises:
        ValueError: an unknown reduction.

    Example:
        >>> class Largest(Loss):
        ...     def call(self, y_true, y_pred):
        ...         return gpudl.ops.max(abs(y_true - y_pred), axis=-1)
        >>> float(Largest()([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 6.0]]))
        1.0
    """

    # Labels that count classes stay integers; all other targets become floats.
    keeps_labels = False

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: DtypeLike = None,
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join(map(str, REDUCTIONS))}, got {reduction!r}.")
        self._begin(name, dtype)
        self.reduction = reduction

    def __call__(self, y_true: object, y_pred: object, sample_weight: ArrayLike | None = None) -> Tensor:
        """Return the loss of predictions `y_pred` against targets `y_true`.

        Args:
            y_true: targets, or a nest of them where `call` takes one.
            y_pred: predictions, or a nest. Those outside of their mask do not count.
            sample_weight: factors that broadcast to one loss per sample.

        Returns:
            A scalar, or one loss per sample where the reduction is none.

        Raises:
            ShapeError: shapes that do not fit; the text says how to mend them.
        """
        mask = mask_of(y_pred)
        y_pred = _each(lambda x: keeping_logits(self._as, as_tensor(x)), y_pred)
        y_true = _each(self._target, y_true)
        values = as_tensor(self.call(y_true, y_pred))
        mask = both(mask, values.mask)
        weight = None if sample_weight is None else self._as(sample_weight)
        values = self._as(values)
        return reduced(values, masked(weight, mask, values, self.reduction), self.reduction)

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data; a dtype only where one was given, as in Keras."""
        config = super().get_config()
        return config if self._arguments.get("dtype") is not None else {k: v for k, v in config.items() if k != "dtype"}

    def call(self, y_true: object, y_pred: object) -> Tensor:
        """Return the loss of each sample; implemented by subclasses."""
        raise NotImplementedError(f"{type(self).__name__} must define call(self, y_true, y_pred).")

    def _as(self, x: ArrayLike | Tensor) -> Tensor:
        return as_dtype(x, self.dtype)

    def _target(self, x: ArrayLike) -> Tensor:
        target = as_tensor(x)
        return target if self.keeps_labels and target.dtype.kind in "iu" else self._as(target)


class LossFunctionWrapper(OfFunction, Loss):
    """A loss from a function.

    Args:
        fn: ``fn(y_true, y_pred, **kwargs)``, returning one loss per sample, or a scalar.
        reduction: as for `Loss`.
        name: for reports.
        dtype: dtype of computation.
        **kwargs: passed on to `fn`, and readable as attributes.

    Raises:
        ValueError: an argument that `fn` does not take.

    Example:
        >>> loss = LossFunctionWrapper(lambda y, p: gpudl.ops.mean(abs(y - p), axis=-1), name="distance")
        >>> float(loss([[1.0], [2.0]], [[1.5], [2.0]]))
        0.25
    """

    def __init__(
        self,
        fn: Function,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: DtypeLike = None,
        **kwargs: object,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self._made_of(fn, kwargs)
        self.keeps_labels = getattr(fn, "keeps_labels", False)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return what the function returns."""
        if isinstance(y_true, Tensor) and isinstance(y_pred, Tensor):
            y_true, y_pred = same_rank(y_true, y_pred)
        return self._values(y_true, y_pred)


LOSSES: Family[Loss | Function, None] = Family("loss", Loss)
LossFunctionWrapper.FUNCTIONS = LOSSES


def _each(function: Any, nest: Any) -> Any:
    """Return `nest`, where it has tensors or arrays in it, with the function of each, and else the function of it."""
    inside = isinstance(nest, dict) or any(hasattr(leaf, "shape") for leaf in flatten(nest)[0])
    return map_leaves(function, nest) if inside else function(nest)
