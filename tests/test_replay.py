"""A replayed step computes what the eager one does, bit for bit, and nothing more."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from gpudl.kernels.geometry import Window
from replay_tools import assert_same_bits, names_in, plan_of, tensor

import gpudl
from gpudl import Tensor, Variable, ops, traced
from gpudl.engine.flat import FlatGroup
from gpudl.ops.primitives.pool import max_pool
from gpudl.random import SeedGenerator, dropout


def replayed(step: Callable[..., Any], *args: Any) -> Any:
    """Return the result of a replay that finds only NaN in the arena."""
    recorded = traced(step)
    recorded(*args)
    plan_of(recorded).poison()
    return recorded(*args)


def test_random_ops_differ_from_step_to_step_and_repeat_under_a_seed() -> None:
    def draws(seed: int, call: Callable[[Any], Any]) -> list[bytes]:
        generator = SeedGenerator(seed)
        step = call(lambda x: (dropout(x, 0.5, seed=generator), gpudl.random.normal((5,), seed=generator)))
        results = [step(Tensor(np.ones(64, np.float32))) for _ in range(4)]
        return [a.numpy().tobytes() + b.numpy().tobytes() for a, b in results]

    replays = draws(5, traced)
    assert len(set(replays)) == 4
    assert replays == draws(5, traced)
    assert replays == draws(5, lambda step: step)
    assert set(replays).isdisjoint(draws(6, traced))


def test_the_gradient_of_dropout_has_its_mask_in_each_step() -> None:
    generator = SeedGenerator(1)
    v = Variable(np.ones(64, np.float32))

    def step() -> tuple[Any, ...]:
        y = dropout(v * 1, 0.5, seed=generator)
        return y, gpudl.grad(y, [v])[0]

    recorded = traced(step)
    masks = set()
    for _ in range(3):
        y, g = recorded()
        assert_same_bits(y, g)
        masks.add(y.numpy().tobytes())
    assert len(masks) == 3


class Net:
    """A convolution, a pooling and a dense layer, trained by Adam or SGD on flat buffers."""

    def __init__(self, optimizer: str, size: int = 8) -> None:
        rng = np.random.default_rng(0)

        def weights(*shape: int) -> Variable:
            return Variable((rng.standard_normal(shape) * 0.3).astype(np.float32))

        features = ((size - 2) // 2) ** 2 * 4
        self.variables = [weights(3, 3, 1, 4), weights(4), weights(features, 10), weights(10)]
        self.group = FlatGroup(self.variables)
        self.m, _ = self.group.slot("m")
        self.v, _ = self.group.slot("v")
        self.rate = Variable(0.05, trainable=False)
        self.steps = Variable(np.array(0, np.int64), trainable=False)
        self.generator = SeedGenerator(11)
        self.optimizer = optimizer

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        kernel, bias, matrix, offset = self.variables
        y = ops.bias_activation(ops.conv2d(x, kernel, window=Window((3, 3), (1, 1))), bias, activation="relu")
        y, _ = max_pool(y, window=Window((2, 2), (2, 2)))
        y = dropout(ops.reshape(y, (x.shape[0], -1)), 0.25, seed=self.generator)
        z = ops.bias_activation(y @ matrix, offset, activation="linear")
        losses, _ = ops.sparse_softmax_cross_entropy(z, labels)
        return ops.mean(losses)

    def step(self, x: Tensor, labels: Tensor) -> Tensor:
        loss = self.loss(x, labels)
        g = ops.pack(*gpudl.grad(loss, self.variables))
        if self.optimizer == "sgd":
            ops.sgd_(self.group.flat, g, self.rate)
        else:
            betas = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
            ops.adam_(self.group.flat, self.m, self.v, g, self.rate, self.steps, **betas)
        ops.increment_(self.steps)
        return loss


def batch(number: int, rows: int = 6, size: int = 8) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(number)
    x = rng.standard_normal((rows, size, size, 1)).astype(np.float32)
    return Tensor(x), Tensor(rng.integers(0, 10, rows).astype(np.int32))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_replayed_training_is_the_eager_one_bit_for_bit(optimizer: str) -> None:
    eager, replay = Net(optimizer), Net(optimizer)
    recorded = traced(replay.step)
    losses = []
    for number in range(5):
        for entry in recorded.entries.values():
            entry.plan.poison()
        rows = 4 if number == 3 else 6
        loss = recorded(*batch(number, rows))
        assert_same_bits(loss, eager.step(*batch(number, rows)))
        assert_same_bits(replay.group.flat, eager.group.flat)
        losses.append(float(loss))
    assert np.all(np.isfinite(losses))
    assert len(set(losses)) == 5
    assert int(replay.steps) == 5


def test_gradients_are_computed_where_the_optimizer_wants_them() -> None:
    recorded = traced(Net("adam").step)
    recorded(*batch(0))
    assert "pack" not in names_in(recorded)
    assert names_in(recorded).count("adam_") == 1


PACKS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "plain": lambda a, b: ops.sum(ops.pack(a * 2, b * 3) * 2),
    "used before": lambda a, b: (lambda p: ops.sum(p) + ops.sum(ops.pack(p, b * 3)))(a * 2),
    "used after": lambda a, b: (lambda p: ops.pack(p, b * 3) * ops.sum(p * 7))(a * 2),
    "a result": lambda a, b: (lambda p: (p, ops.sum(ops.pack(p, b * 3))))(a * 2),
    "itself the result": lambda a, b: ops.pack(a * 2, b * 3),
    "twice": lambda a, b: (lambda p: ops.pack(p, p, b * 3) * 2)(a * 2),
    "computed twice": lambda a, b: ops.pack(a * 2, a * 2) * 2,
    "in two packs": lambda a, b: (lambda p: (ops.pack(p, b * 3) * 2, ops.pack(b * 5, p) * 2))(a * 2),
    "the same pack twice": lambda a, b: (ops.pack(a * 2, b * 3) * 2, ops.pack(a * 2, b * 3) * 2),
    "a pack in a pack": lambda a, b: ops.pack(ops.pack(a * 2, b * 3), a * 5) * 2,
    "three deep": lambda a, b: ops.pack(b * 7, ops.pack(ops.pack(a * 2, b * 3), a * 5)) * 2,
    "two packs in a pack": lambda a, b: ops.pack(ops.pack(a * 2, b * 3), ops.pack(a * 5, b * 7)) * 2,
    "inputs": lambda a, b: ops.pack(a, b) * 2,
    "views": lambda a, b: ops.pack(ops.reshape(a * 2, (2, 1)), ops.reshape(b * 3, (3, 1))) * 2,
    "views of one": lambda a, b: (lambda p: ops.pack(ops.reshape(p, (2, 1)), p) * 2)(a * 2),
    "a view of a pack": lambda a, b: ops.reshape(ops.pack(a * 2, b * 3), (5, 1)) * 2,
    "the view of a packed pack": lambda a, b: ops.pack(ops.reshape(ops.pack(a * 2, b * 3), (5, 1)), a * 5) * 2,
    "nothing": lambda a, b: ops.pack(ops.sum(a, axis=0), a[0:0] * 2, b * 3) * 2,
    "kept alive": lambda a, b: (lambda p, q: ops.pack(p, q, p * q[0:2]) * 2)(a * 2, b * 3),
}


@pytest.mark.parametrize("name", PACKS)
def test_packing_in_place_changes_nothing(name: str) -> None:
    inputs = tensor(1, 2), tensor(3, 4, 5)
    got, expected = replayed(PACKS[name], *inputs), PACKS[name](*inputs)
    for one, other in zip(*(r if isinstance(r, tuple) else (r,) for r in (got, expected)), strict=True):
        assert_same_bits(one, other)


def test_a_read_before_a_write_is_not_a_read_after_it() -> None:
    v = Variable([1.0, 2.0])

    def step(x: Tensor) -> tuple[Tensor, ...]:
        before = v * x
        again = v * x
        v.assign_add(x)
        return before, again, v * x

    recorded = traced(step)
    for n in range(3):
        got = [t.numpy().tolist() for t in recorded(tensor(1, 1))]
        assert got == [[1 + n, 2 + n], [1 + n, 2 + n], [2 + n, 3 + n]]
    assert names_in(recorded).count("multiply") == 2


@pytest.mark.parametrize("through", ["flat", "part", "view"])
def test_a_write_to_shared_memory_is_seen_through_every_view(through: str) -> None:
    a, b = Variable([1.0]), Variable([2.0])
    group = FlatGroup([a, b])

    def step(x: Tensor) -> tuple[Tensor, ...]:
        def reading() -> Tensor:
            return (group.flat if through == "part" else ops.reshape(b, (1, 1)) if through == "view" else b) * x

        before = reading()
        if through == "part":
            b.assign_add([1.0])
        else:
            ops.assign_add_(group.flat, ops.broadcast_to(x, shape=(2,)))
        return before, reading()

    recorded = traced(step)
    for n in range(3):
        before, after = recorded(tensor(1))
        assert before.numpy().ravel()[-1] == 2 + n
        assert after.numpy().ravel()[-1] == 3 + n


def test_what_nobody_reads_is_not_computed() -> None:
    def step(x: Tensor) -> Tensor:
        ops.exp(ops.sqrt(x))
        values, _ = max_pool(ops.reshape(x, (1, 2, 2, 1)), window=Window((2, 2), (2, 2)))
        return values * 2

    recorded = traced(step)
    recorded(tensor(1, 2, 3, 4))
    assert names_in(recorded) == ["reshape_view", "max_pool", "multiply"]


def test_random_draws_are_not_merged() -> None:
    generator = SeedGenerator(2)
    step = traced(lambda x: (dropout(x, 0.5, seed=generator), dropout(x, 0.5, seed=generator)))
    for _ in range(2):
        one, other = step(Tensor(np.ones(64, np.float32)))
        assert one.numpy().tobytes() != other.numpy().tobytes()


def test_a_replay_allocates_nothing() -> None:
    net = Net("adam", 12)
    recorded = traced(net.step)
    data = batch(0, 32, 12)
    for _ in range(3):
        recorded.run(*data)
    tracemalloc.start()
    try:
        for _ in range(5):
            recorded.run(*data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024, f"{peak} bytes, where one activation has {32 * 10 * 10 * 4 * 4}"


@pytest.mark.parametrize("models", [1, 2])
def test_threads_replay_beside_each_other(models: int) -> None:
    x = np.random.default_rng(0).random((16, 28, 28, 16), np.float32)

    def network() -> gpudl.Sequential:
        filters = {"padding": "same", "activation": "relu"}
        first = [gpudl.layers.Conv2D(64, 3, **filters), gpudl.layers.Conv2D(64, 3, **filters)]
        return gpudl.Sequential([gpudl.layers.Input((28, 28, 16)), *first, gpudl.layers.Flatten()])

    nets = [network() for _ in range(models)]
    alone = [net.predict(x, verbose=0) for net in nets]

    def same(number: int) -> bool:
        runs = (nets[number % models].predict(x, verbose=0) for _ in range(10))
        return all(np.array_equal(run, alone[number % models]) for run in runs)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(same, range(2))) == [True, True]
