"""Recurrent layers beside Keras's, with drawn arguments: results, gradients, weights, masks, states, configs."""

from __future__ import annotations

import pytest
from keras_peer import parity
from recurrent_cases import ANY, CELL, GATED, LOOP, RATES, compare, drawn, sides

EACH = {
    "SimpleRNN": {**CELL, **ANY, **RATES, **LOOP},
    "LSTM": {**GATED, **ANY, **RATES, **LOOP, "unit_forget_bias": (True, False)},
    "GRU": {**GATED, **ANY, **RATES, **LOOP, "reset_after": (True, True, False)},
}


@parity
@pytest.mark.parametrize("kind", EACH)
def test_results_and_gradients(kind: str) -> None:
    for case in drawn(kind, EACH[kind], 24):
        compare(case, *sides(case))
