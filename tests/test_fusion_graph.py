"""The record of a step: who makes and uses a value, and how instructions are joined and exchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gpudl.kernels.geometry import Window
from replay_tools import plan_of

from gpudl import Variable, ops, traced
from gpudl.engine.plan import rewrite
from gpudl.engine.plan.ir import Applied, Fused, Instruction
from gpudl.engine.plan.rewrite import Record
from gpudl.engine.state import unfused
from gpudl.ops.pool import max_pool

TWO = {"window": Window((2, 2), (2, 2))}


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def record_of(step: Callable[..., Any], *args: Any) -> Record:
    """Return the record of a recorded step before any rule."""
    recorded = traced(step)
    with unfused():
        recorded.run(*args)
    plan = plan_of(recorded)
    return Record(plan.on, plan.steps, plan.results)


def names(steps: list[Instruction]) -> list[str]:
    return [step.name for step in steps]


def test_what_the_record_knows() -> None:
    record = record_of(lambda x: (lambda y: (ops.relu(y) * y, ops.exp(y)))(x * 2), noise(3))
    double, relu, product, exp = record.steps
    (y,), (r,), (e,) = double.outs, relu.outs, exp.outs
    assert names(record.steps) == ["multiply", "relu", "multiply", "exp"]
    assert record.maker(y, "multiply", "exp") is double
    assert record.maker(y, "exp") is None
    assert record.maker(double.ins[0], "multiply") is None
    assert record.users(y) == [relu, product, exp]
    assert record.users(e) == []
    assert record.only_user(r, "multiply") is product
    assert record.only_user(r, "exp") is None
    assert record.only_user(y, "relu", "multiply", "exp") is None
    assert record.kept(e)
    assert not record.kept(y)


def test_a_value_that_is_returned_has_no_only_user() -> None:
    record = record_of(lambda x: (lambda y: (y, ops.relu(y)))(x * 2), noise(3))
    assert record.only_user(record.steps[0].outs[0], "relu") is None


def test_applying_an_op_makes_new_values_of_the_same_origin() -> None:
    record = record_of(lambda x: max_pool(x, **TWO)[0], noise(16, 8, 8, 1))
    (pool,) = record.steps
    pool.origin = "a layer"
    static = {"window": Window((4, 4), (4, 4))}
    made = record.applied(max_pool, pool.ins, static, pool)
    assert [slot.spec.shape for slot in made.outs] == [(16, 2, 2, 1)] * 2
    assert made.outs[1].spec.dtype == np.uint8
    assert (made.op, made.ins, made.static, made.origin) == (max_pool, pool.ins, static, "a layer")
    assert record.steps == [pool]


def test_replacing_puts_the_new_where_one_of_the_old_was() -> None:
    record = record_of(lambda x: ops.exp(ops.relu(x * 2) + 1), noise(3))
    first, second, third, last = record.steps
    new = record.applied(ops.negative, second.ins, {}, first)
    record.replace([first, third], [new], third)
    assert record.steps == [second, new, last]
    assert record.users(second.ins[0]) == [second, new]
    assert record.maker(first.outs[0], "multiply") is None
    other = record.applied(ops.negative, second.ins, {}, first)
    record.exchange({new: other, last: new})
    assert record.steps == [second, other, new]


def test_joining_needs_a_kernel() -> None:
    record = record_of(lambda x: ops.exp(ops.relu(x)), noise(3))
    before = list(record.steps)
    assert record.kernel(before, "relu+exp") is None
    record.fuse(before, "relu+exp")
    assert record.steps == before


def test_what_a_joined_instruction_is() -> None:
    bias = Variable(noise(5))
    record = record_of(lambda a, b: ops.bias_activation(a @ b, bias, activation="relu"), noise(3, 4), noise(4, 5))
    product, biased = before = list(record.steps)
    record.fuse(before, "matmul+bias_activation")
    (one,) = record.steps
    assert repr(one) == "<Fused matmul+bias_activation>"
    assert one.members == (product, biased)
    assert one.outs == biased.outs
    assert one.ins == (*product.ins, biased.ins[1])
    assert isinstance(one, Fused)
    assert one.stages == ({}, {"activation": "relu"})
    assert one.work_spec(record.on) is None


def test_rules_are_tried_in_order_on_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite, "_rules", [])
    tried = []

    @rewrite.rewrites("relu")
    @rewrite.rewrites("exp")
    def note(record: Record, step: Applied) -> None:
        tried.append(("note", step.name))

    @rewrite.rewrites("relu")
    def halve(record: Record, step: Applied) -> None:
        tried.append(("halve", step.name))
        following = record.only_user(step.outs[0], "relu")
        if following is not None:
            record.replace([step, following], [Applied(ops.relu, following.outs, step.ins, {})], step)

    record = record_of(lambda x: ops.exp(ops.relu(ops.relu(x))), noise(3))
    rewritten = rewrite.rewritten(record.on, record.steps, [record.steps[-1].outs[0]])
    assert names(rewritten) == ["relu", "exp"]
    # The decorator next to the function comes first; the second relu was gone when its turn came.
    assert tried == [("note", "exp"), ("note", "relu"), ("note", "relu"), ("halve", "relu")]
