"""One case for each loss: the arguments that it takes, data for it, and a formula that shares no code with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

EPSILON = 1e-7
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
Arrays = tuple[np.ndarray, np.ndarray]
Rng = np.random.Generator
Options = dict[str, Any]
Configuration = tuple[Options, str | None, tuple[int, ...], Arrays, np.ndarray | None]


@dataclass
class Case:
    """What a loss is tested by.

    Attributes:
        data: targets and predictions of a shape, for some options.
        formula: the loss of each sample, ``formula(targets, predictions, **options)``.
        options: values of each argument of its own, all equally likely; the first ones are the defaults.
        shapes: of the predictions, equal along all axes that an option may choose.
        counts: which samples count in a mean, ``counts(targets, values, options)``; all of them by default.
    """

    data: Callable[[Rng, tuple[int, ...], Options], Arrays]
    formula: Callable[..., np.ndarray]
    options: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    shapes: tuple[tuple[int, ...], ...] = ((4, 4), (4, 4, 4))
    counts: Callable[[np.ndarray, np.ndarray, Options], np.ndarray] = lambda t, values, options: np.ones(values.shape)


def configurations(name: str, count: int) -> Iterator[Configuration]:
    """Yield options, a reduction, a shape, data and sample weights: the defaults first, then random choices."""
    case, rng = CASES[name], np.random.default_rng(sum(map(ord, name)))
    for number in range(count):
        options = {key: values[rng.integers(len(values)) if number else 0] for key, values in case.options.items()}
        shape = case.shapes[number % len(case.shapes)]
        t, p = case.data(rng, shape, options)
        samples = case.formula(t, p, **options).shape
        weight = rng.uniform(0.1, 2.0, samples) if number % 3 else None
        yield options, REDUCTIONS[number % len(REDUCTIONS)], shape, (t, p), weight


def reduced(values: np.ndarray, counts: np.ndarray, weight: np.ndarray | None, reduction: str | None) -> np.ndarray:
    """Return what a loss makes of the values of its samples, those that do not count left out."""
    weighted = values * counts * (1 if weight is None else weight)
    if reduction in ("none", None):
        return weighted
    if reduction == "sum":
        return weighted.sum()
    if reduction == "mean_with_sample_weight" and weight is not None:
        return weighted.sum() / (weight * counts).sum()
    return weighted.sum() / counts.sum()


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def numbers(rng: Rng, shape: tuple[int, ...], options: Options) -> Arrays:
    return rng.normal(size=shape) * 2, rng.normal(size=shape) * 2


def counts(rng: Rng, shape: tuple[int, ...], options: Options) -> Arrays:
    return rng.poisson(2, shape).astype(float), rng.uniform(0.1, 4, shape)


def signs(rng: Rng, shape: tuple[int, ...], options: Options) -> Arrays:
    """Return targets of -1 and 1, or of 0 and 1, which stand for the same."""
    t = rng.integers(0, 2, shape).astype(float)
    return (t if rng.random() < 0.5 else 2 * t - 1), rng.normal(size=shape)


def regions(rng: Rng, shape: tuple[int, ...], options: Options) -> Arrays:
    return rng.integers(0, 2, shape).astype(float), rng.uniform(0.02, 0.98, shape)


def yes_or_no(rng: Rng, shape: tuple[int, ...], options: Options) -> Arrays:
    t, p = regions(rng, shape, options)
    return t, np.log(p / (1 - p)) if options.get("from_logits") else p


def distributions(rng: Rng, shape: tuple[int, ...], options: Options) -> Arrays:
    return softmax(rng.normal(size=shape)), softmax(rng.normal(size=shape))


def labels(rng: Rng, shape: tuple[int, ...], options: Options) -> Arrays:
    """Return class labels, and scores with the classes along the axis that the options say."""
    t, z = rng.integers(0, shape[-1], shape[:-1]), rng.normal(size=shape) * 2
    return t, np.moveaxis(z if options.get("from_logits") else softmax(z), -1, options.get("axis", -1))


def one_hot(rng: Rng, shape: tuple[int, ...], options: Options) -> Arrays:
    t, p = labels(rng, shape, options)
    return np.moveaxis(np.eye(shape[-1])[t], -1, options.get("axis", -1)), p


def embeddings(rng: Rng, shape: tuple[int, ...], options: Options) -> Arrays:
    p = rng.normal(size=shape)
    return rng.integers(0, 3, shape[:1]), p / np.linalg.norm(p, axis=-1, keepdims=True)


def probabilities(p: np.ndarray, from_logits: bool) -> np.ndarray:
    return 1 / (1 + np.exp(-p)) if from_logits else p


def binary(
    t: np.ndarray, p: np.ndarray, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1,
    gamma: float = 0, alpha: float = 0.25, apply_class_balancing: bool = False,
) -> np.ndarray:  # fmt: skip
    p, t = probabilities(p, from_logits), t * (1 - label_smoothing) + label_smoothing / 2
    each = -(t * np.log(p) + (1 - t) * np.log1p(-p)) * (1 - t * p - (1 - t) * (1 - p)) ** gamma
    return (each * (t * alpha + (1 - t) * (1 - alpha) if apply_class_balancing else 1)).mean(axis=axis)


def categorical(
    t: np.ndarray, p: np.ndarray, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1,
    gamma: float = 0, alpha: float = 1.0,
) -> np.ndarray:  # fmt: skip
    t, p = np.moveaxis(t, axis, -1), np.moveaxis(p, axis, -1)
    t, p = t * (1 - label_smoothing) + label_smoothing / t.shape[-1], softmax(p) if from_logits else p
    p = p / p.sum(axis=-1, keepdims=True)
    return -(alpha * (1 - p) ** gamma * t * np.log(p)).sum(axis=-1)


def sparse(
    t: np.ndarray, p: np.ndarray, from_logits: bool = False, ignore_class: Any = None, axis: int = -1
) -> np.ndarray:
    p = np.moveaxis(p, axis, -1)
    picked = np.take_along_axis(softmax(p) if from_logits else p, t[..., None].astype(int), -1)[..., 0]
    return np.where(t == ignore_class, 0.0, -np.log(picked)) if ignore_class is not None else -np.log(picked)


def circle(t: np.ndarray, p: np.ndarray, gamma: float, margin: float, remove_diagonal: bool) -> np.ndarray:
    found = []
    for i in range(len(t)):
        d = 1 - p @ p[i]
        same = [j for j in range(len(t)) if t[j] == t[i] and not (remove_diagonal and i == j)]
        others = [j for j in range(len(t)) if t[j] != t[i]]
        pull = sum(np.exp(-gamma * (margin + d[j]) * (margin - d[j])) for j in same)
        push = sum(np.exp(gamma * max(1 + margin - d[j], 0) * (1 - margin - d[j])) for j in others)
        found.append(np.log1p(pull * push))
    return np.array(found)


def dice(t: np.ndarray, p: np.ndarray, axis: Any = None) -> np.ndarray:
    return np.asarray(1 - 2 * (t * p).sum(axis) / (t.sum(axis) + p.sum(axis) + EPSILON))


def tversky(t: np.ndarray, p: np.ndarray, alpha: float, beta: float, axis: Any) -> np.ndarray:
    missed, wrong = (t * (1 - p)).sum(axis), ((1 - t) * p).sum(axis)
    rest = alpha * missed + beta * wrong + EPSILON
    return np.asarray(rest / ((t * p).sum(axis) + rest))


def sequences(rng: Rng, shape: tuple[int, ...], options: Options) -> Arrays:
    """Return labels from 1 on, filled up with 0, and logits for more steps."""
    t = rng.integers(1, shape[-1], (shape[0], 3))
    return np.where(np.arange(3) < rng.integers(1, 4, (shape[0], 1)), t, 0), rng.normal(size=shape) * 2


def ctc(t: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the loss from the probabilities of all ways to say each sequence, one by one."""
    found = []
    for labels, p in zip(t, softmax(z), strict=True):
        wanted, total = [label for label in labels if label], 0.0
        for said in product(range(p.shape[1]), repeat=len(p)):
            once = [k for k, before in zip(said, (0, *said[:-1]), strict=True) if k and k != before]
            total += np.prod(p[np.arange(len(p)), said]) if once == wanted else 0.0
        found.append(-np.log(total))
    return np.array(found)


