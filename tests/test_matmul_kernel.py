"""Matrix products by tiles: any shape, and what is left out of a product with zeros."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gpudl.kernels.cpu import matmul
from gpudl.kernels.cpu.machine.tile import PANEL, ROWS
from thread_tools import COUNTS, workers

EPSILON = np.finfo(np.float32).eps
EMPTY = np.empty(0, np.float32)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def product(
    a: np.ndarray, b: np.ndarray, bias: np.ndarray = EMPTY, activation: str = "linear", *turned: bool
) -> np.ndarray:
    """Return activation(a @ b + bias) by the kernel; `turned` sides are handed over transposed."""
    left, right = turned or (False, False)
    out = np.full((len(a), b.shape[1]), np.nan, np.float32)
    sides = np.ascontiguousarray(a.T if left else a), np.ascontiguousarray(b.T if right else b)
    before = [side.copy() for side in sides]
    matmul.multiplied(out, *sides, bias, activation, left, right)
    for side, kept in zip(sides, before, strict=True):
        assert side.tobytes() == kept.tobytes()
    return out


def shapes() -> Iterator[tuple[int, int, int]]:
    rng = np.random.default_rng(5)
    yield from ((1, 1, 1), (ROWS, 1, PANEL), (ROWS + 1, 256, PANEL + 1), (16 * ROWS + 1, 257, 1), (1, 300, 300))
    yield from ((300, 513, 17), (800, 3, 5))  # steps in three parts; rows of many blocks
    for _ in range(20):
        m, k, n = (int(v) for v in rng.integers(1, 301, 3))
        yield m, k, n


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_products_of_any_shape(turned: tuple[bool, bool], activation: str) -> None:
    for number, (m, k, n) in enumerate(shapes()):
        a, b = noise(m, k, seed=number), noise(k, n, seed=number + 1)
        bias = noise(n, seed=number + 2) if number % 3 else EMPTY
        exact = a.astype(np.float64) @ b + (bias.astype(np.float64) if bias.size else 0)
        size = abs(a).astype(np.float64) @ abs(b) + (abs(bias) if bias.size else 0)
        expected = np.maximum(exact, 0) if activation == "relu" else exact
        assert (abs(product(a, b, bias, activation, *turned) - expected) <= (k + 2) * EPSILON * size).all()


def test_a_product_is_summed_in_order_whatever_its_tiles() -> None:
    # Element by element: an fma a step, in the order of the steps, wherever the tiles and blocks of steps begin.
    a, b = noise(100, 600), noise(600, 200, seed=1)
    whole = product(a, b)
    for rows, columns in ((slice(7, 8), slice(None)), (slice(3, 90), slice(65, 66)), (slice(50, 99), slice(1, 150))):
        part = product(a[rows], np.ascontiguousarray(b[:, columns]))
        assert part.tobytes() == np.ascontiguousarray(whole[rows, columns]).tobytes()
    assert product(a, b, EMPTY, "linear", True, True).tobytes() == whole.tobytes()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Look for zeros however small a product is, and note whether steps were left out."""
    found: list[bool] = []
    plain = matmul._survey

    def survey(work: int, known: matmul.Survey, *rest: Any) -> None:
        known.infinite[...], known.bounds[...] = False, -1
        plain(work, known, *rest)
        found.append(bool(known.bounds.min() >= 0 and not known.infinite.any()))

    monkeypatch.setattr(matmul, "_FEW", 0)
    monkeypatch.setattr(matmul, "_survey", survey)
    return found


def sparse(m: int, k: int, share: float, seed: int) -> np.ndarray:
    """Return a matrix with a share of zeros, as pixels of digits have them: in columns, and by themselves."""
    rng = np.random.default_rng(seed)
    a = noise(m, k, seed=seed)
    a[rng.random((m, k)) < share] = 0
    a[:, rng.random(k) < share] = 0
    a[rng.random((m, k)) < 0.05] *= np.float32(-0.0)
    return a


def bits(array: np.ndarray) -> list[int]:
    """Return the bits of an array; those of a NaN, which depend on the order of two operands, are made the same."""
    return np.where(np.isnan(array), np.float32("nan"), array).view(np.uint32).ravel().tolist()


def dense(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> np.ndarray:
    with monkeypatch.context() as patch:
        patch.setattr(matmul, "_FEW", sys.maxsize)
        return product(*arguments)


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("share", [0.6, 0.95, 1.0])
def test_leaving_zeros_out_changes_no_bit(
    share: float, activation: str, turned: tuple[bool, bool], looks: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (m, k, n) in enumerate(shapes()):
        arguments = sparse(m, k, share, number), noise(k, n, seed=1), noise(n, seed=2), activation, *turned
        assert bits(product(*arguments)) == bits(dense(monkeypatch, *arguments))
    assert looks.count(True) >= len(looks) // 2


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_not_finite_spreads_as_in_numpy(side: int, special: float, looks: list[bool]) -> None:
    sides = [sparse(40, 70, 0.8, 0), noise(70, 90, seed=1)]
    sides[side][5, 3] = special
    with np.errstate(invalid="ignore"):
        expected = sides[0] @ sides[1]
    got = product(*sides)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(expected))
    assert not np.isfinite(got).all()
    assert looks == [side == 0]  # zeros times what is not finite are no zeros


def test_a_single_value_that_is_not_finite_is_found_anywhere(looks: list[bool]) -> None:
    a = np.zeros((6, 999), np.float32)
    for at in (0, 1, 500, 62_936, 62_937 - 1):
        b = np.ones((999, 63), np.float32)
        b.reshape(-1)[at] = -np.inf
        assert np.isnan(product(a, b)).any()
    product(a, np.full((999, 63), np.finfo(np.float32).max))
    assert looks == [False] * 5 + [True]


def test_only_large_products_are_searched_for_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plain = matmul._survey
    monkeypatch.setattr(matmul, "_survey", lambda work, *rest: (seen.append(work), plain(work, *rest)))
    product(np.zeros((64, 128), np.float32), noise(128, 1023))
    assert not seen
    product(np.zeros((64, 128), np.float32), noise(128, 1024))
    assert seen == [64 * 128 * 1024]


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_the_bits_do_not_depend_on_threads(share: float, looks: list[bool]) -> None:
    arguments = sparse(250, 300, share, 1), noise(300, 270), noise(270, seed=3), "relu"
    results = set()
    for count in COUNTS:
        with workers(count):
            results.add(product(*arguments).tobytes())
    assert len(results) == 1
    assert looks == [share > 0] * len(COUNTS)
