"""The graph of a recorded step: who makes and uses a value, and how instructions are joined and exchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gpudl.kernels.geometry import Window
from replay_tools import plan_of

from gpudl import Variable, ops, traced
from gpudl.engine.plan import rewrite
from gpudl.engine.plan.ir import Instruction
from gpudl.engine.plan.rewrite import Graph
from gpudl.engine.state import unfused
from gpudl.ops.pool import max_pool

TWO = {"window": Window((2, 2), (2, 2))}


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def graph_of(step: Callable[..., Any], *args: Any) -> Graph:
    """Return the graph of a recorded step before any rule."""
    recorded = traced(step)
    with unfused():
        recorded.run(*args)
    plan = plan_of(recorded)
    return Graph(plan.on, plan.steps, plan.results)


def names(steps: list[Instruction]) -> list[str]:
    return [step.op.name for step in steps]


def test_what_the_graph_knows() -> None:
    graph = graph_of(lambda x: (lambda y: (ops.relu(y) * y, ops.exp(y)))(x * 2), noise(3))
    double, relu, product, exp = graph.steps
    (y,), (r,), (e,) = double.outs, relu.outs, exp.outs
    assert names(graph.steps) == ["multiply", "relu", "multiply", "exp"]
    assert graph.maker(y, "multiply", "exp") is double
    assert graph.maker(y, "exp") is None
    assert graph.maker(double.ins[0], "multiply") is None
    assert graph.users(y) == [relu, product, exp]
    assert graph.users(e) == []
    assert graph.only_user(r, "multiply") is product
    assert graph.only_user(r, "exp") is None
    assert graph.only_user(y, "relu", "multiply", "exp") is None
    assert graph.kept(e)
    assert not graph.kept(y)


def test_a_value_that_is_returned_has_no_only_user() -> None:
    graph = graph_of(lambda x: (lambda y: (y, ops.relu(y)))(x * 2), noise(3))
    assert graph.only_user(graph.steps[0].outs[0], "relu") is None


def test_applying_an_op_makes_new_values_of_the_same_origin() -> None:
    graph = graph_of(lambda x: max_pool(x, **TWO)[0], noise(16, 8, 8, 1))
    (pool,) = graph.steps
    pool.origin = "a layer"
    static = {"window": Window((4, 4), (4, 4))}
    made = graph.applied(max_pool, pool.ins, static, pool)
    assert [slot.spec.shape for slot in made.outs] == [(16, 2, 2, 1)] * 2
    assert made.outs[1].spec.dtype == np.uint8
    assert (made.op, made.ins, made.static, made.origin) == (max_pool, pool.ins, static, "a layer")
    assert graph.steps == [pool]


def test_replacing_puts_the_new_where_one_of_the_old_was() -> None:
    graph = graph_of(lambda x: ops.exp(ops.relu(x * 2) + 1), noise(3))
    first, second, third, last = graph.steps
    new = graph.applied(ops.negative, second.ins, {}, first)
    graph.replace([first, third], [new], third)
    assert graph.steps == [second, new, last]
    assert graph.users(second.ins[0]) == [second, new]
    assert graph.maker(first.outs[0], "multiply") is None
    other = graph.applied(ops.negative, second.ins, {}, first)
    graph.exchange({new: other, last: new})
    assert graph.steps == [second, other, new]


def test_joining_needs_a_kernel() -> None:
    graph = graph_of(lambda x: ops.exp(ops.relu(x)), noise(3))
    before = list(graph.steps)
    assert graph.kernel(before, "relu+exp") is None
    graph.fuse(before, "relu+exp")
    assert graph.steps == before


def test_what_a_joined_instruction_is() -> None:
    bias = Variable(noise(5))
    graph = graph_of(lambda a, b: ops.bias_activation(a @ b, bias, activation="relu"), noise(3, 4), noise(4, 5))
    product, biased = before = list(graph.steps)
    graph.fuse(before, "matmul+bias_activation")
    (one,) = graph.steps
    assert repr(one.op) == "<fused matmul+bias_activation>"
    assert one.members == (product, biased)
    assert one.outs == biased.outs
    assert one.ins == (*product.ins, biased.ins[1])
    assert one.static == {"stages": ({}, {"activation": "relu"})}
    assert one.op.work_spec(graph.on, one.outs, one.ins, one.static) is None


def test_rules_are_tried_in_order_on_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite, "_rules", [])
    tried = []

    @rewrite.rewrites("relu")
    @rewrite.rewrites("exp")
    def note(graph: Graph, step: Instruction) -> None:
        tried.append(("note", step.op.name))

    @rewrite.rewrites("relu")
    def halve(graph: Graph, step: Instruction) -> None:
        tried.append(("halve", step.op.name))
        following = graph.only_user(step.outs[0], "relu")
        if following is not None:
            graph.replace([step, following], [Instruction(ops.relu, following.outs, step.ins, {})], step)

    graph = graph_of(lambda x: ops.exp(ops.relu(ops.relu(x))), noise(3))
    rewritten = rewrite.rewritten(graph.on, graph.steps, [graph.steps[-1].outs[0]])
    assert names(rewritten) == ["relu", "exp"]
    # The decorator next to the function comes first; the second relu was gone when its turn came.
    assert tried == [("note", "exp"), ("note", "relu"), ("note", "relu"), ("halve", "relu")]
