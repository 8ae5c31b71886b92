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
from gpudl.engine.plan.ir import BYTE, Applied, Fused, Instruction
from gpudl.engine.plan.rewrite import Rewriter
from gpudl.engine.spec import Spec
from gpudl.engine.state import unfused
from gpudl.ops.primitives.pool import max_pool

TWO = {"window": Window((2, 2), (2, 2))}


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def rewriter_of(step: Callable[..., Any], *args: Any) -> Rewriter:
    """Return the record of a recorded step before any rule."""
    recorded = traced(step)
    with unfused():
        recorded.run(*args)
    plan = plan_of(recorded)
    return Rewriter(plan.on, plan.instructions, plan.results)


def names(steps: list[Instruction]) -> list[str]:
    return [step.name for step in steps]


def test_what_the_rewriter_knows() -> None:
    rewriter = rewriter_of(lambda x: (lambda y: (ops.relu(y) * y, ops.exp(y)))(x * 2), noise(3))
    double, relu, product, exp = rewriter.instructions
    (y,), (r,), (e,) = double.outs, relu.outs, exp.outs
    assert names(rewriter.instructions) == ["multiply", "relu", "multiply", "exp"]
    assert rewriter.maker(y, "multiply", "exp") is double
    assert rewriter.maker(y, "exp") is None
    assert rewriter.maker(double.ins[0], "multiply") is None
    assert rewriter.users(y) == [relu, product, exp]
    assert rewriter.users(e) == []
    assert rewriter.only_user(r, "multiply") is product
    assert rewriter.only_user(r, "exp") is None
    assert rewriter.only_user(y, "relu", "multiply", "exp") is None
    assert rewriter.kept(e)
    assert not rewriter.kept(y)


def test_a_value_that_is_returned_has_no_only_user() -> None:
    rewriter = rewriter_of(lambda x: (lambda y: (y, ops.relu(y)))(x * 2), noise(3))
    assert rewriter.only_user(rewriter.instructions[0].outs[0], "relu") is None


def test_applying_an_op_makes_new_values_of_the_same_origin() -> None:
    rewriter = rewriter_of(lambda x: max_pool(x, **TWO)[0], noise(16, 8, 8, 1))
    (pool,) = rewriter.instructions
    pool.origin = "a layer"
    static = {"window": Window((4, 4), (4, 4))}
    made = rewriter.applied(max_pool, pool.ins, static, pool)
    assert [slot.spec.shape for slot in made.outs] == [(16, 2, 2, 1)] * 2
    assert made.outs[1].spec.dtype == np.uint8
    assert (made.op, made.ins, made.static, made.origin) == (max_pool, pool.ins, static, "a layer")
    assert rewriter.instructions == [pool]


def test_replacing_puts_the_new_where_one_of_the_old_was() -> None:
    rewriter = rewriter_of(lambda x: ops.exp(ops.relu(x * 2) + 1), noise(3))
    first, second, third, last = rewriter.instructions
    new = rewriter.applied(ops.negative, second.ins, {}, first)
    rewriter.replace([first, third], [new], third)
    assert rewriter.instructions == [second, new, last]
    assert rewriter.users(second.ins[0]) == [second, new]
    assert rewriter.maker(first.outs[0], "multiply") is None
    other = rewriter.applied(ops.negative, second.ins, {}, first)
    rewriter.exchange({new: other, last: new})
    assert rewriter.instructions == [second, other, new]


def test_joining_needs_a_kernel() -> None:
    rewriter = rewriter_of(lambda x: ops.exp(ops.relu(x)), noise(3))
    before = list(rewriter.instructions)
    assert rewriter.kernel(before, "relu+exp") is None
    rewriter.fuse(before, "relu+exp")
    assert rewriter.instructions == before


def test_what_a_joined_instruction_is() -> None:
    bias = Variable(noise(5))
    rewriter = rewriter_of(lambda a, b: ops.bias_activation(a @ b, bias, activation="relu"), noise(3, 4), noise(4, 5))
    product, biased = before = list(rewriter.instructions)
    rewriter.fuse(before, "matmul+bias_activation")
    (one,) = rewriter.instructions
    assert repr(one) == "<Fused matmul+bias_activation>"
    assert one.members == (product, biased)
    assert one.outs == biased.outs
    assert one.ins == (*product.ins, biased.ins[1])
    assert isinstance(one, Fused)
    assert one.stages == ({}, {"activation": "relu"})
    assert one.work_spec(rewriter.on) == Spec((4 * 64,), BYTE), "four lists of which steps are not 0, all of them short"


def test_rules_are_tried_in_order_on_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite, "_rules", [])
    tried = []

    @rewrite.rewrites("relu")
    @rewrite.rewrites("exp")
    def note(rewriter: Rewriter, step: Applied) -> None:
        tried.append(("note", step.name))

    @rewrite.rewrites("relu")
    def halve(rewriter: Rewriter, step: Applied) -> None:
        tried.append(("halve", step.name))
        following = rewriter.only_user(step.outs[0], "relu")
        if following is not None:
            rewriter.replace([step, following], [Applied(ops.relu, following.outs, step.ins, {})], step)

    rewriter = rewriter_of(lambda x: ops.exp(ops.relu(ops.relu(x))), noise(3))
    rewritten = rewrite.rewritten(rewriter.on, rewriter.instructions, [rewriter.instructions[-1].outs[0]])
    assert names(rewritten) == ["relu", "exp"]
    # The decorator next to the function comes first; the second relu was gone when its turn came.
    assert tried == [("note", "exp"), ("note", "relu"), ("note", "relu"), ("halve", "relu")]
