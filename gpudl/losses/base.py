"""The base of all losses: ranks, weighting and reduction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from numpy.typing import ArrayLike

from gpudl import config, dtype_policies, ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError, broadcast, is_floating, is_half
from gpudl.engine.tensor import Tensor
from gpudl.names import auto_name, snake_case
from gpudl.registry import Config, Configurable, Family

__all__ = ["Loss", "LossFunctionWrapper"]

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Loss(Configurable):
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
        self.name = name or auto_name(snake_case(type(self).__name__))
        self.reduction = reduction
        self.dtype = dtype_policies.get(config.floatx() if dtype is None else dtype).compute_dtype

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> Tensor:
        """Return the loss of predictions `y_pred` against targets `y_true`.

        Args:
            y_true: targets.
            y_pred: predictions.
            sample_weight: factors that broadcast to one loss per sample.

        Returns:
            A scalar, or one loss per sample where the reduction is none.

        Raises:
            ShapeError: shapes that do not fit; the text says how to mend them.
        """
        y_pred = keeping_logits(lambda t: _as(t, self.dtype), as_tensor(y_pred))
        y_true = as_tensor(y_true)
        if not (self.keeps_labels and y_true.dtype.kind in "iu"):
            y_true = _as(y_true, self.dtype)
        values = _as(as_tensor(self.call(y_true, y_pred)), self.dtype)
        weight = None if sample_weight is None else _as(as_tensor(sample_weight), self.dtype)
        weight = masked(weight, self.valid(y_true, y_pred), values, self.reduction)
        return reduced(values, weight, self.reduction)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each sample; implemented by subclasses."""
        raise NotImplementedError(f"{type(self).__name__} must define call(self, y_true, y_pred).")

    def valid(self, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        """Return, as bool, which of the values of `call` count; None when all of them do."""
        return None


class LossFunctionWrapper(Loss):
    """A loss from a function.

    Args:
        fn: ``fn(y_true, y_pred, **kwargs)``, returning one loss per sample, or a scalar.
        reduction: as for `Loss`.
        name: for reports.
        dtype: dtype of computation.
        **kwargs: passed on to `fn`, and readable as attributes.

    Example:
        >>> loss = LossFunctionWrapper(lambda y, p: gpudl.ops.mean(abs(y - p), axis=-1), name="distance")
        >>> float(loss([[1.0], [2.0]], [[1.5], [2.0]]))
        0.25
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: DtypeLike = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.fn = fn
        self.options = kwargs
        self.keeps_labels = getattr(fn, "keeps_labels", False)
        vars(self).update(kwargs)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return what the function returns."""
        result: Tensor = self.fn(*same_rank(y_true, y_pred), **self.options)
        return result

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a loss with the arguments of `config`, its function found by name."""
        if "fn" in config:
            config = {**config, "fn": LOSSES.get(config["fn"])}
        return cls(**config)


LOSSES: Family[Loss | Callable[..., Tensor], None] = Family("loss", Loss)


def keeping_logits(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return function(x), its logits being the function of x's logits."""
    result = function(x)
    if x.logits is not None:
        result.logits = function(x.logits)
    return result


def single(x: ArrayLike) -> Tensor:
    """Return 16-bit floats cast to float32, with their logits, and anything else unchanged."""
    x = as_tensor(x)
    return keeping_logits(lambda t: _as(t, "float32"), x) if is_half(x.dtype) else x


def _as(x: Tensor, dtype: str) -> Tensor:
    result: Tensor = x if x.dtype == dtype else ops.cast(x, dtype=dtype)
    return result


def same_rank(a: Tensor, b: Tensor, expand: bool = True) -> tuple[Tensor, Tensor]:
    """Return `a` and `b` with a last axis of size 1 dropped, or added to a vector, where only one has it.

    Example:
        >>> labels, scores = gpudl.convert_to_tensor([1.0, 0.0]), gpudl.convert_to_tensor([[0.9], [0.2]])
        >>> [t.shape for t in same_rank(labels, scores)]
        [(2, 1), (2, 1)]
    """
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        fitted, kept = same_rank(b, a, expand)
        return kept, fitted
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        if a.ndim == 1 and expand:
            return keeping_logits(lambda t: ops.reshape(t, (*t.shape, 1)), a), b
        return a, keeping_logits(lambda t: ops.reshape(t, t.shape[:-1]), b)
    return a, b


def pair(y_true: ArrayLike, y_pred: ArrayLike, name: str) -> tuple[Tensor, Tensor]:
    """Return targets and predictions as tensors of one dtype and shape, or raise ShapeError."""
    y_pred = as_tensor(y_pred)
    if not is_floating(y_pred.dtype):
        y_pred = _as(y_pred, config.floatx())
    y_true, y_pred = same_rank(ops.cast_like(as_tensor(y_true), y_pred), y_pred)
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            f"{name} expected targets of the shape of the predictions, {y_pred.shape}, got {y_true.shape}. "
            "Reshape y_true, or change the last layer so that the model returns the shape of y_true."
        )
    return y_true, y_pred


def divide_no_nan(a: Tensor, b: Tensor) -> Tensor:
    """Return a / b, and 0 where b is 0."""
    empty = ops.equal(b, 0.0)
    result: Tensor = ops.where(empty, 0.0, a / ops.where(empty, 1.0, b))
    return result


def masked(weight: Tensor | None, valid: Tensor | None, values: Tensor, reduction: str | None) -> Tensor | None:
    """Return the sample weights with 0 where not `valid`.

    For a mean over all values the valid ones weigh more, so that it becomes the mean over the valid ones.
    """
    if valid is None:
        return weight
    factor = ops.cast_like(valid, values)
    if reduction in ("mean", "sum_over_batch_size"):
        factor = factor * divide_no_nan(as_tensor(float(valid.size), like=factor), ops.sum(factor))
    if weight is None:
        return factor
    factor, weight = same_rank(factor, weight)
    return factor * weight


def weighted(values: Tensor, weight: Tensor) -> Tensor:
    """Return values * weight; raises ShapeError when the weights do not broadcast."""
    try:
        broadcast(values.shape, weight.shape)
    except ShapeError:
        raise ShapeError(
            f"sample_weight of shape {weight.shape} does not fit losses of shape {values.shape}. "
            "Give one weight per sample, or one per value."
        ) from None
    return values * weight


def reduced(values: Tensor, weight: Tensor | None, reduction: str | None) -> Tensor:
    """Return the weighted `values` reduced as `reduction` says."""
    if weight is not None:
        values, weight = same_rank(values, weight)
        values = weighted(values, weight)
    if reduction in ("none", None) or values.shape in ((), (0,)):
        return values
    total: Tensor = ops.sum(values)
    if reduction == "mean_with_sample_weight" and weight is not None:
        return divide_no_nan(total, ops.sum(weight))
    return total if reduction == "sum" else total / float(values.size or 1)
