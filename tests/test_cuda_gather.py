"""Rows by number on the GPU: the batches of a training, the vectors of an embedding and their gradient."""

from __future__ import annotations

from typing import Any

import cuda_cpu
import numpy as np
import pytest
from cuda_kernels import Placed, agrees, meter, one_launch_and_no_transfer, run
from gpudl.kernels import registry
from gpudl.kernels.cuda import gather, launch, scatter
from strict_cupy import Meter, capture

from gpudl.engine.op import registry as ops

__all__ = ["meter"]

ORDERS = (None, "int32", "int64")


@pytest.mark.parametrize("op", ["take", "take_batch", "take_grad"])
def test_kernels_agree_with_the_cases(op: str, meter: Meter) -> None:
    assert agrees(op) >= 8
    one_launch_and_no_transfer(meter, op)


def _gathered(out: np.ndarray, source: np.ndarray, order: Any, start: int, shift: int) -> np.ndarray:
    arrays = (source,) if order is None else (source, order)

    def call(out: Any, source: Any, *rest: Any) -> None:
        given = None if order is None else rest[0]
        assert gather.supports_rows(out, source, given)
        gather.gather_rows(out, source, given, rest[-1])

    return run(call, (out,), (*arrays, np.array(start)), {}, shift=shift)[0]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("row", [(), (1,), (3,), (8,), (28, 28), (4, 5, 3), (0,)])
@pytest.mark.parametrize("dtypes", ["uint8 float32", "int64 float16", "float64 float64", "bool bool"])
def test_rows_are_copied_and_converted(order: str | None, row: tuple[int, ...], dtypes: str, meter: Meter) -> None:
    kind, to = dtypes.split()
    rng = np.random.default_rng(3)
    source = rng.integers(0, 2 if kind == "bool" else 256, (9, *row)).astype(kind)
    numbers = None if order is None else rng.permutation(9).astype(order)
    for shift in (0, 1, 2):
        for count, start in ((4, 3), (1, 8), (0, 0)):
            out = np.full((count, *row), 77, to)
            rows = np.arange(start, start + count) if numbers is None else numbers[start : start + count]
            got = _gathered(out, source, numbers, start, shift)
            np.testing.assert_array_equal(got, source[rows].astype(to), strict=True)


def test_a_number_out_of_range_reads_the_nearest_row(meter: Meter) -> None:
    source, out = np.arange(5, dtype=np.uint8), np.empty(4, np.float32)
    np.testing.assert_array_equal(_gathered(out, source, np.array([-7, 9, 2**40]), 0, 0), [0, 4, 4, 4])
    np.testing.assert_array_equal(_gathered(out, source, None, 3, 0), [3, 4, 4, 4])
    np.testing.assert_array_equal(_gathered(out, source, None, -2, 0), [0, 0, 0, 1])


def test_a_captured_gather_goes_on_from_where_start_is_set(meter: Meter) -> None:
    source = np.arange(12, dtype=np.float32).reshape(6, 2)
    out, table = Placed(np.zeros((2, 2), np.float32)), Placed(source)
    order, start = Placed(np.array([5, 0, 4, 1, 3, 2])), Placed(np.array(0))
    gather.gather_rows(out.array, table.array, order.array, start.array)
    with capture() as graph:
        gather.gather_rows(out.array, table.array, order.array, start.array)
    for first in (0, 2, 4):
        start.array.fill(first)
        graph.launch()
        np.testing.assert_array_equal(out.value(), source[order.value()[first : first + 2]])


@pytest.mark.parametrize(
    ("dtypes", "row", "shift", "width"),
    [
        ("uint8 float32", 784, 0, {"GPUDL_WIDTH": 4}),
        ("uint8 float32", 6, 0, {"GPUDL_WIDTH": 2}),
        ("uint8 float32", 784, 1, {"GPUDL_WIDTH": 1}),
        ("uint8 float16", 784, 0, {"GPUDL_WIDTH": 8}),
        ("float64 float32", 784, 0, {"GPUDL_WIDTH": 2}),
        ("float32 float32", 784, 0, {"GPUDL_TO": "uint4"}),
        ("float32 float32", 3, 0, {"GPUDL_TO": "unsigned int"}),
        ("uint8 uint8", 10, 0, {"GPUDL_TO": "unsigned short"}),
    ],
)
def test_as_much_as_possible_is_moved_at_a_time(
    dtypes: str, row: int, shift: int, width: dict[str, Any], meter: Meter
) -> None:
    kind, to = dtypes.split()
    source, out = np.zeros((3, row), kind), np.zeros((2, row), to)
    launch.forget()
    placed = [Placed(a, shift).array for a in (out, source, np.zeros((), np.int64))]
    gather.gather_rows(*placed[:2], None, placed[2])
    assert [width.items() <= dict(key[3:]).items() for key in launch._kernels] == [True]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bool", "uint8", "int32"])
