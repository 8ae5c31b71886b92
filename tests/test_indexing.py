"""Rows by index: from the end, out of range, in every dtype of integers, by kernel and reference."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from gpudl.kernels import registry

import gpudl
from gpudl import ops
from gpudl.engine.state import reference_only

X = np.arange(12, dtype=np.float32).reshape(4, 3)
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]


@pytest.mark.parametrize("by", [reference_only, nullcontext])
@pytest.mark.parametrize("key", [[-1], [0, -4, 3], np.array([[-2, 1]]), np.array(-1), []])
def test_indices_below_0_count_from_the_end(key: Any, by: Any) -> None:
    key = np.asarray(key, int)
    for dtype in INTEGERS:
        numbers = (key % 4 if dtype[0] == "u" else key).astype(dtype)
        x = gpudl.convert_to_tensor(X)
        for given in (numbers, numbers.tolist(), gpudl.convert_to_tensor(numbers)):
            with by(), gpudl.GradientTape() as tape:
                tape.watch(x)
                y = ops.take(x, given, axis=0)
                loss = ops.sum(y * y)
            np.testing.assert_array_equal(y.numpy(), X[key])
            np.testing.assert_array_equal(x[given].numpy(), X[key])
            counts = np.bincount(key.reshape(-1) % 4, minlength=4)
            np.testing.assert_array_equal(tape.gradient(loss, x).numpy(), 2 * X * counts[:, None])


OUT = "index {} is out of range for an axis of size 4: indices go from -4 to 3, negative ones count from the end."


@pytest.mark.parametrize("dtype", INTEGERS)
def test_an_index_out_of_range_that_the_host_knows_is_an_error(dtype: str) -> None:
    x = gpudl.convert_to_tensor(X)
    for wrong in (4, 100, *(() if dtype[0] == "u" else (-5,)), np.iinfo(dtype).max):
        numbers = np.array([1, wrong], dtype)
        for given in (numbers, gpudl.convert_to_tensor(numbers), *([] if wrong > 2**63 else [numbers.tolist()])):
            for take in (lambda: x[given], lambda: ops.take(x, given, axis=0)):  # noqa: B023 (called at once)
                with pytest.raises(IndexError, match=f"^{re.escape(OUT.format(wrong))}$"):
                    take()
    with pytest.raises(gpudl.ShapeError, match="rows cannot be gathered from an array without rows"):
        ops.take(np.zeros((0, 3)), [0], axis=0)


def test_a_recorded_step_refuses_what_it_knows_and_marks_what_it_does_not() -> None:
    with pytest.raises(IndexError, match=re.escape(OUT.format(-5))):
        gpudl.traced(lambda x: x[[0, -5]])(X)

    def slopes(x: Any, at: Any) -> Any:
        with gpudl.GradientTape() as tape:
            tape.watch(x)
            y = x[at]
            loss = ops.sum(y)
        return y, tape.gradient(loss, x)

    for by in (reference_only, nullcontext):
        for dtype in INTEGERS:
            at = np.array([3, 1, 7, 3], dtype)
            with by():
                y, slope = gpudl.traced(slopes)(X, at)
            np.testing.assert_array_equal(y.numpy(), [X[3], X[1], [np.nan] * 3, X[3]])
            np.testing.assert_array_equal(slope.numpy(), [[0] * 3, [1] * 3, [0] * 3, [2] * 3])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_an_index_out_of_range_along_one_of_several_axes_reaches_no_other_row(dtype: str) -> None:
    x, right = gpudl.convert_to_tensor(X), np.array([1, 0, 2], dtype)
    for wrong in (4, 100, *(() if dtype[0] == "u" else (-5,)), np.iinfo(dtype).max):
        numbers = np.array([0, wrong, 3], dtype)
        for given in (numbers, gpudl.convert_to_tensor(numbers)):
            with pytest.raises(IndexError, match=f"^{re.escape(OUT.format(wrong))}$"):
                x[given, right]
        with pytest.raises(IndexError, match=re.escape(OUT.format(wrong))):
            gpudl.traced(lambda x, at: x[numbers, at])(X, right)  # noqa: B023 (called at once)
        for step in (lambda x, at: x[at, right], lambda x, at: x[at, gpudl.convert_to_tensor(right)]):
            np.testing.assert_array_equal(gpudl.traced(step)(X, numbers).numpy(), [X[0, 1], np.nan, X[3, 2]])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bool", "uint8", "int16", "int64"])
def test_kernel_and_reference_mark_with_the_same_bits(dtype: str) -> None:
    x = X.astype(dtype)
    for kind in ("int32", "int64"):
        at = np.array([0, -1, 4, -5, -4], kind)
        expected, found = np.empty((5, 3), dtype), np.empty((5, 3), dtype)
        ops.registry["take"].forward(np, expected, x, at)
        kernel = registry.find("take", "cpu", (found, x, at), {})
        assert kernel is not None
        kernel(found, x, at)
        assert found.tobytes() == expected.tobytes()
        np.testing.assert_array_equal(found[[0, 1, 4]], x[[0, 3, 0]])
        g, rows = np.ones((5, 3)), np.empty((4, 3))
        for sums in (ops.registry["take_grad"].forward, None):
            if sums is not None:
                sums(np, rows, g, at, rows=4)
            else:
                registry.find("take_grad", "cpu", (rows, g, at), {"rows": 4})(rows, g, at, rows=4)  # type: ignore[misc]
            np.testing.assert_array_equal(rows, [[2.0] * 3, [0] * 3, [0] * 3, [1] * 3])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_one_hot_knows_every_class_of_every_dtype(dtype: str) -> None:
    labels = np.array([0, 5, 127, -1 if dtype[0] != "u" else 100, np.iinfo(dtype).max], dtype)
    got = ops.one_hot(labels, num_classes=300, dtype="float32").numpy()
    expected = [[float(int(label) == c) for c in range(300)] for label in labels]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("by", [reference_only, nullcontext])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_a_label_out_of_range_has_no_loss(dtype: str, by: Any) -> None:
    labels = np.array([0, 99, np.iinfo(dtype).max], dtype)
    with by():
        loss, p = ops.sparse_softmax_cross_entropy(np.zeros((3, 100), np.float32), labels)
    np.testing.assert_allclose(loss.numpy(), [np.log(100), np.log(100), np.nan], rtol=1e-6)
    np.testing.assert_allclose(p.numpy(), 0.01, rtol=1e-6)


@pytest.mark.parametrize("by", [reference_only, nullcontext])
def test_only_the_label_can_make_a_loss_infinite(by: Any) -> None:
    inf, nan = np.inf, np.nan
    z = np.array([[-inf, 0, 1], [-inf, 0, 1], [inf, 0, 1], [-inf] * 3, [nan, 0, 1]], np.float32)
    with by(), np.errstate(invalid="ignore", divide="ignore"):
        loss, p = ops.sparse_softmax_cross_entropy(z, np.array([1, 0, 1, 1, 1]))
    np.testing.assert_allclose(loss.numpy(), [np.log1p(np.e), inf, nan, nan, nan], rtol=1e-6)
    np.testing.assert_allclose(p.numpy()[:2], [[0, 1 / (1 + np.e), np.e / (1 + np.e)]] * 2, rtol=1e-6)
