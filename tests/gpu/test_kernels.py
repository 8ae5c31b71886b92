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


def every_twin() -> Iterator[Any]:
    for name, twins in kernels.twins("cuda").items():
        if name not in CONTRACTS:  # claims several ops: their trainings are compared in test_training.py
            continue
        for number, twin in enumerate(twins):
            for dtype in CONTRACTS[name].dtypes:
                yield pytest.param(twin, dtype, id=f"{name}-{number}-{dtype}")


def run(run: Any, contract: Contract, sample: Sample, inputs: Arrays, arrays: tuple[Any, ...]) -> Arrays:
    on, op = backend.current(), registry[contract.op]
    run(*arrays, **sample.static)
    written = (*arrays[: op.outs], *arrays[op.outs :][: op.writes])
    return tuple(on.to_host(a) for a in written)


@pytest.mark.parametrize(("twin", "dtype"), list(every_twin()))
def test_a_kernel_on_the_card(twin: kernels.Twin, dtype: str, record_property: Any) -> None:
    on, contract, op = backend.current(), CONTRACTS[twin.op], registry[twin.op]
    taken = 0
    for sample in (*contract.samples, *contract.drawn(DRAWS)):
        inputs = sample.cast(dtype)
        outs = dirty(op.specs(tensors(inputs), sample.static))

        def fresh(arrays: Arrays = (*outs, *inputs)) -> tuple[Any, ...]:
            return tuple(on.asarray(a.copy()) for a in arrays)

        arrays = fresh()
        if kernels.find(twin.op, "cuda", arrays, sample.static) is not twin.run:
            continue
        taken += 1
        got = run(twin.run, contract, sample, inputs, arrays)
        assert_close(got, contract, inputs, sample, dtype)
        assert_same(run(twin.run, contract, sample, inputs, fresh()), got)
    record_property("samples", taken)
    if not taken:
        pytest.skip(f"no sample of {dtype} is one that this kernel takes")
