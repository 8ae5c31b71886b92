"""Running the kernels that reduce on the strict double: all floats, both orders of threads, unaligned addresses."""

from __future__ import annotations

from typing import Any

import cuda_kernels
import numpy as np
from contract_cases import CONTRACTS
from contract_cases.check import assert_close, assert_same, dirty, tensors
from cuda_cpu import in_order
from gpudl.kernels import registry as kernels

from gpudl.engine.op import registry
from gpudl.engine.spec import Spec

Arrays = tuple[np.ndarray, ...]
DTYPES = ("float16", "bfloat16", "float32", "float64")


def run(name: str, outs: Arrays, inputs: Arrays, static: dict[str, Any], shift: int = 0) -> Arrays | None:
    """Return what the kernel of an op or a chain makes of `inputs`, with outs like `outs`; None if none takes them."""
    spoilt = dirty(tuple(Spec(a.shape, a.dtype) for a in outs))
    placed = tuple(cuda_kernels.Placed(a).array for a in (*spoilt, *inputs))
    kernel = kernels.find(name, "cuda", placed, static)
    return None if kernel is None else cuda_kernels.run(kernel, spoilt, inputs, static, shift=shift)


def outs_of(name: str, inputs: Arrays, static: dict[str, Any]) -> Arrays:
    """Return arrays of the shapes and dtypes of an op's outs."""
    return dirty(registry[name].specs(tensors(inputs), static))


def agrees(name: str, draws: int = 4) -> int:
    """Compare a kernel with the oracle on all samples, chosen and drawn; return how many it took."""
    contract, count = CONTRACTS[name], 0
    for sample in (*contract.samples, *contract.drawn(draws)):
        for dtype in DTYPES:
            inputs = sample.cast(dtype)
            results = []
            for order, shift in (("forward", 0), ("reverse", int(dtype == "float32"))):
                with in_order(order):
                    results.append(run(name, outs_of(name, inputs, sample.static), inputs, sample.static, shift))
            if results[0] is None or results[1] is None:
                continue
            count += 1
            assert_close(results[0], contract, inputs, sample, dtype)
            assert_same(results[1], results[0])
    return count
