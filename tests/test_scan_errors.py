"""Wrong calls of `ops.scan`, and what is said to them; while a step is recorded they change nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import ops

XS = np.arange(6, dtype=np.float32).reshape(3, 2)
START = np.float32([1, -1])


def same(carry: Any, x: Any) -> Any:
    return carry, x


CALLS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: ops.scan(3, START, XS),
        TypeError,
        "scan: f must be a function of a carry and a row, got int.",
    ),
    (
        lambda: ops.scan(same, START, XS, unroll=0),
        ValueError,
        "scan: unroll must be a positive integer, or a bool, got 0.",
    ),
    (
        lambda: ops.scan(same, START, XS, unroll="all"),
        ValueError,
        "scan: unroll must be a positive integer, or a bool, got 'all'.",
    ),
    (
        lambda: ops.scan(same, START),
        ValueError,
        "scan: without xs, length, the number of iterations, is required.",
    ),
    (
        lambda: ops.scan(same, START, {"a": XS, "b": XS[:2]}),
        ValueError,
        "scan: all xs must have equally many rows, got 3, 2 along their first axes.",
    ),
    (
        lambda: ops.scan(same, START, (XS, 1.0)),
        ValueError,
        "scan: xs need a first axis to iterate over, got a number. A list is a nest of several xs: stack its elements "
        "with ops.stack.",
    ),
    (
        lambda: ops.scan(same, START, XS, length=2),
        ValueError,
        "scan: length is 2, but xs have 3 rows.",
    ),
    (
        lambda: ops.scan(same, START, length=-1),
        ValueError,
        "scan: length must be a non-negative integer, got -1.",
    ),
    (
        lambda: ops.scan(same, START, length="3"),
        ValueError,
        "scan: length must be a non-negative integer, got '3'.",
    ),
    (
        lambda: ops.scan(lambda carry, x: carry, START, XS),
        TypeError,
        "scan: f must return a pair of the next carry and a result, got float32[2].",
    ),
    (
        lambda: ops.scan(lambda carry, x: (carry, x, [x]), START, XS),
        TypeError,
        "scan: f must return a pair of the next carry and a result, got (float32[2], float32[2], [float32[2]]).",
    ),
    (
        lambda: ops.scan(lambda carry, x: (carry[:1], x), START, XS),
        TypeError,
        "scan: f must return a carry of the structure, shapes and dtypes of init, float32[2], but returned "
        "float32[1]. Cast or reshape one of them.",
    ),
    (
        lambda: ops.scan(lambda carry, x: (ops.cast(carry, "int32"), x), START, XS),
        TypeError,
        "scan: f must return a carry of the structure, shapes and dtypes of init, float32[2], but returned int32[2]. "
        "Cast or reshape one of them.",
    ),
    (
        lambda: ops.scan(lambda carry, x: ((carry["a"],), x), {"a": START, "b": None}, XS),
        TypeError,
        "scan: f must return a carry of the structure, shapes and dtypes of init, {'a': float32[2], 'b': None}, but "
        "returned (float32[2],). Cast or reshape one of them.",
    ),
    (
        lambda: ops.scan(lambda carry, x: (carry, "text"), START, XS),
        TypeError,
        "expected numbers, got str of dtype <U4. Convert text and objects to numbers first.",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), CALLS)
def test_a_wrong_call_says_so(call: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(text)}$"):
        call()


@pytest.mark.parametrize(("call", "kind", "text"), CALLS)
def test_a_wrong_call_leaves_no_plan_and_changes_nothing(
    call: Callable[[], Any], kind: type[Exception], text: str
) -> None:
    count = gpudl.Variable(0.0)

    def step(x: Any) -> Any:
        count.assign_add(1.0)
        call()
        return x

    traced = gpudl.traced(step)
    with pytest.raises(kind, match=f"^{re.escape(text)}$"):
        traced(XS)
    assert not traced.entries
    assert count.numpy() == 0
    assert (gpudl.convert_to_tensor(START) + 1).numpy().tolist() == [2, 0]  # nothing is being recorded any more


def test_a_result_that_changes_from_step_to_step() -> None:
    shapes = iter([XS, XS[:1], XS])
    text = (
        "scan: f must return results of the same structure, shapes and dtypes in each iteration, but returned "
        "float32[3, 2] and later float32[1, 2]."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        ops.scan(lambda carry, x: (carry, next(shapes)), START, XS)


def test_a_tensor_of_one_step_is_not_there_after_the_loop() -> None:
    kept = []

    def f(carry: Any, x: Any) -> Any:
        kept.append(carry + x)
        return kept[-1], None

    def step(xs: Any, start: Any) -> Any:
        ops.scan(f, start, xs)
        return kept[0] * 2

    with pytest.raises(gpudl.TracingError, match="computed inside a recorded step and used after it"):
        gpudl.traced(step)(XS, START)


def test_no_steps_leave_the_carry_and_give_no_rows() -> None:
    def step(xs: Any, start: Any) -> Any:
        return ops.scan(lambda carry, x: (carry * 2, {"sum": ops.sum(x), "both": carry + x}), start, xs)

    for call in (step, gpudl.traced(step)):
        last, ys = call(gpudl.convert_to_tensor(XS[:0]), gpudl.convert_to_tensor(START))
        assert last.numpy().tolist() == START.tolist()
        assert [ys["sum"].shape, ys["both"].shape] == [(0,), (0, 2)]


def test_shapes_of_what_has_no_values() -> None:
    spec = gpudl.convert_to_tensor(XS).spec
    symbol = gpudl.Tensor(None, spec)
    last, ys = ops.scan(lambda carry, x: (carry + x, (x, None)), START, symbol)
    assert (last.shape, ys[0].shape, ys[1], last.data) == ((2,), (3, 2), None, None)
