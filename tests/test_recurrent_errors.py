"""What recurrent layers refuse, and how they say so."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import Input, layers

UNITS, TIME, FEATURES = 3, 4, 2
X = np.ones((3, TIME, FEATURES), np.float32)
MASK = np.ones((3, TIME), bool)
STATE = np.ones((3, UNITS), np.float32)
FRAMES = np.zeros((2, 3, 4, 4, 1), np.float32)
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: layers.LSTM(0), "LSTMCell: units must be a positive integer, got 0."),
    (lambda: layers.GRU(2, dropout="some"), "GRUCell: dropout must be a number, got 'some'."),
    (lambda: layers.LSTM(2, time_major=True), "LSTM has no argument 'time_major'."),
    (lambda: layers.LSTM(2, name="l")(X[0]), 'LSTM "l": Input 0 is incompatible with the layer: expected ndim=3,'),
    (lambda: layers.RNN(3), "RNN needs a cell, an object with call(inputs, states) and state_size"),
    (lambda: layers.RNN(layers.Dense(2)), "RNN needs a cell, an object with call(inputs, states) and state_size"),
    (lambda: layers.StackedRNNCells([]), "StackedRNNCells needs a list of cells, got an empty one."),
    (
        lambda: layers.LSTM(UNITS, name="l")(X, initial_state=[STATE]),
        'LSTM "l": initial_state has 1 tensor(s), of shape (3, 3), but the cell has 2 state(s), of shape (3, 3), ',
    ),
    (
        lambda: layers.GRU(UNITS, name="g")(X, initial_state=STATE[:2]),
        'GRU "g": initial_state has 1 tensor(s), of shape (2, 3), but the cell has 1 state(s), of shape (3, 3)',
    ),
    (
        lambda: layers.GRU(UNITS, name="g")(X, mask=MASK[:, :2]),
        'GRU "g": the mask of shape (3, 2) does not fit sequences of shape (3, 4, 2): it says of each step whether it '
        "counts. Give one of shape (3, 4).",
    ),
    (
        lambda: layers.GRU(UNITS, stateful=True, name="g")(Input((TIME, FEATURES))),
        'GRU "g": stateful=True requires a fixed batch size, got sequences of shape (None, 4, 2).',
    ),
    (lambda: layers.Bidirectional(layers.Dense(2)), "Bidirectional wraps a recurrent layer, got <Dense name="),
    (lambda: layers.Bidirectional(layers.GRU(2), "join"), "Bidirectional: merge_mode must be one of 'sum', 'mul',"),
    (
        lambda: layers.Bidirectional(layers.GRU(2), backward_layer=layers.GRU(2)),
        "Bidirectional: layer and backward_layer both have go_backwards=False. Set it in one of them.",
    ),
    (
        lambda: layers.Bidirectional(layers.GRU(2, return_state=True), backward_layer=layers.GRU(2, go_backwards=True)),
        "Bidirectional: layer has return_state=True, but backward_layer has return_state=False. Give both the same.",
    ),
    (
        lambda: layers.Bidirectional(layers.LSTM(UNITS), name="b")(X, initial_state=[STATE] * 3),
        'Bidirectional "b": initial_state is a list of the states of the forward layer, 2, and those of the backward',
    ),
    (
        lambda: layers.TimeDistributed(layers.Dense(2), name="t")(X, mask=MASK[:, :2]),
        'TimeDistributed "t": the mask of shape (3, 2) does not fit inputs of shape (3, 4, 2). Give one of',
    ),
    (lambda: layers.TimeDistributed(layers.Dense(2), name="t")(X[0]), 'TimeDistributed "t": Input 0 is incompatible'),
    (lambda: layers.ConvLSTM2D(0, 3), "ConvLSTM2D: filters must be a positive integer, got 0."),
    (lambda: layers.ConvLSTM2D(2, 3, padding="causal"), "ConvLSTM2D: padding must be 'valid' or 'same', got 'causal'."),
    (lambda: layers.ConvLSTM2D(2, 3, strides=2, dilation_rate=2), "ConvLSTM2D: strides (2, 2) above 1 cannot be"),
    (lambda: layers.ConvLSTM2D(2, 9, name="c")(FRAMES), "the window covers (9, 9) positions but its input has only"),
    (lambda: layers.ConvLSTM2D(2, 3)(Input((3, None, None, 1))), "ConvLSTM2D: its states have the size of the images"),
]


@pytest.mark.parametrize(("call", "text"), REFUSED, ids=[text[:40] for _, text in REFUSED])
def test_what_is_refused(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


def test_a_stateful_layer_takes_batches_of_one_size() -> None:
    layer = layers.LSTM(UNITS, stateful=True, name="l")
    layer(X)
    text = 'LSTM "l": a stateful layer keeps states for the 3 samples of its first batch, but this one has 2.'
    with pytest.raises(gpudl.ShapeError, match=re.escape(text)):
        layer(X[:2])
