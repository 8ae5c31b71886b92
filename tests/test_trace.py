"""The traps of replay: each way in which a recorded step could be silently wrong."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from replay_tools import address, assert_same_bits, names_in, tensor

import gpudl
from gpudl import Tensor, TracingError, Variable, ops, traced
from gpudl.engine.flat import FlatGroup
from gpudl.engine.spec import Spec
from gpudl.engine.state import state
from gpudl.random import SeedGenerator, dropout

READS: dict[str, Callable[[Tensor], Any]] = {
    "float": lambda x: x * float(ops.sum(x)),
    "int": lambda x: x * int(ops.sum(x)),
    "bool": lambda x: x if bool(ops.sum(x)) else -x,
    "if": lambda x: x if ops.sum(x) > 0 else -x,
    "numpy": lambda x: x * x.numpy().sum(),
    "item": lambda x: x * ops.sum(x).item(),
    "asarray": lambda x: x * np.asarray(x),
    "format": lambda x: [print(f"{ops.sum(x):.3f}"), x][1],
    "index": lambda x: x[0 : ops.argmax(x)] + [x, x][ops.argmax(x)],
}


@pytest.mark.parametrize("name", READS)
def test_a_host_read_names_the_line_that_does_it(name: str) -> None:
    read = READS[name]
    line = f"{__file__}:{read.__code__.co_firstlineno}"
    with pytest.raises(TracingError, match=rf"^{re.escape(line)}: a tensor's value was read on the host"):
        traced(read)(tensor(1, 2))
    assert read(tensor(1, 2)) is not None


def test_looking_at_a_tensor_while_recording_shows_no_value() -> None:
    seen = []
    traced(lambda x: [seen.append(repr(x)), x * 2][1])(tensor(1, 2))
    assert seen == ["<Tensor shape=(2,) dtype=float32>"]


@pytest.mark.parametrize(
    ("first", "second"), [(2.0, 3.0), (1, True), (1, 1.0), (2, 2.5), (0.0, -0.0), (None, 4), ("a", "b")]
)
def test_another_number_makes_another_plan(first: Any, second: Any) -> None:
    def step(x: Tensor, n: Any) -> Tensor:
        numbers = {None: 1, "a": 2, "b": 3}
        return x / n if n == 0 else x * (numbers[n] if n in ("a", "b", None) else n)

    with np.errstate(divide="ignore"):
        for call in (
            lambda f, x, n: f(x, n),
            lambda f, x, n: f(x, n=n),
            lambda f, x, n: f({"x": x}["x"], **{"n": n}),
        ):
            recorded = traced(step)
            x = Tensor(np.array([1, 2], np.int32))
            for n in (first, second, first):
                assert_same_bits(call(recorded, x, n), step(x, n))
            assert len(recorded.entries) == 2


def test_a_smaller_last_batch_makes_another_plan() -> None:
    step = traced(lambda x: ops.sum(x, axis=0))
    full, last = tensor(*range(8)), tensor(1, 2, 3)
    for batch in (full, full, last, full, last):
        assert float(step(batch)) == batch.numpy().sum()
    assert len(step.entries) == 2


def test_another_dtype_makes_another_plan() -> None:
    step = traced(lambda x: x * 2)
    for dtype in ("float32", "int64", "float32"):
        assert step(np.arange(3).astype(dtype)).dtype == dtype
    assert len(step.entries) == 2


def test_results_are_copies() -> None:
    step = traced(lambda x: (x * 2, x))
    results = [step(tensor(n, n)) for n in range(4)]
    for n, (doubled, same) in enumerate(results):
        assert doubled.numpy().tolist() == [2 * n, 2 * n]
        assert same.numpy().tolist() == [n, n]


def test_a_returned_variable_is_a_copy() -> None:
    v = Variable(1.0)
    step = traced(lambda: [v.assign_add(1.0), (v, ops.reshape(v, (1,)))][1])
    results = [step() for _ in range(3)]
    assert [float(a) for a, _ in results] == [2, 3, 4]
    assert [b.numpy().tolist() for _, b in results] == [[2], [3], [4]]


@pytest.mark.host
def test_an_exception_leaves_nothing_behind() -> None:
    v = Variable([1.0, 2.0], trainable=False)
    five, rest = Variable([5.0]), Variable([6.0, 7.0])
    group = FlatGroup([five, rest])
    generator = SeedGenerator(3)
    fails = [True]

    def step(x: Tensor) -> Tensor:
        v.assign_add(x)
        five.assign([0.0])
        ops.sgd_(group.flat, group.flat * 1, Tensor(np.array(1, np.float32)))
        noise = dropout(x, 0.5, seed=generator)
        v.assign(noise)
        if fails[0]:
            raise KeyError("in the middle")
        return noise * v

    before = generator.state.numpy()
    recorded = traced(step)
    with pytest.raises(KeyError, match="in the middle"):
        recorded(tensor(1, 1))
    assert v.numpy().tolist() == [1, 2]
    assert group.flat.numpy().tolist() == [5, 6, 7]
    assert generator.state.numpy().tolist() == before.tolist()
    assert recorded.entries == {}
    assert state.recorder is None
    fails[0] = False
    assert recorded(tensor(1, 1)).shape == (2,)
    assert group.flat.numpy().tolist() == [0, 0, 0]


def test_variables_stay_where_they_are() -> None:
    v = Variable([1.0, 2.0])
    array, begin = v.data, address(v.data)
    step = traced(v.assign_add)
    for _ in range(4):
        step(tensor(1, 1))
    assert v.data is array
    assert address(v.data) == begin
    assert v.numpy().tolist() == [5, 6]


def test_a_variable_that_moved_makes_its_plans_stale() -> None:
    v = Variable([1.0, 2.0])
    step = traced(lambda x: [v.assign_add(x), v * 1][1])
    step(tensor(1, 1))
    group = FlatGroup([Variable([9.0]), v])
    assert step(tensor(1, 1)).numpy().tolist() == [3, 4]
    assert group.flat.numpy().tolist() == [9, 3, 4]


def test_a_variable_cannot_move_while_a_step_is_recorded() -> None:
    v = Variable([1.0])
    with pytest.raises(TracingError, match="Build the optimizer first"):
        traced(lambda x: FlatGroup([v]).flat * x)(tensor(1))


def test_a_frozen_variable_has_plans_of_its_own() -> None:
    v = Variable([2.0])

    def step(x: Tensor) -> Any:
        return gpudl.grad(ops.sum(v * x), [v])[0]

    recorded = traced(step)
    assert recorded(tensor(3)).numpy().tolist() == [3]
    v.trainable = False
    assert recorded(tensor(3)) is None
    v.trainable = True
    assert recorded(tensor(3)).numpy().tolist() == [3]


def test_a_variable_as_argument_is_not_mistaken_for_another() -> None:
    step = traced(lambda v: [v.assign_add([1.0]), v * 2][1])
    for n in range(5):  # each is freed, so that the next may get its identity
        v = Variable([float(n)])
        assert step(v).numpy().tolist() == [2 * n + 2]
        assert v.numpy().tolist() == [n + 1]
        del v


@pytest.mark.parametrize(
    "use", [lambda t: t.numpy(), lambda t: t + 1, lambda t: ops.reshape(t, (2, 1)), lambda t: float(ops.sum(t))]
)
def test_a_tensor_kept_from_a_step_is_an_error(use: Callable[[Tensor], Any]) -> None:
    kept = []
    step = traced(lambda x: [kept.append(x * 3), kept[-1] + 1][1])
    step(tensor(1, 2))
    with pytest.raises(TracingError, match="Return it from the step instead of keeping it"):
        use(kept[0])


def test_a_step_overwrites_variables_only() -> None:
    with pytest.raises(TracingError, match="assign_ would overwrite a value computed in the step"):
        traced(lambda x: ops.assign_(x * 2, x))(tensor(1))


@pytest.mark.parametrize("result", [1.5, "text", [1], {"loss": 2}])
def test_a_step_that_returns_a_number_is_an_error(result: Any) -> None:
    v = Variable(0.0)
    recorded = traced(lambda x: [v.assign_add(1.0), result][1])
    with pytest.raises(TracingError, match=r"a recorded step must return tensors, got (float|str|int)"):
        recorded(tensor(1))
    assert float(v) == 0
    assert recorded.entries == {}


@pytest.mark.parametrize("call", ["__call__", "run"])
def test_a_traced_function_inside_another_runs_inline(call: str) -> None:
    v = Variable(0.0)
    inner = traced(lambda x: [v.assign_add(1.0), x * 2][1])
    outer = traced(lambda x: getattr(inner, call)(x) + 1)
    for _ in range(3):
        assert outer(tensor(3)).numpy().tolist() == [7]
    assert inner.entries == {}
    assert names_in(outer) == ["assign_add_", "multiply", "add"]
    assert float(v) == 3


def test_nests_go_in_and_come_out() -> None:
    def step(data: dict[str, Any], flag: bool, *, scale: float) -> dict[str, Any]:
        x, (y, nothing) = data["x"], data["pair"]
        assert nothing is None
        return {"sum": x + y, "rest": [x * scale, (None, y if flag else -y)], "none": None}

    recorded = traced(step)
    for n in range(3):
        data = {"x": tensor(n), "pair": (tensor(1), None)}
        got = recorded(data, False, scale=3.0)
        assert list(got) == ["sum", "rest", "none"]
        assert got["none"] is None
        assert got["sum"].numpy().tolist() == [n + 1]
        tripled, (none, y) = got["rest"]
        assert none is None
        assert (tripled.numpy().tolist(), y.numpy().tolist()) == ([3 * n], [-1])
    assert len(recorded.entries) == 1
    recorded({"x": tensor(1), "pair": (tensor(1), None)}, True, scale=3.0)
    assert len(recorded.entries) == 2


def test_a_step_may_return_nothing() -> None:
    v = Variable(0.0)
    recorded = traced(lambda x: v.assign_add(ops.sum(x)))
    assert recorded(tensor(2)) is None
    assert recorded(tensor(3)) is None
    assert float(v) == 5


def test_arrays_lists_and_numbers_of_numpy_are_data() -> None:
    recorded = traced(lambda x, y: x * y)
    assert float(recorded(np.float32(2), np.float32(3))) == 6
    assert float(recorded(np.float32(4), np.float32(5))) == 20
    assert len(recorded.entries) == 1


class Rows:
    """Rows of a matrix by number, as a data set feeds them."""

    def __init__(self, data: np.ndarray, chosen: list[int]) -> None:
        self.data, self.chosen = data, chosen
        self.spec = Spec((len(chosen), *data.shape[1:]), data.dtype)

    def write(self, out: np.ndarray) -> None:
        np.take(self.data, self.chosen, axis=0, out=out)


@pytest.mark.host
def test_feeds_write_themselves() -> None:
    data = np.arange(12, dtype=np.float32).reshape(4, 3)
    recorded = traced(lambda x: ops.sum(x, axis=1))
    for chosen in ([0, 1], [3, 2], [1, 1]):
        assert recorded(Rows(data, chosen)).numpy().tolist() == data[chosen].sum(axis=1).tolist()
    assert len(recorded.entries) == 1


def test_two_threads_record_at_once() -> None:
    together = threading.Barrier(2, timeout=30)
    results: dict[int, list[float]] = {}

    def work(number: int) -> None:
        v = Variable(0.0)

        def step(x: Tensor) -> Tensor:
            together.wait()
            v.assign_add(ops.sum(x) * number)
            together.wait()
            return v * 1

        recorded = traced(step)
        results[number] = [float(recorded(tensor(1))) for _ in range(3)]

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {1: [1, 2, 3], 10: [10, 20, 30]}


def test_returning_a_stale_tensor_leaves_nothing_behind() -> None:
    kept, v = [], Variable(0.0)
    traced(lambda x: kept.append(x * 2))(tensor(1))
    with pytest.raises(TracingError, match="computed inside a recorded step and used after it"):
        traced(lambda x: [v.assign_add(1.0), kept[0]][1])(tensor(1))
    assert float(v) == 0


def test_inside_a_tape_a_traced_function_is_differentiated() -> None:
    x = gpudl.Variable(3.0)
    square = gpudl.traced(lambda t: t * t)
    square(x)
    with gpudl.GradientTape() as tape:
        y = square(x)
    assert float(tape.gradient(y, x)) == 6.0
