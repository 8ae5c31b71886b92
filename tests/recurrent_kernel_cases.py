"""Cases of the kernels of recurrent networks: a kernel, its outs, its inputs and its static arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
from gpudl.kernels.cpu import matmul_tall, rnn, rnn_grad

BATCH, TIME, UNITS = 11, 7, 6
_rng = np.random.default_rng(4)


def _noise(*shape: int) -> np.ndarray:
    return _rng.normal(size=shape).astype(np.float32)


def _shares(*shape: int) -> np.ndarray:
    """Return values that gates have."""
    return _rng.uniform(0.1, 0.9, shape).astype(np.float32)


def _blank(*shape: int) -> np.ndarray:
    return np.full(shape, np.nan, np.float32)


STATE = BATCH, UNITS
STATES = BATCH, TIME, UNITS
FOUR, THREE = (BATCH, TIME, 4 * UNITS), (BATCH, TIME, 3 * UNITS)
MASK = _rng.uniform(size=(BATCH, TIME)) > 0.3

RECURRENT: dict[str, tuple[Any, list[np.ndarray], list[np.ndarray], dict[str, Any]]] = {
    "lstm": (
        rnn.lstm,
        [_blank(*STATES), _blank(*STATE), _blank(*STATE), _blank(*FOUR), _blank(*STATES)],
        [_noise(*FOUR), _noise(UNITS, 4 * UNITS), _noise(4 * UNITS), _noise(*STATE), _noise(*STATE), MASK],
        {"reverse": False},
    ),
    "lstm_grad": (
        rnn_grad.lstm_grad,
        [_blank(*FOUR), _blank(4 * UNITS), _blank(*STATE), _blank(*STATE)],
        [
            *(_noise(*STATE), _noise(*STATE), _noise(UNITS, 4 * UNITS), _shares(*FOUR), _noise(*STATES)),
            *(_noise(*STATE), MASK, _noise(*STATES)),
        ],
        {"reverse": False},
    ),
    "gru": (
        rnn.gru,
        [_blank(*STATES), _blank(*STATE), _blank(*FOUR)],
        [_noise(*THREE), _noise(UNITS, 3 * UNITS), _noise(3 * UNITS), _noise(*STATE), MASK],
        {"reverse": True},
    ),
    "gru_grad": (
        rnn_grad.gru_grad,
        [_blank(*THREE), _blank(*THREE), _blank(3 * UNITS), _blank(*STATE)],
        [
            _noise(*STATE),
            _noise(UNITS, 3 * UNITS),
            _shares(*FOUR),
            _noise(*STATES),
            _noise(*STATE),
            MASK,
            _noise(*STATES),
        ],
        {"reverse": True},
    ),
    "recurrent_kernel_grad": (
        matmul_tall.recurrent_kernel_grad,
        [_blank(UNITS, 19)],
        [_noise(BATCH, 120, UNITS), _noise(*STATE), _noise(BATCH, 120, 19)],
        {"reverse": False},
    ),
}
