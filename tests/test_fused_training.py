"""Training, evaluating and predicting give the same bits, whether kernels claim several ops or one, or eagerly."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from small_models import same, state_of

import gpudl
from gpudl import layers
from gpudl.engine.plan import ir
from gpudl.engine.state import unfused
from gpudl.layers import AveragePooling2D, BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D

CLASSES = 5
POOLED = "conv2d+bias_activation+max_pool"
SPREAD = "activation_grad+max_pool_grad"
WEIGHTS = "activation_grad+max_pool_grad+(sum_to,conv2d_weight_grad)"
Stack = list[Any]


def relu(filters: int, kernel: Any = 3, **options: Any) -> Conv2D:
    return Conv2D(filters, kernel, **{"activation": "relu", **options})


def pooled(filters: int) -> Stack:
    return [relu(filters), MaxPooling2D(2)]


def normalized(filters: int) -> Stack:
    return [relu(filters, activation=None, use_bias=False), BatchNormalization(), layers.ReLU()]


# name: (size and channels of the images, the layers below the classifier)
NETS: dict[str, tuple[tuple[int, int, int], Callable[[], Stack]]] = {
    "digits": ((28, 28, 1), lambda: [*pooled(32), *pooled(64), relu(64), Flatten(), Dense(64, activation="relu")]),
    "one": ((10, 10, 1), lambda: [relu(4), MaxPooling2D(2)]),
    "two": ((14, 14, 1), lambda: [relu(8), MaxPooling2D(2), relu(20), MaxPooling2D(2)]),
    "rows left out": ((13, 12, 1), lambda: [relu(8), MaxPooling2D(2), relu(17, 2), MaxPooling2D(3)]),
    "rows left out of deep images": ((9, 9, 40), lambda: [relu(33), MaxPooling2D(2)]),
    "one pixel, rows left out": ((9, 7, 3), lambda: [relu(8, 1), MaxPooling2D(2)]),
    "one pixel": ((8, 8, 3), lambda: [relu(8, 1), MaxPooling2D(2), relu(6, 1), MaxPooling2D(2)]),
    "gaps": ((13, 13, 1), lambda: [relu(8), MaxPooling2D((2, 3), strides=(3, 4))]),
    "overlapping": ((13, 13, 1), lambda: [relu(8), MaxPooling2D(3, strides=2), relu(8), MaxPooling2D(2, strides=1)]),
    "padded": ((9, 9, 2), lambda: [relu(8, padding="same"), MaxPooling2D(2), relu(8, padding="same"), MaxPooling2D(2)]),
    "padded pooling": ((9, 9, 1), lambda: [relu(8), MaxPooling2D(2, padding="same")]),
    "strides": ((15, 14, 2), lambda: [relu(8, strides=2, padding="same"), MaxPooling2D(3)]),
    "dilation": ((15, 15, 1), lambda: [relu(8, dilation_rate=2), MaxPooling2D(2)]),
    "even window": ((12, 12, 1), lambda: [relu(4, (2, 5)), MaxPooling2D(2)]),
    "tanh": ((12, 11, 1), lambda: [relu(8, activation="tanh"), MaxPooling2D(2), relu(6, activation="tanh")]),
    "tanh, overlapping": ((11, 11, 1), lambda: [relu(8, activation="tanh"), MaxPooling2D(3, strides=2)]),
    "sigmoid": ((11, 11, 1), lambda: [relu(8, activation="sigmoid"), MaxPooling2D(2)]),
    "linear": ((11, 11, 1), lambda: [relu(8, activation=None), MaxPooling2D(2)]),
    "no bias": ((11, 11, 1), lambda: [relu(8, use_bias=False), MaxPooling2D(2), relu(6, use_bias=False)]),
    "average": ((11, 11, 1), lambda: [relu(8), AveragePooling2D(2), relu(6), AveragePooling2D(2)]),
    "normalized": ((11, 11, 1), lambda: [relu(8), BatchNormalization(), MaxPooling2D(2), BatchNormalization()]),
    "normalized before the ReLU": (
        (11, 11, 1),
        lambda: [*normalized(8), *normalized(9), MaxPooling2D(2)],
    ),
    "dropped": ((11, 11, 1), lambda: [relu(8), Dropout(0.5), MaxPooling2D(2), Dropout(0.25), relu(4)]),
    "activation apart": ((11, 11, 1), lambda: [relu(8, activation=None), layers.ReLU(), MaxPooling2D(2)]),
    "pooling first": ((12, 12, 1), lambda: [MaxPooling2D(2), relu(8), MaxPooling2D(2), MaxPooling2D(2)]),
    "channels first": ((2, 11, 11), lambda: [relu(4, data_format="channels_first"), relu(4)]),
    "penalty": ((11, 11, 1), lambda: [relu(4, kernel_regularizer="l2", activity_regularizer="l1"), MaxPooling2D(2)]),
    "frozen below": ((13, 13, 1), lambda: [relu(8, trainable=False), MaxPooling2D(2), relu(6), MaxPooling2D(2)]),
    "frozen above": ((13, 13, 1), lambda: [relu(8), MaxPooling2D(2), relu(6, trainable=False), MaxPooling2D(2)]),
    "dense": ((4, 4, 3), lambda: [Flatten(), Dense(40, activation="relu"), Dense(30), Dense(20, activation="tanh")]),
}
MODES: dict[str, tuple[Any, dict[str, Any]]] = {
    "fused": (nullcontext, {}),
    "unfused": (unfused, {}),
    "eager": (nullcontext, {"run_eagerly": True}),
}


def network(name: str, **compiled: Any) -> gpudl.Sequential:
    gpudl.utils.set_random_seed(3)
    shape, stack = NETS[name]
    head = [Flatten(), Dense(CLASSES, activation="softmax")]
    model = gpudl.Sequential([gpudl.Input(shape), *stack(), *head])
    optimizer = gpudl.optimizers.SGD(0.05, momentum=0.9)
    model.compile(**{"optimizer": optimizer, "loss": "sparse_categorical_crossentropy", **compiled})
    return model


def data(name: str, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, *NETS[name][0])).astype(np.float32), rng.integers(0, CLASSES, rows)


def poison(model: gpudl.Sequential) -> None:
    for step in (model._train, model._test, model._predict):
        for entry in step.entries.values():
            entry.plan.poison()


def trained(name: str, rows: int, mode: str) -> tuple[list[np.ndarray], list[Any]]:
    """Return weights and slots after some steps, and what the steps and the passes after them return."""
    context, compiled = MODES[mode]
    with context():
        model = network(name, **compiled)
        said = []
        for seed in range(4):
            said.append(model.train_on_batch(*data(name, rows, seed)))
            poison(model)
        for seed in range(2):
            said.append(model.test_on_batch(*data(name, rows, 9 + seed)))
            said.append(model.predict_on_batch(data(name, rows, 19 + seed)[0]).tobytes())
            poison(model)
        return state_of(model), said


def assert_one_training(name: str, rows: int) -> None:
    state, said = trained(name, rows, "fused")
    assert all(np.isfinite(a).all() for a in state)
    for mode in ("unfused", "eager"):
        others, words = trained(name, rows, mode)
        assert same(state, others), mode
        assert said == words, mode


@pytest.mark.parametrize("name", NETS)
def test_the_same_bits_in_every_mode(name: str) -> None:
    assert_one_training(name, 7)


@pytest.mark.parametrize("rows", [1, 64])
@pytest.mark.parametrize("name", ["two", "rows left out", "one pixel, rows left out", "dense"])
def test_the_same_bits_for_any_batch(name: str, rows: int) -> None:
    assert_one_training(name, rows)


def joined(model: gpudl.Sequential, step: str = "train") -> list[str]:
    (entry,) = getattr(model, f"_{step}").entries.values()
    return sorted(i.name for i in entry.plan.instructions if "+" in i.name)


@pytest.fixture(scope="module")
def digits() -> gpudl.Sequential:
    """The network of the tutorials, after a step of each kind."""
    with gpudl.backend.scope("numpy"):
        model = network("digits", optimizer="rmsprop", metrics=["accuracy"])
        batch = data("digits", 64)
        model.train_on_batch(*batch)
        model.test_on_batch(*batch)
        model.predict_on_batch(batch[0])
        return model


def test_what_becomes_of_the_network_of_the_tutorials(digits: gpudl.Sequential) -> None:
    forward = [POOLED, POOLED, "conv2d+bias_activation", "matmul+bias_activation", "matmul+bias_activation"]
    assert joined(digits) == sorted([*forward, SPREAD, WEIGHTS])
    assert joined(digits, "test") == joined(digits, "predict") == sorted(forward)


def test_no_pixel_is_computed_that_no_pooling_looks_at(digits: gpudl.Sequential) -> None:
    (entry,) = digits._train.entries.values()
    instructions = [part for step in entry.plan.instructions for part in ir.members(step)]
    crops = {
        (i.name, i.ins[0].spec.shape[1:3]): i.static["window"].crop
        for i in instructions
        if i.name in ("conv2d", "conv2d_weight_grad", "conv2d_input_grad")
    }
    # 28 x 28 become 26 x 26, pooled without rest; 13 x 13 become 11 x 11, of which the pooling leaves out one.
    assert crops["conv2d", (28, 28)] == crops["conv2d_weight_grad", (28, 28)] == (0, 0)
    assert crops["conv2d", (13, 13)] == crops["conv2d_weight_grad", (13, 13)] == (1, 1)
    assert crops["conv2d_input_grad", (10, 10)] == (1, 1)
    assert crops["conv2d", (5, 5)] == (0, 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("overlapping", ["conv2d+bias_activation"] * 2),
        ("padded pooling", ["conv2d+bias_activation"]),
        ("tanh", []),
        ("sigmoid", ["conv2d+bias_activation"]),  # the bias; the sigmoid is an op of its own
        ("linear", [POOLED]),
        ("no bias", []),
        ("average", ["conv2d+bias_activation"] * 2),
        ("normalized", ["conv2d+bias_activation"]),
        ("dropped", ["conv2d+bias_activation"] * 2),
        ("activation apart", ["conv2d+bias_activation"]),
        ("frozen below", [POOLED, POOLED]),
    ],
)
def test_what_is_joined_on_the_way_forward(name: str, expected: list[str]) -> None:
    model = network(name)
    model.train_on_batch(*data(name, 7))
    found = [chain for chain in joined(model) if chain.startswith("conv2d")]
    assert found == sorted(expected)


def test_a_normalization_is_joined_with_what_comes_after_it() -> None:
    model, batch = network("normalized before the ReLU"), data("normalized before the ReLU", 7)
    model.train_on_batch(*batch)
    model.predict_on_batch(batch[0])
    forward = ["batch_norm+relu", "batch_norm+relu", "matmul+bias_activation"]
    assert joined(model) == ["activation_grad+batch_norm_grad", SPREAD, *forward]
    assert joined(model, "predict") == ["matmul+bias_activation", "scale_shift+relu", "scale_shift+relu"]


def test_a_step_of_one_kernel_an_op_has_no_chains() -> None:
    model = network("two")
    with unfused():
        model.train_on_batch(*data("two", 7))
    assert joined(model) == []
