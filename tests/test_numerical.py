"""to_categorical and normalize: Keras's results, and errors where Keras is silent."""

import os
import warnings
from types import ModuleType

import numpy as np
import pytest

from gpudl.utils.numerical import normalize, to_categorical


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras")


LABELS = {
    "list": ([0, 2, 1], None),
    "more classes": ([0, 2, 1], 5),
    "column": (np.array([[1], [0], [3]]), None),
    "one label": ([2], None),
    "scalar": (3, None),
    "matrix": ([[0, 1], [2, 1]], 4),
    "uint8": (np.array([7, 9], np.uint8), 10),
    "whole floats": (np.array([1.0, 0.0], np.float32), None),
    "booleans": (np.array([True, False]), None),
    "none, classes given": (np.zeros(0, np.int32), 3),
    "zero classes means inferred": ([1, 0], 0),
}


@pytest.mark.parity
@pytest.mark.parametrize("case", LABELS)
def test_to_categorical_is_keras(keras: ModuleType, case: str) -> None:
    x, classes = LABELS[case]
    expected = keras.utils.to_categorical(x, classes)
    got = to_categorical(x, classes)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize("case", LABELS)
def test_to_categorical_has_its_ones_at_the_labels(case: str) -> None:
    x, classes = LABELS[case]
    got = to_categorical(x, classes)
    flat = np.asarray(x).ravel()
    assert got.shape[-1] == (classes or flat.max() + 1)
    for row, label in zip(got.reshape(-1, got.shape[-1]), flat, strict=True):
        assert [i for i, value in enumerate(row) if value == 1] == [label]
        assert row.sum() == 1


@pytest.mark.parametrize(
    ("x", "classes", "words"),
    [
        ([0, 3], 3, "expected labels from 0 to 2, got 3. Shift the labels to start at 0, or pass"),
        ([0, -1], None, "expected labels from 0 to 0, got -1"),
        ([-2, -1], None, "got -2"),
        ([0, 10], 10, "expected labels from 0 to 9, got 10"),
        ([], None, "no labels, so it cannot tell how many classes there are. Pass num_classes."),
        ([1.0, 0.5], None, "expected whole numbers as labels, got 0.5 of dtype float64"),
        ([1.0, np.nan], 2, "got nan"),
        ([np.inf], None, "got inf"),
        (["cat", "dog"], None, "got cat of dtype <U3. Map the labels to 0, 1, 2, ... first."),
    ],
)
def test_to_categorical_refuses(x: list[object], classes: int | None, words: str) -> None:
    with pytest.raises(ValueError, match="to_categorical") as caught:
        to_categorical(x, classes)
    assert words in str(caught.value)


@pytest.mark.parity
@pytest.mark.parametrize("order", [1, 2, 3, np.inf])
@pytest.mark.parametrize("axis", [-1, 1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_normalize_is_keras(keras: ModuleType, order: float, axis: int, dtype: str) -> None:
    x = np.random.default_rng(1).integers(0, 5, (4, 3, 5)).astype(dtype)
    x[0] = 0
    np.testing.assert_array_equal(normalize(x, axis, order), keras.utils.normalize(x, axis, order), strict=True)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_normalize_gives_norm_one_along_any_axis(axis: int) -> None:
    x = np.random.default_rng(2).standard_normal((3, 4))
    kept = x.copy()
    got = normalize(x, axis)
    np.testing.assert_allclose(np.sqrt((got**2).sum(axis)), 1, rtol=1e-14)
    np.testing.assert_array_equal(x, kept)


def test_normalize_keeps_shape_and_zeros() -> None:
    np.testing.assert_allclose(normalize([3.0, 4.0]), [0.6, 0.8], rtol=1e-15, strict=True)
    np.testing.assert_array_equal(normalize(np.zeros((2, 3), np.float32)), np.zeros((2, 3), np.float32), strict=True)
