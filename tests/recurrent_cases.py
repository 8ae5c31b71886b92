"""Recurrent layers with drawn arguments, and what Keras's layer with the same arguments and weights computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras_peer import keras_or_skip

import gpudl
from gpudl import layers, ops
from gpudl.engine.tree import flatten

Array = np.ndarray
Choices = dict[str, tuple[Any, ...]]
BATCH, TIME, FEATURES, UNITS = 3, 3, 2, 3
ACTIVATIONS = ("tanh", "tanh", "sigmoid", "softsign", "linear")
ANY: Choices = {"return_sequences": (False, True), "return_state": (False, True), "go_backwards": (False, True)}
CELL: Choices = {"activation": ACTIVATIONS, "use_bias": (True, True, False)}
GATED: Choices = {**CELL, "recurrent_activation": ("sigmoid", "sigmoid", "hard_sigmoid", "tanh")}
RATES: Choices = {"dropout": (0.0, 0.0, 0.4), "recurrent_dropout": (0.0, 0.0, 0.4)}
LOOP: Choices = {"unroll": (False, False, True), "zero_output_for_mask": (False, False, True)}
EACH: dict[str, Choices] = {
    "SimpleRNN": {**CELL, **ANY, **RATES, **LOOP},
    "LSTM": {**GATED, **ANY, **RATES, **LOOP, "unit_forget_bias": (True, False)},
    "GRU": {**GATED, **ANY, **RATES, **LOOP, "reset_after": (True, True, False)},
}


@dataclass
class Case:
    """A layer that can be made of Keras's and of our layers, and what it is called on."""

    name: str
    make: Callable[..., Any]
    kwargs: dict[str, Any]
    shape: tuple[int, ...] = (BATCH, TIME, FEATURES)
    masked: bool = False
    started: bool = False
    seed: int = 0
    rng: Any = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def numbers(self, *shape: int) -> Array:
        return self.rng.normal(size=shape).astype(np.float32)

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.kwargs.items())
        return f"{self.name}({given}){' with a mask' * self.masked}{' with states' * self.started}"


def named(name: str, *args: Any) -> Callable[..., Any]:
    """Return a function that makes the layer of that name, of a module with layers and keyword arguments."""
    return lambda module, **kwargs: getattr(module, name)(*args, **kwargs)


def drawn(name: str, choices: Choices, count: int = 24, make: Callable[..., Any] | None = None) -> list[Case]:
    """Return layers with arguments drawn from `choices`, half of them with a mask, half of them with first states."""
    rng, make = np.random.default_rng(len(name)), make or named(name, UNITS)
    cases = []
    for seed in range(count):
        kwargs = {name: values[rng.integers(len(values))] for name, values in choices.items()}
        masked, started = map(bool, rng.random(2) < 0.5)
        cases.append(Case(name, make, kwargs, masked=masked, started=started, seed=seed))
    return cases


def sides(case: Case) -> tuple[Any, Any]:
    """Return our layer and Keras's, built, with the same random weights."""
    ours = case.make(layers, **case.kwargs)
    # Unrolled, Keras takes other outputs for masked steps than in its loop.
    theirs = case.make(keras_or_skip().layers, **{k: v for k, v in case.kwargs.items() if k != "unroll"})
    ours(np.zeros(case.shape, np.float32))
    theirs.build(case.shape)
    described = [[(w.name, tuple(w.shape), inner(w.path)) for w in side.weights] for side in (ours, theirs)]
    assert described[0] == described[1], case
    weights = [0.7 * case.numbers(*w.shape) for w in ours.weights]
    for side in (ours, theirs):
        side.set_weights(weights)
    return ours, theirs


def inner(path: str) -> list[str]:
    """Return the names of a path without numbers: which layer is inside which."""
    return [name.rstrip("_0123456789") for name in path.split("/")]


def arguments(case: Case, ours: Any) -> dict[str, Any]:
    """Return the keyword arguments of a call."""
    given: dict[str, Any] = {}
    if case.masked:
        given["mask"] = case.rng.random(case.shape[:2]) < 0.6
    if case.started:
        # Two layers in both directions have theirs in a row.
        parts = [getattr(ours, name) for name in ("forward_layer", "backward_layer") if hasattr(ours, name)] or [ours]
        states = [state for part in parts for state in part.get_initial_state(case.shape[0])]
        given["initial_state"] = gpudl.tree.map_structure(lambda s: case.numbers(*s.shape), states)
    return given


def drop_alike(case: Case, ours: Any, theirs: Any, x: Array) -> bool:
    """Give both cells the same masks of dropout; return whether there are any."""
    rates = {name: case.kwargs.get(name, 0.0) for name in ("dropout", "recurrent_dropout")}
    if not any(rates.values()):
        return False
    state = ours.get_initial_state(len(x))[0].shape
    for (name, rate), shape in zip(rates.items(), (x[:, 0].shape, state), strict=True):
        if rate:
            made = [((case.rng.random(shape) < 1 - rate) / (1 - rate)).astype(np.float32) for _ in range(4)]
            for side, convert in ((ours, gpudl.convert_to_tensor), (theirs, keras_or_skip().ops.convert_to_tensor)):
                masks = [convert(mask) for mask in made[: getattr(theirs.cell, "dropout_mask_count", 1)]]
                setattr(side.cell, f"_{name}_mask", masks if len(masks) > 1 else masks[0])
    return True


def compare(case: Case) -> None:
    """Compare weights, all results, their masks, and a slope in a random direction of the inputs and all weights."""
    keras_or_skip()
    import jax

    ours, theirs = sides(case)
    x, given = case.numbers(*case.shape), arguments(case, ours)
    training = drop_alike(case, ours, theirs, x)
    with gpudl.GradientTape() as tape:
        mine = gpudl.convert_to_tensor(x)
        tape.watch(mine)
        ys = flatten(ours(mine, training=training, **given))[0]
        rs = [case.numbers(*y.shape) for y in ys]
        loss = sum(ops.sum(y * r) for y, r in zip(ys, rs, strict=True))
    gradients = tape.gradient(loss, [mine, *ours.trainable_weights])
    directions = [case.numbers(*g.shape) for g in gradients]
    slope = sum((g.numpy() * d).sum() for g, d in zip(gradients, directions, strict=True))

    trained, fixed = ([v.value for v in vs] for vs in (theirs.trainable_variables, theirs.non_trainable_variables))

    def results(x: Any, trained: Any) -> Any:
        return jax.tree.leaves(theirs.stateless_call(trained, fixed, x, training=training, **given)[0])

    with jax.disable_jit():  # which compiles no loop anew for every case
        wanted, slopes = jax.jvp(results, (x, trained), (directions[0], [*map(jax.numpy.asarray, directions[1:])]))
    for y, want in zip(ys, wanted, strict=True):
        np.testing.assert_allclose(y.numpy(), want, rtol=2e-5, atol=2e-5, err_msg=str(case))
    steep = sum((np.asarray(s, np.float64) * r).sum() for s, r in zip(slopes, rs, strict=True))
    np.testing.assert_allclose(slope, steep, rtol=1e-4, atol=1e-4, err_msg=str(case))
    masks = [None if mask is None else np.asarray(mask).tolist() for mask in (*(y.mask for y in ys),)]
    said = jax.tree.leaves(theirs.compute_mask(x, given.get("mask")), is_leaf=lambda leaf: leaf is None)
    assert masks[: len(said)] == [None if mask is None else np.asarray(mask).tolist() for mask in said], case
