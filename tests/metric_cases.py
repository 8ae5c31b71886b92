"""One case for each metric: the arguments that it takes, data for it, and a formula in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import metric_formulas as f
import numpy as np
from loss_cases import Options, Rng
from metric_formulas import Arrays, Formula

Batch = tuple[np.ndarray, np.ndarray, np.ndarray | None]


@dataclass
class Case:
    """What a metric is tested by.

    Attributes:
        data: targets and predictions of so many samples, for some options.
        formula: the result, ``formula(targets, predictions, weights, **options)``, of all samples.
        options: values of each argument of its own; the first ones are the defaults, or stand for what has none.
        weights: draws the weights of samples.
    """

    data: Callable[[Rng, int, Options], Arrays]
    formula: Formula
    options: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    weights: Callable[[Rng, int], np.ndarray] = lambda rng, n: rng.uniform(0.1, 2, n)


def configurations(name: str, count: int, sizes: tuple[int, ...] = (8, 8, 8)) -> Iterator[tuple[Options, list[Batch]]]:
    """Yield options and batches of these sizes, every third without weights: the defaults first, then at random."""
    case, rng = CASES[name], np.random.default_rng(sum(map(ord, name)))
    for number in range(count):
        options = {key: values[rng.integers(len(values)) if number else 0] for key, values in case.options.items()}
        batches: list[Batch] = []
        for n in sizes:
            t, p = case.data(rng, n, options)
            weight = case.weights(rng, n) if number % 3 else None
            batches.append((t, single(p), None if weight is None else single(weight)))
        yield options, batches


def single(x: np.ndarray) -> np.ndarray:
    return x.astype("f") if x.dtype == np.float64 else x


def expected(name: str, options: Options, batches: list[Batch]) -> Any:
    """Return what the metric must be after these batches."""
    t, p = (np.concatenate([batch[side] for batch in batches]) for side in (0, 1))
    weights = [np.ones(len(batch[0])) if batch[2] is None else batch[2] for batch in batches]
    return CASES[name].formula(t.astype(float), p.astype(float), np.concatenate(weights).astype(float), **options)


def integers(rng: Rng, n: int) -> np.ndarray:
    return rng.integers(0, 4, n)


def of_loss(name: str, options: dict[str, tuple[Any, ...]] | None = None) -> Case:
    """Return the case of the mean of a loss."""
    return Case(f.of_loss(name), f.mean_loss(name), options or {})


THRESHOLDS = {"thresholds": (None, 0.3, [0.0, 0.5, 1.0], [0.9, 0.2], [0.0, 0.25, 0.5, 0.75, 1.0])}
TOP = {"top_k": (None, 1, 2), "class_id": (None, 1)}
AT = {"num_thresholds": (200, 1, 2, 5), "class_id": (None, 2)}
SPARSE = {"ignore_class": (None, 1), "sparse_y_true": (True, False), "sparse_y_pred": (True, False), "axis": (-1,)}
ONE_HOT = {"ignore_class": (None, 1), "sparse_y_pred": (False, True), "axis": (-1,)}
CLASSES = {"num_classes": (3,), "target_class_ids": ([0, 2], [1])}
SMOOTHED = {"from_logits": (False, True), "label_smoothing": (0.0, 0.2)}

CASES: dict[str, Case] = {
    "Accuracy": Case(
        lambda rng, n, options: (rng.integers(0, 3, n), rng.integers(0, 3, n).astype(float)),
        f.mean_of(lambda t, p: (t == p).astype(float)),
    ),
    "BinaryAccuracy": Case(
        f.scores,
        f.mean_of(lambda t, p, threshold: (t == (p > np.float32(threshold))).astype(float)),
        {"threshold": (0.5, 0.2)},
    ),
    "CategoricalAccuracy": Case(f.one_hot, f.mean_of(lambda t, p: f.top(t, p, 1))),
    "SparseCategoricalAccuracy": Case(f.labels, f.mean_of(lambda t, p: f.top(t, p, 1))),
    "TopKCategoricalAccuracy": Case(f.one_hot, f.mean_of(f.top), {"k": (5, 1, 2)}),
    "SparseTopKCategoricalAccuracy": Case(
        f.sorted_labels, f.mean_of(f.top), {"k": (5, 1, 2), "from_sorted_ids": (False, True)}
    ),
    **{name: of_loss(name) for name in ("MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError")},
    **{name: of_loss(name) for name in ("MeanSquaredLogarithmicError", "KLDivergence", "Poisson", "CategoricalHinge")},
    "LogCoshError": of_loss("LogCosh"),
    "Hinge": Case(f.signs, f.mean_loss("Hinge")),
    "SquaredHinge": Case(f.signs, f.mean_loss("SquaredHinge")),
    "RootMeanSquaredError": Case(
        f.of_loss("MeanSquaredError"), f.mean_of(lambda t, p: ((t - p) ** 2).mean(-1), np.sqrt)
    ),
    "CosineSimilarity": Case(
        f.of_loss("CosineSimilarity"), lambda *a, **o: -f.mean_loss("CosineSimilarity")(*a, **o), {"axis": (-1,)}
    ),
    "PearsonCorrelation": Case(f.of_loss("MeanSquaredError"), f.mean_of(f.correlation), {"axis": (-1, 1)}),
    "ConcordanceCorrelation": Case(f.of_loss("MeanSquaredError"), f.mean_of(f.concordance), {"axis": (-1, 1)}),
    "BinaryCrossentropy": of_loss("BinaryCrossentropy", SMOOTHED),
    "CategoricalCrossentropy": of_loss("CategoricalCrossentropy", {**SMOOTHED, "axis": (-1,)}),
    "SparseCategoricalCrossentropy": of_loss(
        "SparseCategoricalCrossentropy", {"from_logits": (False, True), "ignore_class": (None,), "axis": (-1,)}
    ),
    "TruePositives": Case(f.scores, f.at_thresholds(lambda c: c[0]), THRESHOLDS),
    "FalsePositives": Case(f.scores, f.at_thresholds(lambda c: c[1]), THRESHOLDS),
    "TrueNegatives": Case(f.scores, f.at_thresholds(lambda c: c[2]), THRESHOLDS),
    "FalseNegatives": Case(f.scores, f.at_thresholds(lambda c: c[3]), THRESHOLDS),
    "Precision": Case(f.scores, f.at_thresholds(f.precision), THRESHOLDS | TOP),
    "Recall": Case(f.scores, f.at_thresholds(f.recall), THRESHOLDS | TOP),
    "SensitivityAtSpecificity": Case(
        f.scores, f.best(f.recall, f.specificity, "specificity"), {"specificity": (0.5, 0.8)} | AT
    ),
    "SpecificityAtSensitivity": Case(
        f.scores, f.best(f.specificity, f.recall, "sensitivity"), {"sensitivity": (0.5, 0.8)} | AT
    ),
    "PrecisionAtRecall": Case(f.scores, f.best(f.precision, f.recall, "recall"), {"recall": (0.5, 0.8)} | AT),
    "RecallAtPrecision": Case(f.scores, f.best(f.recall, f.precision, "precision"), {"precision": (0.5, 0.7)} | AT),
    "AUC": Case(
        f.scores,
        f.auc,
        {
            "num_thresholds": (200, 2, 5),
            "curve": ("ROC", "PR", "PRGAIN"),
            "summation_method": ("interpolation", "minoring", "majoring"),
            "thresholds": (None, [0.9, 0.3], [0.25, 0.5, 0.75]),
            "multi_label": (False, True),
            "num_labels": (None,),
            "label_weights": (None, [0.2, 1.0, 0.5]),
            "from_logits": (False, True),
        },
    ),
    "FBetaScore": Case(
        f.scores,
        f.f_score,
        {"average": (None, "micro", "macro", "weighted"), "beta": (1.0, 2.0, 0.5), "threshold": (None, 0.3)},
    ),
    "F1Score": Case(f.scores, f.f_score, {"average": (None, "micro", "macro", "weighted"), "threshold": (None, 0.3)}),
    "R2Score": Case(
        f.of_loss("MeanSquaredError"),
        f.r2,
        {
            "class_aggregation": ("uniform_average", None, "variance_weighted_average"),
            "num_regressors": (0, 2),
        },
    ),
    "IoU": Case(f.classes, f.iou, CLASSES | SPARSE, integers),
    "MeanIoU": Case(f.classes, f.mean_iou, {"num_classes": (3,)} | SPARSE, integers),
    "OneHotIoU": Case(f.classes, f.iou, CLASSES | ONE_HOT, integers),
    "OneHotMeanIoU": Case(f.classes, f.mean_iou, {"num_classes": (3,)} | ONE_HOT, integers),
    "BinaryIoU": Case(
        f.scores,
        f.binary_iou,
        {"target_class_ids": ((0, 1), [0], [1]), "threshold": (0.5, 0.3)},
        lambda rng, n: np.repeat(integers(rng, n), 3).reshape(n, 3),
    ),
}
