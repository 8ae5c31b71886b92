"""Losses at the edges: known logits, labels of any dtype, masks, shapes that do not fit, losses of a user."""

from __future__ import annotations

from typing import Any

import loss_cases as cases
import numpy as np
import pytest
from loss_cases import EPSILON

import gpudl
from gpudl import activations, losses, metrics


def draw(data: Any, shape: tuple[int, ...], **options: Any) -> tuple[np.ndarray, np.ndarray]:
    t, p = data(np.random.default_rng(0), shape, options)
    return t, p


def test_ignored_class_alone_gives_zero() -> None:
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1, reduction="mean_with_sample_weight")
    variable = gpudl.Variable([[0.5, 0.5], [0.1, 0.9]])
    value = loss([-1, -1], variable)
    assert value.item() == 0.0
    assert gpudl.grad(value, [variable])[0].numpy().tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_classes_along_another_axis(axis: int) -> None:
    t, p = draw(cases.one_hot, (3, 4, 5))
    moved_t, moved_p = np.moveaxis(t, -1, axis), np.moveaxis(p, -1, axis)
    labels = t.argmax(axis=-1)
    for z, options in ((moved_p, {}), (np.log(moved_p), {"from_logits": True})):
        dense = losses.categorical_crossentropy(moved_t, z, axis=axis, label_smoothing=0.1, **options)
        assert dense.numpy() == pytest.approx(cases.categorical(t, p, label_smoothing=0.1), rel=1e-11)
        sparse = losses.sparse_categorical_crossentropy(labels, z, axis=axis, **options)
        assert sparse.numpy() == pytest.approx(cases.sparse(labels, p), rel=1e-11)
    t, p = draw(cases.yes_or_no, (3, 4))
    got = losses.binary_crossentropy(t, p, axis=0)
    assert got.numpy() == pytest.approx(cases.binary(t.T, p.T), rel=1e-11)


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
    labels, p = draw(cases.labels, (6, 300))
    labels %= 200
    for shape in ((6,), (6, 1)):
        got = losses.SparseCategoricalCrossentropy()(labels.reshape(shape).astype(dtype), p)
        assert got.item() == pytest.approx(cases.sparse(labels, p).mean(), rel=1e-5)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float64"])
def test_targets_take_the_dtype_of_the_predictions(dtype: str) -> None:
    t, p = draw(cases.yes_or_no, (6, 3))
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


def test_traced_with_known_logits_equals_eager() -> None:
    labels, p = draw(cases.labels, (6, 4))
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


@pytest.mark.parametrize("measure", [losses.Hinge(dtype="float16"), metrics.Mean(dtype="float16")])
def test_a_dtype_is_read_only(measure: Any) -> None:
    with pytest.raises(AttributeError):
        measure.dtype = "float32"
    assert measure.dtype == "float16"
