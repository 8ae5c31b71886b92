"""Every registered kernel on the CPU does what its op's case says, on chosen and on random shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from contract_cases import CONTRACTS, Contract, Sample
from contract_cases.check import assert_close, assert_same, dirty, tensors
from gpudl.kernels import registry as kernels
from thread_tools import COUNTS, workers

from gpudl.engine.op import registry

Arrays = tuple[np.ndarray, ...]
DRAWS = 6


def every_kernel() -> Iterator[Any]:
    for name, found in kernels.registered("cpu").items():
        if "+" in name:  # claims several ops: see test_fusion.py
            continue
        for number, kernel in enumerate(found):
            yield pytest.param(kernel, id=f"{name}-{number}")


each_kernel = pytest.mark.parametrize("kernel", list(every_kernel()))


def taken(kernel: kernels.Kernel) -> Iterator[tuple[Contract, Sample, str]]:
    """Yield the samples, chosen and drawn, for which the registry gives this kernel."""
    contract = CONTRACTS[kernel.op]
    op = registry[kernel.op]
    for sample in (*contract.samples, *contract.drawn(DRAWS)):
        for dtype in contract.dtypes:
            inputs = sample.cast(dtype)
            outs = dirty(op.specs(tensors(inputs), sample.static))
            if kernels.find(kernel.op, "cpu", (*outs, *inputs), sample.static) is kernel.run:
                yield contract, sample, dtype


def run_kernel(kernel: kernels.Kernel, inputs: Arrays, static: dict[str, Any]) -> Arrays:
    op = registry[kernel.op]
    outs = dirty(op.specs(tensors(inputs), static))
    kernel.run(*outs, *inputs, **static)
    return (*outs, *inputs[: op.writes])


@each_kernel
def test_every_kernel_is_exercised(kernel: kernels.Kernel) -> None:
    assert any(taken(kernel))


@each_kernel
def test_kernel_agrees_with_the_oracle(kernel: kernels.Kernel) -> None:
    writes = registry[kernel.op].writes
    for contract, sample, dtype in taken(kernel):
        inputs, work = sample.cast(dtype), sample.cast(dtype)
        assert_close(run_kernel(kernel, work, sample.static), contract, inputs, sample, dtype)
        assert_same(work[writes:], inputs[writes:])


@each_kernel
def test_kernel_gives_the_same_bits_on_all_threads(kernel: kernels.Kernel) -> None:
    for _, sample, dtype in taken(kernel):
        alone = run_kernel(kernel, sample.cast(dtype), sample.static)
        for count in COUNTS:
            with workers(count):
                together = run_kernel(kernel, sample.cast(dtype), sample.static)
            assert_same(together, alone)
