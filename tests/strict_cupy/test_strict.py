"""The double is strict: host and device do not mix, costs are counted, a capture refuses what CUDA does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strict_cupy import capture, installed, is_installed

HOST = np.ones(3, np.float32)


@pytest.fixture
def meter() -> Iterator[Any]:
    with installed() as meter:
        yield meter


@pytest.fixture
def cupy(meter: Any) -> Any:
    import cupy

    return cupy


def test_it_comes_and_goes() -> None:
    before = sys.modules.get("cupy")
    with installed():
        import cupy

        assert cupy.__name__ == "strict_cupy.namespace"
        assert is_installed()
    assert sys.modules.get("cupy") is before
    assert not is_installed()


LEFT_BEHIND = """
import sys, types
import strict_cupy
entered = strict_cupy.installed()
def test_the_real_one(): sys.modules["cupy"] = types.ModuleType("cupy")
def test_the_double(): entered.__enter__()
"""


def test_a_test_may_leave_a_real_cupy_behind_but_not_the_double(tmp_path: Path) -> None:
    (tmp_path / "test_left.py").write_text(LEFT_BEHIND)
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(tests.parent / "pyproject.toml"), "-p", "conftest"]
    environment = {**os.environ, "PYTHONPATH": str(tests), "PYTEST_ADDOPTS": "-p no:cacheprovider -p no:randomly"}
    command += ["--rootdir", str(tmp_path), str(tmp_path / "test_left.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert "2 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "the test leaves the double of CuPy behind" in done.stdout


@pytest.mark.parametrize(
    "mix",
    [
        lambda cupy, d: HOST + d,
        lambda cupy, d: d + HOST,
        lambda cupy, d: d.__iadd__(HOST),
        lambda cupy, d: np.add(HOST, d),
        lambda cupy, d: np.asarray(d),
        lambda cupy, d: np.sum(d),
        lambda cupy, d: np.concatenate([HOST, d]),
        lambda cupy, d: HOST.copy().__setitem__(slice(None), d),
        lambda cupy, d: d.__setitem__(slice(None), HOST),
        lambda cupy, d: d.__setitem__(slice(None), [1, 2, 3]),
        lambda cupy, d: cupy.sum(HOST),
        lambda cupy, d: cupy.maximum(d, HOST),
        lambda cupy, d: cupy.maximum(d, [1, 2, 3]),
        lambda cupy, d: cupy.concatenate([d, HOST]),
        lambda cupy, d: cupy.add(d, d, out=HOST.copy()),
        lambda cupy, d: cupy.add(d, d, where=d > 0),
        lambda cupy, d: cupy.take(d, d.astype(int), mode="clip"),
        lambda cupy, d: cupy.einsum("i,i->i", d, d, out=d),
        lambda cupy, d: d.sum(where=d > 0),
    ],
)
def test_host_and_device_do_not_mix(cupy: Any, mix: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        mix(cupy, cupy.asarray(HOST))


def test_implicit_conversion_says_what_cupy_says(cupy: Any) -> None:
    with pytest.raises(TypeError, match=r"Implicit conversion to a NumPy array is not allowed. Please use `.get\(\)`"):
        np.asarray(cupy.zeros(3))
    with pytest.raises(TypeError, match=r"Unsupported type <class 'numpy\.ndarray'>"):
        cupy.exp(HOST)


def test_it_computes(cupy: Any) -> None:
    d = cupy.asarray(HOST)
    out = cupy.empty(3, np.float32)
    assert np.isnan(out.get()).all()
    assert cupy.maximum(d * 2 - np.float32(0.5), 0, out=out) is not None
    np.testing.assert_array_equal(out.get(), [1.5, 1.5, 1.5])
    assert (np.float32(2) * d).dtype == np.float32
    assert d.sum().shape == cupy.sum(d).shape == ()
    view = out[1:].reshape(2, 1)
    view += d[:2, None]
    np.testing.assert_array_equal(out.get(), [1.5, 2.5, 2.5])
    with pytest.raises(ValueError, match="Out shape is mismatched"):
        cupy.add(d, 1, out=cupy.empty((2, 3), np.float32))
    with pytest.raises(AttributeError, match="the strict double of CuPy has no 'vecdot'"):
        cupy.vecdot(d, d)


@pytest.mark.parametrize(
    ("use", "counts"),
    [
        (lambda cupy, d: cupy.asarray(HOST), (1, 0, 0, 0)),
        (lambda cupy, d: d.set(HOST), (1, 0, 0, 0)),
        (lambda cupy, d: d.get(), (0, 1, 1, 0)),
        (lambda cupy, d: d[0], (0, 0, 0, 0)),
        (lambda cupy, d: d[1:].reshape(2, 1).T, (0, 0, 0, 0)),
        (lambda cupy, d: float(d[0]), (0, 1, 1, 0)),
        (lambda cupy, d: bool((d > 0).all()), (0, 1, 1, 2)),
        (lambda cupy, d: d[d > 0], (0, 0, 1, 2)),
        (lambda cupy, d: d[[0, 2]], (1, 0, 0, 1)),
        (lambda cupy, d: cupy.add(d, 1, out=d), (0, 0, 0, 1)),
        (lambda cupy, d: cupy.cuda.Device().synchronize(), (0, 0, 1, 0)),
        (lambda cupy, d: cupy.cuda.get_current_stream().synchronize(), (0, 0, 1, 0)),
    ],
)
def test_costs_are_counted(cupy: Any, meter: Any, use: Callable[..., Any], counts: tuple[int, ...]) -> None:
    d = cupy.asarray(HOST)
    meter.reset()
    use(cupy, d)
    assert (meter.host_to_device, meter.device_to_host, meter.synchronizations, meter.launches) == counts


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda cupy, d: cupy.asarray(HOST),
        lambda cupy, d: d.set(HOST),
        lambda cupy, d: d.get(),
        lambda cupy, d: d.sum().item(),
        lambda cupy, d: float(d[0]),
        lambda cupy, d: bool(d[0]),
        lambda cupy, d: f"{d[0]:.2f}",
        lambda cupy, d: d[d > 0],
        lambda cupy, d: d.__setitem__(d > 0, 0),
        lambda cupy, d: d[[0, 2]],
        lambda cupy, d: d[np.arange(2)],
        lambda cupy, d: cupy.where(d > 0),
        lambda cupy, d: cupy.nonzero(d),
        lambda cupy, d: cupy.random.rand(3),
        lambda cupy, d: cupy.cuda.Device().synchronize(),
        lambda cupy, d: cupy.cuda.get_current_stream().synchronize(),
        lambda cupy, d: cupy.matmul(d, d),
        lambda cupy, d: d @ d,
        lambda cupy, d: d.dot(d),
    ],
)
def test_a_capture_refuses(cupy: Any, meter: Any, forbidden: Callable[..., Any]) -> None:
    d = cupy.asarray(HOST)
    with pytest.raises((cupy.cuda.runtime.CUDARuntimeError, NotImplementedError), match="captur"), capture():
        forbidden(cupy, d)
    assert meter.graph is None


def test_a_capture_computes_nothing_until_its_graph_is_launched(cupy: Any) -> None:
    d, out, index = cupy.asarray(HOST), cupy.zeros(3, np.float32), cupy.asarray(np.array([2, 0]))
    stream, pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
    with cupy.cuda.using_allocator(pool.malloc), stream:
        stream.begin_capture()
        fresh = cupy.where(d > 0, d * 3, 0)
        cupy.add(fresh, 1, out=out)
        out[0] = 9
        d += 1
        picked = cupy.take(out, index)
        graph = stream.end_capture()
    assert np.isnan(fresh.get()).all()
    np.testing.assert_array_equal(out.get(), [0, 0, 0])
    graph.launch()
    graph.launch()
    np.testing.assert_array_equal(d.get(), [3, 3, 3])
    np.testing.assert_array_equal(out.get(), [9, 7, 7])
    np.testing.assert_array_equal(picked.get(), [7, 9])
    del pool
    with pytest.raises(
        cupy.cuda.runtime.CUDARuntimeError, match="IllegalAddress: a graph uses memory whose pool is gone"
    ):
        graph.launch()


def test_a_capture_takes_no_memory_that_others_may_get(cupy: Any) -> None:
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="memory from the default pool"):
            cupy.empty(3)
        stream.end_capture()


def test_the_default_stream_cannot_be_captured(cupy: Any) -> None:
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="default stream"):
        cupy.cuda.Stream.null.begin_capture()
