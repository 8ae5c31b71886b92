"""Every registered twin on the CPU does what its op's case says, on chosen and on random shapes."""

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


def every_twin() -> Iterator[Any]:
    for name, twins in kernels.twins("cpu").items():
        if "+" in name:  # claims several ops: see test_fusion.py
            continue
        for number, twin in enumerate(twins):
            yield pytest.param(twin, id=f"{name}-{number}")


twins = pytest.mark.parametrize("twin", list(every_twin()))


def taken(twin: kernels.Twin) -> Iterator[tuple[Contract, Sample, str]]:
    """Yield the samples, chosen and drawn, for which the registry gives this twin."""
    contract = CONTRACTS[twin.op]
    op = registry[twin.op]
    for sample in (*contract.samples, *contract.drawn(DRAWS)):
        for dtype in contract.dtypes:
            inputs = sample.cast(dtype)
            outs = dirty(op.specs(tensors(inputs), sample.static))
            if kernels.find(twin.op, "cpu", (*outs, *inputs), sample.static) is twin.run:
                yield contract, sample, dtype


def run_twin(twin: kernels.Twin, inputs: Arrays, static: dict[str, Any]) -> Arrays:
    op = registry[twin.op]
    outs = dirty(op.specs(tensors(inputs), static))
    twin.run(*outs, *inputs, **static)
    return (*outs, *inputs[: op.writes])


@twins
def test_every_twin_is_exercised(twin: kernels.Twin) -> None:
    assert any(taken(twin))


@twins
def test_twin_agrees_with_the_oracle(twin: kernels.Twin) -> None:
    writes = registry[twin.op].writes
    for contract, sample, dtype in taken(twin):
        inputs, work = sample.cast(dtype), sample.cast(dtype)
        assert_close(run_twin(twin, work, sample.static), contract, inputs, sample, dtype)
        assert_same(work[writes:], inputs[writes:])


@twins
def test_twin_gives_the_same_bits_on_all_threads(twin: kernels.Twin) -> None:
    for _, sample, dtype in taken(twin):
        alone = run_twin(twin, sample.cast(dtype), sample.static)
        for count in COUNTS:
            with workers(count):
                together = run_twin(twin, sample.cast(dtype), sample.static)
            assert_same(together, alone)