def hinge(t: np.ndarray, p: np.ndarray) -> np.ndarray:
    t = 2 * t - 1 if set(np.unique(t)) <= {0, 1} else t
    return np.maximum(1 - t * p, 0)


def best_other(t: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.maximum(np.where(t == 1, 0, p).max(-1) - p[t == 1].reshape(p.shape[:-1]) + 1, 0)


def cosine(t: np.ndarray, p: np.ndarray, axis: int = -1) -> np.ndarray:
    return -(t * p).sum(axis) / np.linalg.norm(t, axis=axis) / np.linalg.norm(p, axis=axis)


PROBABILITIES = {"from_logits": (False, True), "label_smoothing": (0.0, 0.2), "axis": (-1, 0)}
CASES: dict[str, Case] = {
    "MeanSquaredError": Case(numbers, lambda t, p: ((t - p) ** 2).mean(-1)),
    "MeanAbsoluteError": Case(numbers, lambda t, p: np.abs(t - p).mean(-1)),
    "MeanAbsolutePercentageError": Case(numbers, lambda t, p: 100 * np.abs((t - p) / t).mean(-1)),
    "MeanSquaredLogarithmicError": Case(
        numbers,  # some of them below 0
        lambda t, p: (np.diff(np.log1p(np.maximum((t, p), EPSILON)), axis=0)[0] ** 2).mean(-1),
    ),
    "Huber": Case(
        numbers,
        lambda t, p, delta: np.where(abs(t - p) <= delta, (t - p) ** 2 / 2, delta * abs(t - p) - delta**2 / 2).mean(-1),
        {"delta": (1.0, 0.8, 3)},
    ),
    "LogCosh": Case(numbers, lambda t, p: np.log(np.cosh(t - p)).mean(-1)),
    "CosineSimilarity": Case(numbers, cosine, {"axis": (-1, 0)}),
    "Hinge": Case(signs, lambda t, p: hinge(t, p).mean(-1)),
    "SquaredHinge": Case(signs, lambda t, p: (hinge(t, p) ** 2).mean(-1)),
    "CategoricalHinge": Case(one_hot, best_other),
    "KLDivergence": Case(distributions, lambda t, p: (t * np.log(t / p)).sum(-1)),
    "Poisson": Case(counts, lambda t, p: (p - t * np.log(p + EPSILON)).mean(-1)),
    "BinaryCrossentropy": Case(yes_or_no, binary, PROBABILITIES),
    "BinaryFocalCrossentropy": Case(
        yes_or_no,
        binary,
        {"apply_class_balancing": (False, True), "alpha": (0.25, 0.7), "gamma": (2.0, 1.5, 0)} | PROBABILITIES,
    ),
    "CategoricalCrossentropy": Case(one_hot, categorical, PROBABILITIES),
    "CategoricalFocalCrossentropy": Case(
        one_hot, categorical, {"alpha": (0.25, 0.7), "gamma": (2.0, 1.5, 0)} | PROBABILITIES
    ),
    "CategoricalGeneralizedCrossEntropy": Case(
        labels, lambda t, p, q: (1 - np.exp(-q * sparse(t, p))) / q, {"q": (0.5, 0.2, 0.9)}
    ),
    "SparseCategoricalCrossentropy": Case(
        labels,
        sparse,
        {"from_logits": (False, True), "ignore_class": (None, 2), "axis": (-1, 0)},
        counts=lambda t, values, options: t != (-1 if options["ignore_class"] is None else options["ignore_class"]),
    ),
    "Dice": Case(regions, dice, {"axis": (None, -1, 0, (0, 1))}),
    "Tversky": Case(regions, tversky, {"alpha": (0.5, 0.1, 2.0), "beta": (0.5, 1), "axis": (None, -1, 0, (0, 1))}),
    "CTC": Case(sequences, ctc, shapes=((3, 6, 3),)),
    "Circle": Case(
        embeddings,
        circle,
        {"gamma": (80.0, 1.0, 10), "margin": (0.4, 0.2), "remove_diagonal": (True, False)},
        ((9, 4), (12, 4)),
        counts=lambda t, values, options: values > 0,
    ),
}
