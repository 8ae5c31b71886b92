"""Data and formulas for the cases of metrics: the formulas take all samples at once, and share no code with gpudl."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import loss_cases
import numpy as np
from loss_cases import EPSILON, Options, Rng, softmax

CLASSES = 5
Arrays = tuple[np.ndarray, np.ndarray]
Formula = Callable[..., Any]


def labels(rng: Rng, n: int, options: Options) -> Arrays:
    return rng.integers(0, CLASSES, n), softmax(rng.normal(size=(n, CLASSES)))


def one_hot(rng: Rng, n: int, options: Options) -> Arrays:
    t, p = labels(rng, n, options)
    return np.eye(CLASSES)[t], p


def sorted_labels(rng: Rng, n: int, options: Options) -> Arrays:
    t, p = labels(rng, n, options)
    return t, np.argsort(-p, axis=-1).astype("int32") if options["from_sorted_ids"] else p


def of_loss(name: str) -> Callable[[Rng, int, Options], Arrays]:
    return lambda rng, n, options: loss_cases.CASES[name].data(rng, (n, 4), options)


def scores(rng: Rng, n: int, options: Options) -> Arrays:
    """Return yes-or-no targets and scores, some of them 0, 1 or on a threshold."""
    t, p = rng.integers(0, 2, (n, 3)), rng.uniform(0.01, 0.99, (n, 3))
    if options.get("from_logits"):
        return t, np.log(p / (1 - p))
    p[rng.random(p.shape) < 0.2] = rng.choice([0.0, 0.25, 0.5, 1.0])
    return t, p


def signs(rng: Rng, n: int, options: Options) -> Arrays:
    """Return targets of -1 and 1, in each batch."""
    return 2 * rng.integers(0, 2, (n, 4)) - 1, rng.normal(size=(n, 4))


def classes(rng: Rng, n: int, options: Options) -> Arrays:
    """Return labels, some of them out of range, as numbers, or one-hot and as scores, where the options say so."""
    t, p = rng.integers(0, 4, n), rng.integers(0, 3, n)
    t = t if options.get("sparse_y_true") else np.eye(3)[t % 3]
    return t, p if options["sparse_y_pred"] else softmax(rng.normal(size=(n, 3)))


def mean_of(values: Callable[..., np.ndarray], finish: Callable[[Any], Any] = float) -> Formula:
    """Return the formula of a weighted mean of values of samples, those with several elements as their mean."""

    def formula(t: np.ndarray, p: np.ndarray, w: np.ndarray, **options: Any) -> Any:
        each = values(t, p, **options)
        return finish((each.reshape(len(w), -1).mean(axis=1) * w).sum() / w.sum())

    return formula


def mean_loss(name: str) -> Formula:
    return mean_of(loss_cases.CASES[name].formula)


def correlation(t: np.ndarray, p: np.ndarray, axis: int) -> np.ndarray:
    both = [np.corrcoef(a, b)[0, 1] for a, b in zip(np.moveaxis(t, axis, -1), np.moveaxis(p, axis, -1), strict=True)]
    return np.array(both)


def concordance(t: np.ndarray, p: np.ndarray, axis: int) -> np.ndarray:
    apart = t.var(axis) + p.var(axis) + (t.mean(axis) - p.mean(axis)) ** 2
    covariance = (t * p).mean(axis) - t.mean(axis) * p.mean(axis)
    return 2 * covariance / (apart + EPSILON)


def top(t: np.ndarray, p: np.ndarray, k: int, from_sorted_ids: bool = False) -> np.ndarray:
    at = t if t.ndim == 1 else t.argmax(-1)
    best = p[:, :k] if from_sorted_ids else np.argsort(-p, axis=-1)[:, :k]
    return np.array([label in row for label, row in zip(at, best, strict=True)], float)


def confusion(
    t: np.ndarray, p: np.ndarray, w: np.ndarray, threshold: float, top_k: int | None = None, class_id: int | None = None
) -> np.ndarray:
    """Return true positives, false positives, true negatives and false negatives of each column."""
    p = p.astype("f").astype(float)
    positive = p > np.float32(threshold)
    if top_k is not None:
        positive &= np.argsort(np.argsort(-p, axis=-1, kind="stable"), axis=-1) < top_k
    if class_id is not None:
        t, positive = t[:, [class_id]], positive[:, [class_id]]
    t, w = t != 0, w[:, None]
    return np.array([(w * (a & b)).sum(0) for a, b in ((t, positive), (~t, positive), (~t, ~positive), (t, ~positive))])


def over(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(b == 0, 0, a / np.where(b == 0, 1, b))


def at_thresholds(result: Callable[[np.ndarray], Any]) -> Formula:
    """Return the formula of what comes of the four counts at each threshold."""

    def formula(t: np.ndarray, p: np.ndarray, w: np.ndarray, thresholds: Any, **options: Any) -> Any:
        default = 0.5 if options.get("top_k") is None else -1e9
        listed = [default] if thresholds is None else thresholds if isinstance(thresholds, list) else [thresholds]
        found = np.array([result(confusion(t, p, w, one, **options).sum(axis=1)) for one in listed])
        return found if isinstance(thresholds, list) and len(thresholds) > 1 else found[0]

    return formula


def best(of: Callable[[Any], Any], constrained: Callable[[Any], Any], least: str) -> Formula:
    def formula(t: Any, p: Any, w: Any, num_thresholds: int, class_id: int | None, **options: Any) -> Any:
        listed = [i / (num_thresholds - 1) for i in range(num_thresholds)] if num_thresholds > 1 else [0.5]
        counts = [confusion(t, p, w, one, class_id=class_id).sum(axis=1) for one in listed]
        return max([0.0, *(of(c) for c in counts if constrained(c) >= options[least])])

    return formula


def precision(c: np.ndarray) -> Any:
    return over(c[0], c[0] + c[1])


def recall(c: np.ndarray) -> Any:
    return over(c[0], c[0] + c[3])


def specificity(c: np.ndarray) -> Any:
    return over(c[2], c[2] + c[1])


def auc(
    t: Any, p: Any, w: Any, num_thresholds: int, curve: str, summation_method: str, thresholds: Any, multi_label: bool,
    num_labels: Any, label_weights: Any, from_logits: bool,
) -> Any:  # fmt: skip
    p = 1 / (1 + np.exp(-p)) if from_logits else p
    inner = (
        [i / (num_thresholds - 1) for i in range(1, num_thresholds - 1)] if thresholds is None else sorted(thresholds)
    )
    counts = np.array([confusion(t, p, w, one) for one in (-EPSILON, *inner, 1 + EPSILON)])
    shares = np.ones(3) if label_weights is None else np.array(label_weights)
    if not multi_label:
        counts, shares = (counts * shares).sum(axis=-1, keepdims=True), np.ones(1)
    areas = [area(counts[..., label], curve, summation_method) for label in range(len(shares))]
    return (np.array(areas) * shares).sum() / shares.sum()


def area(counts: np.ndarray, curve: str, method: str) -> float:
    """Return the area under the curve through the points of four counts each, from the lowest threshold on."""
    total = 0.0
    for high, low in pairwise(counts):
        if (curve, method) == ("PR", "interpolation"):
            (tp, fp, _, fn), (new, more) = low, (high - low)[:2]
            if new + more > 0 and tp + fn > 0:
                slope, positives = new / (new + more), tp + fp
                rest = tp - slope * positives
                ratio = (high[0] + high[1]) / positives if positives > 0 else 1
                total += slope * (new + rest * np.log(ratio)) / (tp + fn)
            continue
        (x1, y1), (x2, y2) = point(high, curve), point(low, curve)
        height = {"interpolation": (y1 + y2) / 2, "minoring": min(y1, y2), "majoring": max(y1, y2)}[method]
        total += (x1 - x2) * height
    return total


def point(c: np.ndarray, curve: str) -> tuple[float, float]:
    if curve == "ROC":
        return float(over(c[1], c[1] + c[2])), float(recall(c))
    if curve == "PR":
        return float(recall(c)), float(precision(c))
    odds = over(c[0] + c[3], c[2] + c[1])
    return (max(1 - odds * c[3] / c[0], 0), 1 - odds * c[1] / c[0]) if c[0] else (0.0, 1.0)


def f_score(t: Any, p: Any, w: Any, average: str | None, threshold: float | None, beta: float = 1.0) -> Any:
    chosen = p == p.max(-1, keepdims=True) if threshold is None else p > threshold
    w = w[:, None]
    tp, fp, fn = ((w * x).sum(0) for x in (chosen * t, chosen * (1 - t), ~chosen * t))
    weights = (w * t).sum(0)
    if average == "micro":
        tp, fp, fn = tp.sum(), fp.sum(), fn.sum()
    score = (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp + 1e-12)
    return (score * weights).sum() / weights.sum() if average == "weighted" else score.mean() if average else score


def r2(t: Any, p: Any, w: Any, class_aggregation: str | None, num_regressors: int) -> Any:
    w = w[:, None]
    mean = (w * t).sum(0) / w.sum()
    spread = (w * (t - mean) ** 2).sum(0)
    score = 1 - (w * (t - p) ** 2).sum(0) / spread
    if class_aggregation is not None:
        score = np.average(score, weights=spread if class_aggregation.startswith("variance") else None)
    return 1 - (1 - score) * (t.size - 1) / (t.size - num_regressors - 1) if num_regressors else score


def iou(
    t: Any, p: Any, w: Any, target_class_ids: Any, num_classes: int = 2, ignore_class: Any = None, **_: Any
) -> float:
    t, p = (x.argmax(-1) if x.ndim > 1 else x for x in (t, p))
    counted = (t < num_classes) & (p < num_classes) & (t != (-1 if ignore_class is None else ignore_class))
    t, p, w = t[counted], p[counted], w[counted]
    either = [w[(t == c) | (p == c)].sum() for c in target_class_ids]
    both = [w[(t == c) & (p == c)].sum() for c in target_class_ids]
    shares = [b / e for b, e in zip(both, either, strict=True) if e > 0]
    return float(np.mean(shares)) if shares else 0.0


def mean_iou(t: Any, p: Any, w: Any, num_classes: int, **options: Any) -> float:
    return iou(t, p, w, range(num_classes), num_classes, **options)


def binary_iou(t: Any, p: Any, w: Any, target_class_ids: Any, threshold: float) -> float:
    w = w if w.ndim > 1 else np.repeat(w, t.shape[1])
    return iou(*(x.reshape(-1) for x in (t, p >= np.float32(threshold), w)), target_class_ids)
