"""`ops.scan` whose body reads parts of what is around: gradients have the bits of the loop that is written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from replay_tools import plan_of
from scan_tools import array, bits, loop, variable
from strict_cupy import installed

import gpudl
from gpudl import backend, ops

SIZE, WIDTH, LENGTH = 6, 4, 9
IDS = np.random.default_rng(3).integers(-SIZE, SIZE, (LENGTH, 3)).astype(np.int32)
Read = Callable[[Any, Any, Any], Any]


def gates(w: Any, x: Any, ids: Any) -> Any:
    return sum(ops.tanh(w[n] * x) * (n + 1) for n in range(SIZE))


def windows(w: Any, x: Any, ids: Any) -> Any:
    return w[1:4] * x @ ops.transpose(w[2:5]) @ w[::2]


def windows_and_the_whole(w: Any, x: Any, ids: Any) -> Any:
    return windows(w, x, ids) + ops.sum(ops.exp(w * x), axis=0) + w[2:5]


def rows(w: Any, x: Any, ids: Any) -> Any:
    return ops.take(w, ids, axis=0) * x


def rows_twice(w: Any, x: Any, ids: Any) -> Any:
    return rows(w, x, ids) + ops.take(w, [0, -1, 0], axis=0) * ops.take(w, ids[::-1], axis=0)


def everything(w: Any, x: Any, ids: Any) -> Any:
    return rows_twice(w, x, ids) * windows_and_the_whole(w, x, ids)


def rows_of_the_carry(w: Any, x: Any, ids: Any) -> Any:
    return ops.take(ops.concatenate([w, w[:2] * x], axis=0), ids, axis=0)


READS = [gates, windows, windows_and_the_whole, rows, rows_twice, everything, rows_of_the_carry]


def training(run: Any, read: Read, reverse: bool = False) -> Any:
    w = variable(SIZE, WIDTH, seed=1)

    def step(xs: Any, ids: Any) -> list[Any]:
        def body(carry: Any, row: Any) -> Any:
            carry = ops.tanh(carry * 0.5 + read(w, row[0], row[1]))
            return carry, carry[:, 1:]

        start = ops.take(w, [1, 1, 3], axis=0) + w[3:]
        last, ys = run(body, start, (xs, ids), reverse=reverse)
        loss = ops.sum(ops.square(ys)) + ops.sum(last)
        after = ops.sum(ops.square(w[:2])) + ops.sum(w * w) + ops.sum(ops.take(w, ids[0], axis=0))
        return [last, ys, *gpudl.grad(loss + after, [w, xs])]

    return step


def args() -> tuple[Any, Any]:
    xs = gpudl.convert_to_tensor(array(LENGTH, WIDTH, seed=5))
    xs.requires_grad = True
    return xs, gpudl.convert_to_tensor(IDS)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("read", READS)
def test_gradients_have_the_bits_of_the_loop(read: Read, reverse: bool) -> None:
    given = args()
    expected = bits(training(loop, read, reverse)(*given))
    assert bits(training(ops.scan, read, reverse)(*given)) == expected
    for run in (loop, ops.scan):
        made = training(run, read, reverse)
        step = gpudl.traced(lambda *given, made=made: made(*map(watched, given)))
        for _ in range(2):
            assert bits(step(*given)) == expected
            plan_of(step).poison()


def test_rows_in_a_scan_inside_a_scan() -> None:
    def nested(run: Any) -> Any:
        w = variable(SIZE, WIDTH, seed=1)

        def step(xs: Any, ids: Any) -> Any:
            def inner(carry: Any, row: Any) -> Any:
                return ops.tanh(carry + ops.take(w, row, axis=0) * w[row % 2]), w[0]

            def body(carry: Any, row: Any) -> Any:
                carry, ys = run(inner, carry * row[0] + ops.take(w, row[1][1], axis=0), row[1])
                return carry, ops.sum(ys * ys)

            last, ys = run(body, w[2], (xs, ids))
            return [last, ys, *gpudl.grad(ops.sum(last) + ops.sum(ys * ys), [w])]

        return step

    given = args()
    expected = bits(nested(loop)(*given))
    step = gpudl.traced(nested(ops.scan))
    for _ in range(2):
        assert bits(step(*given)) == expected
        plan_of(step).poison()


def test_rows_are_differentiated_again() -> None:
    w = variable(SIZE, WIDTH, seed=1, dtype=np.float64)

    def step(run: Any, xs: Any, ids: Any) -> Any:
        _, ys = run(lambda carry, row: (ops.tanh(carry + rows_twice(w, *row)), carry), w[3:], (xs, ids))
        (g,) = gpudl.grad(ops.sum(ys * ys), [w], create_graph=True)
        return gpudl.grad(ops.sum(g * g), [w])[0]

    given = array(LENGTH, WIDTH, seed=5, dtype=np.float64), IDS
    expected = step(loop, *map(gpudl.convert_to_tensor, given)).numpy()
    found = gpudl.traced(lambda *given: step(ops.scan, *given))(*given)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.host
@pytest.mark.parametrize("read", [windows_and_the_whole, rows_twice])
def test_on_a_gpu(read: Read) -> None:
    with installed(), backend.scope("cupy"):
        given = args()
        step = gpudl.traced(training(ops.scan, read))
        expected = bits(training(loop, read)(*given)[:3])
        for _ in range(2):
            assert bits(step(*given)[:3]) == expected


def watched(x: Any) -> Any:
    x.requires_grad = x.dtype == np.float32
    return x


def test_of_a_table_each_step_moves_only_the_rows_that_it_reads() -> None:
    """What a step writes does not grow with the table, and the table's gradient is laid once."""

    def moved(size: int) -> int:
        table, ids = variable(size, WIDTH), gpudl.convert_to_tensor(IDS % SIZE)

        def step(ids: Any) -> Any:
            def body(carry: Any, row: Any) -> Any:
                return ops.tanh(carry + ops.take(table, row, axis=0)), None

            last, _ = ops.scan(body, ops.take(table, [0, 1, 2], axis=0), ids)
            return gpudl.grad(ops.sum(last), [table])

        traced = gpudl.traced(step)
        traced(ids)
        assert [each.name for each in plan_of(traced).instructions].count("take_grad") == 1
        loops = [call for call in plan_of(traced).calls if hasattr(call, "turns")]
        assert len(loops) == 2
        return sum(target.nbytes for call in loops for turn in call.turns for target, _ in turn.handed)

    assert moved(10) == moved(1000)
