"""Elementwise ops in generated CUDA C++, compiled for the CPU: op by op, and runs of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from contract_cases import CONTRACTS
from contract_cases.check import assert_close, dirty, tensors
from cuda_batch import twice
from gpudl.kernels import registry as kernels
from gpudl.kernels.cuda import elementwise
from strict_cupy import installed

from gpudl.engine.op import registry

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")
OPS = sorted(set(elementwise._rules) & set(CONTRACTS))


@pytest.fixture
def cupy() -> Iterator[Any]:
    with installed(), np.errstate(all="ignore"):
        import cupy

        yield cupy


def test_every_op_meets_its_contract(cupy: Any) -> None:
    def work() -> list[Any]:
        done = []
        for name in OPS:
            contract, op = CONTRACTS[name], registry[name]
            for sample in (*contract.samples, *contract.drawn(2)):
                for dtype in contract.dtypes:
                    inputs = sample.cast(dtype)
                    given = [cupy.asarray(x) for x in inputs]
                    outs = [cupy.asarray(x) for x in dirty(op.specs(tensors(inputs), sample.static))]
                    twin = kernels.find(name, "cuda", (*outs, *given), sample.static)
                    assert twin is not None, (name, dtype, sample)
                    twin(*outs, *given, **sample.static)
                    got = tuple(a.get() for a in (*outs, *given[: op.writes]))
                    done.append((got, contract, inputs, sample, dtype))
        return done

    for checked in twice(work):
        assert_close(*checked)
