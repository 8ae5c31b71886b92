"""Scratch memory of CPU kernels: what a plan gives each of them is enough, and nothing behind it is touched."""

from __future__ import annotations

import numpy as np
import pytest
from contract_cases import CONTRACTS, Contract
from contract_cases.check import assert_same, dirty, spoilt, tensors
from gpudl.kernels import registry as kernels
from gpudl.kernels.cpu.machine.scratch import scratch, within

from gpudl import backend
from gpudl.engine.op import registry
from gpudl.engine.plan.ir import like
from gpudl.engine.value import Recording, Value

CPU = backend.get("numpy")
TAKING = ("matmul", "conv2d", "conv2d_input_grad", "conv2d_weight_grad", "batch_norm", "take_grad", "sum", "relu")


@pytest.mark.parametrize(
    "contract", [pytest.param(c, id=n) for n, c in CONTRACTS.items() if n in kernels.registered("cpu")]
)
def test_a_plan_gives_a_kernel_what_it_takes(contract: Contract) -> None:
    op, most = registry[contract.op], 0
    for sample in contract.samples:
        inputs = sample.cast("float32")
        outs = dirty(op.specs(tensors(inputs), sample.static))
        alone, bound = ([a.copy() for a in (*outs, *inputs)] for _ in range(2))
        kernel = kernels.find(op.name, "cpu", tuple(bound), sample.static)
        if kernel is None:
            continue
        values = (Value(t.spec, Recording(CPU)) for t in tensors(tuple(bound)))
        nbytes = CPU.work_bytes(kernel, tuple(map(like, values)), sample.static)  # of arrays that are nowhere
        most = max(most, nbytes)
        memory = spoilt(CPU.empty((nbytes + 64,), np.dtype(np.uint8)))
        kernel(*alone, **sample.static)
        CPU.bind(kernel, tuple(bound), sample.static, memory[:nbytes])()
        assert_same(tuple(bound), tuple(alone))
        assert (memory[nbytes:] == 255).all()
    assert most or contract.op not in TAKING


def test_parts_follow_one_another_from_cache_line_to_cache_line() -> None:
    memory = CPU.empty((256,), np.dtype(np.uint8))
    with within(memory) as taken:
        first, second = scratch(3), scratch(2, 4, dtype=np.float64)
        with within(None):
            assert not np.shares_memory(scratch(3), memory)
        assert taken.taken == 128
    assert (first.dtype, first.shape, second.shape) == (np.float32, (3,), (2, 4))
    assert [CPU.address(a) - CPU.address(memory) for a in (first, second)] == [0, 64]


def test_a_kernel_by_itself_gets_new_memory_that_begins_at_a_cache_line() -> None:
    some = [scratch(n) for n in range(1, 9)]
    assert all(CPU.address(array) % 64 == 0 for array in some)
    assert not any(np.shares_memory(some[0], other) for other in some[1:])