@pytest.mark.parametrize("columns", [1, 3, 16])
def test_rows_count_from_the_end_and_those_out_of_range_are_marked(columns: int, dtype: str, meter: Meter) -> None:
    x = np.random.default_rng(3).integers(0, 2, (5, columns)).astype(dtype)
    for kind in ("int32", "int64"):
        order = np.array([[0, -1, 4], [-5, 5, -6]], kind)
        expected = np.empty((2, 3, columns), dtype)
        ops["take"].forward(np, expected, x, order)
        np.testing.assert_array_equal(expected.reshape(6, columns)[:4], x[order.reshape(-1)[:4]])
        marked = expected[1, 1:].astype(np.float64)
        assert np.isnan(marked).all() if np.dtype(dtype).kind == "f" else set(marked.flat) <= {1, 255, -1}
        (got,) = run(gather.take, (np.zeros((2, 3, columns), dtype),), (x, order), {})
        assert got.tobytes() == expected.tobytes()


def test_what_is_not_taken(meter: Meter) -> None:
    def supports(out: np.ndarray, source: np.ndarray, order: np.ndarray | None = None) -> bool:
        given = None if order is None else Placed(order).array
        return gather.supports_rows(Placed(out).array, Placed(source).array, given)

    source, out, order = np.zeros((4, 3), np.uint8), np.zeros((2, 3), np.float32), np.zeros(4, np.int64)
    assert supports(out, source, order)
    assert not supports(out, source, order.astype(np.uint8))
    assert not supports(out, source, order.reshape(2, 2))
    assert not supports(out, source, order[:0])
    assert not supports(out, source[:0])
    assert not supports(out[:, :2], source)
    assert not supports(out.astype(np.int32), source)
    assert not supports(out, source.astype(np.uint16))
    assert not supports(out, source.astype(">i4"))
    assert not supports(out[0, 0], source[0, 0])
    sliced = Placed(np.zeros((4, 6), np.uint8)).array[:, ::2]
    assert not gather.supports_rows(Placed(out).array, sliced, None)


def test_a_kernel_that_does_not_compile_says_so(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "source", lambda file: '#error "no such compiler"')
    out, x, at = (Placed(a).array for a in (np.zeros((2, 3)), np.zeros((4, 3)), np.zeros(2, int)))
    with pytest.warns(RuntimeWarning, match=r"could not compile gather.cu"):
        assert registry.find("take", "cuda", (out, x, at), {}) is None
    with pytest.raises(RuntimeError, match=r"take_rows of gather.cu does not compile here; check `supports` first"):
        gather.take(out, x, at)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("rows", "columns", "indices"),
    [(1, 1, (1,)), (33, 5, (40,)), (70, 129, (3, 60)), (5, 3, (1030,)), (40, 2, (0,)), (6, 4, ())],
)
def test_the_gradient_of_rows_adds_them_in_order(
    rows: int, columns: int, indices: tuple[int, ...], dtype: str, meter: Meter
) -> None:
    rng = np.random.default_rng(rows)
    order = rng.integers(-rows - 1, rows + 1, indices)  # some out of range, which have no part in it
    g = rng.integers(-8, 9, (*indices, columns)).astype(dtype)
    expected = np.zeros((rows, columns), dtype)
    known = (order >= -rows) & (order < rows)
    np.add.at(expected, order[known], g[known])
    out = np.full((rows, columns), np.nan, dtype)

    def both() -> list[np.ndarray]:
        return [run(scatter.take_grad, (out,), (g, order.astype(k)), {"rows": rows})[0] for k in ("int32", "int64")]

    for got in cuda_cpu.same_in_any_order(both):
        np.testing.assert_array_equal(got, expected, strict=True)


def test_the_gradient_of_rows_rounds_as_the_reference_does(meter: Meter) -> None:
    rng = np.random.default_rng(9)
    g, order = rng.normal(size=(700, 3)).astype(np.float32), rng.integers(0, 3, 700)
    g[order == 1, 1] = np.nan
    expected, out = np.empty((4, 3), np.float32), np.empty((4, 3), np.float32)
    ops["take_grad"].forward(np, expected, g, order, rows=4)
    (got,) = run(scatter.take_grad, (out,), (g, order), {"rows": 4})
    np.testing.assert_array_equal(got, expected)


def test_what_the_gradient_of_rows_does_not_take(meter: Meter) -> None:
    def supports(out: np.ndarray, g: np.ndarray, indices: np.ndarray) -> bool:
        arrays = tuple(Placed(a).array for a in (out, g, indices))
        return registry.find("take_grad", "cuda", arrays, {"rows": len(out)}) is not None

    out, g, at = np.zeros((4, 3)), np.zeros((2, 3)), np.zeros(2, int)
    assert supports(out, g, at)
    assert not supports(out, g.astype(np.float32), at)
    assert not supports(out, g, at.astype(np.uint8))
    assert not supports(out, g[:, :2], at)
    assert not supports(out.astype(int), g.astype(int), at)
