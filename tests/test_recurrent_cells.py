"""Cells of the users' own in recurrent layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from recurrent_cells import UNITS, Leaky

import gpudl
from gpudl import layers, ops

BATCH, TIME, FEATURES = 3, 4, 2
rng = np.random.default_rng(0)
X = rng.normal(size=(BATCH, TIME, FEATURES)).astype(np.float32)
MASK = np.array([[True, True, False, True], [False, True, True, False], [False, False, False, False]])


class TestCellsOfTheUsers:
    def test_masked_steps_keep_states_and_repeat_outputs(self) -> None:
        layer = layers.RNN(Leaky(), return_sequences=True, return_state=True)
        ys, state = layer(X, mask=MASK)
        h, y = np.zeros((BATCH, UNITS)), np.zeros((BATCH, 2))
        kernel, read = layer.get_weights()
        for t in range(TIME):
            counts = MASK[:, t, None]
            h = np.where(counts, 0.5 * h + X[:, t] @ kernel, h)
            y = np.where(counts, h @ read, y)
            np.testing.assert_allclose(ys.numpy()[:, t], y, atol=1e-6)
        np.testing.assert_allclose(state.numpy(), h, atol=1e-6)

    def test_objects_that_are_no_layers(self) -> None:
        class Sums:
            state_size = (FEATURES, 1)

            def call(self, inputs: Any, states: Any) -> Any:
                total, count = states
                return inputs, (total + inputs, count + 1)

        y, total, count = layers.RNN(Sums(), return_state=True)(X)
        np.testing.assert_array_equal(y.numpy(), X[:, -1])
        np.testing.assert_allclose(total.numpy(), X.sum(axis=1), rtol=1e-5)
        assert count.numpy().tolist() == [[TIME]] * BATCH

    def test_states_of_their_own(self) -> None:
        class Ones(Leaky):
            def get_initial_state(self, batch_size: int) -> Any:
                return ops.ones((batch_size, UNITS))

        layer = layers.RNN(Ones())
        np.testing.assert_allclose(
            layer(X).numpy(), layer(X, initial_state=np.ones((BATCH, UNITS), np.float32)).numpy()
        )

    def test_a_cell_with_another_call_is_called(self) -> None:
        class Scaled(layers.LSTMCell):
            def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
                return super().call(2 * inputs, states, training)

        layer, plain = layers.RNN(Scaled(UNITS)), layers.LSTM(UNITS)
        for each in (layer, plain):
            each.build(X.shape)
        plain.set_weights(layer.get_weights())
        np.testing.assert_allclose(layer(X).numpy(), plain(2 * X).numpy(), rtol=1e-5, atol=1e-6)

    def test_dropout_inside_of_a_cell_is_forgotten(self) -> None:
        class Outer(layers.Layer):
            state_size = (UNITS, UNITS)

            def __init__(self) -> None:
                super().__init__()
                self.inner = layers.LSTMCell(UNITS, dropout=0.5, recurrent_dropout=0.5)

            def call(self, inputs: Any, states: Any) -> Any:
                return self.inner(inputs, states)

        layer = layers.RNN(Outer())
        for _ in range(2):
            layer(X, training=True)
        assert layer.cell.inner._dropout_mask is layer.cell.inner._recurrent_dropout_mask is None
        step = gpudl.traced(lambda x: layer(x, training=True))
        step(gpudl.convert_to_tensor(X))
