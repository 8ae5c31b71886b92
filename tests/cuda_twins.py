"""Running twins of CUDA kernels on the strict double, beside the cases of the op contract."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
from contract_cases import CONTRACTS
from contract_cases.check import assert_close, assert_same, tensors
from cuda_cpu import in_order
from gpudl.kernels import registry as kernels

from gpudl.engine.op import registry

Arrays = tuple[np.ndarray, ...]
DTYPES = ("float16", "float32", "float64")
needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


def shifted(cupy: Any, array: np.ndarray, by: int) -> Any:
    """Return a copy on the double whose address is `by` elements behind a multiple of 16 bytes."""
    buffer = cupy.empty(array.size + 32, array.dtype)
    start = -(buffer.data.ptr // array.itemsize) % (16 // array.itemsize) + by
    view = buffer[start : start + array.size].reshape(array.shape)
    view.set(np.array(array, order="C"))
    return view


def nothing(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.full(shape, np.nan if np.dtype(dtype).kind not in "iu" else 77, dtype)


def run(cupy: Any, name: str, outs: Arrays, inputs: Arrays, static: dict[str, Any], by: int = 0) -> Arrays | None:
    """Return what the twin makes of `inputs`, or None if none takes them; it must write all of `outs`, and nothing else."""
    made = [shifted(cupy, nothing(a.shape, a.dtype), by) for a in outs]
    given = [shifted(cupy, a, by) for a in inputs]
    twin = kernels.find(name, "cuda", (*made, *given), static)
    if twin is None:
        return None
    twin(*made, *given, **static)
    assert_same(tuple(a.get() for a in given), inputs)
    return tuple(a.get() for a in made)


def outs_of(name: str, inputs: Arrays, static: dict[str, Any]) -> Arrays:
    return tuple(np.empty(s.shape, s.dtype) for s in registry[name].specs(tensors(inputs), static))


def agrees(cupy: Any, name: str, draws: int = 4) -> int:
    """Compare a twin with the oracle on all samples, chosen and drawn; return how many it took."""
    contract, count = CONTRACTS[name], 0
    for sample in (*contract.samples, *contract.drawn(draws)):
        for dtype in DTYPES:
            inputs = sample.cast(dtype)
            results = []
            for by, order in ((0, "forward"), (int(dtype == "float32"), "reverse")):
                with in_order(order):
                    results.append(run(cupy, name, outs_of(name, inputs, sample.static), inputs, sample.static, by))
            if results[0] is None:
                continue
            count += 1
            assert_close(results[0], contract, inputs, sample, dtype)
            assert_same(results[1], results[0])
    return count
