"""Softmax and cross-entropies in CUDA C++, on the strict double."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_kernels import meter
from reduction_runs import Arrays, agrees, outs_of, run

from gpudl.engine.op import registry

__all__ = ["meter"]
pytestmark = pytest.mark.usefixtures("meter")
NAMES = (
    "softmax",
    "log_softmax",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
    "sparse_softmax_cross_entropy",
    "sparse_softmax_cross_entropy_grad",
)


def inputs_of(name: str, count: int, classes: int, dtype: str = "float32") -> Arrays:
    rng = np.random.default_rng(count + classes)
    z, p = rng.normal(0, 3, (count, classes)).astype(dtype), rng.random((count, classes)).astype(dtype)
    labels, g = rng.integers(0, classes, count), rng.normal(size=count).astype(dtype)
    if not name.startswith("s") or name == "softmax":
        return (z,)
    last = labels if name.startswith("sparse") else p
    return (g, z, last) if name.endswith("grad") else (z, last)


def wanted(name: str, inputs: Arrays) -> Arrays:
    """Return what the reference makes of the inputs in float64."""
    wide = tuple(a.astype(np.float64) if a.dtype.kind == "f" else a for a in inputs)
    outs = outs_of(name, wide, {})
    with np.errstate(all="ignore"):
        registry[name].forward(np, *outs, *wide)
    return outs


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_agrees_with_the_oracle(name: str) -> None:
    assert agrees(name) > 12


# Rows of a few lanes, of a warp, of a block, and those of which threads do not hold everything.
@pytest.mark.parametrize("classes", [1, 10, 77, 512, 1028, 3001, 8196])
@pytest.mark.parametrize("name", NAMES)
def test_rows_of_every_length(name: str, classes: int) -> None:
    inputs = inputs_of(name, 3, classes)
    expected = wanted(name, inputs)
    got = run(name, tuple(a.astype(np.float32) for a in expected), inputs, {})
    assert got is not None
    for mine, exact in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, exact, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("classes", [8, 12, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_all_kernels_compute_the_same_probabilities(name: str, classes: int) -> None:
    if not name.endswith("cross_entropy"):
        return
    z, last = inputs_of(name, 5, classes)
    alone = run("softmax", (z,), (z,), {})
    together = run(name, outs_of(name, (z, last), {}), (z, last), {})
    assert alone is not None
    assert together is not None
    assert together[1].tobytes() == alone[0].tobytes()


@pytest.mark.parametrize("label", ["int8", "int32", "uint16", "uint64"])
def test_labels_of_any_integers(label: str) -> None:
    labels = np.array([0, 3, 4, np.iinfo(label).max, np.iinfo(label).min], label)
    z = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    for name, inputs in (
        ("sparse_softmax_cross_entropy", (z, labels)),
        ("sparse_softmax_cross_entropy_grad", (z[:, 0].copy(), z, labels)),
    ):
        expected = wanted(name, inputs)
        got = run(name, outs_of(name, inputs, {}), inputs, {})
        assert got is not None
        for mine, exact in zip(got, expected, strict=True):
            np.testing.assert_allclose(mine, exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_are_none_stay_as_in_the_reference(name: str) -> None:
    inputs = inputs_of(name, 6, 7)
    z = inputs[0] if inputs[0].ndim == 2 else inputs[1]
    z[0, 3], z[1, 2], z[2, 1] = np.nan, np.inf, np.nan
    z[3] = -np.inf
    expected = wanted(name, inputs)
    got = run(name, outs_of(name, inputs, {}), inputs, {})
    assert got is not None
    for mine, exact in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, exact, rtol=1e-5, atol=1e-6)


def test_a_class_that_cannot_be_leaves_the_loss_of_others_finite() -> None:
    z = np.array([[1.0, -np.inf, 0.0, 0.0]], np.float32)
    got = run("sparse_softmax_cross_entropy", (z[:, 0], z), (z, np.array([0])), {})
    assert got is not None
    np.testing.assert_allclose(got[0], -np.log(np.e / (np.e + 2)), rtol=1e-6)
    assert got[1][0, 1] == 0


def test_what_a_kernel_does_not_take() -> None:
    z = np.ones((3, 4), np.float32)
    labels, halves = np.zeros(3, np.int64), z.astype(np.float16)
    assert run("softmax", (halves,), (z,), {}) is None
    assert run("softmax", (z[:0],), (z[:0],), {}) is None
    assert run("softmax", (z.astype(int),), (z.astype(int),), {}) is None
    assert run("softmax_cross_entropy", (z[:, 0], z), (z, halves), {}) is None
    assert run("sparse_softmax_cross_entropy", (z[:, 0], z), (z, labels.astype(bool)), {}) is None
