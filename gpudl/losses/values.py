"""The values of losses and metrics, one per sample: fitted in rank and dtype, masked, weighted, reduced."""

from __future__ import annotations

from collections.abc import Callable

from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError, broadcast, is_floating, is_half
from gpudl.engine.tensor import Tensor

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


def keeping_logits(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return function(x), its logits being the function of x's logits."""
    result = function(x)
    if x.logits is not None:
        result.logits = function(x.logits)
    return result


def as_dtype(x: ArrayLike | Tensor, dtype: str) -> Tensor:
    """Return a tensor of that dtype."""
    tensor = as_tensor(x)
    return tensor if tensor.dtype == dtype else ops.cast(tensor, dtype=dtype)


def single(x: ArrayLike | Tensor) -> Tensor:
    """Return 16-bit floats cast to float32, with their logits, and anything else unchanged."""
    tensor = as_tensor(x)
    return keeping_logits(lambda t: as_dtype(t, "float32"), tensor) if is_half(tensor.dtype) else tensor


def mask_of(x: object) -> Tensor | None:
    """Return the mask of a tensor; None where there is none, and for what is no tensor."""
    return x.mask if isinstance(x, Tensor) else None


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
    p = as_tensor(y_pred)
    if not is_floating(p.dtype):
        p = as_dtype(p, config.floatx())
    t, p = same_rank(ops.cast_like(as_tensor(y_true), p), p)
    if t.shape != p.shape:
        raise ShapeError(
            f"{name} expected targets of the shape of the predictions, {p.shape}, got {t.shape}. "
            "Reshape y_true, or change the last layer so that the model returns the shape of y_true."
        )
    return t, p


def both(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Return the mask of what counts by both masks, of which None is that of everything."""
    if one is None or other is None:
        return other if one is None else one
    return ops.logical_and(one, other)


def masked(weight: Tensor | None, mask: Tensor | None, values: Tensor, reduction: str | None) -> Tensor | None:
    """Return the sample weights of `values` with 0 where the mask does not hold.

    For a mean over all values the others weigh more, so that it becomes the mean over what counts.

    Raises:
        ShapeError: a mask that does not broadcast to the values.
    """
    if mask is None:
        return weight
    _require_fit(*same_rank(mask, values), "the mask of the predictions", "It has one value per sample or step.")
    factor = ops.cast_like(mask, values)
    if reduction in ("mean", "sum_over_batch_size"):
        factor = factor * ops.divide_no_nan(as_tensor(float(mask.size), like=factor), ops.sum(factor))
    if weight is None:
        return factor
    factor, weight = same_rank(factor, ops.cast_like(weight, values))
    _require_fit(weight, factor, "sample_weight", "Give one weight per sample, or one per value.")
    return factor * weight


def weighted(values: Tensor, weight: Tensor) -> Tensor:
    """Return values * weight; raises ShapeError when the weights do not broadcast."""
    _require_fit(weight, values, "sample_weight", "Give one weight per sample, or one per value.")
    return values * weight


def _require_fit(a: Tensor, values: Tensor, name: str, advice: str) -> None:
    try:
        broadcast(a.shape, values.shape)
    except ShapeError:
        raise ShapeError(f"{name} of shape {a.shape} does not fit losses of shape {values.shape}. {advice}") from None


def reduced(values: Tensor, weight: Tensor | None, reduction: str | None) -> Tensor:
    """Return the weighted `values` reduced as `reduction` says."""
    if weight is not None:
        values, weight = same_rank(values, weight)
        values = weighted(values, weight)
    if reduction in ("none", None) or values.shape in ((), (0,)):
        return values
    total = ops.sum(values)
    if reduction == "mean_with_sample_weight" and weight is not None:
        return ops.divide_no_nan(total, ops.sum(weight))
    return total if reduction == "sum" else total / float(values.size or 1)
