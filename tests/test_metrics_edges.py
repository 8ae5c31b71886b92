"""Metrics at the edges: arguments that are refused, shapes that do not fit, masks, counters made at the first step."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import Input, Sequential, layers, losses, metrics, ops

REFUSED = [
    (lambda: metrics.Precision(1.5), "Precision: thresholds must be numbers from 0 to 1, got [1.5]."),
    (lambda: metrics.TruePositives([0.5, None]), "TruePositives: thresholds must be numbers from 0 to 1, got [None]."),
    (lambda: metrics.Recall([]), "Recall: thresholds must be numbers from 0 to 1, got []."),
    (lambda: metrics.Recall(top_k=0), "Recall: top_k must be a whole number of at least 1, got 0."),
    (lambda: metrics.Recall(class_id="a"), "Recall: class_id must be a whole number, got 'a'."),
    (lambda: metrics.AUC(curve="roc curve"), "AUC: curve must be one of ROC, PR, PRGAIN, and summation_method one of"),
    (lambda: metrics.AUC(1), "AUC: num_thresholds must be a whole number of at least 2, got 1."),
    (lambda: metrics.AUC(thresholds=[-1.0]), "AUC: thresholds must be numbers from 0 to 1, got [-1.0]."),
    (lambda: metrics.AUC(num_labels=3), "AUC: num_labels=3 is for multi_label=True only. Leave it out."),
    (lambda: metrics.PrecisionAtRecall(2), "PrecisionAtRecall: recall must be a number from 0 to 1, got 2."),
    (
        lambda: metrics.RecallAtPrecision(0.5, 0),
        "RecallAtPrecision: num_thresholds must be a whole number of at least 1",
    ),
    (
        lambda: metrics.FBetaScore("mean"),
        "FBetaScore: average must be one of None, micro, macro, weighted, got 'mean'.",
    ),
    (lambda: metrics.FBetaScore(beta=0), "FBetaScore: beta must be above 0, got 0."),
    (lambda: metrics.F1Score(threshold=1.5), "F1Score: threshold must be a number from 0 to 1, got 1.5."),
    (lambda: metrics.IoU(0, [0]), "IoU: num_classes must be a positive integer, got 0."),
    (lambda: metrics.IoU(2, [2]), "IoU: target_class_ids must be classes from 0 to 1, got 2."),
    (lambda: metrics.MeanIoU("a"), "MeanIoU: num_classes must be a positive integer, got 'a'."),
    (lambda: metrics.R2Score("mean"), "R2Score: class_aggregation must be one of None, uniform_average"),
    (
        lambda: metrics.R2Score(num_regressors=-1),
        "R2Score: num_regressors must be a whole number of at least 0, got -1.",
    ),
    (lambda: metrics.Hinge(axis=1), "hinge has no argument 'axis'. It takes none of this kind."),
    (lambda: metrics.MeanMetricWrapper(losses.huber, detla=1), "huber has no argument 'detla'. Did you mean 'delta'?"),
    (lambda: losses.Huber(detla=1), "huber has no argument 'detla'. Did you mean 'delta'?"),
    (lambda: losses.Tversky(alpha="a"), "Tversky: alpha must be a number of at least 0, got 'a'."),
    (lambda: losses.BinaryFocalCrossentropy(gamma=-1), "BinaryFocalCrossentropy: gamma must be a number of at least 0"),
    (lambda: losses.Circle(margin=None), "Circle: margin must be a number of at least 0, got None."),
    (lambda: losses.CategoricalGeneralizedCrossEntropy(1), "q must lie between 0 and 1, got 1."),
]


@pytest.mark.parametrize(("make", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_arguments_that_are_refused(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


def test_a_number_of_classes_is_needed() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'num_classes'"):
        metrics.MeanIoU()


ONES, WIDE = np.ones((4, 3), "f"), np.ones((4, 2), "f")
MISFITS = [
    (
        metrics.Precision(),
        (ONES, WIDE),
        "Precision expected targets of the shape of the predictions, (4, 2), got (4, 3).",
    ),
    (
        metrics.Recall(),
        (ONES, ONES, np.ones(3)),
        "sample_weight of shape (3,) does not fit predictions of shape (4, 3).",
    ),
    (metrics.Recall(class_id=3), (ONES, ONES), "Recall: there is no class 3 in predictions of shape (4, 3)."),
    (metrics.Recall(top_k=4), (ONES, ONES), "Recall: top_k=4 is more than predictions of shape (4, 3) have along the"),
    (metrics.AUC(multi_label=True, num_labels=2), (ONES, ONES), "expected predictions (samples, 2), got (4, 3)."),
    (
        metrics.F1Score(),
        (ONES[0], ONES[0]),
        "F1Score expected targets and predictions (samples, classes), got (3,) and",
    ),
    (metrics.F1Score(), (ONES, ONES, ONES), "sample_weight must have one weight per sample, (4,), got (4, 3)."),
    (
        metrics.R2Score(),
        (ONES[0], ONES[0]),
        "R2Score expected targets and predictions (samples, outputs), got (3,) and",
    ),
    (metrics.MeanIoU(2), (ONES, WIDE), "MeanIoU expected a prediction for each target, got 8 for 12 targets."),
    (metrics.MeanIoU(2), (ONES, ONES, np.ones(3, int)), "sample_weight has 3 weights, but there are 12 targets."),
    (
        losses.CTC(),
        (ONES, ONES),
        "ctc expected labels (batch, labels) and logits (batch, steps, classes), got (4, 3) and",
    ),
    (losses.Circle(), (ONES[:, 0], ONES[0]), "circle expected embeddings (samples, size) and one class label each"),
    (
        losses.CategoricalFocalCrossentropy(),
        (ONES[:, 0], ONES),
        "categorical_focal_crossentropy expected one-hot targets",
    ),
]


@pytest.mark.parametrize(("measure", "given", "text"), MISFITS, ids=[text for *_, text in MISFITS])
def test_what_does_not_fit(measure: Any, given: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        measure(*given)
    if isinstance(measure, metrics.Metric):
        assert not any(v.numpy().any() for v in measure.variables)


def test_masked_predictions_do_not_count() -> None:
    p = gpudl.convert_to_tensor([[1.0, 2.0, 9.0], [3.0, 9.0, 9.0]])
    t = np.zeros((2, 3), "f")
    p.mask = gpudl.convert_to_tensor([[True, True, False], [True, False, False]])
    error = metrics.MeanMetricWrapper(lambda t, p: abs(p - t))
    assert error(t, p).item() == 2.0
    loss = losses.LossFunctionWrapper(lambda t, p: abs(p - t))
    assert loss(t, p).item() == 2.0
    assert loss(t, p, np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])).item() == 3.0
    p.mask = gpudl.convert_to_tensor([True, False, True])
    with pytest.raises(
        gpudl.ShapeError, match=r"the mask of the predictions of shape \(3,\) does not fit losses of shape"
    ):
        losses.MeanSquaredError()(t, p)


def test_counters_that_the_first_batch_makes_are_counted_in_replayed_steps() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(70, 4)).astype("f"), np.eye(3, dtype="f")[rng.integers(0, 3, 70)]
    model = Sequential([Input((4,)), layers.Dense(3, activation="softmax")])
    kinds: list[Any] = [
        metrics.F1Score("macro"),
        metrics.R2Score(),
        metrics.AUC(multi_label=True),
        metrics.OneHotIoU(3, [0]),
    ]
    model.compile("sgd", "categorical_crossentropy", metrics=kinds)
    model.fit(x, y, epochs=2, verbose=0)
    told = model.evaluate(x, y, verbose=0, return_dict=True)
    p = model.predict(x, verbose=0)
    for kind in kinds:
        again = type(kind).from_config({**kind.get_config(), "name": "again"})
        again.update_state(y, p)
        assert told[kind.name] == pytest.approx(again.result().item(), rel=1e-5)


def test_own_metrics_and_losses_as_they_are_written_for_keras() -> None:
    class Positives(metrics.Metric):
        def __init__(self, name: str = "positives", **kwargs: Any) -> None:
            super().__init__(name=name, **kwargs)
            self.hits = self.add_variable(shape=(), initializer="zeros", name="hits")
            self.total = self.add_weight(name="total", initializer="zeros")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            hits = ops.cast(ops.logical_and(ops.equal(y_true, 1), ops.greater(y_pred, 0.5)), self.dtype)
            self.hits.assign(self.hits + ops.sum(hits))
            self.total.assign_add(ops.cast(y_true.shape[0], self.dtype))

        def result(self) -> Any:
            return {"hits": self.hits, "share": self.hits / self.total}

        def reset_state(self) -> None:
            self.hits.assign(0)
            self.total.assign(0)

    metric = Positives()
    for _ in range(2):
        metric.update_state(
            gpudl.convert_to_tensor([1.0, 1.0, 0.0, 0.0]), gpudl.convert_to_tensor([0.9, 0.1, 0.9, 0.1])
        )
    assert {key: value.item() for key, value in metric.result().items()} == {"hits": 2.0, "share": 0.25}
    metric.reset_state()
    assert metric.hits.item() == 0
    assert metric.hits.path == "positives/hits"

    class Unready(metrics.Metric):
        def __init__(self) -> None:
            self.seen = self.add_variable((), "zeros")

    with pytest.raises(RuntimeError, match=r"the __init__ of Unready must call super\(\).__init__\(\) first"):
        Unready()


def test_a_loss_of_nests() -> None:
    class Pair(losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return abs(y_true["a"] - y_pred["a"]) + abs(y_true["b"] - y_pred["b"])

    t, p = ({"a": np.array([1, 2]), "b": np.array([k, k])} for k in (0, 1))
    assert Pair()(t, p).item() == 1.0


def test_too_many_regressors_warn() -> None:
    metric = metrics.R2Score(num_regressors=5)
    metric.update_state([[1.0], [2.0], [4.0]], [[1.0], [2.0], [3.0]])
    with pytest.warns(UserWarning, match="5 regressors are too many for 3 values, so the score is not adjusted"):
        assert metric.result().item() == pytest.approx(1 - 1 / (14 / 3), rel=1e-5)


def test_weights_of_floats_in_integers_warn() -> None:
    with pytest.warns(UserWarning, match="MeanIoU counts in int32, so that weights of floats are rounded towards 0"):
        metrics.MeanIoU(2).update_state([0, 1], [0, 1], np.array([0.5, 1.5], "f"))


def test_targets_that_do_not_fit() -> None:
    p = np.full((32, 10), 0.1, np.float32)
    with pytest.raises(
        gpudl.ShapeError,
        match=r"sparse_categorical_accuracy expected targets of shape \(32,\) for predictions of shape \(32, 10\), "
        r"got \(32, 10\)\. They look like one-hot targets: use categorical_accuracy\.",
    ):
        metrics.SparseCategoricalAccuracy()(np.zeros((32, 10)), p)
    for shape in ((32,), (32, 1)):
        with pytest.raises(
            gpudl.ShapeError,
            match=r"categorical_accuracy expected .*\(32, 10\), got \(32,.*\)\. "
            r"They look like class labels: use sparse_categorical_accuracy\.",
        ):
            metrics.CategoricalAccuracy()(np.zeros(shape), p)
    with pytest.raises(gpudl.ShapeError, match=r"got \(31,\). Reshape y_true."):
        metrics.SparseTopKCategoricalAccuracy()(np.zeros(31), p)
    with pytest.raises(gpudl.ShapeError, match="binary_accuracy expected targets of the shape of the predictions"):
        metrics.BinaryAccuracy()(np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(gpudl.ShapeError, match=r"sample_weight of shape \(3,\) does not fit values of shape \(4,\)"):
        metrics.Mean()(np.zeros(4), np.ones(3))
    with pytest.raises(
        gpudl.ShapeError, match=r"sample_weight of shape \(1, 3\) does not fit values of shape \(4, 1\)"
    ):
        metrics.Mean()(np.zeros((4, 1, 2)), np.ones((1, 3)))
