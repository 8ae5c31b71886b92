"""Recurrent layers: their cells, the loop over time, and layers around them."""

from gpudl.layers.recurrent import (
    gru,
    lstm,
    rnn,
    simple_rnn,
    stacked,
)
from gpudl.layers.recurrent.gru import *  # noqa: F403
from gpudl.layers.recurrent.lstm import *  # noqa: F403
from gpudl.layers.recurrent.rnn import *  # noqa: F403
from gpudl.layers.recurrent.simple_rnn import *  # noqa: F403
from gpudl.layers.recurrent.stacked import *  # noqa: F403

__all__: list[str] = []
__all__ += gru.__all__
__all__ += lstm.__all__
__all__ += rnn.__all__
__all__ += simple_rnn.__all__
__all__ += stacked.__all__
