"""A program: kernels on arrays that end where memory ends, for a process of its own, which may die of it.

Run by test_kernels_apart.py with a number of draws. The first line that is printed says how wide vectors are; then
each kernel is announced before it runs. The arrays hold small whole numbers, so that sums are exact in any order.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from chain_cases import SUMS, Arrays, Rng
from contract_cases.check import dirty
from gpudl.kernels import registry
from gpudl.kernels.cpu import matmul
from gpudl.kernels.cpu.machine.vectors import LANES, REGISTERS

from gpudl import ops
from gpudl.engine.spec import Spec
from gpudl.engine.state import reference_only
from gpudl.ops.primitives.pool import max_pool

PAGE = mmap.PAGESIZE
WAYS = ("implicit", "winograd")
Problem = tuple[str, Arrays, dict[str, Any], Callable[..., Any]]


def at_edge(array: np.ndarray, at_end: bool) -> np.ndarray:
    """Return a copy of an array right before, or right after, a page that can be neither read nor written."""
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    inner = -(-array.nbytes // PAGE) * PAGE
    memory = mmap.mmap(-1, inner + 2 * PAGE)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (begin, begin + PAGE + inner):
        if protect(page, PAGE, 0) != 0:
            raise OSError(ctypes.get_errno(), "a page could not be protected")
    offset = PAGE + (inner - array.nbytes if at_end else 0)
    copy = np.frombuffer(memory, array.dtype, array.size, offset).reshape(array.shape)
    copy[...] = array
    return copy


def whole(*arrays: np.ndarray) -> Arrays:
    return tuple(np.rint(2 * a) if a.dtype == np.float32 else a for a in arrays)


def exact(function: Callable[..., Any], inputs: Arrays) -> Arrays:
    """Return what the references make of `inputs` in float64."""
    with reference_only():
        outs = function(*(a.astype(np.float64) if a.dtype == np.float32 else a for a in inputs))
    return tuple(t.numpy() for t in (outs if isinstance(outs, tuple) else (outs,)))


def problems(rng: Rng, way: str) -> Iterator[Problem]:
    """Yield names of ops and chains, with inputs, static arguments, and what computes the same."""

    def single(name: str, inputs: Arrays, static: dict[str, Any]) -> Problem:
        return name, inputs, static, partial(ops.registry[name], **static)

    (a, b, _), (static, _) = SUMS["matmul+bias_activation"].draw(rng, way)
    a[rng.random(a.shape) < 0.7] = 0
    yield single("matmul", whole(a, b), static)
    (x, w, _), (how, _, pooling) = SUMS["conv2d+bias_activation+max_pool"].draw(rng, way)
    x, w = whole(x, w)
    (y,) = (a.astype(np.float32) for a in exact(partial(ops.conv2d, **how), (x, w)))
    maxima, taps = exact(partial(max_pool, **pooling), (y,))
    yield single("conv2d", (x, w), how)
    yield single("conv2d_input_grad", (y, w), {**how, "shape": x.shape})
    yield single("conv2d_weight_grad", (x, *whole(rng.standard_normal(y.shape).astype(np.float32))[:1]), how)
    yield single("max_pool", (y,), pooling)
    yield single("max_pool_grad", (maxima.astype(np.float32), taps), {**pooling, "shape": y.shape})
    for name, case in SUMS.items():
        inputs, stages = case.draw(rng, way)
        yield name, whole(*inputs), {"stages": stages}, partial(case.ops, stages)


def main(draws: int) -> None:
    print(LANES, REGISTERS, flush=True)
    matmul._FEW = 0  # multiplications from which zeros are looked for
    for seed in range(draws):
        for name, inputs, static, function in problems(np.random.default_rng(seed), WAYS[seed % 2]):
            expected = exact(function, inputs)
            outs = dirty(tuple(Spec(a.shape, np.dtype("f" if a.dtype == np.float64 else a.dtype)) for a in expected))
            for at_end in (True, False):
                arrays = tuple(at_edge(a, at_end) for a in (*outs, *inputs))
                kernel = registry.find(name, "cpu", arrays, static)
                if kernel is None:
                    continue
                print(name, [a.shape for a in arrays], static, at_end, flush=True)
                kernel(*arrays, **static)
                for got, value in zip(arrays, expected, strict=False):
                    np.testing.assert_array_equal(got, value)


if __name__ == "__main__":
    main(int(sys.argv[1]))
