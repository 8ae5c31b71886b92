"""The CUDA C++ kernels, compiled for the CPU: bare, and through their launcher on a strict double of CuPy."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cuda_cpu
import numpy as np
import pytest
from gpudl.kernels import registry
from gpudl.kernels.cuda import launch, windows
from gpudl.kernels.geometry import Window
from strict_cupy import capture, installed
from window_oracles import Problem

FOLDER = Path(launch.__file__).parent
NAMES = ("im2col", "col2im", "max_pool", "max_pool_grad", "max_pool_pick", "avg_pool", "avg_pool_grad")
ADJOINT = ("col2im", "max_pool_grad", "avg_pool_grad")
TYPES = [(dtype, index) for dtype in ("float16", "float32", "float64") for index in ("int", "long long")]
GUARD = 8

needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


def cases() -> list[tuple[tuple[int, int, int, int], Window]]:
    chosen = [
        ((2, 6, 6, 4), Window((2, 2), (2, 2))),
        ((1, 5, 5, 8), Window((3, 3), (1, 1), "same")),
        ((0, 5, 5, 3), Window((3, 3), (1, 1))),
        ((2, 1, 1, 1), Window((1, 1), (1, 1))),
        ((1, 1, 2, 2), Window((2, 2), (1, 1), "same", (3, 1))),  # windows wholly in the padding
        ((1, 18, 17, 1), Window((17, 16), (1, 1))),  # 272 taps: argmax does not fit into a byte
    ]
    rng = np.random.default_rng(11)

    def two(high: int) -> tuple[int, int]:
        a, b = map(int, rng.integers(1, high + 1, 2))
        return a, b

    for number in range(8):
        window = Window(two(4), two(3), ("valid", "same")[number % 2], two(2))
        least = window.extent if window.padding == "valid" else (1, 1)
        size = tuple(n + int(rng.integers(0, 6)) for n in least)
        chosen.append(((int(rng.integers(1, 3)), size[0], size[1], int(rng.integers(1, 7))), window))
    return chosen


@cache
def solved(dtype: str) -> list[tuple[Problem, dict[str, Any]]]:
    problems = [Problem(shape, window, np.dtype(dtype)) for shape, window in cases()]
    return [(problem, problem.kernels()) for problem in problems]


def guarded(like: np.ndarray, guard: int = GUARD) -> tuple[np.ndarray, np.ndarray]:
    """Return an out full of NaN (or 77), and the buffer around it."""
    poison = np.nan if like.dtype.kind == "f" else 77
    buffer = np.full(like.size + 2 * guard, poison, like.dtype)
    return buffer[guard : guard + like.size].reshape(like.shape), buffer


def check(expected: np.ndarray, buffer: np.ndarray, what: object) -> None:
    untouched = np.full(GUARD, np.nan if expected.dtype.kind == "f" else 77, expected.dtype)
    whole = np.concatenate([untouched, expected.ravel(), untouched])
    np.testing.assert_array_equal(buffer, whole, err_msg=str(what), strict=True)


def numbers(problem: Problem, index: str) -> tuple[Any, ...]:
    w, (n, height, width, c) = problem.window, problem.shape
    pads = (problem.rows.before, problem.columns.before)
    values = (n, height, width, c, *problem.out[1:3], *w.kernel, *w.strides, *w.dilation, *pads)
    return tuple(map(np.int32 if index == "int" else np.int64, values))


def file_of(name: str) -> str:
    return "pool.cu" if "pool" in name else "conv.cu"


def macros(problem: Problem, name: str, index: str) -> dict[str, str | int]:
    """Return the launcher's macros, in its order so that both share what g++ made."""
    size = problem.dtype.itemsize
    tap = "int" if problem.tap_dtype == np.int32 and name.startswith("max") else "unsigned char"
    return {"GPUDL_REAL": problem.dtype.name.upper(), "GPUDL_INDEX": index, "GPUDL_CHUNK": size, "GPUDL_TAP": tap}


