"""Batch normalization, per channel, and layer normalization, per row: x (..., C)."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.grad import Gradients
from gpudl.engine.parts import total
from gpudl.engine.plan.ir import Applied
from gpudl.engine.plan.rewrite import Rewriter, rewrites
from gpudl.engine.spec import ShapeError, Spec, is_floating, promote
from gpudl.engine.state import state
from gpudl.engine.tensor import Tensor
from gpudl.kernels.expression import Expression
from gpudl.ops.primitives import reduce
from gpudl.ops.primitives.declare import elementwise, op
from gpudl.ops.primitives.elementwise import multiply
from gpudl.ops.primitives.exponential import sqrt
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "batch_norm",
    "layer_norm",
    "scale_shift",
]

Three = tuple[Tensor, Tensor, Tensor]


def _by_channel(x: Spec, *each: Spec) -> Spec:
    if not is_floating(x.dtype):
        raise ShapeError(f"expected floats, got {x.dtype}. Cast first.")
    if x.ndim < 1 or any(spec.shape != x.shape[-1:] for spec in each):
        raise ShapeError(f"expected one value per channel, {list(x.shape[-1:])}.")
    return Spec(x.shape, promote(x.dtype, *(spec.dtype for spec in each)))


def _batch_norm(x: Spec, gamma: Spec, beta: Spec, *, epsilon: float) -> tuple[Spec, Spec, Spec]:
    y = _by_channel(x, gamma, beta)
    return y, y.with_shape(gamma.shape), y.with_shape(gamma.shape)


def _rows(x: Tensor | Array) -> tuple[tuple[int, ...], float]:
    """Return the axes that are not the channels, and the weight of one row in a mean over them: NaN without rows."""
    count = x.size // max(x.shape[-1], 1)
    return tuple(range(x.ndim - 1)), 1 / count if count else float("nan")


@op(_batch_norm, outs=3, flops=cost.per_output(7))
def batch_norm(
    xp: ModuleType, y: Array, mean: Array, variance: Array, x: Array, gamma: Array, beta: Array, *, epsilon: float
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
        raise ShapeError("gradient and input of a normalization must have the same shape.")
    dx = _by_channel(x, gamma, mean, variance)
    return dx, dx.with_shape(gamma.shape), dx.with_shape(gamma.shape)


@op(_batch_norm_grad, outs=3, flops=cost.per_output(9))
def batch_norm_grad(
    xp: ModuleType,
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

    With n = (x - mean) / sqrt(variance + epsilon), that of x is the component of g orthogonal to 1 and to n, scaled.
    """
    axes, share = _rows(x)
    inverse = 1 / xp.sqrt(variance + dx.dtype.type(epsilon))
    normal = (x - mean) * inverse
    for_beta, for_gamma = (reduce.added(xp, terms, axes).astype(dx.dtype) for terms in (g, g * normal))
    dgamma[...], dbeta[...] = for_gamma, for_beta
    dx[...] = (g - (for_beta + normal * for_gamma) * share) * (gamma * inverse)


def _batch_norm_gradients(g: Tensor, x: Tensor, gamma: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Three:
    """Return the gradients of y in ops that have gradients themselves."""
    axes, share = _rows(x)
    inverse = 1.0 / sqrt(variance + epsilon)
    normal = (x - mean) * inverse
    for_gamma, for_beta = reduce.sum(g * normal, axis=axes), reduce.sum(g, axis=axes)
    return (g - (for_beta + normal * for_gamma) * share) * (gamma * inverse), for_gamma, for_beta


def _of_statistics(g: Gradients, mean: Tensor, x: Tensor, share: float) -> Tensor | None:
    """Return the gradient with respect to x from those of means and variances, which broadcast to it."""
    of_mean, of_variance = g
    return total(
        None if of_mean is None else reduce.broadcast_to(of_mean * share, shape=x.shape),
        None if of_variance is None else (x - mean) * (of_variance * (2 * share)),
    )


def _gradients(
    op: Callable[..., Three], in_ops: Callable[..., Three], statistics: Callable[..., Tensor | None]
) -> Callable[..., Gradients]:
    """Return the gradient rule of a normalization: by `op`, or by `in_ops` where a second derivative is needed."""

    def rule(
        wanted: set[str], g: Gradients, y: Three, x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float
    ) -> Gradients:
        of_y: Gradients = (None,) * 3
        if g[0] is not None:
            of_y = (in_ops if state.gradients else op)(g[0], x, gamma, *y[1:], epsilon=epsilon)
        return total(of_y[0], statistics(g[1:], y[1], x)), *of_y[1:]

    return rule


batch_norm.joint_vjp(
    ("x", "gamma", "beta"),
    _gradients(batch_norm_grad, _batch_norm_gradients, lambda g, mean, x: _of_statistics(g, mean, x, _rows(x)[1])),
)


@elementwise(_by_channel, flops=cost.per_output(3))
def scale_shift(x: Expression, center: Expression, scale: Expression, shift: Expression) -> Expression:
    """Return (x - center) * scale + shift, each with one value per channel."""
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
    xp: ModuleType, y: Array, mean: Array, variance: Array, x: Array, gamma: Array, beta: Array, *, epsilon: float
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
        raise ShapeError("gradient and input of a normalization must have one shape, its statistics one value a row.")
    dx = _by_channel(x, gamma)
    return dx, dx.with_shape(gamma.shape), dx.with_shape(gamma.shape)


@op(_layer_norm_grad, outs=3, flops=cost.per_output(11))
def layer_norm_grad(
    xp: ModuleType,
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

    With n = (x - mean) / sqrt(variance + epsilon), that of x is the component of g * gamma orthogonal to 1 and to n,
    scaled.
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


def _column(statistic: Tensor) -> Tensor:
    return reshape(statistic, (*statistic.shape, 1))


def _layer_norm_gradients(g: Tensor, x: Tensor, gamma: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Three:
    """Return the gradients of y in ops that have gradients themselves."""
    inverse = 1.0 / sqrt(_column(variance) + epsilon)
    normal = (x - _column(mean)) * inverse
    slope = g * gamma
    common, along = (reduce.mean(terms, axis=-1, keepdims=True) for terms in (slope, slope * normal))
    for_gamma, for_beta = (reduce.sum_to(terms, shape=gamma.shape) for terms in (g * normal, g))
    return (slope - common - normal * along) * inverse, for_gamma, for_beta


def _of_row_statistics(g: Gradients, mean: Tensor, x: Tensor) -> Tensor | None:
    return _of_statistics(
        tuple(None if each is None else _column(each) for each in g), _column(mean), x, 1 / max(x.shape[-1], 1)
    )


layer_norm.joint_vjp(("x", "gamma", "beta"), _gradients(layer_norm_grad, _layer_norm_gradients, _of_row_statistics))


@rewrites("batch_norm")
@rewrites("scale_shift")
def fuse_relu(rewriter: Rewriter, instruction: Applied) -> None:
    """Fuse a normalization with the ReLU after it."""
    cut = rewriter.only_user(instruction.outs[0], "relu")
    if cut is not None:
        rewriter.fuse([instruction, cut], f"{instruction.name}+relu")


@rewrites("batch_norm_grad")
def fuse_relu_gradient(rewriter: Rewriter, instruction: Applied) -> None:
    """Fuse the gradients of a ReLU and of the normalization before it."""
    slope = rewriter.maker(instruction.ins[0], "activation_grad")
    if slope is not None:
        rewriter.fuse([slope, instruction], "activation_grad+batch_norm_grad")
