"""Optimizers and schedules beside Keras: constructor arguments at random, twenty steps in float64."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl

CONFIGURATIONS, STEPS = 20, 20
SHAPES = {"kernel": (3, 4), "bias": (4,)}
EPSILON = [1e-7, 1e-3]
BETA_1, BETA_2 = [0.9, 0.5], [0.999, 0.9]
ADAM = {"beta_1": BETA_1, "beta_2": BETA_2, "epsilon": EPSILON}
# What each argument may be beside its default; that of the first is always given.
ARGUMENTS: dict[str, dict[str, list[Any]]] = {
    "SGD": {"momentum": [0.0, 0.9], "nesterov": [False, True]},
    "RMSprop": {"rho": [0.9, 0.5], "momentum": [0.0, 0.9], "epsilon": EPSILON, "centered": [False, True]},
    "Adam": {**ADAM, "amsgrad": [False, True]},
    "AdamW": {**ADAM, "amsgrad": [False, True]},
    "Adadelta": {"rho": [0.95, 0.5], "epsilon": EPSILON},
    "Adagrad": {"initial_accumulator_value": [0.1, 0.0, 2.0], "epsilon": EPSILON},
    "Adamax": ADAM,
    "Adafactor": {
        **{"beta_2_decay": [-0.8, -0.5], "epsilon_1": [1e-30, 1e-3], "epsilon_2": [1e-3, 0.5]},
        **{"clip_threshold": [1.0, 0.1], "relative_step": [True, False]},
    },
    "Nadam": ADAM,
    "Ftrl": {
        **{"learning_rate_power": [-0.5, -0.25, 0.0], "initial_accumulator_value": [0.1, 1.0], "beta": [0.0, 0.5]},
        **{"l1_regularization_strength": [0.0, 0.1], "l2_regularization_strength": [0.0, 0.1]},
        "l2_shrinkage_regularization_strength": [0.0, 0.1],
    },
    "Lion": {"beta_1": BETA_1, "beta_2": [0.99, 0.5]},
    "Lamb": ADAM,
    "Muon": {
        **{"adam_beta_1": BETA_1, "adam_beta_2": BETA_2, "adam_weight_decay": [0.004, None, 0.1], "epsilon": EPSILON},
        **{"exclude_layers": [None, ["ker"], ["x"]], "muon_a": [3.4445, 3.0], "muon_b": [-4.775, -3.0]},
        **{"muon_c": [2.0315, 1.0], "adam_lr_ratio": [1, 0.3], "momentum": [0.95, 0.5], "ns_steps": [5, 2]},
        **{"nesterov": [True, False], "rms_rate": [0.2, None], "exclude_embeddings": [True, False]},
    },
    "ScheduleFreeAdamW": {**ADAM, "warmup_steps": [0, 5, 30]},
}
SHARED: dict[str, list[Any]] = {
    "loss_scale_factor": [None, 8.0],
    "use_ema": [False, True],
    "ema_momentum": [0.99, 0.5],
    "ema_overwrite_frequency": [None, 3],
    "gradient_accumulation_steps": [None, None, None, 4],
}
CLIPPING = [{}, {"clipnorm": 0.5}, {"clipvalue": 0.1}, {"global_clipnorm": 0.5}]
SCHEDULES: dict[str, dict[str, list[Any]]] = {
    "ExponentialDecay": {
        **{"initial_learning_rate": [0.1, 1.0], "decay_steps": [7, 100, 2.5], "decay_rate": [0.96, 0.5, 1.1]},
        "staircase": [False, True],
    },
    "InverseTimeDecay": {
        **{"initial_learning_rate": [0.1, 1.0], "decay_steps": [7, 100, 2.5], "decay_rate": [0.96, 0.5, 3.0]},
        "staircase": [False, True],
    },
    "PolynomialDecay": {
        **{"initial_learning_rate": [0.1, 1.0], "decay_steps": [7, 100], "end_learning_rate": [1e-4, 0.5]},
        **{"power": [1.0, 0.5, 2.0], "cycle": [False, True]},
    },
    "PiecewiseConstantDecay": {"boundaries": [[5, 50], [1, 100]], "values": [[1.0, 0.5, 0.1], [0.1, 0.2, 0.3]]},
    "CosineDecay": {
        **{"initial_learning_rate": [0.1, 0.0], "decay_steps": [7, 100], "alpha": [0.0, 0.2]},
        **{"warmup_target": [None, 1.0, 0.3], "warmup_steps": [10, 3]},
    },
    "CosineDecayRestarts": {
        **{"initial_learning_rate": [0.1, 1.0], "first_decay_steps": [7, 30], "t_mul": [2.0, 1.0, 1.5]},
        **{"m_mul": [1.0, 0.5], "alpha": [0.0, 0.1]},
    },
}
# Keras computes a division by a number, a norm and a cosine in float32, whatever the dtype.
SINGLE = {"Adafactor", "Muon", "CosineDecay", "CosineDecayRestarts"}


def assert_near(kind: str, ours: Any, theirs: Any, what: str) -> None:
    rtol, atol = (5e-5, 1e-6) if kind in SINGLE else (1e-9, 1e-11)
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=rtol, atol=atol, err_msg=what)


def names(variables: list[Any]) -> list[tuple[str, tuple[int, ...]]]:
    """Return names and shapes; Keras counts what has no name of its own."""
    return [(v.name.split("_")[0] if v.name.startswith("variable") else v.name, tuple(v.shape)) for v in variables]


@pytest.fixture(scope="module")
def keras() -> Iterator[Any]:
    """Return Keras, computing in float64, as gpudl does meanwhile."""
    found = keras_or_skip()
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        found.config.set_floatx("float64")
        gpudl.config.set_floatx("float64")
        try:
            yield found
        finally:
            found.config.set_floatx("float32")
            gpudl.config.set_floatx("float32")


@contextmanager
def named(configuration: object) -> Iterator[None]:
    """Say which configuration failed."""
    try:
        yield
    except Exception as error:
        error.add_note(f"with {configuration}")
        raise


def chosen(draw: random.Random, arguments: dict[str, list[Any]], share: float = 0.6) -> dict[str, Any]:
    return {name: draw.choice(values) for name, values in arguments.items() if draw.random() < share}


def schedule(of: Any, name: str, draw: random.Random) -> Any:
    return getattr(of.optimizers.schedules, name)(**chosen(draw, SCHEDULES[name], 1))


def configurations(kind: str) -> Iterator[dict[str, Any]]:
    draw = random.Random(kind)
    for number in range(CONFIGURATIONS):
        options = {**chosen(draw, ARGUMENTS[kind]), **chosen(draw, {"weight_decay": [None, 0.004, 0.1]})}
        if kind in ("SGD", "Lamb"):  # what the base does, for an update by buffers and for one variable by variable
            options |= {**chosen(draw, SHARED, 0.4), **draw.choice(CLIPPING)}
        if kind == "AdamW" and options.get("weight_decay", 0) is None:
            del options["weight_decay"]
        yield {"learning_rate": 0.01 if number % 2 else 0.3, **options}


def steps(kind: str) -> list[list[np.ndarray]]:
    draw = np.random.default_rng(sum(map(ord, kind)))
    return [[draw.standard_normal(shape) for shape in SHAPES.values()] for _ in range(STEPS + 1)]


def recorded(optimizer: gpudl.optimizers.Optimizer, weights: list[gpudl.Variable]) -> Any:
    return gpudl.traced(lambda a, b: optimizer.apply([a, b], weights))


@parity
@pytest.mark.parametrize("kind", list(ARGUMENTS))
def test_twenty_steps_go_as_in_keras(keras: Any, kind: str) -> None:
    own, its = (getattr(of.optimizers, kind)(name="same").get_config() for of in (gpudl, keras))
    assert own == its
    start, *grads = steps(kind)
    jax = pytest.importorskip("jax")
    for options in configurations(kind):
        with named(options):
            sides = []
            for of in (gpudl, keras):
                weights = [of.Variable(v, name=n) for n, v in zip(SHAPES, start, strict=True)]
                optimizer = getattr(of.optimizers, kind)(**options)
                optimizer.build(weights)
                given = [
                    [of.convert_to_tensor(g) if of is gpudl else of.ops.convert_to_tensor(g) for g in gs]
                    for gs in grads
                ]
                sides.append((weights, optimizer, given))
            (ours, mine, _), (theirs, peer, _) = sides
            assert names(mine.variables) == names(peer.variables)
            step = recorded(mine, ours)
            with jax.disable_jit(bool(options.get("gradient_accumulation_steps"))):
                for a, b in zip(sides[0][2], sides[1][2], strict=True):
                    step(*a)
                    peer.apply(b, theirs)
            for one, other in zip([*ours, *mine.variables], [*theirs, *peer.variables], strict=True):
                assert_near(kind, one.numpy(), other, one.name)
            config = {key: value for key, value in peer.get_config().items() if key != "name"}
            assert {key: value for key, value in mine.get_config().items() if key != "name"} == config
            if mine.use_ema:
                mine.finalize_variable_values(ours)
                peer.finalize_variable_values(theirs)
                for one, other in zip(ours, theirs, strict=True):
                    assert_near(kind, one.numpy(), other, f"average of {one.name}")


@parity
@pytest.mark.parametrize("kind", list(SCHEDULES))
def test_schedules_are_those_of_keras(keras: Any, kind: str) -> None:
    draw, jax = random.Random(kind), pytest.importorskip("jax")
    for _ in range(CONFIGURATIONS):
        arguments = chosen(draw, SCHEDULES[kind], 1)
        with named(arguments), jax.disable_jit():  # else each condition is compiled
            ours, theirs = (getattr(of.optimizers.schedules, kind)(**arguments) for of in (gpudl, keras))
            for now in (0, 1, 2, 3, 6, 7, 8, 10, 13, 14, 30, 49, 50, 51, 99, 100, 101, 250, 1000):
                there = theirs(keras.ops.convert_to_tensor(now, "int32"))
                assert_near(kind, float(ours(np.int64(now))), float(there), f"step {now}")
            assert ours.get_config() == theirs.get_config()
