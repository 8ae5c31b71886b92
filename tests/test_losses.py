"""Losses against formulas in float64, finite differences, and Keras."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip
from public_names import classes

import gpudl
from gpudl import activations, losses

EPSILON = 1e-7
Arrays = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


def _softmax(z: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _numbers(shape: tuple[int, ...], seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * 2, rng.normal(size=shape) * 2


def _yes_or_no(shape: tuple[int, ...], seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, shape).astype(float), rng.uniform(0.02, 0.98, shape)


def _one_hot(shape: tuple[int, ...], seed: int = 0) -> Arrays:
    labels, p = _labels(shape, seed)
    return np.eye(shape[-1])[labels], p


def _labels(shape: tuple[int, ...], seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    return rng.integers(0, shape[-1], shape[:-1]), _softmax(rng.normal(size=shape) * 2)


def _bce(t: np.ndarray, p: np.ndarray, s: float = 0.0) -> np.ndarray:
    t = t * (1 - s) + s / 2
    return -(t * np.log(p) + (1 - t) * np.log1p(-p)).mean(axis=-1)


def _cce(t: np.ndarray, p: np.ndarray, s: float = 0.0) -> np.ndarray:
    t = t * (1 - s) + s / t.shape[-1]
    return -(t * np.log(p / p.sum(axis=-1, keepdims=True))).sum(axis=-1)


def _scce(labels: np.ndarray, p: np.ndarray) -> np.ndarray:
    return -np.log(np.take_along_axis(p, labels[..., None], -1)[..., 0])


def _logit(p: np.ndarray) -> np.ndarray:
    return np.log(p) - np.log1p(-p)


# name of the class, its options, data, and the loss per sample of targets and *probabilities* or numbers
CASES: dict[str, tuple[str, dict[str, Any], Callable[..., Arrays], Callable[..., np.ndarray]]] = {
    "mse": ("MeanSquaredError", {}, _numbers, lambda t, p: ((t - p) ** 2).mean(-1)),
    "mae": ("MeanAbsoluteError", {}, _numbers, lambda t, p: np.abs(t - p).mean(-1)),
    "msle": (
        "MeanSquaredLogarithmicError",
        {},
        _numbers,  # some of them below 0
        lambda t, p: (np.diff(np.log1p(np.maximum((t, p), EPSILON)), axis=0)[0] ** 2).mean(-1),
    ),
    "huber": (
        "Huber",
        {"delta": 0.8},
        _numbers,
        lambda t, p: np.where(abs(t - p) <= 0.8, (t - p) ** 2 / 2, 0.8 * abs(t - p) - 0.32).mean(-1),
    ),
    "log_cosh": ("LogCosh", {}, _numbers, lambda t, p: np.log(np.cosh(t - p)).mean(-1)),
    "kld": (
        "KLDivergence",
        {},
        lambda s: (_one_hot(s)[1], _one_hot(s, 7)[1]),
        lambda t, p: (t * np.log(t / p)).sum(-1),
    ),
    "bce": ("BinaryCrossentropy", {}, _yes_or_no, _bce),
    "bce, smooth": ("BinaryCrossentropy", {"label_smoothing": 0.2}, _yes_or_no, lambda t, p: _bce(t, p, 0.2)),
    "bce, logits": (
        "BinaryCrossentropy",
        {"from_logits": True},
        lambda s: (_yes_or_no(s)[0], _logit(_yes_or_no(s)[1])),
        lambda t, z: _bce(t, 1 / (1 + np.exp(-z))),
    ),
    "cce": ("CategoricalCrossentropy", {}, _one_hot, _cce),
    "cce, not normalised": (
        "CategoricalCrossentropy",
        {},
        lambda s: (_one_hot(s)[0], _one_hot(s)[1] * 3 + 0.1),
        _cce,
    ),
    "cce, smooth": ("CategoricalCrossentropy", {"label_smoothing": 0.1}, _one_hot, lambda t, p: _cce(t, p, 0.1)),
    "cce, logits": (
        "CategoricalCrossentropy",
        {"from_logits": True, "label_smoothing": 0.1},
        lambda s: (_one_hot(s)[0], np.log(_one_hot(s)[1]) + 0.7),
        lambda t, z: _cce(t, _softmax(z), 0.1),
    ),
    "scce": ("SparseCategoricalCrossentropy", {}, _labels, _scce),
    "scce, logits": (
        "SparseCategoricalCrossentropy",
        {"from_logits": True},
        lambda s: (_labels(s)[0], np.log(_labels(s)[1]) - 1.3),
        lambda t, z: _scce(t, _softmax(z)),
    ),
}
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
SHAPES = ((6, 4), (5, 3, 4))


def _reduced(values: np.ndarray, weight: np.ndarray | None, reduction: str | None) -> np.ndarray:
    weighted = values if weight is None else values * weight
    if reduction in ("none", None):
        return weighted
    if reduction == "sum":
        return weighted.sum()
    if reduction == "mean_with_sample_weight" and weight is not None:
        return weighted.sum() / weight.sum()
    return weighted.sum() / values.size


def _weight(values: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(3).uniform(0.1, 2.0, values)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", CASES)
def test_value_with_and_without_weights(case: str, shape: tuple[int, ...], reduction: str | None) -> None:
    name, options, data, formula = CASES[case]
    t, p = data(shape)
    loss = getattr(losses, name)(**options, reduction=reduction, dtype="float64")
    values = formula(t, p)
    assert loss(t, p).numpy() == pytest.approx(_reduced(values, None, reduction), rel=1e-11)
    weight = _weight(values.shape)
    assert loss(t, p, weight).numpy() == pytest.approx(_reduced(values, weight, reduction), rel=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_gradient_is_the_slope(case: str) -> None:
    name, options, data, _ = CASES[case]
    t, p = data((4, 3))
    loss = getattr(losses, name)(**options, dtype="float64")
    weight = _weight((4,))
    variable = gpudl.Variable(p)
    (got,) = gpudl.grad(loss(t, variable, weight), [variable])
    h, expected = 1e-6, np.full_like(p, np.nan)
    for at in np.ndindex(p.shape):
        step = np.zeros_like(p)
        step[at] = h
        expected[at] = (loss(t, p + step, weight).item() - loss(t, p - step, weight).item()) / (2 * h)
    assert got.numpy() == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parity
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_are_keras(
    keras: Any, case: str, shape: tuple[int, ...], weighted: bool, reduction: str
) -> None:
    import jax

    name, options, data, _ = CASES[case]
    t, p = data(shape)
    p = p.astype(np.float32)
    weight = _weight(shape[:-1]).astype(np.float32) if weighted else None
    theirs = getattr(keras.losses, name)(**options, reduction=reduction)
    expected = theirs(t, p, weight)
    slope = jax.grad(lambda v: theirs(t, v, weight).sum())(p)
    variable = gpudl.Variable(p)
    got = getattr(losses, name)(**options, reduction=reduction)(t, variable, weight)
    assert got.dtype == np.float32
    assert got.numpy() == pytest.approx(np.asarray(expected), rel=2e-5, abs=1e-6)
    (gradient,) = gpudl.grad(got, [variable])
    assert gradient.numpy() == pytest.approx(np.asarray(slope), rel=1e-4, abs=1e-6)


WEIGHTS = {"scalar": (), "per sample": (4,), "column": (4, 1), "per value": (4, 4), "row": (1, 4)}


@pytest.mark.parity
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "none"])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_weights_broadcast_as_in_keras(keras: Any, weight: str, reduction: str) -> None:
    w = _weight(WEIGHTS[weight]).astype("f")
    for shape in ((4, 2), (4, 4, 2)):
        t, p = _numbers(shape)
        expected = np.asarray(keras.losses.MeanSquaredError(reduction=reduction)(t, p, w))
        got = losses.MeanSquaredError(reduction=reduction)(t, p, w).numpy()
        assert got.shape == expected.shape
        assert got == pytest.approx(expected, rel=1e-5)


@pytest.mark.parity
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum", "none"])
def test_ignored_class_is_keras(keras: Any, reduction: str, from_logits: bool, weighted: bool) -> None:
    import jax

    labels, p = _labels((5, 3, 4))
    labels[0] = 2
    p = p.astype("f")
    weight = _weight((5, 3)).astype("f") if weighted else None
    options = {"ignore_class": 2, "from_logits": from_logits, "reduction": reduction}
    theirs = keras.losses.SparseCategoricalCrossentropy(**options)
    expected, slope = theirs(labels, p, weight), jax.grad(lambda v: theirs(labels, v, weight).sum())(p)
    variable = gpudl.Variable(p)
    got = losses.SparseCategoricalCrossentropy(**options)(labels, variable, weight)
    assert got.numpy() == pytest.approx(np.asarray(expected), rel=1e-5)
    assert gpudl.grad(got, [variable])[0].numpy() == pytest.approx(np.asarray(slope), rel=1e-4, abs=1e-6)


def test_ignored_class_alone_gives_zero() -> None:
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1, reduction="mean_with_sample_weight")
    variable = gpudl.Variable([[0.5, 0.5], [0.1, 0.9]])
    value = loss([-1, -1], variable)
    assert value.item() == 0.0
    assert gpudl.grad(value, [variable])[0].numpy().tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_classes_along_another_axis(axis: int) -> None:
    t, p = _one_hot((3, 4, 5))
    moved_t, moved_p = np.moveaxis(t, -1, axis), np.moveaxis(p, -1, axis)
    labels = t.argmax(axis=-1)
    for z, options in ((moved_p, {}), (np.log(moved_p), {"from_logits": True})):
        dense = losses.categorical_crossentropy(moved_t, z, axis=axis, label_smoothing=0.1, **options)
        assert dense.numpy() == pytest.approx(_cce(t, p, 0.1), rel=1e-11)
        sparse = losses.sparse_categorical_crossentropy(labels, z, axis=axis, **options)
        assert sparse.numpy() == pytest.approx(_scce(labels, p), rel=1e-11)
    t, p = _yes_or_no((3, 4))
    got = losses.binary_crossentropy(t, p, axis=0)
    assert got.numpy() == pytest.approx(_bce(t.T, p.T), rel=1e-11)


# Logits so large that the probabilities round to 0 and 1.
EXTREME = np.array([[200.0, -200.0, 0.0], [-150.0, 90.0, -300.0]], np.float32)


def test_probabilities_of_a_known_activation_lose_no_digits() -> None:
    labels, onehot = np.array([1, 2]), np.array([[0, 1, 0], [0, 0, 1]])
    for loss, target in (
        (losses.SparseCategoricalCrossentropy(), labels),
        (losses.CategoricalCrossentropy(), onehot),
    ):
        z = gpudl.Variable(EXTREME)
        value = loss(target, activations.softmax(z))
        assert value.item() == (400.0 + 390.0) / 2
        assert gpudl.grad(value, [z])[0].numpy() == pytest.approx(
            np.array([[0.5, -0.5, 0.0], [0.0, 0.5, -0.5]]), abs=1e-30
        )
    z = gpudl.Variable(EXTREME)
    value = losses.BinaryCrossentropy(reduction="sum")(np.zeros((2, 3)), activations.sigmoid(z))
    assert value.item() == pytest.approx((200 + np.log(2) + 90) / 3)
    assert gpudl.grad(value, [z])[0].numpy() == pytest.approx(
        np.array([[1, 0, 0.5], [0, 1, 0]]) / 3, rel=1e-6, abs=1e-30
    )


def test_unknown_probabilities_are_clipped() -> None:
    sure = np.array([[0.0, 1.0]])
    for value in (
        losses.sparse_categorical_crossentropy([0], sure),
        losses.categorical_crossentropy([[1, 0]], sure),
        losses.binary_crossentropy([[1, 0]], sure),
    ):
        assert value.numpy() == pytest.approx([-np.log(EPSILON)])


def test_logits_survive_a_change_of_rank_and_dtype() -> None:
    z = gpudl.convert_to_tensor(np.array([[300.0], [-300.0]]))  # float64; the loss computes in float32
    column = activations.sigmoid(z)
    assert losses.BinaryCrossentropy()(np.array([0, 1]), column).item() == 300.0
    three = activations.sigmoid(gpudl.ops.reshape(z, (2, 1, 1)))
    assert losses.BinaryCrossentropy()(np.array([[0], [1]]), three).item() == 300.0


def test_logits_that_are_probabilities_warn() -> None:
    p = activations.softmax(gpudl.convert_to_tensor(EXTREME))
    with pytest.warns(UserWarning, match="the loss uses the logits they were computed from. Leave out from_logits"):
        value = losses.SparseCategoricalCrossentropy(from_logits=True)([1, 2], p)
    assert value.item() == 395.0


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32", "float64"])
def test_labels_of_any_dtype(dtype: str) -> None:
    labels, p = _labels((6, 300))
    labels %= 200
    for shape in ((6,), (6, 1)):
        got = losses.SparseCategoricalCrossentropy()(labels.reshape(shape).astype(dtype), p)
        assert got.item() == pytest.approx(_scce(labels, p).mean(), rel=1e-5)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float64"])
def test_targets_take_the_dtype_of_the_predictions(dtype: str) -> None:
    t, p = _yes_or_no((6, 3))
    for name in ("MeanSquaredError", "BinaryCrossentropy", "CategoricalCrossentropy"):
        got = getattr(losses, name)()(t.astype(dtype), p.astype("f"))
        assert got.dtype == np.float32
        assert got.item() == pytest.approx(getattr(losses, name)()(t, p).item(), rel=1e-6)


@pytest.mark.parametrize("label", [-1, 3])
@pytest.mark.parametrize("from_logits", [False, True])
def test_label_out_of_range_is_nan(label: int, from_logits: bool) -> None:
    p = np.full((2, 3), 1 / 3, np.float32)
    got = losses.sparse_categorical_crossentropy([0, label], p, from_logits=from_logits).numpy()
    assert got[0] == pytest.approx(np.log(3))
    assert np.isnan(got[1])


def test_column_of_targets_against_a_vector_of_predictions() -> None:
    t, p = np.array([1.0, 0.0, 1.0]), np.array([0.7, 0.2, 0.9])
    expected = ((t - p) ** 2).mean()
    for a, b in ((t, p), (t[:, None], p), (t, p[:, None]), (t[:, None], p[:, None])):
        assert losses.MeanSquaredError()(a, b).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_traced_equals_eager(case: str) -> None:
    name, options, data, _ = CASES[case]
    loss = getattr(losses, name)(**options)

    def step(t: Any, p: Any, w: Any) -> Any:
        variable = gpudl.ops.multiply(p, 1.0)
        variable.requires_grad = True
        value = loss(t, variable, w)
        return value, gpudl.grad(value, [variable])[0]

    t, p = data((6, 4))
    p, w = p.astype("f"), _weight((6,)).astype("f")
    traced = gpudl.traced(step)
    traced(t[::-1].copy(), p[::-1].copy(), w)
    assert len(traced.entries) == 1
    for got, expected in zip(traced(t, p, w), step(*map(gpudl.convert_to_tensor, (t, p, w))), strict=True):
        assert np.array_equal(got.numpy(), expected.numpy())
    assert len(traced.entries) == 1


def test_traced_with_known_logits_equals_eager() -> None:
    labels, p = _labels((6, 4))
    loss = losses.SparseCategoricalCrossentropy()
    traced = gpudl.traced(lambda t, z: loss(t, activations.softmax(z)))
    z = (np.log(p) * 60).astype("f")
    for t in (labels, labels[::-1].copy()):
        assert traced(t, z).item() == loss(t, activations.softmax(z)).item()


def test_symbolic_tensors_give_shapes() -> None:
    p = gpudl.Tensor(None, gpudl.Spec((6, 4), np.dtype("float32")))
    labels = gpudl.Tensor(None, gpudl.Spec((6,), np.dtype("uint8")))
    assert losses.SparseCategoricalCrossentropy()(labels, p).shape == ()
    assert losses.SparseCategoricalCrossentropy(reduction=None)(labels, activations.softmax(p)).shape == (6,)


def test_one_hot_targets_and_class_labels_are_told_apart() -> None:
    p = np.full((32, 10), 0.1, np.float32)
    with pytest.raises(
        gpudl.ShapeError,
        match=r"shape \(32,\) for predictions of shape \(32, 10\), got \(32, 10\)\. "
        "It looks one-hot: use categorical_crossentropy",
    ):
        losses.SparseCategoricalCrossentropy()(np.zeros((32, 10)), p)
    for shape in ((32,), (32, 1)):
        with pytest.raises(
            gpudl.ShapeError,
            match=r"one-hot targets of shape \(32, 10\), got \(32,.*looks like class labels\. "
            r"Use sparse_categorical_crossentropy, or encode the labels: utils\.to_categorical\(y_true, 10\)",
        ):
            losses.CategoricalCrossentropy()(np.zeros(shape, int), p)
    with pytest.raises(gpudl.ShapeError, match=r"shape \(32,\).*got \(31,\). Reshape y_true."):
        losses.SparseCategoricalCrossentropy()(np.zeros(31, int), p)


@pytest.mark.parametrize("name", ["mean_squared_error", "binary_crossentropy", "huber", "kl_divergence"])
def test_different_shapes_are_refused(name: str) -> None:
    with pytest.raises(
        gpudl.ShapeError,
        match=rf"{name} expected targets of the shape of the predictions, \(4, 3\), got \(4, 2\)\. "
        "Reshape y_true, or change the last layer",
    ):
        getattr(losses, name)(np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(gpudl.ShapeError, match=r"\(4, 3\), got \(4, 1\)"):  # Keras would broadcast
        getattr(losses, name)(np.zeros((4, 1)), np.zeros((4, 3)))


def test_weights_that_do_not_fit() -> None:
    with pytest.raises(
        gpudl.ShapeError,
        match=r"sample_weight of shape \(3,\) does not fit losses of shape \(4,\). Give one weight per sample",
    ):
        losses.MeanSquaredError()(np.zeros((4, 2)), np.zeros((4, 2)), np.ones(3))


def test_one_class_warns() -> None:
    with pytest.warns(SyntaxWarning, match="Use binary_crossentropy for two classes and one output"):
        losses.categorical_crossentropy(np.ones((3, 1)), np.full((3, 1), 0.5))


def test_unknown_reduction() -> None:
    with pytest.raises(ValueError, match=r"reduction must be one of sum_over_batch_size, sum, .*got 'average'"):
        losses.MeanSquaredError(reduction="average")


def test_weights_that_sum_to_zero_give_zero_loss_and_gradient() -> None:
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    variable = gpudl.Variable([[1.0], [2.0]])
    value = loss([[0.0], [0.0]], variable, [0.0, 0.0])
    assert value.item() == 0.0
    assert gpudl.grad(value, [variable])[0].numpy().tolist() == [[0.0], [0.0]]


def test_empty_batch_is_zero() -> None:
    assert (
        losses.MeanSquaredError(reduction="sum_over_batch_size")(np.zeros((0, 3, 2)), np.zeros((0, 3, 2))).item() == 0.0
    )


def test_own_function_and_own_class() -> None:
    def worst(y_true: Any, y_pred: Any) -> Any:
        assert y_true.dtype == np.float32
        return gpudl.ops.max(abs(y_true - y_pred), axis=-1)

    spec = gpudl.Spec((2, 2), np.dtype("float32"))
    loss = losses.resolve(worst, spec, spec)
    assert loss is not None
    assert loss.name == "worst"
    t, p = np.array([[1, 2], [3, 4]]), np.array([[1.0, 4.0], [3.0, 3.0]])
    assert loss(t, p).item() == 1.5
    assert loss(t, p, [1.0, 0.0]).item() == 1.0

    class Scaled(losses.Loss):
        def __init__(self, factor: float = 2.0, **options: Any) -> None:
            super().__init__(**options)
            self.factor = factor

        def call(self, y_true: Any, y_pred: Any) -> Any:
            return gpudl.ops.mean(abs(y_true - y_pred)) * self.factor  # a scalar

    scaled = Scaled.from_config(Scaled(3.0, name="scaled").get_config())
    assert (scaled.name, scaled(t, p).item()) == ("scaled", 2.25)
    with pytest.raises(NotImplementedError, match="Loss must define call"):
        losses.Loss()(t, p)


@pytest.mark.parametrize("case", CASES)
def test_config_round_trip(case: str) -> None:
    name, options, data, _ = CASES[case]
    loss = getattr(losses, name)(**options, reduction="sum", name="mine")
    again = losses.deserialize(losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config() == {**loss.get_config(), **options, "name": "mine"}
    t, p = data((6, 4))
    assert again(t, p).item() == loss(t, p).item()


def test_wrapper_config_round_trip() -> None:
    loss = losses.LossFunctionWrapper(losses.huber, delta=0.5, name="h")
    again = losses.deserialize(losses.serialize(loss))
    assert (again.fn, again.delta, again.name) == (losses.huber, 0.5, "h")


@pytest.mark.parity
def test_get_resolves_as_keras(keras: Any) -> None:
    for name in (
        "mse",
        "MSE",
        "mae",
        "MAE",
        "msle",
        "MSLE",
        "bce",
        "BCE",
        "kld",
        "mean_squared_error",
        "huber",
        "log_cosh",
        "binary_crossentropy",
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
    ):
        assert losses.get(name).__name__ == keras.losses.get(name).__name__
    for name in ("MeanSquaredError", "Huber", "LogCosh", "SparseCategoricalCrossentropy", "KLDivergence"):
        assert type(losses.get(name)).__name__ == type(keras.losses.get(name)).__name__ == name
        assert losses.get(name).name == keras.losses.get(name).name
    assert losses.get(None) is None
    with pytest.raises(
        ValueError, match=r"Unknown loss: 'categorical_crosentropy'\. Did you mean 'categorical_crossentropy'"
    ):
        losses.get("categorical_crosentropy")


@pytest.mark.parametrize(
    ("y_true", "y_pred", "function"),
    [
        ((8, 1), (8, 1), losses.binary_crossentropy),
        ((8,), (8, 1), losses.binary_crossentropy),
        ((8,), (8, 5), losses.sparse_categorical_crossentropy),
        ((8, 1), (8, 5), losses.sparse_categorical_crossentropy),
        ((8, 5), (8, 5), losses.categorical_crossentropy),
    ],
)
def test_crossentropy_is_resolved_by_shape(y_true: Any, y_pred: Any, function: Any) -> None:
    specs = [gpudl.Spec(shape, np.dtype("float32")) for shape in (y_true, y_pred)]
    for word in ("crossentropy", "ce"):
        loss = losses.resolve(word, *specs)
        assert isinstance(loss, losses.LossFunctionWrapper)
        assert (loss.fn, loss.name) == (function, word)
    assert losses.resolve(None, *specs) is None
    ready = losses.MeanSquaredError()
    assert losses.resolve(ready, *specs) is ready


def test_every_loss_has_a_case() -> None:
    assert classes(losses, losses.Loss) - {"LossFunctionWrapper"} == {name for name, *_ in CASES.values()}
