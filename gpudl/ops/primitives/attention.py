"""Attention: queries (batch, queries, heads, width) over keys and values (batch, keys, key heads, ...)."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np

from gpudl.backend import Array, Static
from gpudl.engine.convert import as_tensor
from gpudl.engine.grad import Gradients
from gpudl.engine.spec import ShapeError, Spec, is_floating, promote
from gpudl.engine.state import state
from gpudl.engine.tensor import Tensor
from gpudl.ops.primitives import reduce
from gpudl.ops.primitives.declare import op
from gpudl.ops.primitives.elementwise import where, zeros_like
from gpudl.ops.primitives.exponential import exp
from gpudl.ops.primitives.logic import greater, logical_and
from gpudl.ops.primitives.matmul import matmul
from gpudl.ops.primitives.shape import reshape, transpose

_AXES = 4


def _check(q: Spec, k: Spec, v: Spec, mask: tuple[Spec, ...]) -> None:
    if not q.ndim == k.ndim == v.ndim == _AXES:
        raise ShapeError("queries, keys and values have four axes, (batch, tokens, heads, width).")
    if not all(is_floating(each.dtype) for each in (q, k, v)):
        raise ShapeError("queries, keys and values are floats. Cast them first.")
    if q.shape[0] != k.shape[0] or k.shape[:3] != v.shape[:3] or q.shape[3] != k.shape[3]:
        raise ShapeError(
            "queries and keys must have one batch size and width, keys and values one number of tokens and of heads."
        )
    if q.shape[2] % max(k.shape[2], 1):
        raise ShapeError(f"{q.shape[2]} heads of queries cannot share {k.shape[2]} heads of keys.")
    scores = (q.shape[0], q.shape[2], q.shape[1], k.shape[1])
    if len(mask) > 1 or any(m.ndim != _AXES or m.dtype.kind != "b" for m in mask):
        raise ShapeError("a mask is bool and has four axes, (batch, heads, queries, keys).")
    if any(n not in (1, size) for m in mask for n, size in zip(m.shape, scores, strict=True)):
        raise ShapeError(f"the mask of shape {mask[0].shape} does not broadcast to the scores, {scores}.")


def _attention(q: Spec, k: Spec, v: Spec, *mask: Spec, scale: float, causal: bool) -> tuple[Spec, Spec]:
    _check(q, k, v, mask)
    dtype = promote(q.dtype, k.dtype, v.dtype)
    return Spec((*q.shape[:3], v.shape[3]), dtype), Spec((q.shape[0], q.shape[2], q.shape[1]), dtype)


def _flops(products: int) -> Callable[[tuple[Spec, ...], tuple[Spec, ...], Static], int]:
    """Return a function that counts `products` products of tokens, of which the softmax is a small part."""

    def count(outs: tuple[Spec, ...], ins: tuple[Spec, ...], static: Static) -> int:
        q, k = ins[:2] if products == _FORWARD else ins[3:5]
        return 2 * products * q.size * k.shape[1]

    return count


_FORWARD, _BACKWARD = 2, 5


def _by_head(xp: ModuleType, x: Array, heads: int, dtype: np.dtype) -> Array:
    """Return x (B, T, K, D) as (B, heads, T, D), with each of its heads repeated."""
    return xp.ascontiguousarray(xp.repeat(x, heads // x.shape[2], axis=2).transpose(0, 2, 1, 3), dtype)


def _product(xp: ModuleType, a: Array, b: Array, **transposed: bool) -> Array:
    """Return the products of matrices by the op, which on a GPU has a kernel that can be captured."""
    rows, columns = (
        a.shape[-1 if "transpose_a" in transposed else -2],
        b.shape[-2 if "transpose_b" in transposed else -1],
    )
    out = xp.empty((*a.shape[:-2], rows, columns), a.dtype)
    matmul.run((out,), (a, b), transposed)
    return out


def _shown(xp: ModuleType, shape: tuple[int, ...], mask: tuple[Array, ...], causal: bool) -> Array:
    """Return which keys each query sees: bool, of the shape of the scores."""
    before = xp.arange(shape[2])[:, None] >= xp.arange(shape[3]) if causal else xp.ones((1, 1), np.bool_)
    return xp.broadcast_to(before & mask[0] if mask else before, shape)


def _weights(
    xp: ModuleType, q: Array, k: Array, mask: tuple[Array, ...], scale: float, causal: bool
) -> tuple[Array, Array, Array]:
    """Return the weights of the keys (B, H, T, S), log-sum-exp (B, H, T, 1), and which keys are seen."""
    scores = _product(xp, q, k, transpose_b=True) * q.dtype.type(scale)
    seen = _shown(xp, scores.shape, mask, causal)
    some = seen.any(axis=-1, keepdims=True)
    scores = xp.where(some, xp.where(seen, scores, q.dtype.type(-np.inf)), q.dtype.type(0))
    top = scores.max(axis=-1, keepdims=True)
    powers = xp.exp(scores - top)
    total = powers.sum(axis=-1, keepdims=True)
    return powers / total, xp.where(some, top + xp.log(total), q.dtype.type(-np.inf)), seen


@op(_attention, outs=2, flops=_flops(_FORWARD))
def attention(
    xp: ModuleType, out: Array, lse: Array, q: Array, k: Array, v: Array, *mask: Array, scale: float, causal: bool
) -> None:
    """Return softmax(scale * q @ k^T) @ v for each head, and the logarithms of the sums of exponentials, (B, H, T).

    q (B, T, H, D), k (B, S, K, D), v (B, S, K, E) become (B, T, H, E); each of the K heads of keys and values serves
    H / K of queries. A query sees the keys where the mask, which broadcasts to (B, H, T, S), is true, and if `causal`
    only those up to its own place. One that sees none gets the mean of all values, and its logarithm is -inf.

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017.
    """
    q, k, v = (_by_head(xp, x, q.shape[2], out.dtype) for x in (q, k, v))
    weights, logarithms, _ = _weights(xp, q, k, mask, scale, causal)
    lse[...] = logarithms[..., 0]
    out[...] = _product(xp, weights, v).transpose(0, 2, 1, 3)


def _attention_grad(
    g: Spec, out: Spec, lse: Spec, q: Spec, k: Spec, v: Spec, *mask: Spec, scale: float, causal: bool
) -> tuple[Spec, Spec, Spec]:
    made, logarithms = _attention(q, k, v, *mask, scale=scale, causal=causal)
    if g.shape != made.shape or out.shape != made.shape or lse.shape != logarithms.shape:
        raise ShapeError("the gradient has the shape of the result of attention.")
    return q, k, v


@op(_attention_grad, outs=3, flops=_flops(_BACKWARD))
def attention_grad(
    xp: ModuleType,
    dq: Array,
    dk: Array,
    dv: Array,
    g: Array,
    out: Array,
    lse: Array,
    q: Array,
    k: Array,
    v: Array,
    *mask: Array,
    scale: float,
    causal: bool,
) -> None:
    """Return the gradients of `attention` with respect to q, k and v, from its results and that of the first."""
    q, k, v, g, out = (_by_head(xp, x, q.shape[2], g.dtype) for x in (q, k, v, g, out))
    weights, _, seen = _weights(xp, q, k, mask, scale, causal)
    slopes = _product(xp, g, v, transpose_b=True) - (g * out).sum(axis=-1, keepdims=True)
    slopes = xp.where(seen, weights * slopes, g.dtype.type(0)) * g.dtype.type(scale)
    dq[...] = _product(xp, slopes, k).transpose(0, 2, 1, 3)
    dk[...] = _by_key(xp, slopes, q, dk.shape[2])
    dv[...] = _by_key(xp, weights, g, dv.shape[2])


def _by_key(xp: ModuleType, left: Array, right: Array, heads: int) -> Array:
    """Return left^T @ right (B, S, heads, D), with the sums of the heads that share one."""
    product = _product(xp, left, right, transpose_a=True)
    shared = product.reshape(len(product), heads, -1, *product.shape[2:])
    return shared.sum(axis=2).transpose(0, 2, 1, 3)


def heads_first(x: Tensor, heads: int) -> Tensor:
    """Return x (B, T, K, D) as (B, heads, T, D), with each of its heads repeated."""
    batch, tokens, own, width = x.shape
    if own != heads:
        apart, each = (batch, tokens, own, 1, width), (batch, tokens, own, heads // own, width)
        x = reshape(reduce.broadcast_to(reshape(x, apart), shape=each), (batch, tokens, heads, width))
    return transpose(x, axes=(0, 2, 1, 3))


def heads_last(x: Tensor, heads: int) -> Tensor:
    """Return x (B, H, T, D) as (B, T, heads, D), with the sums of what stands for one head."""
    batch, _, tokens, width = x.shape
    if x.shape[1] != heads:
        x = reduce.sum(reshape(x, (batch, heads, -1, tokens, width)), axis=2)
    return transpose(x, axes=(0, 2, 1, 3))


def visible(queries: int, keys: int, mask: Tensor | None, causal: bool) -> Tensor | None:
    """Return which keys each query sees, a bool that broadcasts to (B, H, T, S); None for all."""
    if not causal:
        return mask
    before = as_tensor(np.tri(queries, keys, dtype=np.bool_)[None, None])
    return before if mask is None else logical_and(before, mask)


def _in_ops(
    g: Gradients, y: tuple[Tensor, Tensor], ins: tuple[Tensor, ...], scale: float, causal: bool
) -> tuple[Tensor, ...]:
    """Return the gradients of both results in ops that have gradients themselves."""
    heads, key_heads = ins[0].shape[2], ins[1].shape[2]
    q, k, v, out = (heads_first(x, heads) for x in (*ins[:3], y[0]))
    lse = reshape(y[1], (*y[1].shape, 1))
    seen = visible(q.shape[2], k.shape[2], ins[3] if len(ins) > len("qkv") else None, causal)
    seen = as_tensor(np.ones((1, 1, 1, 1), np.bool_)) if seen is None else seen
    scores = where(seen, matmul(q, k, transpose_b=True) * scale - lse, -np.inf)
    weights = where(greater(lse, -np.inf), exp(scores), 1 / max(k.shape[2], 1))
    of_out = zeros_like(out) if g[0] is None else heads_first(g[0], heads)
    slopes = matmul(of_out, v, transpose_b=True) - reduce.sum(of_out * out, axis=-1, keepdims=True)
    if g[1] is not None:
        slopes = slopes + reshape(g[1], lse.shape)
    slopes = where(seen, weights * slopes, 0.0) * scale
    return (
        heads_last(matmul(slopes, k), heads),
        heads_last(matmul(slopes, q, transpose_a=True), key_heads),
        heads_last(matmul(weights, of_out, transpose_a=True), key_heads),
    )


def _gradients(
    wanted: set[str], g: Gradients, y: tuple[Tensor, Tensor], *ins: Tensor, scale: float, causal: bool
) -> tuple[Tensor, ...]:
    if g[0] is None or g[1] is not None or state.gradients:
        return _in_ops(g, y, ins, scale, causal)
    return attention_grad(g[0], *y, *ins, scale=scale, causal=causal)


attention.joint_vjp(("q", "k", "v"), _gradients)