@needs_gxx
@pytest.mark.parametrize(("dtype", "index"), TYPES)
def test_a_kernel_is_exact_with_any_grid(dtype: str, index: str) -> None:
    for problem, kernels in solved(dtype):
        for name, (expected, inputs) in kernels.items():
            for grid, block in ((1, 1), (3, 32), (7, 128)):
                outs = [guarded(each) for each in expected]
                arrays = (*(out for out, _ in outs), *inputs)
                module = cuda_cpu.build(launch.source(file_of(name)), macros(problem, name, index))
                module.launch(name, grid, block, *arrays, *numbers(problem, index))
                for each, (_, buffer) in zip(expected, outs, strict=True):
                    check(each, buffer, (name, problem.shape, problem.window, grid, block))


@pytest.fixture
def cupy() -> Iterator[Any]:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    with installed():
        import cupy

        yield cupy


def static(name: str, problem: Problem) -> dict[str, Any]:
    return {"window": problem.window} | ({"shape": problem.shape} if name in ADJOINT else {})


@pytest.mark.parametrize(("dtype", "index"), TYPES)
def test_a_kernel_is_exact(cupy: Any, dtype: str, index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if index == "long long":
        monkeypatch.setattr(launch, "_MOST_INT", -1)
        windows.numbers.cache_clear()
    for problem, kernels in solved(dtype):
        for name, (expected, inputs) in kernels.items():
            buffers = [cupy.asarray(guarded(each)[1]) for each in expected]
            outs = [
                buffer[GUARD : GUARD + each.size].reshape(each.shape)
                for buffer, each in zip(buffers, expected, strict=True)
            ]
            arrays = (*outs, *map(cupy.asarray, inputs))
            kernel = registry.find(name, "cuda", arrays, static(name, problem))
            assert kernel is not None, name
            kernel(*arrays, **static(name, problem))
            for each, buffer in zip(expected, buffers, strict=True):
                check(each, buffer.get(), (name, problem.shape, problem.window))


def test_a_kernel_costs_one_launch_and_no_transfer_and_is_capturable(cupy: Any) -> None:
    problem, kernels = solved("float32")[0]
    for name, (expected, inputs) in kernels.items():
        with installed() as meter:
            arrays = (*(cupy.asarray(guarded(each, 0)[0]) for each in expected), *map(cupy.asarray, inputs))
            kernel = registry.find(name, "cuda", arrays, static(name, problem))
            assert kernel is not None
            meter.reset()
            kernel(*arrays, **static(name, problem))
            assert (meter.launches, meter.host_to_device, meter.synchronizations) == (1, 0, 0)
            arrays[0].fill(0)
            with capture() as graph:
                kernel(*arrays, **static(name, problem))
            assert not arrays[0].get().any()
            graph.launch()
            np.testing.assert_array_equal(arrays[0].get(), expected[0])


@pytest.mark.parametrize(
    ("channels", "shift", "chunk"), [(1, 0, 4), (2, 0, 8), (3, 0, 4), (4, 0, 16), (4, 1, 4), (4, 2, 8)]
)
def test_im2col_moves_as_much_at_a_time_as_channels_and_addresses_allow(
    cupy: Any, channels: int, shift: int, chunk: int
) -> None:
    problem = Problem((2, 4, 5, channels), Window((2, 3), (1, 2), "same"), np.dtype("float32"))
    expected = problem.kernels()["im2col"][0][0]
    base = cupy.empty(problem.x.size + 4, np.float32)
    start = -base.data.ptr // 4 % 4 + shift
    x = base[start : start + problem.x.size].reshape(problem.x.shape)
    x.set(problem.x)
    cols = cupy.empty(expected.shape, np.float32)
    registry.registered("cuda")["im2col"][0].run(cols, x, window=problem.window)
    np.testing.assert_array_equal(cols.get(), expected)
    assert [dict(key[3:])["GPUDL_CHUNK"] for key in launch._kernels] == [chunk]


def test_a_kernel_is_compiled_once(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real, built = cupy.RawModule, []
    monkeypatch.setattr(cupy, "RawModule", lambda **given: built.append(given) or real(**given))
    x, y = cupy.zeros((1, 4, 4, 1), np.float32), cupy.empty((1, 2, 2, 1), np.float32)
    for _ in range(2):
        kernel = registry.find("avg_pool", "cuda", (y, x), {"window": Window((2, 2), (2, 2))})
        assert kernel is not None
        kernel(y, x, window=Window((2, 2), (2, 2)))
    assert len(built) == 1


@pytest.mark.parametrize("file", sorted(path.name for path in FOLDER.glob("*.cu")))
def test_a_kernel_of_a_file_can_be_compiled_without_the_others(file: str) -> None:
    bare, text = (FOLDER / file).read_text(), launch.source(file)
    names = re.findall(r"^#if !defined\(GPUDL_ONLY\) \|\| defined\(GPUDL_ONLY_(\w+)\)$", text, re.MULTILINE)
    assert len(names) == bare.count("__global__") == text.count("__global__")
    outside = re.sub(r"(?s)#if !defined\(GPUDL_ONLY\).*?\n}\n#endif\n", "", text)
    assert "__global__" not in outside
    assert outside.count("#if") == outside.count("#endif")


@needs_gxx
def test_the_first_use_of_a_kernel_compiles_it_alone(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, ...]] = []
    real = cupy.RawModule
    monkeypatch.setattr(cupy, "RawModule", lambda **all_: given.append(all_["options"]) or real(**all_))
    types: dict[str, str | int] = {"GPUDL_REAL": "FLOAT32", "GPUDL_INDEX": "int"}
    assert launch.function("norm_grad.cu", "batch_norm_grad", **types) is not None
    assert {"-DGPUDL_ONLY", "-DGPUDL_ONLY_batch_norm_grad"} < set(given[0])
    chosen = types | {option[2:]: "" for option in launch.alone("batch_norm_grad")}
    assert list(cuda_cpu.build(launch.source("norm_grad.cu"), chosen).letters) == ["batch_norm_grad"]


def test_a_kernel_that_does_not_compile_leaves_the_work_to_the_reference(
    cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "source", lambda file: '#error "no such compiler"')
    x, y = cupy.zeros((1, 4, 4, 1), np.float32), cupy.empty((1, 2, 2, 1), np.float32)
    given = {"window": Window((2, 2), (2, 2))}
    with pytest.warns(RuntimeWarning, match=r"(?s)could not compile pool.cu.*CuPy's own.*no such compiler"):
        assert registry.find("avg_pool", "cuda", (y, x), given) is None
    with warnings.catch_warnings(action="error"):
        assert registry.find("avg_pool", "cuda", (y.astype("d"), x.astype("d")), given) is None
    with pytest.raises(RuntimeError, match=r"avg_pool of pool.cu does not compile here; check `supports` first"):
        registry.registered("cuda")["avg_pool"][-1].run(y, x, **given)


def test_what_a_kernel_does_not_take(cupy: Any) -> None:
    window = Window((2, 2), (2, 2))
    x, y = cupy.zeros((1, 4, 4, 2), np.float32), cupy.empty((1, 2, 2, 2), np.float32)
    taps = cupy.zeros((1, 2, 2, 2), np.uint8)

    def supports(name: str, *arrays: Any, **given: Any) -> bool:
        return registry.find(name, "cuda", arrays, {"window": window} | given) is not None

    cols = cupy.empty((4, 8), np.float32)
    assert supports("im2col", cols, x)
    assert not supports("im2col", cols, x.astype(np.uint8))
    assert not supports("im2col", cols, x.astype(bool))
    assert supports("max_pool", y, taps, x)
    assert not supports("max_pool", y, taps.astype(np.int32), x)
    assert not supports("max_pool", y, taps, x.astype(np.float64))
    assert not supports("max_pool", y, taps, x.transpose(0, 2, 1, 3))
    assert not supports("avg_pool", y.astype(np.int32), x.astype(np.int32))
    assert not supports("avg_pool", y[0], x[0])
    assert not supports("avg_pool_grad", x, y, shape=(1, 4, 5, 2))
    assert not supports("avg_pool", y, x, window=Window((2,), (2,)))


def test_long_indices_begin_where_int_would_overflow() -> None:
    most = 2**31 - 2**24  # a grid has at most 2**24 threads, and a loop steps once past the end
    assert not launch.wide(SimpleNamespace(size=most))
    assert launch.wide(SimpleNamespace(size=1), SimpleNamespace(size=most + 1))


def test_the_package_imports_without_cupy() -> None:
    code = "import sys, gpudl.kernels.cuda; sys.exit(bool({'cupy', 'numba'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_sources_need_no_header_that_nvrtc_lacks() -> None:
    for file in (path.name for path in FOLDER.glob("*.cu")):
        assert set(re.findall(r"#include (.*)", launch.source(file))) <= {"<cuda_fp16.h>", "<cuda_bf16.h>"}
