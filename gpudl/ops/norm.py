"""Normalization channel by channel, or row by row: x (..., C)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.fusion import Graph, rewrites
from gpudl.engine.op import Op, op
from gpudl.engine.plan import Instruction
from gpudl.engine.spec import ShapeError, Spec, is_floating, promote
from gpudl.engine.state import state
from gpudl.engine.tensor import Tensor
from gpudl.kernels.expression import Expression
from gpudl.ops import reduce
from gpudl.ops.declare import elementwise
from gpudl.ops.elementwise import multiply, sqrt, square


def _by_channel(x: Spec, *each: Spec) -> Spec:
    if not is_floating(x.dtype):
        raise ShapeError(f"expected floats, got {x.dtype}. Cast first.")
    if x.ndim < 1 or any(spec.shape != x.shape[-1:] for spec in each):
        raise ShapeError(f"expected one number for each channel, {list(x.shape[-1:])}.")
    return Spec(x.shape, promote(x.dtype, *(spec.dtype for spec in each)))


def _batch_norm(x: Spec, gamma: Spec, beta: Spec, *, epsilon: float) -> tuple[Spec, Spec, Spec]:
    y = _by_channel(x, gamma, beta)
    return y, y.with_shape(gamma.shape), y.with_shape(gamma.shape)


def _rows(x: Any) -> tuple[tuple[int, ...], float]:
    """Return the axes that are not the channels, and the share of one row in a mean over them: NaN of none."""
    count = x.size // max(x.shape[-1], 1)
    return tuple(range(x.ndim - 1)), 1 / count if count else float("nan")


@op(_batch_norm, outs=3, flops=cost.per_output(7))
def batch_norm(
    xp: Any, y: Array, mean: Array, variance: Array, x: Array, gamma: Array, beta: Array, *, epsilon: float
) -> None:
    """Return gamma * (x - mean) / sqrt(variance + epsilon) + beta, and the mean and variance of each channel.

    The variance is the mean of (x - mean)**2.

    Source: Ioffe and Szegedy, "Batch normalization", ICML 2015.
    """
    axes, share = _rows(x)
    center = (reduce.added(xp, x, axes) * share).astype(y.dtype)
    centered = x - center
    spread = (reduce.added(xp, centered * centered, axes) * share).astype(y.dtype)
    mean[...], variance[...] = center, spread
    y[...] = centered * (gamma / xp.sqrt(spread + y.dtype.type(epsilon))) + beta


def _batch_norm_grad(
    g: Spec, x: Spec, gamma: Spec, mean: Spec, variance: Spec, *, epsilon: float
) -> tuple[Spec, Spec, Spec]:
    if g.shape != x.shape:
        raise ShapeError("gradient and input of a normalization must have one shape.")
    dx = _by_channel(x, gamma, mean, variance)
    return dx, dx.with_shape(gamma.shape), dx.with_shape(gamma.shape)


@op(_batch_norm_grad, outs=3, flops=cost.per_output(9))
def batch_norm_grad(
    xp: Any,
    dx: Array,
    dgamma: Array,
    dbeta: Array,
    g: Array,
    x: Array,
    gamma: Array,
    mean: Array,
    variance: Array,
    *,
    epsilon: float,
) -> None:
    """Return the gradients of `batch_norm` with respect to x, gamma and beta, from its input and its statistics.

    With n = (x - mean) / sqrt(variance + epsilon), that of x is what g has in common with neither 1 nor n.
    """
    axes, share = _rows(x)
    inverse = 1 / xp.sqrt(variance + dx.dtype.type(epsilon))
    normal = (x - mean) * inverse
    for_beta, for_gamma = (reduce.added(xp, terms, axes).astype(dx.dtype) for terms in (g, g * normal))
    dgamma[...], dbeta[...] = for_gamma, for_beta
    dx[...] = (g - (for_beta + normal * for_gamma) * share) * (gamma * inverse)


def _slow_gradient(number: int, g: Tensor, x: Tensor, gamma: Tensor, epsilon: float) -> Tensor:
    """Return a gradient in ops that have gradients themselves, the statistics a part of the graph."""
    axes, share = _rows(x)
    centered = x - reduce.mean(x, axis=axes)
    inverse = 1.0 / sqrt(reduce.mean(square(centered), axis=axes) + epsilon)
    normal = centered * inverse
    for_beta, for_gamma = reduce.sum(g, axis=axes), reduce.sum(g * normal, axis=axes)
    if number:
        result: Tensor = for_gamma if number == 1 else for_beta
        return result
    through: Tensor = (g - (for_beta + normal * for_gamma) * share) * (gamma * inverse)
    return through


def _gradients(op: Op, slow: Callable[..., Tensor]) -> dict[str, Any]:
    """Return the rules of a normalization by the op of its gradients, or by `slow` ones with gradients of their own."""

    def of(number: int) -> Any:
        def rule(
            g: Tensor, y: tuple[Tensor, Tensor, Tensor], x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float
        ) -> Tensor:
            if state.gradients:  # a second derivative is wanted
                return slow(number, g, x, gamma, epsilon)
            result: Tensor = op(g, x, gamma, *y[1:], epsilon=epsilon)[number]  # a plan computes it once
            return result

        return rule

    return {"x": of(0), "gamma": of(1), "beta": of(2)}


batch_norm.vjp(**_gradients(batch_norm_grad, _slow_gradient))


@elementwise(_by_channel, flops=cost.per_output(3))
def scale_shift(x: Expression, center: Expression, scale: Expression, shift: Expression) -> Expression:
    """Return (x - center) * scale + shift, each of these one number a channel."""
    return (x - center) * scale + shift


scale_shift.vjp(
    x=lambda g, y, x, center, scale, shift: multiply(g, scale),
    center=lambda g, y, x, center, scale, shift: reduce.sum_to(g, shape=center.shape) * -scale,
    scale=lambda g, y, x, center, scale, shift: reduce.sum_to(g * (x - center), shape=scale.shape),
    shift=lambda g, y, x, center, scale, shift: reduce.sum_to(g, shape=shift.shape),
)


def _layer_norm(x: Spec, gamma: Spec, beta: Spec, *, epsilon: float) -> tuple[Spec, Spec, Spec]:
    y = _by_channel(x, gamma, beta)
    return y, y.with_shape(x.shape[:-1]), y.with_shape(x.shape[:-1])


@op(_layer_norm, outs=3, flops=cost.per_output(7))
def layer_norm(
    xp: Any, y: Array, mean: Array, variance: Array, x: Array, gamma: Array, beta: Array, *, epsilon: float
) -> None:
    """Return gamma * (x - mean) / sqrt(variance + epsilon) + beta, and the mean and variance of each row: (...).

    The variance is the mean of (x - mean)**2.

    Source: Ba, Kiros and Hinton, "Layer normalization", 2016.
    """
    share = 1 / max(x.shape[-1], 1)
    center = (reduce.added(xp, x, -1, keepdims=True) * share).astype(y.dtype)
    centered = x - center
    spread = (reduce.added(xp, centered * centered, -1, keepdims=True) * share).astype(y.dtype)
    mean[...], variance[...] = center[..., 0], spread[..., 0]
    y[...] = centered / xp.sqrt(spread + y.dtype.type(epsilon)) * gamma + beta


def _layer_norm_grad(
    g: Spec, x: Spec, gamma: Spec, mean: Spec, variance: Spec, *, epsilon: float
) -> tuple[Spec, Spec, Spec]:
    if g.shape != x.shape or mean.shape != x.shape[:-1] or variance.shape != mean.shape:
        raise ShapeError("gradient and input of a normalization must have one shape, and its statistics one a row.")
    dx = _by_channel(x, gamma)
    return dx, dx.with_shape(gamma.shape), dx.with_shape(gamma.shape)


@op(_layer_norm_grad, outs=3, flops=cost.per_output(11))
def layer_norm_grad(
    xp: Any,
    dx: Array,
    dgamma: Array,
    dbeta: Array,
    g: Array,
    x: Array,
    gamma: Array,
    mean: Array,
    variance: Array,
    *,
    epsilon: float,
) -> None:
    """Return the gradients of `layer_norm` with respect to x, gamma and beta, from its input and its statistics.

    With n = (x - mean) / sqrt(variance + epsilon), that of x is what g * gamma has in common with neither 1 nor n.
    """
    axes, share = tuple(range(x.ndim - 1)), 1 / max(x.shape[-1], 1)
    inverse = 1 / xp.sqrt(variance[..., None] + dx.dtype.type(epsilon))
    normal = (x - mean[..., None]) * inverse
    dgamma[...], dbeta[...] = reduce.added(xp, g * normal, axes), reduce.added(xp, g, axes)
    slope = g * gamma
    plain, along = (
        (reduce.added(xp, terms, -1, keepdims=True) * share).astype(dx.dtype) for terms in (slope, slope * normal)
    )
    dx[...] = (slope - (plain + normal * along)) * inverse


def _slow_row_gradient(number: int, g: Tensor, x: Tensor, gamma: Tensor, epsilon: float) -> Tensor:
    """Return a gradient in ops that have gradients themselves, the statistics a part of the graph."""
    centered = x - reduce.mean(x, axis=-1, keepdims=True)
    inverse = 1.0 / sqrt(reduce.mean(square(centered), axis=-1, keepdims=True) + epsilon)
    normal = centered * inverse
    if number:
        result: Tensor = reduce.sum_to(g * normal if number == 1 else g, shape=gamma.shape)
        return result
    slope = g * gamma
    common = reduce.mean(slope, axis=-1, keepdims=True)
    through: Tensor = (slope - common - normal * reduce.mean(slope * normal, axis=-1, keepdims=True)) * inverse
    return through


layer_norm.vjp(**_gradients(layer_norm_grad, _slow_row_gradient))


@rewrites("batch_norm")
@rewrites("scale_shift")
def cut_off_at_once(graph: Graph, step: Instruction) -> None:
    """Join a normalization with the ReLU after it."""
    cut = graph.only_user(step.outs[0], "relu")
    if cut is not None:
        graph.fuse([step, cut], f"{step.op.name}+relu")


@rewrites("batch_norm_grad")
def go_back_at_once(graph: Graph, step: Instruction) -> None:
    """Join the gradients of a ReLU and of the normalization before it."""
    slope = graph.maker(step.ins[0], "activation_grad")
    if slope is not None:
        graph.fuse([slope, step], "activation_grad+batch_norm_grad")
