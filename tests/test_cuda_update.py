"""Optimizer updates on the GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuda_kernels import Placed, agrees, meter, one_launch_and_no_transfer
from gpudl.kernels import registry
from gpudl.kernels.cuda import launch, update
from strict_cupy import Meter, capture

from gpudl.engine.op import registry as ops

__all__ = ["meter"]

OPS = ("sgd_", "sgd_momentum_", "rmsprop_", "adam_")
STATICS: dict[str, dict[str, Any]] = {
    "sgd_": {},
    "sgd_momentum_": {"momentum": 0.9, "nesterov": True},
    "rmsprop_": {"rho": 0.9, "epsilon": 1e-7},
    "adam_": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
}


def drawn(op: str, size: int, dtype: str = "float32") -> list[np.ndarray]:
    rng = np.random.default_rng(size)
    arrays: list[np.ndarray] = []
    for name in ops[op].inputs:
        scalar = {"lr": np.array(0.01, dtype), "step": np.array(4)}
        arrays.append(scalar.get(name, rng.uniform(0.5, 1.5, size).astype(dtype)))
    return arrays


@pytest.mark.parametrize("op", OPS)
def test_kernels_agree_with_the_cases(op: str, meter: Meter) -> None:
    assert agrees(op) >= 12
    one_launch_and_no_transfer(meter, op)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 1023, 3000])
@pytest.mark.parametrize("op", OPS)
def test_every_size_is_updated_whole_and_no_more(op: str, size: int, meter: Meter) -> None:
    arrays = drawn(op, size)
    expected = [a.copy() for a in arrays]
    ops[op].forward(np, *expected, **STATICS[op])
    for shift in (0, 1, 2):
        placed = [Placed(a, shift) for a in arrays]
        registry.registered("cuda")[op][0].run(*(p.array for p in placed), **STATICS[op])
        for got, wanted in zip(placed, expected, strict=True):
            np.testing.assert_allclose(got.value(), wanted, rtol=4e-7, strict=True)


def test_what_changes_from_step_to_step_is_read_from_the_device(meter: Meter) -> None:
    arrays = drawn("adam_", 6)
    placed = [Placed(a) for a in arrays]
    given = [p.array for p in placed]
    with capture() as graph:
        update.adam_(*given, **STATICS["adam_"])
    for _ in range(3):
        graph.launch()
        ops["adam_"].forward(np, *arrays, **STATICS["adam_"])
        given[4].fill(0.5)
        arrays[4].fill(0.5)
        given[5].fill(900)
        arrays[5].fill(900)
    for got, wanted in zip(placed, arrays, strict=True):
        np.testing.assert_allclose(got.value(), wanted, rtol=1e-6)


def test_what_is_not_taken(meter: Meter) -> None:
    def supports(op: str, *arrays: np.ndarray) -> bool:
        return registry.find(op, "cuda", tuple(Placed(a).array for a in arrays), STATICS[op]) is not None

    w, lr = np.ones(4, np.float32), np.array(0.1, np.float32)
    assert supports("sgd_", w, w, lr)
    assert not supports("sgd_", w, w.astype(float), lr)
    assert not supports("sgd_", w, w[:3], lr)
    assert not supports("sgd_", w, w, lr.astype(float))
    assert not supports("sgd_", w, w, lr.reshape(1))
    assert not supports("sgd_", *(a.astype(np.float16) for a in (w, w, lr)))
    assert not supports("adam_", w, w, w, w, lr, np.array(1, np.int32))
    strided = Placed(np.ones(8, np.float32)).array[::2]
    assert registry.find("sgd_", "cuda", (strided, strided, Placed(lr).array), {}) is None


def test_a_kernel_that_does_not_compile_says_so(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "source", lambda file: '#error "no such compiler"')
    arrays = tuple(Placed(a).array for a in drawn("sgd_", 4))
    with pytest.warns(RuntimeWarning, match=r"could not compile update.cu"):
        assert registry.find("sgd_", "cuda", arrays, {}) is None
    with pytest.raises(RuntimeError, match=r"sgd of update.cu does not compile here; check `supports` first"):
        update.sgd_(*arrays)
