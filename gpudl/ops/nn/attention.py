"""Attention with Keras's arguments."""

from __future__ import annotations

from math import sqrt

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.nn.probabilities import softmax
from gpudl.ops.primitives.activation import tanh
from gpudl.ops.primitives.attention import attention, heads_first, visible
from gpudl.ops.primitives.elementwise import where
from gpudl.ops.primitives.matmul import matmul
from gpudl.ops.primitives.shape import transpose

__all__ = [
    "dot_product_attention",
]

_AXES = 4


def dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    bias: TensorLike | None = None,
    mask: TensorLike | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """Return softmax(scale * query @ key^T + bias) @ value, head by head.

    Without a bias and a cap it is computed block by block, and the matrix of scores is never in memory.

    Args:
        query: (batch, queries, heads, width).
        key: (batch, keys, key heads, width); each head of keys serves the same number of heads of queries.
        value: (batch, keys, key heads, value width).
        bias: added to the scores, (batch, heads, queries, keys) or with sizes of 1.
        mask: which keys a query sees, bool of the same shape. A query that sees none gets the mean of all values.
        scale: the factor of the scores, 1 / sqrt(width) by default.
        is_causal: whether a query sees the keys up to its own place only.
        flash_attention: accepted; the kernel is chosen by the arguments.
        attn_logits_soft_cap: scores become cap * tanh(scores / cap).

    Returns:
        (batch, queries, heads, value width).

    Raises:
        ShapeError: the shapes do not fit each other.

    Example:
        >>> x = np.ones((1, 3, 2, 4), "float32")
        >>> dot_product_attention(x, x, x, is_causal=True).shape
        (1, 3, 2, 4)
    """
    q, k, v = operand(query), operand(key), operand(value)
    for name, each in (("query", q), ("key", k), ("value", v)):
        if each.ndim != _AXES:
            raise ShapeError(f"{name} must have four axes, (batch, tokens, heads, width), got shape {each.shape}.")
    scale = 1 / sqrt(max(q.shape[-1], 1)) if scale is None else float(scale)
    shown = None if mask is None else operand(mask)
    if shown is not None and shown.dtype.kind != "b":
        raise ShapeError(f"the mask must be bool, true for the keys that count, got {shown.dtype}.")
    if bias is None and attn_logits_soft_cap is None:
        return attention(q, k, v, *(() if shown is None else (shown,)), scale=scale, causal=bool(is_causal))[0]
    heads = q.shape[2]
    q, k, v = (heads_first(x, heads) for x in (q, k, v))
    scores = matmul(q, k, transpose_b=True) * scale
    if attn_logits_soft_cap is not None:
        scores = tanh(scores / attn_logits_soft_cap) * attn_logits_soft_cap
    if bias is not None:
        scores = scores + operand(bias, q)
    seen = visible(q.shape[2], k.shape[2], shown, bool(is_causal))
    if seen is not None:
        scores = where(seen, scores, float(np.finfo(np.float16).min) if q.dtype == np.float16 else -1e30)
    return transpose(matmul(softmax(scores), v), axes=(0, 2, 1, 3))
