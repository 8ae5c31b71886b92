"""Matrix products by cuBLAS through a handle of our own, on a double of cuBLAS that is reached in the same way."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gpudl.kernels import precision
from gpudl.kernels.cuda import blas, cublas
from strict_cupy import blas as double
from strict_cupy import capture, cuda, installed

import gpudl
from gpudl import backend

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double is compiled with g++")

SHAPES = [  # of out, a and b, neither side transposed
    ((2, 4), (2, 3), (3, 4)),
    ((1, 1), (1, 1), (1, 1)),
    ((17, 5), (17, 33), (33, 5)),
    ((5, 2, 4), (5, 2, 3), (3, 4)),
    ((5, 2, 4), (2, 3), (5, 3, 4)),
    ((5, 2, 4), (5, 2, 3), (5, 3, 4)),
    ((2, 3, 2, 4), (2, 1, 2, 3), (3, 3, 4)),
    ((2, 3, 2, 4), (2, 3, 2, 3), (2, 1, 3, 4)),
    ((2, 3, 5, 2, 4), (2, 1, 5, 2, 3), (1, 3, 1, 3, 4)),
    ((0, 2), (0, 3), (3, 2)),
    ((2, 3), (2, 0), (0, 3)),
    ((4, 2, 3), (4, 2, 0), (0, 3)),
    ((0, 2, 4), (0, 2, 3), (0, 3, 4)),
]
FLIPS = [(False, False), (True, False), (False, True), (True, True)]
Arrays = tuple[Any, Any, Any]


@pytest.fixture
def cupy() -> Iterator[Any]:
    with installed():
        import cupy

        yield cupy
    precision.choose("highest", "the test")


def dtype_of(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return np.dtype(name)


def drawn(cupy: Any, shapes: Any, dtype: Any, flips: tuple[bool, bool] = (False, False)) -> tuple[Arrays, np.ndarray]:
    """Return out full of NaN, a and b on the device, and their product in float64."""
    rng = np.random.default_rng(len(shapes[0]))
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in shapes[1:])
    exact = np.matmul(a.astype(np.float64), b.astype(np.float64))
    laid = [np.ascontiguousarray(x.swapaxes(-1, -2) if flip else x) for x, flip in zip((a, b), flips, strict=True)]
    out = cupy.asarray(np.full(shapes[0], np.nan).astype(dtype))
    return (out, *map(cupy.asarray, laid)), exact


def named(flips: tuple[bool, bool]) -> dict[str, bool]:
    return dict(zip(("transpose_a", "transpose_b"), flips, strict=True))


def kernel(arrays: Arrays, **static: bool) -> Any:
    assert blas.supports(*arrays, **static), double.refusals
    return blas.matmul


def check(out: Any, exact: np.ndarray, depth: int) -> None:
    dtype = out.dtype
    eps = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}[dtype.name]
    got = out.get().astype(np.float64)
    assert got.shape == exact.shape
    # One rounding to the dtype, and those of the sum, which has at least float32's precision.
    bound = (eps + (depth + 1) * max(2.0**-52, min(eps, 2.0**-23))) * (1 + 4 * depth)
    assert np.all(np.abs(got - exact) <= bound), np.abs(got - exact).max(initial=0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("flips", FLIPS, ids=["nn", "tn", "nt", "tt"])
def test_values(cupy: Any, dtype: str, flips: tuple[bool, bool]) -> None:
    for shapes in SHAPES:
        arrays, exact = drawn(cupy, shapes, dtype_of(dtype), flips)
        kept = [x.get().tobytes() for x in arrays[1:]]
        kernel(arrays, **named(flips))(*arrays, **named(flips))
        check(arrays[0], exact, shapes[1][-1])
        assert [x.get().tobytes() for x in arrays[1:]] == kept


def test_a_batch_is_one_call_where_strides_allow(cupy: Any) -> None:
    for shapes, flips, counts in (
        (((5, 2, 4), (5, 2, 3), (3, 4)), (False, False), [1]),  # the rows of all five are rows of one matrix
        (((5, 2, 4), (5, 2, 3), (3, 4)), (True, False), [5]),
        (((5, 2, 4), (2, 3), (5, 3, 4)), (False, False), [5]),
        (((2, 3, 2, 4), (2, 3, 2, 3), (2, 3, 3, 4)), (False, False), [6]),
        (((2, 3, 2, 4), (2, 1, 2, 3), (2, 3, 3, 4)), (False, False), [3, 3]),
        (((2, 3, 2, 4), (2, 3, 2, 3), (3, 3, 4)), (False, False), [3, 3]),
    ):
        arrays, _ = drawn(cupy, shapes, np.float32, flips)
        double.calls.clear()
        blas.matmul(*arrays, **named(flips))
        assert [call.count for call in double.calls] == counts, shapes


def test_a_captured_product_is_a_node_of_the_graph(cupy: Any) -> None:
    arrays, exact = drawn(cupy, SHAPES[0], np.float32)
    out, a, _ = arrays
    batch, exact_batch = drawn(cupy, SHAPES[5], np.float16)
    for stream in (cupy.cuda.Stream.null, cupy.cuda.Stream(non_blocking=True)):
        with stream:
            blas.matmul(*arrays)
    with pytest.raises(NotImplementedError, match="cuBLAS API during stream capture"), capture():
        cupy.matmul(*arrays[1:], out=out)
    out.fill(np.nan)
    with capture() as graph:
        blas.matmul(*arrays)
        blas.matmul(*batch)
    assert len(graph.nodes) == 2
    assert np.isnan(out.get()).all()
    graph.launch()
    check(out, exact, 3)
    check(batch[0], exact_batch, 3)
    a *= np.float32(2)
    graph.launch()
    check(out, 2 * exact, 3)


def test_the_workspace_is_set_again_after_the_stream_and_stays(cupy: Any) -> None:
    arrays, _ = drawn(cupy, SHAPES[0], np.float32)
    streams = [cupy.cuda.Stream.null, cupy.cuda.Stream(non_blocking=True)]
    seen: list[tuple[int, int | None]] = []
    for stream in (*streams, *streams):
        with stream:
            blas.matmul(*arrays)
            blas.matmul(*arrays)
        (kept,) = double.handles.values()
        seen.append((kept.stream, kept.workspace))
    assert not double.refusals
    assert [stream for stream, _ in seen] == [0, streams[1].ptr] * 2
    assert len({workspace for _, workspace in seen} - {None}) == 1, "a captured product knows its address"


def test_each_thread_has_a_handle(cupy: Any) -> None:
    arrays, exact = drawn(cupy, SHAPES[0], np.float32)
    blas.matmul(*arrays)
    both = threading.Barrier(2)

    def work() -> None:
        mine, _ = drawn(cupy, SHAPES[0], np.float32)
        blas.matmul(*mine)
        check(mine[0], exact, 3)
        both.wait(10)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(double.handles) == 3


def test_the_precision_decides_the_type_of_float32_products_only(cupy: Any) -> None:
    fine = np.float32(1 + 2**-12)  # TF32 has ten bits after the point
    one, exact = cupy.asarray(np.ones((1, 1), np.float32)), cupy.asarray(np.full((1, 1), fine))
    out = cupy.empty((1, 1), np.float32)
    for name, result, compute in (("highest", fine, 68), ("high", 1, 77)):
        gpudl.config.set_matmul_precision(name)
        assert gpudl.config.matmul_precision() == name
        assert precision.tensor_cores() == (name == "high")
        double.calls.clear()
        blas.matmul(out, exact, one)
        assert out.get() == result
        for dtype in ("float16", "float64"):
            blas.matmul(*drawn(cupy, SHAPES[0], dtype)[0])
        assert [call.compute for call in double.calls] == [compute, 68, 70]
    assert {call.math for call in double.calls} == {16}, "partial sums of 16-bit products are float32"


def test_a_plan_depends_on_the_precision(cupy: Any) -> None:
    with backend.scope("cupy"):
        square = gpudl.traced(lambda x: x @ x)
        x = gpudl.convert_to_tensor(np.ones((2, 3, 3), np.float32))  # more axes than gpudl's own kernel takes
        for name in ("highest", "high", "highest"):
            gpudl.config.set_matmul_precision(name)
            double.calls.clear()
            square(x)
            assert [call.compute for call in double.calls] == [77 if name == "high" else 68]
        assert len(square.entries) == 2


def test_an_unknown_precision() -> None:
    sentence = 'set_matmul_precision expected "highest" (float32) or "high" (TF32 where the GPU has it), got \'tf32\'.'
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        gpudl.config.set_matmul_precision("tf32")
    assert gpudl.config.matmul_precision() == "highest"


def test_what_the_kernel_does_not_take(cupy: Any) -> None:
    (out, a, b), _ = drawn(cupy, SHAPES[0], np.float32)

    def supports(*arrays: Any) -> bool:
        return blas.supports(*arrays)

    assert supports(out, a, b)
    assert not supports(out, a, b.astype(np.float64))
    assert not supports(out.astype(np.int32), a.astype(np.int32), b.astype(np.int32))
    assert not supports(out, a, cupy.asarray(np.ones((4, 3), np.float32)).T)
    huge = SimpleNamespace(shape=(2**31, 1), dtype=np.dtype("f"), flags=SimpleNamespace(c_contiguous=True))
    assert not supports(huge, huge, SimpleNamespace(**vars(huge) | {"shape": (1, 1)}))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (7, r"an argument is wrong \(CUBLAS_STATUS_INVALID_VALUE\)"),
        (13, r"its kernel failed on the GPU \(CUBLAS_STATUS_EXECUTION_FAILED\)"),
        (15, r"it cannot compute this \(CUBLAS_STATUS_NOT_SUPPORTED\)"),
        (99, "status 99"),
    ],
)
def test_a_refused_product_says_what_and_why(cupy: Any, status: int, words: str) -> None:
    arrays, _ = drawn(cupy, SHAPES[0], np.float32, (False, True))
    sentence = rf"^cuBLAS refused the product of a \[2, 3\] and b \[4, 3\] transposed in float32: {words}\.$"
    double.fails["cublasGemmEx"] = status
    with pytest.raises(cublas.BlasError, match=sentence):
        blas.matmul(*arrays, transpose_b=True)


def test_a_stream_that_is_refused_is_set_the_next_time(cupy: Any) -> None:
    arrays, exact = drawn(cupy, SHAPES[0], np.float32)
    blas.matmul(*arrays)
    double.fails["cublasSetWorkspace_v2"] = 7
    with cupy.cuda.Stream(non_blocking=True):
        with pytest.raises(cublas.BlasError, match="cuBLAS refused its workspace: an argument is wrong"):
            blas.matmul(*arrays)
        double.fails.clear()
        blas.matmul(*arrays)
    check(arrays[0], exact, 3)


def no_library(patch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError("cublas was not found\nanywhere")

    patch.setattr(cuda, "__getattr__", missing)


def no_functions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cuda, "__getattr__", lambda name: SimpleNamespace(__file__="/nowhere/libcublas.so"))


def no_start(patch: pytest.MonkeyPatch) -> None:
    double.fails["cublasCreate_v2"] = 1


def no_memory(patch: pytest.MonkeyPatch) -> None:
    double.fails["cublasCreate_v2"] = 3


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (no_library, r"CuPy finds no cuBLAS \(cublas was not found\)"),
        (
            no_functions,
            r"the cuBLAS that CuPy uses cannot be called directly \(/nowhere/libcublas\.so: cannot open.*\)",
        ),
        (no_start, r"cuBLAS refused to start: it could not be started \(CUBLAS_STATUS_NOT_INITIALIZED\)\."),
        (no_memory, r"cuBLAS refused to start: the GPU is out of memory \(CUBLAS_STATUS_ALLOC_FAILED\)\."),
    ],
)
def test_without_cublas_cupy_multiplies_after_one_warning(
    cupy: Any, monkeypatch: pytest.MonkeyPatch, break_it: Any, reason: str
) -> None:
    break_it(monkeypatch)
    arrays, _ = drawn(cupy, SHAPES[0], np.float32)
    sentence = (
        "^gpudl cannot call cuBLAS itself and lets CuPy multiply matrices. CuPy does not do so while a CUDA graph is "
        f"captured, so that steps with matrix products start kernel by kernel. The reason: {reason}"
    )
    with pytest.warns(RuntimeWarning, match=sentence):
        assert not blas.supports(*arrays)
    assert not blas.supports(*arrays), "and no second warning"
    with backend.scope("cupy"):
        got = gpudl.convert_to_tensor(np.eye(2, dtype=np.float32)) @ gpudl.convert_to_tensor(
            np.eye(2, dtype=np.float32)
        )
    np.testing.assert_array_equal(got.numpy(), np.eye(2))


def test_on_windows_the_library_is_found_by_the_name_of_cupys_cuda(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(name: str) -> Any:
        asked.append(name)
        raise OSError(f"no {name}")

    monkeypatch.setattr(cublas.sys, "platform", "win32")
    monkeypatch.setattr(cublas.ctypes, "CDLL", load)
    for version in (12090, 13000):
        monkeypatch.setattr(cuda.runtime, "runtimeGetVersion", lambda version=version: version)
        with pytest.raises(cublas.BlasError, match=r"cannot be called directly \(no cublas64_1[23]\.dll\)"):
            cublas.library()
    assert asked == ["cublas64_12.dll", "cublas64_13.dll"]
