"""Pooling on the GPU: exact, however many channels are moved at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chain_cases import CASES
from cuda_kernels import Placed, agrees, meter, needs_gxx, one_launch_and_no_transfer, run
from gpudl.kernels import registry
from gpudl.kernels.cuda import launch
from gpudl.kernels.geometry import Window
from strict_cupy import Meter, installed
from window_oracles import Problem

__all__ = ["meter"]

OPS = ("max_pool", "max_pool_grad", "max_pool_pick", "avg_pool", "avg_pool_grad")
CHAIN = "activation_grad+max_pool_grad"
WINDOWS = [
    ((2, 7, 6), Window((2, 2), (2, 2))),
    ((1, 7, 9), Window((3, 3), (2, 2), "same")),
    ((1, 6, 5), Window((3, 2), (1, 1))),
    ((2, 9, 8), Window((2, 3), (3, 4), "valid", (2, 1))),  # gaps between windows
    ((1, 5, 9), Window((2, 3), (1, 2), "same", (2, 3))),
    ((1, 1, 2), Window((2, 2), (1, 1), "same", (3, 1))),  # windows wholly in the padding
    ((1, 17, 16), Window((17, 16), (1, 1))),  # argmax does not fit into a byte
]


@pytest.mark.parametrize("op", OPS)
def test_kernels_agree_with_the_cases(op: str, meter: Meter) -> None:
    assert agrees(op) >= 12
    one_launch_and_no_transfer(meter, op)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("size", "window"), WINDOWS)
def test_channels_that_are_moved_together_stay_apart(
    size: tuple[int, ...], window: Window, dtype: str, meter: Meter
) -> None:
    for channels in (1, 2, 4, 8):
        problem = Problem((*size, channels), window, np.dtype(dtype))
        for op, (expected, inputs) in problem.kernels().items():
            if op not in OPS:
                continue
            static: dict[str, Any] = {"window": window} | ({"shape": problem.shape} if op.endswith("grad") else {})
            for shift in (0, 1):
                outs = tuple(np.full_like(a, np.nan if a.dtype.kind == "f" else 77) for a in expected)
                got = run(registry.registered("cuda")[op][-1].run, outs, tuple(inputs), static, shift=shift)
                for each, wanted in zip(got, expected, strict=True):
                    np.testing.assert_array_equal(each, wanted, err_msg=f"{op} {channels} {shift}", strict=True)


@pytest.mark.parametrize(
    ("channels", "dtype", "shift", "width"),
    [(8, "float32", 0, 4), (8, "float16", 0, 8), (6, "float32", 0, 2), (3, "float32", 0, 1), (8, "float32", 2, 2)],
)
def test_as_many_channels_as_possible_are_moved_at_a_time(
    channels: int, dtype: str, shift: int, width: int, meter: Meter
) -> None:
    window = Window((2, 2), (2, 2))
    x, y = np.zeros((1, 4, 4, channels), dtype), np.zeros((1, 2, 2, channels), dtype)
    launch.forget()
    arrays = [Placed(a, shift).array for a in (y, y.astype(np.uint8), x)]
    registry.registered("cuda")["max_pool"][0].run(*arrays, window=window)
    assert [dict(key[3:])["GPUDL_WIDTH"] for key in launch._kernels] == [width]


@needs_gxx
def test_the_chain_is_its_ops() -> None:
    case, rng = CASES[CHAIN], np.random.default_rng(8)
    drawn = [case.draw(rng, "auto") for _ in range(12)]
    by_ops = [case.composed(*each) for each in drawn]  # on the CPU, as there is no GPU yet
    with installed():
        for (inputs, stages), expected in zip(drawn, by_ops, strict=True):
            arrays = tuple(Placed(a).array for a in (*expected, *inputs))
            kernel = registry.find(CHAIN, "cuda", arrays, {"stages": stages})
            assert kernel is not None
            got = run(kernel, (np.full_like(expected[0], np.nan),), inputs, {"stages": stages})
            np.testing.assert_array_equal(got[0], expected[0], strict=True)


def test_the_chain_takes_a_relu_only(meter: Meter) -> None:
    (g, y, taps), stages = CASES[CHAIN].draw(np.random.default_rng(8), "auto")
    dx = np.zeros(stages[1]["shape"], g.dtype)
    arrays = tuple(Placed(a).array for a in (dx, g, y, taps))
    assert registry.find(CHAIN, "cuda", arrays, {"stages": stages}) is not None
    assert registry.find(CHAIN, "cuda", arrays, {"stages": ({"activation": "tanh"}, stages[1])}) is None
