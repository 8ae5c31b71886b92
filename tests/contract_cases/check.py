"""Comparing what was computed with what a case says."""

from __future__ import annotations

import ml_dtypes
import numpy as np
from gpudl.kernels.cpu.machine import scratch

from contract_cases.contract import Arrays, Contract, Sample
from gpudl import backend
from gpudl.engine.spec import Spec
from gpudl.engine.tensor import Tensor


def tensors(arrays: Arrays) -> tuple[Tensor, ...]:
    return tuple(Tensor(a) for a in arrays)


def spoilt(array: np.ndarray) -> np.ndarray:
    """Return `array` full of NaN, or of bytes 255."""
    array.reshape(-1).view(np.uint8)[...] = 255
    return array


def dirty(specs: tuple[Spec, ...]) -> Arrays:
    """Return outs full of NaN, or of bytes 255; so is from now on the scratch memory of CPU kernels."""
    scratch._new = lambda shape, dtype: spoilt(np.empty(shape, dtype))
    return tuple(spoilt(backend.get("numpy").empty(s.shape, s.dtype)) for s in specs)


def assert_close(got: Arrays, contract: Contract, inputs: Arrays, sample: Sample, dtype: str) -> None:
    """Compare with the oracle, to the bounds that the case justifies."""
    expected, bounds = contract.expected(inputs, sample.static), contract.bounds(inputs, sample)
    assert len(got) == len(expected)
    for out, exact, bound in zip(got, expected, bounds, strict=True):
        assert out.shape == exact.shape
        if exact.dtype.kind != "f":
            assert out.dtype == exact.dtype
            assert out.tobytes() == exact.tobytes()
            continue
        assert out.dtype == np.dtype(sample.result or dtype)
        limits = ml_dtypes.finfo(out.dtype)
        finite = np.isfinite(exact)
        np.testing.assert_array_equal(out[~finite].astype(np.float64), exact[~finite])
        error = np.abs(out[finite].astype(np.float64) - exact[finite])
        allowed = limits.eps * bound[finite] + (limits.smallest_subnormal if bound.any() else 0)
        assert np.all(error <= allowed), f"off by {np.max(error - allowed)} more than allowed"


def assert_same(got: Arrays, expected: Arrays) -> None:
    """Compare bit for bit."""
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()
