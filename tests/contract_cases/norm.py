"""Cases of normalization: channel by channel, each a list of numbers, with sums rounded once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from contract_cases.contract import REAL, Contract, Rng, Sample, normal, positive, random_shape

Shape = tuple[int, ...]
Arrays = tuple[np.ndarray, ...]


def columns(*arrays: np.ndarray) -> list[list[list[float]]]:
    """Return for each channel what each array (..., C) holds of it."""
    flat = [a.reshape(-1, a.shape[-1]).T.tolist() for a in arrays]
    return [list(each) for each in zip(*flat, strict=True)]


def joined(values: list[list[float]], shape: Shape) -> np.ndarray:
    """Return lists of channels as an array (..., C)."""
    return np.array(values, np.float64).reshape(shape[-1], -1).T.reshape(shape)


def average(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def batch_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> Arrays:
    outs, means, variances = [], [], []
    for (column,), a, b in zip(columns(x), gamma.tolist(), beta.tolist(), strict=True):
        mean = average(column)
        variance = average([(v - mean) ** 2 for v in column])
        means.append(mean)
        variances.append(variance)
        outs.append([a * (v - mean) / math.sqrt(variance + epsilon) + b for v in column])
    return joined(outs, x.shape), np.array(means), np.array(variances)


def statistic_sizes(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> Arrays:
    """Return what is rounded where the mean is subtracted, and some number in the range of the channel before it."""
    _, mean, variance = batch_norm(x, gamma, beta, epsilon)
    rows = x.reshape(-1, x.shape[-1])
    span = rows.max(axis=0, initial=0) - rows.min(axis=0, initial=0)
    from_mean = np.abs(x - mean)
    for_mean, for_variance = 2 * span, (2 * span) ** 2
    inverse = np.abs(gamma) / np.sqrt(variance + epsilon)
    for_y = inverse * (np.abs(x) + for_mean + from_mean * for_variance / (variance + epsilon)) + np.abs(beta)
    return for_y, for_mean, for_variance


def batch_norm_grad(
    g: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> Arrays:
    dx, dgamma, dbeta = [], [], []
    for (slopes, column), a, m, v in zip(columns(g, x), gamma, mean, variance, strict=True):
        normals = [(value - m) / math.sqrt(v + epsilon) for value in column]
        for_beta = math.fsum(slopes)
        for_gamma = math.fsum(s * n for s, n in zip(slopes, normals, strict=True))
        dbeta.append(for_beta)
        dgamma.append(for_gamma)
        shares = [s - (for_beta + n * for_gamma) / len(column) for s, n in zip(slopes, normals, strict=True)]
        dx.append([a / math.sqrt(v + epsilon) * share for share in shares])
    return joined(dx, x.shape), np.array(dgamma), np.array(dbeta)


def gradient_sizes(
    g: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> Arrays:
    """Return the sums of the sizes of what is added."""
    inverse, count = 1 / np.sqrt(variance + epsilon), max(x.size // x.shape[-1], 1)
    normals = (np.abs(x) + np.abs(mean)) * inverse
    others = tuple(range(x.ndim - 1))
    for_beta, for_gamma = np.abs(g).sum(axis=others), (np.abs(g) * normals).sum(axis=others)
    dx = np.abs(gamma) * inverse * (np.abs(g) + (for_beta + normals * for_gamma) / count)
    return dx, for_gamma, for_beta


def layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> Arrays:
    outs, means, variances = [], [], []
    for row in x.reshape(-1, x.shape[-1]).tolist():
        mean = average(row)
        variance = average([(v - mean) ** 2 for v in row])
        means.append(mean)
        variances.append(variance)
        each = zip(row, gamma, beta, strict=True)
        outs.append([a * (v - mean) / math.sqrt(variance + epsilon) + b for v, a, b in each])
    lead = x.shape[:-1]
    return np.reshape(outs, x.shape), np.reshape(means, lead), np.reshape(variances, lead)


def row_sizes(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> Arrays:
    """Return what is rounded, as `statistic_sizes` does for channels."""
    _, mean, variance = layer_norm(x, gamma, beta, epsilon)
    span = x.max(axis=-1, initial=0) - x.min(axis=-1, initial=0)
    for_mean, for_variance = 2 * span, (2 * span) ** 2
    inverse = (1 / np.sqrt(variance + epsilon))[..., None]
    relative = (for_variance / (variance + epsilon))[..., None]
    away = np.abs(x - mean[..., None])
    for_y = np.abs(gamma) * inverse * (np.abs(x) + for_mean[..., None] + away * relative) + np.abs(beta)
    return for_y, for_mean, for_variance


def layer_norm_grad(
    g: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> Arrays:
    deviation = np.sqrt(variance + epsilon)[..., None]
    normals = (x - mean[..., None]) / deviation
    dx = []
    for slopes, row in zip(*(a.reshape(-1, x.shape[-1]).tolist() for a in (g * gamma, normals)), strict=True):
        plain = math.fsum(slopes) / len(row)
        along = math.fsum(s * n for s, n in zip(slopes, row, strict=True)) / len(row)
        dx.append([s - plain - n * along for s, n in zip(slopes, row, strict=True)])
    dgamma = [math.fsum(s * n for s, n in zip(*pair, strict=True)) for pair in columns(g, normals)]
    dbeta = [math.fsum(column) for (column,) in columns(g)]
    return np.reshape(dx, x.shape) / deviation, np.array(dgamma), np.array(dbeta)


def row_gradient_sizes(
    g: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> Arrays:
    """Return the sums of the sizes of what is added."""
    inverse = (1 / np.sqrt(variance + epsilon))[..., None]
    normals = (np.abs(x) + np.abs(mean[..., None])) * inverse
    slopes, others = np.abs(g * gamma), tuple(range(x.ndim - 1))
    plain, along = slopes.mean(axis=-1, keepdims=True), (slopes * normals).mean(axis=-1, keepdims=True)
    dx = inverse * (slopes + plain + normals * along)
    return dx, (np.abs(g) * normals).sum(axis=others), np.abs(g).sum(axis=others)


def scale_shift(x: np.ndarray, center: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    each = zip(columns(x), center.tolist(), scale.tolist(), shift.tolist(), strict=True)
    return joined([[(v - c) * s + t for v in column] for (column,), c, s, t in each], x.shape)


def forward_make(rng: Rng, shape: Shape, epsilon: float = 1e-3) -> Sample:
    c = shape[-1]
    return Sample((normal(rng, *shape), normal(rng, c), normal(rng, c)), {"epsilon": epsilon}, smooth=shape[0] > 0)


def backward_make(rng: Rng, shape: Shape, epsilon: float = 1e-3) -> Sample:
    each = normal(rng, shape[-1]), normal(rng, shape[-1]), positive(rng, shape[-1])
    return Sample((normal(rng, *shape), normal(rng, *shape), *each), {"epsilon": epsilon})


def row_backward_make(rng: Rng, shape: Shape, epsilon: float = 1e-3) -> Sample:
    each = normal(rng, shape[-1]), normal(rng, *shape[:-1]), positive(rng, *shape[:-1])
    return Sample((normal(rng, *shape), normal(rng, *shape), *each), {"epsilon": epsilon})


def scale_make(rng: Rng, shape: Shape) -> Sample:
    return Sample((normal(rng, *shape), *(normal(rng, shape[-1]) for _ in range(3))))


def rows_and(count: int) -> Any:
    """Return the roundings of a sum over the rows, and some more."""
    return lambda sample: max((x.size // x.shape[-1] for x in sample.inputs[:2]), default=0) + count


def draw(rng: Rng) -> tuple[Any, ...]:
    """Return a small shape, one of many channels, or one of several parts."""
    kind = int(rng.integers(3))
    if kind == 0:
        return (random_shape(rng, (2, 5)),)
    return (
        (int(rng.integers(1, 9)), int(rng.integers(500, 1100))) if kind == 1 else (1200, int(rng.integers(28, 40))),
    )


SHAPES = [((2, 3),), ((3, 2, 2, 5),), ((4,),), ((1, 3),), ((7, 1), 0.5), ((0, 3),), ((2, 5, 4), 1e-5)]
X, ONE = np.ones((2, 3)), np.ones(3)
STATIC = {"epsilon": 1e-3}

CONTRACTS = [
    Contract(
        "batch_norm",
        batch_norm,
        forward_make,
        SHAPES,
        draw,
        [
            Sample((X, ONE, np.ones(2)), STATIC),
            Sample((X, X, ONE), STATIC),
            Sample((X.astype(int), ONE, ONE), STATIC),
            Sample((np.array(1.0), ONE, ONE), STATIC),
        ],
        rows_and(8),
        statistic_sizes,
        REAL,
    ),
    Contract(
        "batch_norm_grad",
        batch_norm_grad,
        backward_make,
        [setting for setting in SHAPES if setting != ((0, 3),)],
        draw,
        [Sample((np.ones((2, 4)), X, ONE, ONE, ONE), STATIC), Sample((X, X, ONE, ONE, np.ones(2)), STATIC)],
        rows_and(12),
        gradient_sizes,
        REAL,
    ),
    Contract(
        "layer_norm",
        layer_norm,
        forward_make,
        SHAPES,
        draw,
        [
            Sample((X, ONE, np.ones(2)), STATIC),
            Sample((X, np.ones(2), ONE), STATIC),
            Sample((X.astype(int), ONE, ONE), STATIC),
            Sample((np.array(1.0), ONE, ONE), STATIC),
        ],
        lambda sample: sample.inputs[0].shape[-1] + 8,
        row_sizes,
        REAL,
    ),
    Contract(
        "layer_norm_grad",
        layer_norm_grad,
        row_backward_make,
        SHAPES,
        draw,
        [
            Sample((np.ones((2, 4)), X, ONE, np.ones(2), np.ones(2)), STATIC),
            Sample((X, X, ONE, ONE, np.ones(2)), STATIC),
            Sample((X, X, np.ones(2), np.ones(2), np.ones(2)), STATIC),
        ],
        lambda sample: sample.inputs[0].size + 12,
        row_gradient_sizes,
        REAL,
    ),
    Contract(
        "scale_shift",
        scale_shift,
        scale_make,
        [((2, 3),), ((3, 2, 2, 5),), ((4,),), ((0, 3),)],
        draw,
        [Sample((X, ONE, ONE, np.ones(2))), Sample((X.astype(int), ONE, ONE, ONE))],
        3,
        lambda x, center, scale, shift: (np.abs(x) + np.abs(center)) * np.abs(scale) + np.abs(shift),
    ),
]
