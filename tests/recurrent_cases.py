"""Recurrent layers with drawn arguments, and what Keras's layer with the same arguments and weights computes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras_peer import keras_or_skip

import gpudl
from gpudl import layers, ops
from gpudl.engine.tree import flatten

Array = np.ndarray
BATCH, TIME, FEATURES, UNITS = 3, 3, 2, 3
SEQUENCES = (BATCH, TIME, FEATURES)
ACTIVATIONS = ("tanh", "tanh", "sigmoid", "softsign", "linear")
ANY = {"return_sequences": (False, True), "return_state": (False, True), "go_backwards": (False, True)}
CELL = {"activation": ACTIVATIONS, "use_bias": (True, True, False)}
GATED = {**CELL, "recurrent_activation": ("sigmoid", "sigmoid", "hard_sigmoid", "tanh")}
RATES = {"dropout": (0.0, 0.0, 0.4), "recurrent_dropout": (0.0, 0.0, 0.4)}
LOOP = {"unroll": (False, False, True), "zero_output_for_mask": (False, False, True)}


@dataclass
class Case:
    """A layer by the name that it has in Keras, too, with its arguments, and what it is called on."""

    kind: str
    kwargs: dict[str, Any]
    masked: bool = False
    started: bool = False
    shape: tuple[int, ...] = SEQUENCES
    args: tuple[Any, ...] = (UNITS,)
    seed: int = 0
    rng: Any = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def numbers(self, *shape: int) -> Array:
        return self.rng.normal(size=shape).astype(np.float32)

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.kwargs.items())
        return f"{self.kind}({given}){' with a mask' * self.masked}{' with states' * self.started}"


def drawn(kind: str, choices: dict[str, tuple[Any, ...]], count: int, **others: Any) -> list[Case]:
    """Return layers with arguments drawn from `choices`, half of them with a mask, half of them with first states."""
    rng = np.random.default_rng(len(kind))
    pick = [{name: values[rng.integers(len(values))] for name, values in choices.items()} for _ in range(count)]
    flags = [(bool(rng.integers(2)), bool(rng.integers(2))) for _ in range(count)]
    return [
        Case(kind, kwargs, masked, started, seed=at, **others)
        for at, (kwargs, (masked, started)) in enumerate(zip(pick, flags, strict=True))
    ]


def sides(case: Case) -> tuple[Any, Any]:
    """Return our layer and Keras's, built, with the same random weights."""
    # Unrolled, Keras takes other outputs for masked steps than in its loop.
    rolled = {name: value for name, value in case.kwargs.items() if name != "unroll"}
    theirs = getattr(keras_or_skip().layers, case.kind)(*case.args, **rolled)
    ours = getattr(layers, case.kind)(*case.args, **case.kwargs)
    return same_weights(case, ours, theirs)


def same_weights(case: Case, ours: Any, theirs: Any) -> tuple[Any, Any]:
    x = case.numbers(*case.shape)
    ours(x)
    theirs.build(x.shape)
    weights = [0.7 * case.numbers(*w.shape) for w in ours.weights]
    described = [[(w.name, tuple(w.shape), w.path.split("/")[-2]) for w in side.weights] for side in (ours, theirs)]
    assert described[0] == described[1], case
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def arguments(case: Case, ours: Any) -> dict[str, Any]:
    """Return the keyword arguments of a call."""
    given: dict[str, Any] = {}
    if case.masked:
        given["mask"] = case.rng.random(case.shape[:2]) < 0.6
    if case.started:
        states = flatten(ours.get_initial_state(case.shape[0]))[0]
        given["initial_state"] = [case.numbers(*s.shape) for s in states]
    return given


def drop_alike(case: Case, ours: Any, theirs: Any, x: Array) -> bool:
    """Give both cells the same masks of dropout; return whether there are any."""
    rates = {name: case.kwargs.get(name, 0.0) for name in ("dropout", "recurrent_dropout")}
    state = ours.get_initial_state(len(x))[0].shape
    for (name, rate), shape in zip(rates.items(), (x[:, 0].shape, state), strict=True):
        if rate:
            made = [((case.rng.random(shape) < 1 - rate) / (1 - rate)).astype(np.float32) for _ in range(4)]
            for side, convert in ((ours, gpudl.convert_to_tensor), (theirs, keras_or_skip().ops.convert_to_tensor)):
                masks = [convert(mask) for mask in made[: getattr(theirs.cell, "dropout_mask_count", 1)]]
                setattr(side.cell, f"_{name}_mask", masks if len(masks) > 1 else masks[0])
    return any(rates.values())


def compare(case: Case, ours: Any, theirs: Any, drop: bool = True) -> None:
    """Compare all results, and the slope of a sum of them in a random direction of the inputs and all weights."""
    import jax

    x, given = case.numbers(*case.shape), arguments(case, ours)
    training = drop and drop_alike(case, ours, theirs, x)
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
