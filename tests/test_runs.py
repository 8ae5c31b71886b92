"""Runs of elementwise ops as one kernel: the bits of the ops one by one, the order of reads and writes, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from contract_cases import CONTRACTS
from contract_cases.check import dirty, tensors
from gpudl.kernels import registry as kernels
from gpudl.kernels import team
from gpudl.kernels.cpu.machine import threads
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_tools import names_in, plan_of, tensor

import gpudl
from gpudl import Tensor, Variable, ops, traced
from gpudl.engine.flat import FlatGroup
from gpudl.engine.op import registry

SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-40, 3e38)
SIZES = (0, 1, 3, 1024, 1025, 100_000)
COMPOSER = kernels.composer("cpu")
assert COMPOSER is not None

UNARY = (
    *(ops.negative, ops.square, ops.sqrt, ops.sign, ops.relu),
    *(registry["absolute"], registry["ones_like"], registry["zeros_like"]),
)
BINARY = (ops.add, ops.subtract, ops.multiply, ops.divide, ops.maximum, ops.minimum)
LOGIC = (ops.bitwise_and, ops.bitwise_or, ops.bitwise_xor, ops.logical_and, ops.logical_or)
COMPARE = (ops.equal, ops.not_equal, ops.greater, ops.greater_equal, ops.less, ops.less_equal)


def share_out(patch: pytest.MonkeyPatch) -> None:
    """Have every run done in parts, on one core too."""
    patch.setattr(threads, "PARALLEL_FROM", 0)
    team.size()  # found out now: it is kept
    patch.setattr(team, "most", lambda: 4)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def assert_same_numbers(one: Any, other: Any) -> None:
    """Compare bit for bit, but for which NaN a NaN is."""
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    np.testing.assert_array_equal(one, other)
    if one.dtype.kind == "f":
        known = ~np.isnan(one)
        np.testing.assert_array_equal(np.signbit(one[known]), np.signbit(other[known]))


class Model:
    """Variables, and a step that follows a list of choices; every choice is legal whatever the others are."""

    def __init__(self, size: int, dtype: str, choices: list[tuple[int, int, int, int]], returned: set[int]) -> None:
        values = np.resize(np.array(SPECIAL), size).astype(dtype)
        self.choices, self.returned = choices, returned
        self.arrays = [Variable(values), Variable(values[::-1].copy(), trainable=False)]
        self.scalars = [Variable(np.array(value, dtype), trainable=False) for value in (2.0, -0.0)]
        self.counts = [Variable(np.array(value, np.int64), trainable=False) for value in (0, -1)]

    def variables(self) -> list[Variable]:
        return [*self.arrays, *self.scalars, *self.counts]

    def step(self, x: Tensor) -> list[Tensor]:
        real: list[Tensor] = [x, *self.arrays, *self.scalars]
        truth: list[Tensor] = [x > 0, self.scalars[0] > 1]
        for kind, i, j, k in self.choices:
            a, b, c = real[i % len(real)], real[j % len(real)], truth[k % len(truth)]
            if kind < 4:
                real.append(BINARY[k % len(BINARY)](a, b))
            elif kind < 6:
                real.append(UNARY[k % len(UNARY)](a))
            elif kind == 6:
                truth.append(COMPARE[k % len(COMPARE)](a, b))
            elif kind == 7:
                real.append(ops.where(c, a, b))
            elif kind == 8:
                real.append(ops.cast(c, dtype=x.dtype))
            elif kind == 9:
                real.append(ops.activation_grad(a * c_like(a), a, activation="relu"))
            elif kind == 10:
                real.append(ops.reshape(ops.reshape(ops.clip(a, -1.0, 0.5), (*a.shape, 1)) - 1, a.shape))
            elif kind == 11:
                real.append(ops.broadcast_to(a, shape=x.shape))
            elif kind == 12:
                target = (self.arrays if a.ndim else self.scalars)[k % 2]
                (ops.assign_ if j % 2 else ops.assign_add_)(target, a)
            elif kind == 13:
                ops.increment_(self.counts[0])
                ops.note_nonfinite_(self.counts[1], self.scalars[k % 2], self.counts[0])
            elif kind == 14:
                truth.append(~LOGIC[k % len(LOGIC)](c, truth[i % len(truth)]))
            else:
                real.append(ops.sum(a) * 0.5)
        return [t for n, t in enumerate(real + truth) if n in self.returned] or [real[-1]]


def c_like(a: Tensor) -> Tensor:
    return ops.cast(a >= 0.5, dtype=a.dtype)


choices = st.lists(st.tuples(st.integers(0, 15), *[st.integers(0, 40)] * 3), min_size=1, max_size=14)


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(SIZES),
    st.sampled_from(("float32", "float64")),
    choices,
    st.sets(st.integers(0, 20), max_size=4),
    st.booleans(),
)
def test_a_replayed_run_gives_the_numbers_of_the_ops_one_by_one(
    size: int, dtype: str, choices: list[Any], returned: set[int], in_parallel: bool
) -> None:
    eager, replay = (Model(size, dtype, choices, returned) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        if in_parallel:
            share_out(patch)
        recorded = traced(replay.step)
        for number in range(3):
            x = Tensor(np.resize(np.array(SPECIAL[number:]), size).astype(dtype))
            for entry in recorded.entries.values():
                entry.plan.poison()
            for one, other in zip(recorded(x), eager.step(x), strict=True):
                assert_same_numbers(one.numpy(), other.numpy())
            for one, other in zip(replay.variables(), eager.variables(), strict=True):
                assert_same_numbers(one.numpy(), other.numpy())


JOINING = [
    name
    for name, contract in CONTRACTS.items()
    if any(
        COMPOSER.joins(
            name, (*dirty(registry[name].specs(tensors(s.cast("float32")), s.static)), *s.cast("float32")), s.static
        )
        for s in contract.samples
        if not registry[name].alias
    )
]
OPEN = ("maximum", "minimum", "relu", "clip")  # NumPy does not say which of two zeros they return


def test_the_ops_that_join_are_those_that_arithmetic_determines() -> None:
    assert {o.name for o in (*UNARY, *BINARY, *COMPARE, *LOGIC, ops.bitwise_not, ops.left_shift)} <= set(JOINING)
    assert not {"exp", "log", "log1p", "expm1", "tanh", "sigmoid", "power", "erf", "sum", "matmul"} & set(JOINING)


@pytest.mark.parametrize("name", JOINING)
def test_an_op_alone_gives_what_its_reference_gives(name: str) -> None:
    contract, op = CONTRACTS[name], registry[name]
    seen = set()
    for sample in (*contract.samples, *contract.drawn(12)):
        for dtype in contract.dtypes:
            expected, inputs = sample.cast(dtype), sample.cast(dtype)
            outs, wanted = (dirty(op.specs(tensors(inputs), sample.static)) for _ in range(2))
            arrays = (*outs, *inputs)
            if not COMPOSER.joins(name, arrays, sample.static):
                continue
            op.forward(np, *wanted, *expected, **sample.static)
            numbers = tuple(range(len(arrays)))
            call = kernels.Call(name, numbers[: len(outs)], numbers[len(outs) :], sample.static)
            kernel = COMPOSER.compose([call], [(a.dtype, a.size) for a in arrays], numbers)
            kernel.bind(arrays, np.full(kernel.work, 255, np.uint8))()
            seen.add(inputs[0].dtype)
            for one, other in zip(arrays, (*wanted, *expected), strict=True):
                if name in OPEN:
                    np.testing.assert_array_equal(one, other)
                else:
                    assert_same_numbers(one, other)
    assert seen


CASTS = [(a, b) for a in ("bool", "uint8", "int32", "int64", "float32", "float64") for b in ("int32", "int64")]
CASTS += [(a, b) for a in ("bool", "uint8", "int32", "int64", "float32", "float64") for b in ("float32", "float64")]


@pytest.mark.parametrize(("source", "target"), CASTS)
@pytest.mark.parametrize("size", [1, 7, 40])
def test_casts_round_as_numpy_does(source: str, target: str, size: int) -> None:
    values = [0, 1, 255, -1, 2**31 - 1, 2**24 + 1, 2**53 + 1, -(2**62) - 1, 16777217.5, np.pi, 1e300]
    whole = [int(v) for v in values[:8]]
    x = np.resize(np.array(values) if source[0] == "f" else np.array(whole), size).astype(source)
    out = np.full(size, 77, target)
    if not COMPOSER.joins("cast", (out, x), {"dtype": target}):
        assert source[0] == "f"
        assert target[0] == "i"
        return
    kernel = COMPOSER.compose(
        [kernels.Call("cast", (0,), (1,), {"dtype": target})], [(a.dtype, size) for a in (out, x)], (0, 1)
    )
    kernel.bind((out, x), np.empty(kernel.work, np.uint8))()
    np.testing.assert_array_equal(out, x.astype(target))


@pytest.mark.parametrize("size", [1, 5, 16, 17, 1024, 1025, 3000])
@pytest.mark.parametrize("in_parallel", [False, True])
def test_nothing_outside_the_arrays_is_touched(size: int, in_parallel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if in_parallel:
        share_out(monkeypatch)
    whole = [np.full(size + 128, 9.0, np.float32) for _ in range(3)]
    out, a, b = (w[64 : 64 + size] for w in whole)
    a[...], b[...] = np.arange(size), 0.5
    calls = [kernels.Call("multiply", (3,), (1, 2)), kernels.Call("greater", (4,), (3, 2))]
    calls += [kernels.Call("where", (5,), (4, 1, 3)), kernels.Call("add", (0,), (5, 2))]
    specs = [(np.dtype(d), size) for d in ("f", "f", "f", "f", "?", "f")]
    kernel = COMPOSER.compose(calls, specs, (0, 1, 2))
    guard = np.full(kernel.work + 256, 123, np.uint8)
    kernel.bind((out, a, b), guard[128 : 128 + kernel.work])()
    np.testing.assert_array_equal(out, np.where(a * b > b, a, a * b) + b)
    assert all((w[:64] == 9).all() and (w[-64:] == 9).all() for w in whole)
    assert (guard[:128] == 123).all()
    assert (guard[-128:] == 123).all()


def calls_in(step: Any) -> list[str]:
    return [s.name for s in plan_of(step).instructions if not s.alias]


def test_the_scalars_of_a_step_become_one_call_and_take_no_memory() -> None:
    total, count, steps = Variable(0.0), Variable(0.0), Variable(np.array(0, np.int64), trainable=False)

    def step(x: Tensor) -> Tensor:
        loss = ops.sum(x) / 4.0
        ops.assign_add_(total, loss * 4.0)
        y = ops.exp(x) * (ops.ones_like(loss) / 4.0)
        ops.assign_add_(count, 4.0)
        ops.increment_(steps)
        none = ops.equal(count, 0.0)
        mean = ops.where(none, 0.0, total / ops.where(none, 1.0, count))
        return ops.sum(y) * 0 + mean

    recorded = traced(step)
    for n in range(3):
        assert float(recorded(tensor(1, 2, 3, 6))) == 3
        assert int(steps) == n + 1
    # The second run multiplies exp(x), the third ends with the sum of that.
    assert calls_in(recorded) == ["sum", "run", "exp", "run", "sum", "run"]


def test_a_lone_instruction_is_a_run_too() -> None:
    recorded = traced(lambda x: ops.exp(ops.where(x > 0, x, 0.0)))
    recorded(tensor(1, -2))
    assert calls_in(recorded) == ["run", "exp"]
    assert names_in(recorded) == ["greater", "where", "exp"]


def test_what_lies_between_takes_no_memory() -> None:
    n = 100_000
    recorded = traced(lambda x: ops.sum(ops.square(x * 2 - 1) / 3 + x))
    recorded(Tensor(np.ones(n, np.float32)))
    assert calls_in(recorded)[0] == "run"
    assert plan_of(recorded).arena.nbytes < 2 * n * 4


def test_a_large_value_is_not_made_before_another_large_one_needs_to_be() -> None:
    def step(x: Tensor) -> Tensor:
        y = ops.exp(x * 2)
        z = ops.exp(y)
        return ops.sum(z * (x * 3))  # x * 3 could be computed together with x * 2, and would be in the way until now

    many, few = traced(step), traced(step)
    many(Tensor(np.ones(100_000, np.float32)))
    few(tensor(1, 2))
    assert names_in(many)[:2] == ["multiply", "exp"]
    assert names_in(few)[:2] == ["multiply", "multiply"]


class Laid(NamedTuple):
    """Variables and the buffer in which they lie."""

    flat: Tensor
    variables: list[Variable]


ORDERS: dict[str, Callable[[Laid, Variable, Tensor], Any]] = {
    "a read before a write": lambda g, v, x: (v * x, v.assign_add(x), v * x),
    "a view of what is written": lambda g, v, x: (ops.reshape(v, (3, 1)) * 1, v.assign(x), ops.reshape(v, (3, 1)) * 1),
    "a result that is a variable": lambda g, v, x: (ops.broadcast_to(v, shape=(3,)), v.assign(x * 7)),
    "a cast before a write": lambda g, v, x: (ops.cast(v, dtype="float64"), v.assign(x), ops.cast(v, dtype="float64")),
    "a part into the whole": lambda g, v, x: ops.assign_add_(g.flat, ops.reshape(g.variables[0], ()) * 1),
    "a part straight into the whole": lambda g, v, x: ops.assign_add_(g.flat, ops.reshape(g.variables[0], ())),
    "parts after the whole": lambda g, v, x: (ops.assign_(g.flat, x), g.variables[1] * 2, g.variables[0] * 2),
    "the whole after parts": lambda g, v, x: (g.variables[1].assign([5.0, 6.0]), g.flat * x),
    "a copy before a write": lambda g, v, x: (lambda y: (v.assign(x), y * 2))(ops.broadcast_to(v, shape=(3,))),
    "two names of one result": lambda g, v, x: (lambda y: (y, ops.broadcast_to(y, shape=(3,))))(x * 2),
    "one result asked for twice": lambda g, v, x: (x * 2, x * 2, ops.sum(ops.exp(x * 2) - 1)),
    "itself": lambda g, v, x: (v.assign(v), v.assign_add(v)),
    "twice": lambda g, v, x: (v.assign_add(x), v.assign_add(x), v * v),
}


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("in_parallel", [False, True])
def test_reads_and_writes_keep_their_order(name: str, in_parallel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if in_parallel:
        share_out(monkeypatch)

    def made() -> tuple[list[Variable], Callable[[Tensor], Any]]:
        parts = [Variable([1.0]), Variable([2.0, 3.0])]
        group = Laid(FlatGroup(parts).flat, parts)
        v = Variable([4.0, 5.0, 6.0])

        def step(x: Tensor) -> list[Tensor]:
            result = ORDERS[name](group, v, x)
            return [t for t in (result if isinstance(result, tuple) else (result,)) if t is not None]

        return [group.flat, v], step

    (eager, step), (replay, other) = made(), made()
    recorded = traced(other)
    for n in range(3):
        x = tensor(n, 2, -1)
        for got, expected in zip(recorded(x), step(x), strict=True):
            assert_same_numbers(got.numpy(), expected.numpy())
        for got, expected in zip(replay, eager, strict=True):
            assert_same_numbers(got.numpy(), expected.numpy())


def test_a_variable_and_the_buffer_that_it_is_all_of_do_not_mix() -> None:
    def made() -> Callable[[Tensor], Any]:
        v = Variable([4.0])
        group = FlatGroup([v])

        def step(x: Tensor) -> tuple[Tensor, Tensor]:
            before = ops.cast(v, dtype="float64") * 2
            ops.assign_(group.flat, x)
            return before, ops.cast(v, dtype="float64") * 2

        return step

    eager, recorded = made(), traced(made())
    for n in range(3):
        for got, expected in zip(recorded(tensor(n)), eager(tensor(n)), strict=True):
            assert_same_numbers(got.numpy(), expected.numpy())


def test_an_element_may_be_added_to_the_array_that_it_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    share_out(monkeypatch)
    one, rest = Variable([3.0]), Variable(np.zeros(9999, np.float32))
    group = FlatGroup([one, rest])
    recorded = traced(lambda x: ops.assign_add_(group.flat, ops.reshape(one, ())))
    recorded(tensor(0))
    assert set(rest.numpy()) == {3.0}
    recorded(tensor(0))
    assert one.numpy() == 12
    assert set(rest.numpy()) == {9.0}


def test_a_training_that_is_replayed_with_runs_is_the_eager_one() -> None:
    def trained(run_eagerly: bool) -> list[np.ndarray]:
        gpudl.utils.set_random_seed(3)
        model = gpudl.Sequential([gpudl.layers.Input((5,)), gpudl.layers.Dense(4, "relu"), gpudl.layers.Dense(1)])
        model.compile(optimizer="adam", loss="mae", metrics=["mse"], run_eagerly=run_eagerly)
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((40, 5)), rng.standard_normal((40, 1))
        model.fit(x, y, batch_size=16, epochs=2, verbose=0)
        return [np.asarray(w) for w in model.get_weights()]

    for one, other in zip(trained(True), trained(False), strict=True):
        assert_same_numbers(one, other)
