"""Batch normalization: how exact its kernels are, what they join, and that this changes no bit."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numba
import numpy as np
import pytest
from contract_cases.check import assert_same, dirty
from gpudl.kernels import registry
from gpudl.kernels.cpu import norm
from gpudl.kernels.cpu.machine import threads
from replay_tools import names_in, plan_of

import gpudl
from gpudl import layers, ops
from gpudl.engine.spec import Spec
from gpudl.engine.state import unfused
from gpudl.layers import BatchNormalization

Arrays = tuple[np.ndarray, ...]
F4 = np.float32
EPSILON = {"epsilon": 1e-3}
SHAPES = [(1, 1), (2, 3), (5, 7, 6, 10), (9, 700), (3000, 3), (600, 64), (4, 13, 13, 70), (3, 20000)]
SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0], F4)
RELU = {"activation": "relu"}


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(F4)


def by_channel(x: np.ndarray, *, seed: int) -> np.ndarray:
    return noise(x.shape[-1], seed=seed)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    outs = dirty((Spec(x.shape, x.dtype), *[Spec(x.shape[-1:], x.dtype)] * 2))
    ones, zeros = np.ones(x.shape[-1], x.dtype), np.zeros(x.shape[-1], x.dtype)
    norm.batch_norm(*outs, x, ones, zeros, **EPSILON)
    return outs[1], outs[2]


def exact(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = x.reshape(-1, x.shape[-1]).astype(np.float64)
    mean = rows.sum(axis=0) / len(rows)
    return mean, ((rows - mean) ** 2).sum(axis=0) / len(rows)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("offset", [0.0, 1e3, -1e6])
def test_variance_is_exact_far_from_zero(shape: tuple[int, ...], offset: float) -> None:
    # Distances from a number near the mean are rounded once; 64 lines of them are added up, and then at most 512 sums.
    x = (noise(*shape) + F4(offset)).astype(F4)
    mean, variance = moments(x)
    exact_mean, exact_variance = exact(x)
    limit = 64 * np.finfo(F4).eps
    assert (np.abs(mean - exact_mean) <= limit + np.spacing(np.abs(mean))).all()
    np.testing.assert_allclose(variance, exact_variance, rtol=limit)


@pytest.mark.parametrize(("rows", "channels"), [(50_000, 4), (20_000, 33), (300, 700)])
def test_variance_is_exact_when_the_first_row_is_far_off(rows: int, channels: int) -> None:
    x = noise(rows, channels)
    x[0] = 1e5
    mean, variance = moments(x)
    exact_mean, exact_variance = exact(x)
    # Of 64 sums of squares the one of the first line should be the only one, where its mean is that of one row.
    limit = 64 * np.finfo(F4).eps * max(64 * channels / 512, 1)
    assert (np.abs(mean - exact_mean) <= limit * np.sqrt(exact_variance)).all()
    np.testing.assert_allclose(variance, exact_variance, rtol=limit)


def test_the_variance_of_a_constant_is_next_to_nothing() -> None:
    x = np.full((40_001, 3), 0.1, F4)
    mean, variance = moments(x)
    np.testing.assert_allclose(mean, 0.1, rtol=np.finfo(F4).eps)
    assert (variance <= (np.finfo(F4).eps * 0.1) ** 2).all()


def forward(x: np.ndarray) -> tuple[Arrays, Any]:
    inputs = (x, by_channel(x, seed=1), by_channel(x, seed=2))

    def parts(x: Any, gamma: Any, beta: Any) -> Any:
        y, mean, variance = ops.batch_norm(x, gamma, beta, **EPSILON)
        return mean, variance, ops.relu(y)

    return inputs, parts


def predicting(x: np.ndarray) -> tuple[Arrays, Any]:
    inputs = (x, *(by_channel(x, seed=seed) for seed in (1, 2, 3)))
    return inputs, lambda *each: (ops.relu(ops.scale_shift(*each)),)


def backward(x: np.ndarray) -> tuple[Arrays, Any]:
    y = np.maximum(noise(*x.shape, seed=4), F4(0))
    inputs = (noise(*x.shape, seed=3), y, x, by_channel(x, seed=1), *exact(x))

    def parts(g: Any, y: Any, x: Any, *each: Any) -> Any:
        return ops.registry["batch_norm_grad"](ops.activation_grad(g, y, **RELU), x, *each, **EPSILON)

    return tuple(a.astype(F4) for a in inputs), parts


CHAINS = {
    "batch_norm+relu": (forward, (EPSILON, {})),
    "scale_shift+relu": (predicting, ({}, {})),
    "activation_grad+batch_norm_grad": (backward, (RELU, EPSILON)),
}
every_chain = pytest.mark.parametrize("name", CHAINS)


def fused(name: str, inputs: Arrays, like: Arrays, stages: Any = None) -> Arrays | None:
    """Return what the kernel of a chain makes of the inputs, or None if none takes them."""
    stages = CHAINS[name][1] if stages is None else stages
    outs, copies = dirty(tuple(Spec(a.shape, a.dtype) for a in like)), tuple(a.copy() for a in inputs)
    kernel = registry.find(name, "cpu", (*outs, *copies), {"stages": stages})
    if kernel is None:
        return None
    kernel(*outs, *copies, stages=stages)
    assert_same(copies, inputs)
    return outs


def composed(parts: Any, inputs: Arrays) -> Arrays:
    return tuple(t.numpy() for t in parts(*inputs))


def plain(arrays: Arrays) -> Arrays:
    """Return the arrays with one kind of NaN: its bits depend on the order of two operands."""
    return tuple(np.where(np.isnan(a), a.dtype.type(np.nan), a) for a in arrays)


@every_chain
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # of what is special
@pytest.mark.host
def test_a_chain_has_the_bits_of_its_ops(name: str, shape: tuple[int, ...], special: bool) -> None:
    inputs, parts = CHAINS[name][0](noise(*shape))
    rng = np.random.default_rng(7)
    for array in inputs if special else ():
        few = rng.random(array.shape) < min(3 / array.size, 0.5)
        array[few] = rng.choice(SPECIAL, few.sum())
    expected = composed(parts, inputs)
    got = fused(name, inputs, expected)
    assert got is not None
    assert_same(plain(got), plain(expected))


@every_chain
def test_the_bits_do_not_depend_on_threads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = numba.config.NUMBA_NUM_THREADS
    monkeypatch.setattr(threads, "PARALLEL_FROM", 0)
    for shape in SHAPES:
        inputs, parts = CHAINS[name][0](noise(*shape))
        with monkeypatch.context() as patch:
            patch.setattr(threads, "PARALLEL_FROM", 1 << 60)
            like = composed(parts, inputs)
            alone = fused(name, inputs, like)
        for count in sorted({1, min(2, cores)}):
            numba.set_num_threads(count)
            try:
                together = fused(name, inputs, like)
            finally:
                numba.set_num_threads(cores)
            assert alone is not None
            assert together is not None
            assert_same(together, alone)


@every_chain
def test_what_a_chain_does_not_take(name: str) -> None:
    inputs, parts = CHAINS[name][0](noise(6, 5))
    like = composed(parts, inputs)
    mixed = (*inputs[:-1], inputs[-1].astype(np.float64))
    assert fused(name, mixed, like) is None
    assert fused(name, tuple(a[..., :0] for a in inputs), tuple(a[..., :0] for a in like)) is None
    if name.startswith("activation_grad"):
        assert fused(name, inputs, like, ({"activation": "tanh"}, EPSILON)) is None


def network(name: str) -> gpudl.Sequential:
    gpudl.utils.set_random_seed(3)
    model = gpudl.Sequential([gpudl.Input((9, 8, 2)), *NETS[name](), layers.Flatten(), layers.Dense(3)])
    model.compile(optimizer=gpudl.optimizers.SGD(0.05, momentum=0.9), loss="mse")
    return model


def relu(filters: int) -> Any:
    return layers.Conv2D(filters, 3), BatchNormalization(momentum=0.8), layers.Activation("relu")


NETS: dict[str, Any] = {
    "usual": lambda: [*relu(6), *relu(33)],
    "pooled": lambda: [*relu(6), layers.MaxPooling2D(2)],
    "activation layer of its own": lambda: [layers.Conv2D(5, 3), BatchNormalization(), layers.ReLU()],
    "tanh": lambda: [layers.Conv2D(5, 3), BatchNormalization(), layers.Activation("tanh")],
    "bare": lambda: [layers.Conv2D(5, 3), BatchNormalization(center=False, scale=False), layers.ReLU()],
    "along the rows": lambda: [BatchNormalization(axis=1), layers.ReLU(), layers.Conv2D(5, 3)],
    "frozen": lambda: [layers.Conv2D(5, 3), BatchNormalization(trainable=False), layers.ReLU()],
    "first": lambda: [BatchNormalization(), layers.ReLU()],
}


def trained(name: str, context: Any, **compiled: Any) -> tuple[list[np.ndarray], list[Any]]:
    rng = np.random.default_rng(1)
    with context():
        model = network(name)
        model.run_eagerly = compiled.get("run_eagerly", False)
        said: list[Any] = []
        for _ in range(3):
            said.append(model.train_on_batch(noise(7, 9, 8, 2, seed=int(rng.integers(99))), noise(7, 3)))
            said.append(model.predict_on_batch(noise(5, 9, 8, 2)).tobytes())
            for entry in (*model._train.entries.values(), *model._predict.entries.values()):
                entry.plan.poison()
        return model.get_weights(), said


@pytest.mark.parametrize("name", NETS)
def test_training_gives_the_same_bits_in_every_mode(name: str) -> None:
    weights, said = trained(name, nullcontext)
    assert all(np.isfinite(w).all() for w in weights)
    for context, compiled in ((unfused, {}), (nullcontext, {"run_eagerly": True})):
        others, words = trained(name, context, **compiled)
        assert_same(tuple(others), tuple(weights))
        assert words == said


def chains(step: Any) -> list[str]:
    return [i.name for i in plan_of(step).instructions if "norm" in i.name or "scale_shift" in i.name]


@pytest.mark.parametrize(
    ("name", "training", "predicting"),
    [
        ("usual", [*["batch_norm+relu"] * 2, *["activation_grad+batch_norm_grad"] * 2], ["scale_shift+relu"] * 2),
        ("pooled", ["batch_norm+relu", "batch_norm_grad"], ["scale_shift+relu"]),
        ("bare", ["batch_norm+relu", "activation_grad+batch_norm_grad"], ["scale_shift+relu"]),
        ("tanh", ["batch_norm", "batch_norm_grad"], ["scale_shift"]),
        ("frozen", ["scale_shift+relu"], ["scale_shift+relu"]),
    ],
)
@pytest.mark.host
def test_what_is_joined(name: str, training: list[str], predicting: list[str]) -> None:
    model = network(name)
    model.train_on_batch(noise(7, 9, 8, 2), noise(7, 3))
    model.predict_on_batch(noise(7, 9, 8, 2))
    assert chains(model._train) == training
    assert chains(model._predict) == predicting


@pytest.mark.host
def test_what_others_need_is_not_joined() -> None:
    x, ones, zeros = gpudl.Variable(noise(4, 3)), np.ones(3, F4), np.zeros(3, F4)
    x.requires_grad = True

    def normalized(x: Any) -> Any:
        return ops.batch_norm(x, ones, zeros, **EPSILON)[0]

    returned = gpudl.traced(lambda x: [(y := normalized(x)), ops.relu(y)])
    read_twice = gpudl.traced(lambda x: ops.relu(y := normalized(x)) + ops.square(y))

    slopes = gpudl.traced(lambda x: gpudl.grad(ops.relu(y := normalized(x)), [x, y]))
    for step, expected in (
        (returned, ["batch_norm"]),
        (read_twice, ["batch_norm"]),
        (slopes, ["batch_norm+relu", "batch_norm_grad"]),
    ):
        step(x)
        assert chains(step) == expected


def test_the_three_gradients_are_computed_once() -> None:
    model = network("usual")
    model.train_on_batch(noise(7, 9, 8, 2), noise(7, 3))
    assert names_in(model._train).count("batch_norm_grad") == 2


def test_a_frozen_layer_passes_gradients() -> None:
    layer = BatchNormalization(moving_mean_initializer="ones", gamma_initializer="ones", epsilon=0.0)
    x = gpudl.Variable(noise(6, 3))
    layer(x)
    layer.moving_variance.assign(np.full(3, 4.0, F4))
    layer.trainable = False
    with gpudl.GradientTape() as tape:
        y = layer(x, training=True)
        loss = ops.sum(y * y)
    np.testing.assert_allclose(y.numpy(), (x.numpy() - 1) / 2, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(loss, x).numpy(), y.numpy(), rtol=1e-6)
