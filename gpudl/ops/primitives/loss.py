"""Softmax, and cross-entropies computed from logits, which are more accurate than those from probabilities."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import DTypeLike

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.grad import Gradients
from gpudl.engine.op import Op
from gpudl.engine.parts import total
from gpudl.engine.spec import ShapeError, Spec, broadcast, is_floating, promote
from gpudl.engine.tensor import Tensor
from gpudl.kernels import expression as e
from gpudl.kernels.expression import Expression
from gpudl.ops.primitives import reduce
from gpudl.ops.primitives.activation import sigmoid
from gpudl.ops.primitives.declare import elementwise, op
from gpudl.ops.primitives.elementwise import cast_like
from gpudl.ops.primitives.exponential import exp
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "sparse_softmax_cross_entropy",
]


def _classes(x: Spec) -> Spec:
    if x.ndim < 1 or x.shape[-1] == 0:
        raise ShapeError("a softmax needs at least one class along the last axis.")
    return x if is_floating(x.dtype) else x.with_dtype("float32")


@op(_classes, flops=cost.per_output(5))
def softmax(xp: ModuleType, out: Array, x: Array) -> None:
    """Return exp(x) / sum(exp(x)) along the last axis."""
    xp.subtract(x, x.max(axis=-1, keepdims=True), out=out, dtype=out.dtype)
    xp.exp(out, out=out)
    xp.divide(out, reduce.added(xp, out, -1, keepdims=True).astype(out.dtype), out=out)


def _before_softmax(g: Tensor, y: Tensor) -> Tensor:
    return y * (g - reduce.sum(g * y, axis=-1, keepdims=True))


softmax.vjp(x=lambda g, y, x: _before_softmax(g, y))


@op(_classes, flops=cost.per_output(8))
def sparsemax(xp: ModuleType, out: Array, x: Array) -> None:
    """Return the point nearest to x, along the last axis, whose numbers are not negative and sum to 1.

    Source: Martins and Astudillo, "From softmax to sparsemax", ICML 2016, algorithm 1.
    """
    falling = -xp.sort(-x.astype(out.dtype), axis=-1)
    sums = xp.cumsum(falling, axis=-1)
    counts = xp.arange(1, x.shape[-1] + 1, dtype=out.dtype)
    size = xp.maximum((falling * counts + 1 > sums).sum(axis=-1, keepdims=True), 1)  # of those that are not 0
    excess = (xp.take_along_axis(sums, size - 1, axis=-1) - 1) / size.astype(out.dtype)
    xp.subtract(x, excess, out=out, dtype=out.dtype)
    xp.maximum(out, 0, out=out)


def _within_support(g: Tensor, y: Tensor) -> Tensor:
    """Return the gradient without its mean over what is not 0, and 0 elsewhere."""
    there = cast_like(y > 0, g)
    g = g * there
    return g - there * (reduce.sum(g, axis=-1, keepdims=True) / reduce.sum(there, axis=-1, keepdims=True))


sparsemax.vjp(x=lambda g, y, x: _within_support(g, y))


@op(_classes, flops=cost.per_output(5))
def log_softmax(xp: ModuleType, out: Array, x: Array) -> None:
    """Return log(softmax(x)) along the last axis, accurate where the softmax is nearly 0."""
    xp.subtract(x, x.max(axis=-1, keepdims=True), out=out, dtype=out.dtype)
    xp.subtract(out, _log_total(xp, out), out=out)


def _log_total(xp: ModuleType, z: Array) -> Array:
    """Return log(sum(exp(z))) along the last axis, which is kept."""
    return xp.log(reduce.added(xp, xp.exp(z), -1, keepdims=True)).astype(z.dtype)


log_softmax.vjp(x=lambda g, y, x: g - exp(y) * reduce.sum(g, axis=-1, keepdims=True))


def _cross_entropy(z: Spec, t: Spec) -> tuple[Spec, Spec]:
    if z.shape != t.shape or z.ndim < 1:
        raise ShapeError("predictions and targets must have the same shape, (..., classes).")
    dtype = promote(z.dtype, t.dtype)
    return Spec(z.shape[:-1], dtype), Spec(z.shape, dtype)


@op(_cross_entropy, outs=2, flops=cost.per_input(8))
def softmax_cross_entropy(xp: ModuleType, loss: Array, p: Array, z: Array, t: Array) -> None:
    """Return -sum(t * log softmax(z)) along the last axis, and p = softmax(z)."""
    xp.subtract(z, z.max(axis=-1, keepdims=True), out=p)
    total = _log_total(xp, p)
    loss[...] = reduce.added(xp, t * (total - p), -1)
    xp.exp(p - total, out=p)


def _cross_entropy_grad(g: Spec, p: Spec, t: Spec) -> Spec:
    if g.shape != p.shape[:-1] or t.shape != p.shape:
        raise ShapeError("probabilities and targets must have the same shape, the gradient that without classes.")
    return p


@op(_cross_entropy_grad, flops=cost.per_output(4))
def softmax_cross_entropy_grad(xp: ModuleType, out: Array, g: Array, p: Array, t: Array) -> None:
    """Return g * (p * sum(t) - t), the gradient with respect to the logits; g lacks the last axis."""
    xp.multiply(p, reduce.added(xp, t, -1, keepdims=True).astype(out.dtype), out=out)
    xp.subtract(out, t, out=out)
    xp.multiply(out, g[..., None], out=out)


def _last(g: Tensor) -> Tensor:
    return reshape(g, (*g.shape, 1))


def _mass(t: Tensor) -> Tensor:
    return reduce.sum(t, axis=-1, keepdims=True)


softmax_cross_entropy_grad.vjp(
    g=lambda gg, y, g, p, t: reduce.sum(gg * (p * _mass(t) - t), axis=-1),
    p=lambda gg, y, g, p, t: _last(g) * _mass(t) * gg,
    t=lambda gg, y, g, p, t: _last(g) * (reduce.sum(gg * p, axis=-1, keepdims=True) - gg),
)


def _logits_grad(g: Gradients, p: Tensor, targets: Tensor, of_loss: Op[Tensor]) -> Tensor | None:
    """Return the gradient with respect to logits, from those of the loss and of the probabilities."""
    loss, probabilities = g
    return total(
        None if loss is None else of_loss(loss, p, targets),
        None if probabilities is None else _before_softmax(probabilities, p),
    )


softmax_cross_entropy.vjp(
    z=lambda g, y, z, t: _logits_grad(g, y[1], t, softmax_cross_entropy_grad),
    t=lambda g, y, z, t: None if g[0] is None else -_last(g[0]) * log_softmax(z),
)


def _sparse(z: Spec, labels: Spec) -> tuple[Spec, Spec]:
    if z.ndim < 1 or labels.shape != z.shape[:-1] or labels.dtype.kind not in "iu":
        raise ShapeError("labels must be integers with the shape of the predictions without the classes.")
    return z.with_shape(z.shape[:-1]), z


def _wanted(xp: ModuleType, labels: Array, like: Array) -> tuple[Array, Array]:
    """Return a mask of the classes of labels, (..., classes), and one of the labels that are out of range."""
    classes = like.shape[-1]
    at = labels.astype(np.int64)  # one of uint64 that is too large for it becomes negative
    return at[..., None] == xp.arange(classes), (at < 0) | (at >= classes)


@op(_sparse, outs=2, flops=cost.per_input(5))
def sparse_softmax_cross_entropy(xp: ModuleType, loss: Array, p: Array, z: Array, labels: Array) -> None:
    """Return -log softmax(z)[label] for integer labels, and p = softmax(z); NaN for a label out of range."""
    wanted, wrong = _wanted(xp, labels, z)
    xp.subtract(z, z.max(axis=-1, keepdims=True), out=p)
    total = _log_total(xp, p)
    # Selected and not multiplied by 0, so that infinities elsewhere do not matter.
    sums = reduce.added(xp, xp.where(wanted, total - p, p.dtype.type(0)), -1)
    loss[...] = xp.where(wrong, sums.dtype.type(np.nan), sums)
    xp.exp(p - total, out=p)


def _sparse_grad(g: Spec, p: Spec, labels: Spec) -> Spec:
    if g.shape != p.shape[:-1] or labels.shape != g.shape:
        raise ShapeError("gradient and labels must have the shape of the probabilities without the classes.")
    return p


@op(_sparse_grad, flops=cost.per_output(2))
def sparse_softmax_cross_entropy_grad(xp: ModuleType, out: Array, g: Array, p: Array, labels: Array) -> None:
    """Return g * (p - onehot(label)); NaN for a label out of range."""
    wanted, wrong = _wanted(xp, labels, p)
    xp.subtract(p, wanted.astype(p.dtype), out=out)
    xp.multiply(out, xp.where(wrong, g.dtype.type(np.nan), g)[..., None], out=out)


sparse_softmax_cross_entropy.vjp(
    z=lambda g, y, z, labels: _logits_grad(g, y[1], labels, sparse_softmax_cross_entropy_grad)
)


def _one_hot(labels: Spec, *, classes: int, dtype: DTypeLike) -> Spec:
    if labels.dtype.kind not in "iu":
        raise ShapeError(f"labels must be integers, got {labels.dtype}.")
    return Spec((*labels.shape, classes), np.dtype(dtype))


@op(_one_hot, flops=cost.free)
def one_hot(xp: ModuleType, out: Array, labels: Array, *, classes: int, dtype: DTypeLike) -> None:
    """Return rows of zeros with a 1 at the label; the row of a label out of range is all zeros."""
    at = labels.astype(np.int64)  # one of uint64 that is too large for it becomes negative
    xp.equal(at[..., None], xp.arange(classes), out=out, casting="unsafe")


def _beyond(p: Tensor, labels: Tensor) -> Tensor:
    return p - one_hot(labels, classes=p.shape[-1], dtype=p.dtype)


sparse_softmax_cross_entropy_grad.vjp(
    g=lambda gg, y, g, p, labels: reduce.sum(gg * _beyond(p, labels), axis=-1),
    p=lambda gg, y, g, p, labels: _last(g) * gg,
)


def _sigmoid_cross_entropy(z: Spec, t: Spec) -> Spec:
    return Spec(broadcast(z.shape, t.shape), promote(z.dtype, t.dtype))


@elementwise(_sigmoid_cross_entropy, flops=cost.per_output(8))
def sigmoid_cross_entropy(z: Expression, t: Expression) -> Expression:
    """Return -t log(sigmoid(z)) - (1 - t) log(1 - sigmoid(z)), elementwise, without overflow."""
    return e.maximum(z, 0) - z * t + e.log1p(e.exp(-e.absolute(z)))


sigmoid_cross_entropy.vjp(
    z=lambda g, y, z, t: g * (sigmoid(z) - t),
    t=lambda g, y, z, t: -g * z,
)
