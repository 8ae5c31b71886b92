"""Every CUDA kernel on the card: exact to its case's bounds, and the same bits each time.

`benchmarks.gpu` runs these under compute-sanitizer too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from contract_cases import CONTRACTS, Contract, Sample
from contract_cases.check import assert_close, assert_same, dirty, tensors
from gpudl.kernels import registry as kernels

from gpudl import backend
from gpudl.engine.op import registry

pytestmark = pytest.mark.gpu
Arrays = tuple[np.ndarray, ...]
DRAWS = 4


def every_kernel() -> Iterator[Any]:
    for name, found in kernels.registered("cuda").items():
        if name not in CONTRACTS:  # claims several ops: their trainings are compared in test_training.py
            continue
        for number, kernel in enumerate(found):
            for dtype in CONTRACTS[name].dtypes:
                yield pytest.param(kernel, dtype, id=f"{name}-{number}-{dtype}")


def run(run: Any, contract: Contract, sample: Sample, inputs: Arrays, arrays: tuple[Any, ...]) -> Arrays:
    on, op = backend.current(), registry[contract.op]
    run(*arrays, **sample.static)
    written = (*arrays[: op.outs], *arrays[op.outs :][: op.writes])
    return tuple(on.to_host(a) for a in written)


@pytest.mark.parametrize(("kernel", "dtype"), list(every_kernel()))
def test_a_kernel_on_the_card(kernel: kernels.Kernel, dtype: str, record_property: Any) -> None:
    on, contract, op = backend.current(), CONTRACTS[kernel.op], registry[kernel.op]
    taken = 0
    for sample in (*contract.samples, *contract.drawn(DRAWS)):
        inputs = sample.cast(dtype)
        outs = dirty(op.specs(tensors(inputs), sample.static))

        def fresh(arrays: Arrays = (*outs, *inputs)) -> tuple[Any, ...]:
            return tuple(on.asarray(a.copy()) for a in arrays)

        arrays = fresh()
        if kernels.find(kernel.op, "cuda", arrays, sample.static) is not kernel.run:
            continue
        taken += 1
        got = run(kernel.run, contract, sample, inputs, arrays)
        assert_close(got, contract, inputs, sample, dtype)
        assert_same(run(kernel.run, contract, sample, inputs, fresh()), got)
    record_property("samples", taken)
    if not taken:
        pytest.skip(f"no sample of {dtype} is one that this kernel takes")
