"""Cases of softmax and the cross-entropies: row by row, with `math`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from contract_cases.contract import ALL, REAL, Contract, Rng, Sample, elementwise, near, normal, random_shape
from contract_cases.elementwise import PAIRS, random_pair, wrong_pair

Row = list[float]
logits = near(-8, 8)


def softmax_row(z: Row) -> Row:
    top = max(z)
    total = math.fsum(math.exp(v - top) for v in z)
    return [math.exp(v - top) / total for v in z]


def log_softmax_row(z: Row) -> Row:
    top = max(z)
    total = math.log(math.fsum(math.exp(v - top) for v in z))
    return [v - top - total for v in z]


def sparsemax_row(z: Row) -> Row:
    """Return the numbers above the level at which they sum to 1, less that level: found by bisection."""
    low, high = max(z) - 1, max(z)
    for _ in range(80):
        level = (low + high) / 2
        if math.fsum(max(v - level, 0) for v in z) > 1:
            low = level
        else:
            high = level
    return [max(v - high, 0.0) for v in z]


def by_rows(function: Callable[..., Any], *arrays: np.ndarray, scalar: bool = False) -> np.ndarray:
    """Return `function` of the rows of the arrays, which may lack the last axis; `scalar` rows have none."""
    lead, classes = arrays[-1].shape[:-1], arrays[-1].shape[-1:]
    rows = [function(*(a[at].tolist() for a in arrays)) for at in np.ndindex(lead)]
    return np.array(rows, np.float64).reshape(lead if scalar else lead + classes)


def spread(z: np.ndarray, *_: np.ndarray) -> np.ndarray:
    """Return what is rounded on the way to log softmax(z): the shifted logits and the logarithm of the sum."""
    return z.max(axis=-1, keepdims=True, initial=-np.inf) - z + 1 + math.log(z.shape[-1])


def softmax(x: np.ndarray) -> np.ndarray:
    return by_rows(softmax_row, x)


def log_softmax(x: np.ndarray) -> np.ndarray:
    return by_rows(log_softmax_row, x)


def cross_entropy(z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def row(t: Row, z: Row) -> float:
        return -math.fsum(a * b for a, b in zip(t, log_softmax_row(z), strict=True))

    return by_rows(row, t, z, scalar=True), softmax(z)


def entropy_size(z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (np.abs(t) * spread(z)).sum(axis=-1), softmax(z) * spread(z)


def one_hot_rows(labels: np.ndarray, classes: int) -> np.ndarray:
    rows = [[float(k == label) for k in range(classes)] for label in labels.flat]
    return np.array(rows).reshape((*labels.shape, classes))


def one_hot(labels: np.ndarray, classes: int, dtype: str) -> np.ndarray:
    rows = one_hot_rows(labels, classes)
    return rows == 1 if dtype == "bool" else rows


def sparse(z: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def row(label: int, z: Row) -> float:
        return -log_softmax_row(z)[label] if 0 <= label < len(z) else math.nan

    return by_rows(row, labels, z, scalar=True), softmax(z)


def sparse_size(z: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return spread(z).max(axis=-1, initial=0), softmax(z) * spread(z)


def entropy_grad(g: np.ndarray, p: np.ndarray, t: np.ndarray) -> np.ndarray:
    def row(g: float, p: Row, t: Row) -> Row:
        return [g * (a * math.fsum(t) - b) for a, b in zip(p, t, strict=True)]

    return by_rows(row, g, p, t)


def sparse_grad(g: np.ndarray, p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    def row(g: float, label: int, p: Row) -> Row:
        inside = 0 <= label < len(p)
        return [g * (v - (k == label)) if inside else math.nan for k, v in enumerate(p)]

    return by_rows(row, g, labels, p)


def sigmoid_cross_entropy(z: float, t: float) -> float:
    return -t * (-math.log1p(math.exp(-z)) if z > 0 else z - math.log1p(math.exp(z))) - (1 - t) * (
        -z - math.log1p(math.exp(-z)) if z > 0 else -math.log1p(math.exp(z))
    )


def rows_make(rng: Rng, shape: tuple[int, ...]) -> Sample:
    return Sample((logits(rng, *shape),))


def dense_make(rng: Rng, shape: tuple[int, ...]) -> Sample:
    return Sample((logits(rng, *shape), near(0, 1)(rng, *shape)))


def labels_of(rng: Rng, shape: tuple[int, ...], dtype: str, wrong: bool) -> np.ndarray:
    labels = rng.integers(0, shape[-1], shape[:-1]).astype(dtype)
    if wrong:
        labels.flat[0], labels.flat[1] = shape[-1], -1 if labels.dtype.kind == "i" else shape[-1] + 1
    return labels


def sparse_make(rng: Rng, shape: tuple[int, ...], dtype: str = "int64", wrong: bool = False) -> Sample:
    return Sample((logits(rng, *shape), labels_of(rng, shape, dtype, wrong)), smooth=not wrong)


def dense_grad_make(rng: Rng, shape: tuple[int, ...]) -> Sample:
    return Sample((normal(rng, *shape[:-1]), near(0, 1)(rng, *shape), near(0, 1)(rng, *shape)))


def sparse_grad_make(rng: Rng, shape: tuple[int, ...], dtype: str = "int64", wrong: bool = False) -> Sample:
    inputs = normal(rng, *shape[:-1]), near(0, 1)(rng, *shape), labels_of(rng, shape, dtype, wrong)
    return Sample(inputs, smooth=not wrong)


def one_hot_make(rng: Rng, shape: tuple[int, ...], classes: int, dtype: str, label: str) -> Sample:
    labels = rng.integers(0, classes + 2, shape).astype(label)
    return Sample((labels,), {"classes": classes, "dtype": dtype}, result=dtype)


def pair_make(rng: Rng, z: tuple[int, ...], t: tuple[int, ...]) -> Sample:
    return Sample((logits(rng, *z), near(0, 1)(rng, *t)))


def classes_of(sample: Sample) -> float:
    return 2 * sample.inputs[0].shape[-1] + 8


def random_matrix(rng: Rng) -> tuple[Any, ...]:
    return (tuple(int(n) for n in rng.integers(1, 15, 2)),)


ROWS = [((2, 3),), ((5,),), ((2, 3, 4),), ((3, 1),), ((0, 4),), ((1, 10),)]
SPARSE_ROWS = [*ROWS, ((4, 3), "int32"), ((4, 3), "uint8"), ((4, 3), "int64", True), ((4, 3), "uint8", True)]
NO_CLASS = [Sample((np.ones((2, 0)),)), Sample((np.array(1.0),))]
Z, LABELS = np.ones((2, 3)), np.zeros(2, int)

CONTRACTS = [
    Contract(
        "softmax",
        softmax,
        rows_make,
        ROWS,
        lambda rng: (random_shape(rng),),
        NO_CLASS,
        classes_of,
        lambda x: softmax(x) * spread(x),
        REAL,
    ),
    Contract(
        "log_softmax",
        log_softmax,
        rows_make,
        ROWS,
        lambda rng: (random_shape(rng),),
        NO_CLASS,
        classes_of,
        spread,
        REAL,
    ),
    Contract(
        "sparsemax",
        lambda x: by_rows(sparsemax_row, x),
        lambda rng, shape: Sample((near(-1, 1)(rng, *shape),)),
        ROWS,
        lambda rng: (random_shape(rng),),
        NO_CLASS,
        classes_of,
        lambda x: np.abs(x) + 1,
        REAL,
    ),
    Contract(
        "softmax_cross_entropy",
        cross_entropy,
        dense_make,
        ROWS,
        random_matrix,
        [Sample((Z, np.ones((2, 4))))],
        classes_of,
        entropy_size,
        REAL,
    ),
    Contract(
        "sparse_softmax_cross_entropy",
        sparse,
        sparse_make,
        SPARSE_ROWS,
        random_matrix,
        [Sample((Z, np.zeros(3, int))), Sample((Z, np.ones(2)))],
        classes_of,
        sparse_size,
        REAL,
    ),
    Contract(
        "softmax_cross_entropy_grad",
        entropy_grad,
        dense_grad_make,
        ROWS,
        random_matrix,
        [Sample((np.ones(3), Z, Z)), Sample((np.ones(2), Z, np.ones((2, 4))))],
        lambda sample: sample.inputs[1].shape[-1] + 3,
        lambda g, p, t: np.abs(g[..., None]) * (p * t.sum(axis=-1, keepdims=True) + t),
        REAL,
    ),
    Contract(
        "sparse_softmax_cross_entropy_grad",
        sparse_grad,
        sparse_grad_make,
        SPARSE_ROWS,
        random_matrix,
        [Sample((np.ones(3), Z, LABELS)), Sample((np.ones(2), Z, np.zeros(3, int)))],
        2,
        lambda g, p, labels: np.abs(g[..., None]) * (p + 1),
        REAL,
    ),
    Contract(
        "one_hot",
        one_hot,
        one_hot_make,
        [
            ((4,), 3, "float32", "int64"),
            ((2, 3), 5, "float64", "uint8"),
            ((0,), 2, "float16", "int32"),
            ((), 4, "float32", "int64"),
            ((3,), 2, "bool", "int32"),
        ],
        lambda rng: (random_shape(rng), 5, "float32", "int64"),
        [Sample((np.ones(3),), {"classes": 2, "dtype": "float32"})],
    ),
    Contract(
        "sigmoid_cross_entropy",
        elementwise(sigmoid_cross_entropy),
        pair_make,
        PAIRS,
        random_pair,
        wrong_pair(),
        8,
        lambda z, t: np.abs(z) * (1 + np.abs(t)) + 1,
        ALL,
    ),
]
