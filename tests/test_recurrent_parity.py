"""Recurrent layers beside Keras's, with drawn arguments: results, slopes, weights, masks, states, configs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity
from recurrent_cases import ANY, BATCH, EACH, FEATURES, TIME, UNITS, Case, compare, drawn, sides

from gpudl import layers

GEOMETRIES: dict[str, dict[str, Any]] = {
    "valid": {},
    "same padding, strides": {"padding": "same", "strides": 2},
    "data_format, dilation": {"data_format": "channels_first", "dilation_rate": 2},
}
KEPT = {key: values for key, values in ANY.items() if key != "go_backwards"}


@parity
@pytest.mark.parametrize("kind", EACH)
def test_layers_of_one_cell(kind: str) -> None:
    for case in drawn(kind, EACH[kind]):
        compare(case)


def stacked(module: Any, cells: tuple[str, ...], **kwargs: Any) -> Any:
    made = [getattr(module, f"{kind}Cell")(UNITS + at) for at, kind in enumerate(cells)]
    return module.RNN(made if len(made) > 1 else made[0], **kwargs)


@parity
def test_cells_and_cells_on_top_of_one_another() -> None:
    cells = [("LSTM",), ("GRU",), ("SimpleRNN",), ("LSTM", "GRU"), ("GRU", "LSTM"), ("SimpleRNN", "GRU", "LSTM")]
    for case in drawn("RNN", {"cells": tuple(cells), **ANY, "zero_output_for_mask": (False, True)}, 20, stacked):
        compare(case)


@parity
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions(rank: int) -> None:
    name, shape = f"ConvLSTM{rank}D", (2, 2, 4, 3, 3)[: rank + 2]
    choices = {
        **{name: values for name, values in EACH["LSTM"].items() if name not in ("unroll", "zero_output_for_mask")},
        "geometry": tuple(GEOMETRIES),
    }
    for case in drawn(name, choices, 20, lambda module, **kwargs: convolving(module, name, **kwargs)):
        first = "data_format" in case.kwargs["geometry"]
        case.shape = (*shape[:2], 2, *shape[2:]) if first else (*shape, 2)
        case.masked = False  # which Keras on JAX has no way to broadcast
        compare(case)


def convolving(module: Any, name: str, geometry: str, **kwargs: Any) -> Any:
    return getattr(module, name)(2, 2, **GEOMETRIES[geometry], **kwargs)


def both_ways(module: Any, layer: str, back: str | None, go_backwards: bool, **kwargs: Any) -> Any:
    options = {name: kwargs.pop(name) for name in KEPT}
    go_backwards = go_backwards and back is not None  # for Keras makes no layer that goes forwards
    forward = getattr(module, layer)(UNITS, go_backwards=go_backwards, name="q", **options)
    backward = back and getattr(module, back)(UNITS, go_backwards=not go_backwards, name="back", **options)
    return module.Bidirectional(forward, backward_layer=backward, **kwargs)


@parity
def test_both_directions() -> None:
    choices = {
        **{"layer": ("LSTM", "GRU", "SimpleRNN"), "back": (None, None, "LSTM", "GRU"), **ANY},
        "merge_mode": ("concat", "sum", "mul", "ave", None),
    }
    for case in drawn("Bidirectional", choices, 24, both_ways):
        layer, back = (case.kwargs[name] for name in ("layer", "back"))
        case.started = case.started and ((layer == "LSTM") == (back == "LSTM") or back is None)  # Keras halves them
        compare(case)


def each_step(module: Any, layer: str, **kwargs: Any) -> Any:
    made = {
        "dense": lambda: module.Dense(UNITS, name="dense"),
        "norm": lambda: module.LayerNormalization(name="norm"),
        "lstm": lambda: module.LSTM(UNITS, return_sequences=True, name="lstm"),
        "conv": lambda: module.Conv2D(2, 2, name="conv"),
    }
    return module.TimeDistributed(made[layer](), **kwargs)


@parity
def test_each_step_by_itself() -> None:
    for layer, shape in (("dense", (2,)), ("norm", (4,)), ("dense", (2, 4)), ("lstm", (3, 2)), ("conv", (3, 3, 1))):
        for seed in range(4):
            masked = seed % 2 == 1 and layer != "lstm"  # which would take a mask of its own steps
            case = Case("TimeDistributed", each_step, {"layer": layer}, (BATCH, TIME, *shape), masked, seed=seed)
            compare(case)


@parity
def test_states_are_kept_from_batch_to_batch() -> None:
    keras_or_skip()
    import jax

    for kind in EACH:
        for backwards in (False, True):
            case = Case(kind, lambda module, kind=kind, **kwargs: getattr(module, kind)(UNITS, **kwargs), {})
            case.kwargs = {"stateful": True, "return_sequences": True, "go_backwards": backwards}
            ours, theirs = sides(case)
            for batch in range(4):
                x, mask = case.numbers(*case.shape), case.rng.random(case.shape[:2]) < 0.7
                with jax.disable_jit():
                    want = theirs(x, mask=mask)
                np.testing.assert_allclose(ours(x, mask=mask).numpy(), want, rtol=1e-5, atol=1e-5)
                for mine, other in zip(ours.states, theirs.states, strict=True):
                    np.testing.assert_allclose(mine.numpy(), other, rtol=1e-5, atol=1e-5)
                if batch == 1:
                    ours.reset_state()
                    theirs.reset_state()


@parity
@pytest.mark.parametrize("kind", EACH)
def test_cells_by_themselves(kind: str) -> None:
    keras = keras_or_skip()
    ours, theirs = (getattr(module, f"{kind}Cell")(UNITS, name="cell") for module in (layers, keras.layers))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, FEATURES)).astype(np.float32)
    assert ours.state_size == theirs.state_size
    assert ours.output_size == theirs.output_size
    count = len(ours.get_initial_state(BATCH))
    states = [rng.normal(size=(BATCH, UNITS)).astype(np.float32) for _ in range(count)]
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    for given in [states] if count > 1 else [states, states[0]]:
        (y, after), (want, later) = ours(x, given), theirs(x, given)
        np.testing.assert_allclose(y.numpy(), want, rtol=1e-5, atol=1e-6)
        assert isinstance(after, list) == isinstance(later, list)
        for mine, other in zip(*((s if isinstance(s, list) else [s]) for s in (after, later)), strict=True):
            np.testing.assert_allclose(mine.numpy(), other, rtol=1e-5, atol=1e-6)


MADE = {
    "ConvLSTM2D": lambda module: module.ConvLSTM2D(2, 3, strides=2, name="n"),
    "SimpleRNN": lambda module: module.SimpleRNN(2, name="n"),
    "LSTM": lambda module: module.LSTM(2, return_state=True, dropout=0.5, recurrent_regularizer="l2", name="n"),
    "GRU": lambda module: module.GRU(2, reset_after=False, seed=3, kernel_constraint="max_norm", name="n"),
    "RNN": lambda module: module.RNN(module.LSTMCell(3, name="c"), go_backwards=True, name="n"),
    "StackedRNNCells": lambda module: module.StackedRNNCells([module.GRUCell(2, name="c")], name="n"),
    "Bidirectional": lambda module: module.Bidirectional(module.GRU(2, name="q"), merge_mode="sum", name="n"),
    "TimeDistributed": lambda module: module.TimeDistributed(module.GRU(2, name="d"), name="n"),
}


@parity
@pytest.mark.parametrize("kind", MADE)
def test_configs(kind: str) -> None:
    ours, theirs = MADE[kind](layers), MADE[kind](keras_or_skip().layers)
    mine, other = ours.get_config(), theirs.get_config()
    if kind == "SimpleRNN":
        other["seed"] = None  # which Keras leaves out
    assert mine == other
    again = type(ours).from_config(mine)
    assert again.get_config() == mine
