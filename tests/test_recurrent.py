"""Recurrent layers by themselves: both ways of computing, cells of the user's, states, masks, errors, models."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from recurrent_cells import Leaky

import gpudl
from gpudl import Input, Model, Sequential, layers, ops
from gpudl.engine.plan import ir
from gpudl.engine.tree import flatten

BATCH, TIME, FEATURES, UNITS = 3, 4, 2, 3
rng = np.random.default_rng(0)
X = rng.normal(size=(BATCH, TIME, FEATURES)).astype(np.float32)
MASK = np.array([[True, True, False, True], [False, True, True, False], [False, False, False, False]])
STATE = rng.normal(size=(BATCH, UNITS)).astype(np.float32)
GATED = (layers.LSTM, layers.GRU)


def step_of(layer: Any) -> Callable[..., list[gpudl.Tensor]]:
    """Return a training step that returns all results of a layer, and all gradients."""

    def step(x: Any, *states: Any, **options: Any) -> list[gpudl.Tensor]:
        with gpudl.GradientTape() as tape:
            tape.watch([x, *states])
            ys = flatten(layer(x, initial_state=list(states) or None, **options))[0]
            loss = sum((ops.sum(ops.sin(y * (3 + n))) for n, y in enumerate(ys)), start=ops.zeros(()))
        return [*ys, *tape.gradient(loss, [x, *states, *layer.trainable_weights])]

    return step


def names_in(traced: Any) -> list[str]:
    (entry,) = traced.entries.values()
    return [part.name for each in entry.plan.instructions for part in ir.members(each)]


@pytest.mark.parametrize("kind", GATED)
def test_one_op_and_steps_agree(kind: Any) -> None:
    for backwards, every, zeros, bias, masked in itertools.product((False, True), repeat=5):
        options = {
            "go_backwards": backwards,
            "return_sequences": every,
            "zero_output_for_mask": zeros,
            "use_bias": bias,
        }
        one = kind(UNITS, **options, return_state=True)
        other = kind(UNITS, **options, return_state=True, unroll=True)
        states = [gpudl.convert_to_tensor(STATE + n) for n in one.state_size]
        mask = {"mask": gpudl.convert_to_tensor(MASK)} if masked else {}
        x = gpudl.convert_to_tensor(X)
        for layer in (one, other):
            layer.build(X.shape)
        other.set_weights(one.get_weights())
        for mine, theirs in zip(step_of(one)(x, *states, **mask), step_of(other)(x, *states, **mask), strict=True):
            # A sum that nearly vanishes has the rounding of its terms.
            near = 1e-5 * max(1.0, float(np.abs(theirs.numpy()).max()))
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=near, err_msg=str(options))


@pytest.mark.parametrize(
    ("kind", "options", "one"),
    [
        (layers.LSTM, {}, True),
        (layers.LSTM, {"dropout": 0.5}, True),
        (layers.LSTM, {"recurrent_dropout": 0.5}, False),
        (layers.LSTM, {"activation": "relu"}, False),
        (layers.LSTM, {"recurrent_activation": "hard_sigmoid"}, False),
        (layers.LSTM, {"unroll": True}, False),
        (layers.GRU, {}, True),
        (layers.GRU, {"reset_after": False}, False),
    ],
)
def test_which_way_is_taken(kind: Any, options: dict[str, Any], one: bool) -> None:
    layer = kind(UNITS, **options)
    layer.build(X.shape)
    traced = gpudl.traced(lambda x: layer(x, training=True))
    traced(gpudl.convert_to_tensor(X))
    name = kind.__name__.lower()
    assert (name in names_in(traced)) == one
    assert ("tanh" in names_in(traced) or "relu" in names_in(traced)) != one


REPLAYED = [
    *(
        lambda: layers.LSTM(UNITS, return_sequences=True, return_state=True),
        lambda: layers.GRU(UNITS, go_backwards=True),
    ),
    lambda: layers.SimpleRNN(UNITS, dropout=0.4, recurrent_dropout=0.4, seed=1, return_sequences=True),
    lambda: layers.LSTM(UNITS, dropout=0.4, recurrent_dropout=0.4, seed=1),
    lambda: layers.RNN([layers.GRUCell(2, recurrent_dropout=0.4, seed=2), layers.LSTMCell(UNITS)], return_state=True),
    lambda: layers.Bidirectional(layers.GRU(UNITS, return_sequences=True)),
    lambda: layers.TimeDistributed(layers.Dense(2)),
    lambda: layers.RNN(Leaky(), return_sequences=True, return_state=True),
    lambda: layers.GRU(UNITS, stateful=True),
]


@pytest.mark.parametrize("make", REPLAYED)
@pytest.mark.parametrize("mask", [None, MASK])
def test_replay_is_eager_bit_for_bit(make: Callable[[], Any], mask: Any) -> None:
    layer = make()
    layer(X)

    def step(x: Any) -> Any:
        with gpudl.GradientTape() as tape:
            ys = flatten(layer(x, mask=mask, training=True))[0]
            loss = sum((ops.sum(ops.square(y)) for y in ys), start=ops.zeros(()))
        return [*ys, *tape.gradient(loss, layer.trainable_weights)]

    start = [v.numpy() for v in layer.variables]
    records = []
    for run in (step, gpudl.traced(step)):
        for variable, value in zip(layer.variables, start, strict=True):
            variable.assign(value)
        if hasattr(layer, "reset_state"):
            layer.reset_state()
        records.append([t.numpy() for x in (X, X[::-1].copy(), X) for t in run(gpudl.convert_to_tensor(x))])
    for eager, replayed in zip(*records, strict=True):
        np.testing.assert_array_equal(replayed, eager)


class TestDropout:
    @pytest.mark.parametrize("kind", [layers.SimpleRNN, *GATED])
    def test_a_mask_is_the_same_in_all_steps_and_another_one_in_each_call(self, kind: Any) -> None:
        layer = kind(UNITS, dropout=0.5, return_sequences=True, seed=1)
        layer.build((None, TIME, 8))
        ones = np.ones((1, TIME, 8), np.float32)
        first, second = (layer(ones, training=True).numpy() for _ in range(2))
        assert (first != second).any()
        np.testing.assert_array_equal(layer(ones).numpy(), layer(ones, training=False).numpy())
        same = kind(UNITS, dropout=0.5, return_sequences=True, seed=1)
        same.build((None, TIME, 8))
        same.set_weights(layer.get_weights())
        np.testing.assert_array_equal(same(ones, training=True).numpy(), first)

    def test_rates_outside_of_0_and_1_are_limited(self) -> None:
        layer = layers.LSTM(2, dropout=1.5, recurrent_dropout=-1)
        assert (layer.dropout, layer.recurrent_dropout) == (1.0, 0.0)


class TestStates:
    def test_an_encoder_and_a_decoder(self) -> None:
        read, written = Input((None, FEATURES)), Input((None, FEATURES))
        for kind in GATED:
            _, *states = kind(UNITS, return_state=True)(read)
            model = Model([read, written], kind(UNITS, return_sequences=True)(written, initial_state=states))
            assert model.output_shape == (None, None, UNITS)
            y = model([X, X[:, :2]])
            encoder, decoder = (
                model.layers[2:] if isinstance(model.layers[1], layers.InputLayer) else model.layers[1::2]
            )
            want = decoder(X[:, :2], initial_state=list(encoder(X)[1:]))
            np.testing.assert_allclose(y.numpy(), want.numpy(), rtol=1e-6)
            again = copy.deepcopy(model)
            np.testing.assert_array_equal(again([X, X[:, :2]]).numpy(), y.numpy())

    def test_a_stateful_layer_in_training(self) -> None:
        model = Sequential([Input(batch_shape=(2, TIME, FEATURES)), layers.LSTM(UNITS, stateful=True), layers.Dense(1)])
        model.compile("sgd", "mse")
        x = np.concatenate([X, X])
        model.fit(x, x[:, 0, :1], batch_size=2, shuffle=False, verbose=0)
        kept = model.layers[0].states
        assert len(model.layers[0].weights) == 3
        assert all(np.abs(state.numpy()).min() > 0 for state in kept)
        first = model.predict(x[:2], batch_size=2, verbose=0)
        assert (model.predict(x[:2], batch_size=2, verbose=0) != first).any()
        model.layers[0].reset_states()
        assert not any(state.numpy().any() for state in kept)

    def test_masks_come_from_layers_and_go_on(self) -> None:
        ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
        stack = [
            layers.Embedding(5, FEATURES, mask_zero=True),
            layers.LSTM(UNITS, return_sequences=True),
            layers.GRU(2),
        ]
        model = Sequential(stack)
        y = model(ids)
        cut = layers.GRU(2).from_config(stack[2].get_config())
        cut.build((None, None, UNITS))
        cut.set_weights(stack[2].get_weights())
        np.testing.assert_allclose(cut(stack[1](stack[0](ids)[:1, :2])).numpy(), y.numpy()[:1], rtol=1e-5)
        assert stack[1](stack[0](ids)).mask.numpy().tolist() == (ids != 0).tolist()
        assert y.mask is None

    def test_a_mask_of_parts_of_steps(self) -> None:
        layer = layers.GRU(UNITS)
        parts = np.stack([MASK, np.zeros_like(MASK)], axis=2)
        np.testing.assert_array_equal(layer(X, mask=parts).numpy(), layer(X, mask=MASK).numpy())
        np.testing.assert_array_equal(layer(X, mask=MASK.astype(np.float32)).numpy(), layer(X, mask=MASK).numpy())

    def test_masked_convolutions(self) -> None:
        pictures = rng.normal(size=(BATCH, TIME, 4, 4, 1)).astype(np.float32)
        layer = layers.ConvLSTM2D(2, 3, return_sequences=True)
        y = layer(pictures, mask=MASK).numpy()
        np.testing.assert_array_equal(y[0, 2], y[0, 1])
        np.testing.assert_allclose(y[0, 3], layer(pictures[:, [0, 1, 3]]).numpy()[0, 2], rtol=1e-5, atol=1e-6)
        assert not y[2].any()

    def test_no_steps(self) -> None:
        for kind in (layers.LSTM, layers.SimpleRNN):
            y, h, *_ = kind(UNITS, return_state=True, return_sequences=True)(X[:, :0])
            assert y.shape == (BATCH, 0, UNITS)
            assert not h.numpy().any()


def test_attributes_are_those_of_the_cell() -> None:
    layer = layers.LSTM(2)
    assert layer.activation is layer.cell.activation
    layer.activation = gpudl.activations.relu
    assert layer.cell.activation is gpudl.activations.relu
    assert layer.get_config()["activation"] == "relu"
    assert layers.LSTM(2, use_cudnn=False, implementation=1).cell.implementation == 1
    for made in (layers.deserialize(layers.serialize(layer)), copy.deepcopy(layer)):
        assert made.get_config() == layer.get_config()


def test_half_precision() -> None:
    for kind in (layers.SimpleRNN, *GATED):
        layer = kind(UNITS, dtype="mixed_bfloat16", return_sequences=True)
        assert str(layer(X).dtype) == "bfloat16"
        assert {w.dtype.name for w in layer.weights} == {"float32"}
        rolled = layers.RNN(layer.cell, dtype="float32", unroll=True)
        assert str(rolled(X).dtype) == "bfloat16"
