"""Every op on the card does what its case says: the reference on CuPy, and whatever kernel takes the arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from contract_cases import CONTRACTS, Contract
from contract_cases.check import assert_close, assert_same, dirty, tensors

from gpudl import backend
from gpudl.engine.op import registry
from gpudl.engine.state import reference_only

pytestmark = pytest.mark.gpu
Arrays = tuple[np.ndarray, ...]


def every_sample() -> Iterator[Any]:
    for name, contract in CONTRACTS.items():
        for dtype in contract.dtypes:
            yield pytest.param(contract, dtype, id=f"{name}-{dtype}")


def on_card(contract: Contract, inputs: Arrays, static: dict[str, Any]) -> tuple[Arrays, Arrays]:
    """Run an op on the card, with outs that were full of NaN; return its results and its inputs, on the host."""
    op, on = registry[contract.op], backend.current()
    device = tuple(on.asarray(a) for a in inputs)
    if op.alias:
        results: tuple[Any, ...] = (op.forward(on.xp, *device, **static),)
    else:
        results = tuple(on.asarray(out) for out in dirty(op.specs(tensors(inputs), static)))
        op.run(results, device, static)
    after = tuple(on.to_host(a) for a in device)
    return (*(on.to_host(a) for a in results), *after[: op.writes]), after


@pytest.mark.parametrize("reference", [True, False], ids=["reference", "kernel"])
@pytest.mark.parametrize(("contract", "dtype"), list(every_sample()))
def test_the_card_agrees_with_the_oracle(contract: Contract, dtype: str, reference: bool) -> None:
    op = registry[contract.op]
    for sample in contract.samples:
        inputs = sample.cast(dtype)
        if reference:
            with reference_only():
                got, after = on_card(contract, inputs, sample.static)
        else:
            got, after = on_card(contract, inputs, sample.static)
        assert_close(got, contract, inputs, sample, dtype)
        assert_same(after[op.writes :], inputs[op.writes :])
