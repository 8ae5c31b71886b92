"""Floats of 16 bits: every op in them, and the dtype rules around bfloat16, which NumPy knows from outside only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from contract_cases import CONTRACTS, Contract
from contract_cases.check import assert_close, assert_same, dirty, tensors

from gpudl.engine.op import registry

HALVES = ("float16", "bfloat16")
# Floats of these ops are not of the dtype under test, or they have none.
WHOLE = {"random_uniform", "random_normal", "draw_key", "advance_", "increment_"}


def every_case() -> Iterator[Any]:
    for name, contract in CONTRACTS.items():
        for dtype in HALVES:
            if name not in WHOLE:
                yield pytest.param(contract, dtype, id=f"{name}-{dtype}")


every_op = pytest.mark.parametrize(("contract", "dtype"), list(every_case()))


@every_op
def test_the_reference_agrees_with_the_oracle(contract: Contract, dtype: str) -> None:
    op = registry[contract.op]
    for sample in contract.samples:
        inputs, work = sample.cast(dtype), sample.cast(dtype)
        if op.alias:
            got: tuple[np.ndarray, ...] = (op.forward(np, *work, **sample.static),)
        else:
            outs = dirty(op.specs(tensors(work), sample.static))
            op.run(outs, work, sample.static)
            got = (*outs, *work[: op.writes])
        assert_close(got, contract, inputs, sample, dtype)
        assert_same(work[op.writes :], inputs[op.writes :])
