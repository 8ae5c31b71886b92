"""Metrics against sums in float64 and Keras, batch after batch, eager and traced."""

from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip
from replay_tools import names_in

import gpudl
from gpudl import activations, losses, metrics


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


def _scores(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    e = np.exp(rng.normal(size=shape))
    return e / e.sum(axis=-1, keepdims=True)


SHAPES = {
    "scalar": ((), ()),
    "vector": ((6,), (6,)),
    "column of weights": ((6,), (6, 1)),
    "column of values": ((6, 1), (6,)),
    "weight per row": ((6, 4), (6,)),
    "weight per value": ((6, 4), (6, 4)),
    "column per row": ((6, 4), (6, 1)),
    "image, weight per sample": ((6, 4, 3), (6,)),
    "image, weight per row": ((6, 4, 3), (6, 4)),
    "one weight": ((6, 4), ()),
}


@pytest.mark.parity
@pytest.mark.parametrize("case", SHAPES)
def test_mean_and_sum_of_any_shape_are_keras(keras: Any, case: str) -> None:
    rng = np.random.default_rng(1)
    values, weight = (rng.uniform(0.1, 1, shape).astype("f") for shape in SHAPES[case])
    for name in ("Mean", "Sum"):
        for given in ((), (weight,)):
            theirs, ours = getattr(keras.metrics, name)(), getattr(metrics, name)()
            for _ in range(2):
                theirs.update_state(values, *given)
                ours.update_state(values, *given)
            assert ours.result().item() == pytest.approx(float(theirs.result()), rel=1e-5)
            for mine, other in zip(ours.variables, theirs.variables, strict=True):
                assert mine.numpy() == pytest.approx(np.asarray(other.value), rel=1e-5)


@pytest.mark.parity
@pytest.mark.parametrize("weighted", [False, True])
def test_ignored_class_is_keras(keras: Any, weighted: bool) -> None:
    rng = np.random.default_rng(2)
    t, p = rng.integers(0, 3, (5, 4)), _scores((5, 4, 3), rng).astype("f")
    w = rng.uniform(0.1, 2, (5, 4)).astype("f") if weighted else None
    ours = metrics.SparseCategoricalCrossentropy(ignore_class=1)
    theirs = keras.metrics.SparseCategoricalCrossentropy(ignore_class=1)
    assert ours(t, p, w).item() == pytest.approx(float(theirs(t, p, w)), rel=1e-5)


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
def test_labels_of_any_dtype_and_rank(keras: Any, dtype: str) -> None:
    rng = np.random.default_rng(3)
    for shape, scores in (((6,), (6, 4)), ((6, 1), (6, 4)), ((6, 2), (6, 2, 4)), ((6, 2, 1), (6, 2, 4))):
        t, p = rng.integers(0, 4, shape).astype(dtype), _scores(scores, rng).astype("f")
        for name in ("sparse_categorical_accuracy", "sparse_categorical_crossentropy"):
            expected = np.asarray(getattr(keras.metrics, name)(t, p))
            assert getattr(metrics, name)(t, p).numpy() == pytest.approx(expected, rel=1e-5)
        if len(shape) == 1:
            assert metrics.sparse_top_k_categorical_accuracy(t, p, k=2).numpy().sum() >= 0


def test_metric_uses_the_logits_that_are_known() -> None:
    z = np.array([[300.0, 0.0]], np.float32)
    got = metrics.SparseCategoricalCrossentropy()([1], activations.softmax(z))
    assert got.item() == 300.0


def test_top_k_counts_equal_scores_as_hits_and_survives_infinities() -> None:
    ties = np.array([[1.0, 1.0, 1.0, 0.0]], np.float32)
    assert metrics.sparse_top_k_categorical_accuracy([2], ties, k=1).item() == 1.0
    assert metrics.sparse_top_k_categorical_accuracy([3], ties, k=3).item() == 0.0
    wild = np.array([[np.inf, -np.inf, 0.0]], np.float32)
    assert metrics.sparse_top_k_categorical_accuracy([2], wild, k=2).item() == 1.0


def test_counters_are_float64_and_not_trainable() -> None:
    metric = metrics.SparseCategoricalAccuracy()
    assert [(v.name, v.dtype, v.shape, v.trainable) for v in metric.variables] == [
        ("total", np.float64, (), False),
        ("count", np.float64, (), False),
    ]


COUNTING = [  # a metric, a sample that counts as 1, and what one more such sample adds to the sum of values
    (metrics.Sum, ([1.0],), 1.0),
    (metrics.Mean, ([1.0],), 1.0),
    (metrics.MeanSquaredError, ([[0.0]], [[1.0]]), 1.0),
    (metrics.RootMeanSquaredError, ([[0.0]], [[1.0]]), 1.0),
    (metrics.BinaryCrossentropy, ([[1.0]], [[0.5]]), np.log(2)),
    (metrics.Accuracy, ([[1.0]], [[1.0]]), 1.0),
    (metrics.BinaryAccuracy, ([[1.0]], [[0.9]]), 1.0),
    (metrics.SparseCategoricalAccuracy, ([1], [[0.1, 0.9]]), 1.0),
    (metrics.SparseTopKCategoricalAccuracy, ([1], [[0.1, 0.9]]), 1.0),
]


@pytest.mark.parametrize("weight", [None, 1.0])
@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize(("kind", "sample", "value"), COUNTING, ids=lambda item: getattr(item, "__name__", ""))
def test_no_counter_stands_still(kind: Any, sample: Any, value: float, replayed: bool, weight: float | None) -> None:
    metric = kind()
    for counter in metric.variables:
        counter.assign(2.0**24)
    update = gpudl.traced(metric.update_state) if replayed else metric.update_state
    weights = () if weight is None else (np.array([weight], np.float32),)
    for _ in range(3):
        update(*(np.array(a, np.float32 if a != [1] else np.int32) for a in sample), *weights)
    added = [3 * value, 3.0][: len(metric.variables)]
    assert [v.item() - 2.0**24 for v in metric.variables] == pytest.approx(added)
    assert metric.result().dtype == np.float32


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_result_has_the_dtype_of_its_metric(dtype: str) -> None:
    for metric in (metrics.Mean(dtype=dtype), metrics.Sum(dtype=dtype), metrics.MeanSquaredError(dtype=dtype)):
        metric.update_state(*([[1.0]],) * (2 if isinstance(metric, metrics.MeanSquaredError) else 1))
        assert metric.result().dtype == dtype


def test_large_weights_lose_no_small_ones() -> None:
    mean = metrics.Mean()
    mean.update_state([1.0], sample_weight=[1e8])
    for _ in range(100):
        mean.update_state([0.0], sample_weight=[1.0])
    assert mean.count.item() == 1e8 + 100


def test_an_update_stays_small() -> None:
    metric = metrics.SparseCategoricalAccuracy()
    traced = gpudl.traced(metric.update_state)
    traced(np.zeros(4, np.uint8), np.zeros((4, 3), np.float32))
    assert names_in(traced) == ["argmax", "equal", "cast", "sum", "cast", "assign_add_", "assign_add_"]


def test_own_metric_with_variables_of_its_own() -> None:
    class Hits(metrics.Metric):
        def __init__(self, name: str = "hits", **options: Any) -> None:
            super().__init__(name=name, **options)
            self.hits = self.add_weight(shape=(2,), initializer="ones", name="hits")
            self.inner = metrics.Mean()
            self.more = [metrics.Sum(), gpudl.Variable(1.0)]

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.hits.assign_add(gpudl.ops.sum(gpudl.convert_to_tensor(y_pred), axis=0))
            self.inner.update_state(y_pred)

        def result(self) -> Any:
            return self.hits

    metric = Hits()
    assert [v.name for v in metric.variables] == ["hits", "total", "count", "total", "variable"]
    assert metric.hits.numpy().tolist() == [1.0, 1.0]
    assert metric(None, [[1.0, 2.0], [3.0, 4.0]]).numpy().tolist() == [5.0, 7.0]
    metric.reset_state()
    assert all(not v.numpy().any() for v in metric.variables)
    with pytest.raises(NotImplementedError, match="Metric must define update_state"):
        metrics.Metric().update_state()
    with pytest.raises(NotImplementedError, match="Metric must define result"):
        metrics.Metric().result()


def test_own_function_may_return_a_scalar() -> None:
    metric = metrics.MeanMetricWrapper(lambda t, p, power: gpudl.ops.mean(abs(p - t) ** power), power=2.0)
    assert metric.name.startswith("mean_metric_wrapper")
    for p in ([1.0, 3.0], [0.0, 2.0]):
        metric.update_state(gpudl.convert_to_tensor([0.0, 0.0]), gpudl.convert_to_tensor(p))
    assert metric.result().item() == (5.0 + 2.0) / 2
    assert metric.count.item() == 2.0


def test_a_failed_update_leaves_the_state_alone() -> None:
    metric = metrics.Mean()
    metric.update_state([1.0, 3.0])

    def step(x: Any) -> Any:
        metric.update_state(x)
        raise RuntimeError("later in the step")

    with pytest.raises(RuntimeError, match="later"):
        gpudl.traced(step)(np.ones(3, np.float32))
    assert metric.result().item() == 2.0


def test_wrapper_config_round_trip() -> None:
    metric = metrics.MeanMetricWrapper(metrics.binary_accuracy, name="b", threshold=0.3)
    again = metrics.deserialize(metrics.serialize(metric))
    assert (again.fn, again.threshold, again.name) == (metrics.binary_accuracy, 0.3, "b")


@pytest.mark.parity
def test_get_resolves_as_keras(keras: Any) -> None:
    for name in (
        "mse",
        "MSE",
        "mae",
        "bce",
        "accuracy",
        "BinaryAccuracy",
        "binary_accuracy",
        "Mean",
        "categorical_accuracy",
        "sparse_categorical_accuracy",
        "top_k_categorical_accuracy",
        "root_mean_squared_error",
        "RootMeanSquaredError",
        "kl_divergence",
        "mean_squared_error",
    ):
        ours, theirs = metrics.get(name), keras.metrics.get(name)
        assert (type(ours).__name__, ours.name) == (type(theirs).__name__, theirs.name)
    assert metrics.get(None) is None
    with pytest.raises(ValueError, match=r"Unknown metric: 'acuracy'\. Did you mean 'accuracy'"):
        metrics.get("acuracy")


TARGETS = [((8,), (8, 1)), ((8, 1), (8, 1)), ((8,), (8, 5)), ((8, 1), (8, 5)), ((8, 5), (8, 5)), ((8, 3), (8, 3, 5)),
           ((8, 3, 5), (8, 3, 5)), ((8, 3, 1), (8, 3, 5))]  # fmt: skip


def _specs(shapes: Any) -> list[gpudl.Spec]:
    return [gpudl.Spec(shape, np.dtype("float32")) for shape in shapes]


@pytest.mark.parity
@pytest.mark.parametrize("shapes", TARGETS)
def test_accuracy_is_resolved_as_in_keras(keras: Any, shapes: Any) -> None:
    from keras.src.trainers.compile_utils import get_metric

    arrays = [np.zeros(s) for s in shapes]
    for word in ("accuracy", "acc", "Accuracy", "mse", "MSE", "categorical_accuracy"):
        ours, theirs = metrics.resolve_accuracy(word, *_specs(shapes)), get_metric(word, *arrays)
        assert (type(ours).__name__, ours.name) == (type(theirs).__name__, theirs.name)
        assert ours.name == word


@pytest.mark.parametrize(
    ("shapes", "name"),
    [
        (TARGETS[1], "BinaryCrossentropy"),
        (TARGETS[2], "SparseCategoricalCrossentropy"),
        (TARGETS[3], "SparseCategoricalCrossentropy"),
        (TARGETS[4], "CategoricalCrossentropy"),
    ],
)
def test_crossentropy_is_resolved_with_the_logits_of_the_loss(shapes: Any, name: str) -> None:
    for word in ("crossentropy", "ce"):
        metric: Any = metrics.resolve_accuracy(word, *_specs(shapes))
        assert (type(metric).__name__, metric.name, metric.from_logits) == (name, word, False)
        loss = getattr(losses, name)(from_logits=True)
        metric = metrics.resolve_accuracy(word, *_specs(shapes), loss)
        assert metric.from_logits


def test_functions_and_objects_are_resolved() -> None:
    def closeness(y_true: Any, y_pred: Any) -> Any:
        return abs(y_pred - y_true)

    specs = _specs(((8, 1), (8, 1)))
    metric = metrics.resolve_accuracy(closeness, *specs)
    assert (type(metric), metric.name) == (metrics.MeanMetricWrapper, "closeness")
    ready = metrics.BinaryAccuracy(name="ready")
    assert metrics.resolve_accuracy(ready, *specs) is ready
    assert ready.name == "ready"
    with pytest.raises(ValueError, match=r"a metric is a name, a Metric or a function, got None\. Leave it out"):
        metrics.resolve_accuracy(None, *specs)
