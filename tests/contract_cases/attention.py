"""Cases of attention: a loop over samples, heads and queries, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from contract_cases.contract import REAL, Contract, Rng, Sample, normal

Array = np.ndarray
Setting = tuple[Any, ...]


def one(scores: Array, seen: Array) -> tuple[Array, float]:
    """Return the weights of the keys for one query, and log-sum-exp."""
    if not seen.any():
        return np.full(len(scores), 1 / len(scores)), -np.inf
    powers = np.where(seen, np.exp(scores - scores[seen].max()), 0)
    return powers / powers.sum(), scores[seen].max() + np.log(powers.sum())


def each(q: Array, k: Array, v: Array, mask: tuple[Array, ...], scale: float, causal: bool) -> Any:
    """Yield indices of sample, query, head and head of keys, with the keys that are seen, weights and log-sum-exp."""
    shape = (q.shape[0], q.shape[2], q.shape[1], k.shape[1])
    shown = np.broadcast_to(mask[0] if mask else True, shape)
    for b, t, h in np.ndindex(q.shape[:3]):
        head = h * k.shape[2] // q.shape[2]
        seen = shown[b, h, t] & (np.arange(k.shape[1]) <= t if causal else True)
        yield b, t, h, head, seen, *one(k[b, :, head] @ q[b, t, h] * scale, seen)


def attention(q: Array, k: Array, v: Array, *mask: Array, scale: float, causal: bool) -> tuple[Array, Array]:
    out, lse = np.empty((*q.shape[:3], v.shape[3])), np.empty((q.shape[0], q.shape[2], q.shape[1]))
    for b, t, h, head, _, weights, lse[b, h, t] in each(q, k, v, mask, scale, causal):
        out[b, t, h] = weights @ v[b, :, head]
    return out, lse


def sizes(q: Array, k: Array, v: Array, *mask: Array, scale: float, causal: bool) -> tuple[Array, Array]:
    """Return the size of what is rounded: a rounding of a score changes its weight in proportion."""
    most = 2 + (np.abs(q).max(initial=0) * np.abs(k).max(initial=0) * q.shape[3] * abs(scale))
    return most * np.abs(v).max() * np.ones((*q.shape[:3], v.shape[3])), most * np.ones(q.shape[:1] + q.shape[2:0:-1])


def attention_grad(
    g: Array, out: Array, lse: Array, q: Array, k: Array, v: Array, *mask: Array, scale: float, causal: bool
) -> tuple[Array, Array, Array]:
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for b, t, h, head, seen, weights, _ in each(q, k, v, mask, scale, causal):
        dv[b, :, head] += np.outer(weights, g[b, t, h])
        slopes = np.where(seen, weights * (v[b, :, head] @ g[b, t, h] - g[b, t, h] @ out[b, t, h]), 0) * scale
        dq[b, t, h] = slopes @ k[b, :, head]
        dk[b, :, head] += np.outer(slopes, q[b, t, h])
    return dq, dk, dv


def gradient_sizes(
    g: Array, out: Array, lse: Array, q: Array, k: Array, v: Array, *mask: Array, scale: float, causal: bool
) -> tuple[Array, Array, Array]:
    largest = [np.abs(a).max(initial=0) for a in (g, q, k, v)]
    most = 2 + largest[1] * largest[2] * q.shape[3] * abs(scale)
    slope = most * largest[0] * largest[3] * 2 * v.shape[3] * abs(scale)
    shared = q.shape[1] * q.shape[2] // k.shape[2]
    return (
        np.full(q.shape, slope * largest[2]),
        np.full(k.shape, slope * largest[1] * shared),
        np.full(v.shape, most * largest[0] * shared),
    )


def make(rng: Rng, batch: int, tokens: Setting, heads: Setting, widths: Setting, masked: Any, causal: bool) -> Sample:
    (queries, keys), (shared, key_heads), (width, value_width) = tokens, heads, widths
    arrays = [
        normal(rng, batch, queries, shared * key_heads, width),
        normal(rng, batch, keys, key_heads, width),
        normal(rng, batch, keys, key_heads, value_width),
    ]
    if masked is not None:
        full = (batch, shared * key_heads, queries, keys)
        shape = tuple(n if kept else 1 for n, kept in zip(full, masked, strict=True))
        arrays.append(rng.random(shape) < 0.6)
    static = {"scale": 1 / (2 * width), "causal": causal}
    _, lse = attention(*arrays, **static)
    return Sample(tuple(arrays), static, smooth=bool(np.isfinite(lse).all()))


def backward_make(rng: Rng, *setting: Any) -> Sample:
    forward = make(rng, *setting)
    out, lse = attention(*forward.inputs, **forward.static)
    # What the forward pass returns is rounded to the dtype under test before the oracle sees it.
    return Sample((normal(rng, *out.shape), out, lse, *forward.inputs), forward.static, smooth=False)


def draw(rng: Rng) -> Setting:
    tokens = (int(n) for n in rng.choice([1, 3, 6, 7, 20, 200], 2, p=[0.1, 0.2, 0.2, 0.2, 0.2, 0.1]))
    widths = (int(n) for n in rng.choice([1, 3, 16, 17], 2))
    heads = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    masked = None if rng.random() < 0.4 else tuple(bool(n) for n in rng.integers(0, 2, 4))
    return int(rng.integers(1, 3)), tuple(tokens), heads, tuple(widths), masked, bool(rng.random() < 0.5)


SETTINGS: list[Setting] = [
    (2, (3, 4), (1, 2), (3, 2), None, False),
    (1, (4, 4), (2, 1), (2, 3), None, True),
    (2, (3, 5), (1, 1), (2, 2), (True, False, False, True), False),
    (1, (5, 3), (2, 2), (1, 2), (True, True, True, True), True),
    (1, (1, 1), (1, 1), (1, 1), None, False),
    (2, (2, 6), (1, 2), (2, 1), (False, True, True, False), False),
]
STATIC = {"scale": 0.5, "causal": False}
Q, K, V = np.ones((2, 3, 2, 4)), np.ones((2, 5, 2, 4)), np.ones((2, 5, 2, 6))
MASK = np.ones((2, 2, 3, 5), np.bool_)
WRONG = [
    (Q[0], K, V),
    (Q, K.astype(int), V),
    (Q, K[:1], V),
    (Q, K[..., :3], V),
    (Q, K[:, :4], V),
    (Q[:, :, :1], K, V),
    (Q, K, V, MASK.astype(int)),
    (Q, K, V, MASK[0]),
    (Q, K, V, MASK[..., :3]),
]


def roundings(sample: Sample) -> float:
    return float(max(a.shape[1] + a.shape[-1] for a in sample.inputs if a.ndim == 4) + 8)


CONTRACTS = [
    Contract(
        "attention",
        attention,
        make,
        SETTINGS,
        draw,
        [Sample(wrong, STATIC) for wrong in WRONG],
        roundings,
        sizes,
        REAL,
    ),
    Contract(
        "attention_grad",
        attention_grad,
        backward_make,
        SETTINGS,
        draw,
        [Sample((np.ones((2, 3, 2, 5)), np.ones((2, 3, 2, 6)), np.ones((2, 2, 3)), Q, K, V), STATIC)],
        roundings,
        gradient_sizes,
        REAL,
    ),
]
