"""Recurrent layers: their cells, the loop over time, and layers around them."""

from gpudl.layers.recurrent import (
    bidirectional,
    conv_lstm,
    gru,
    lstm,
    rnn,
    simple_rnn,
    stacked,
    time_distributed,
)
from gpudl.layers.recurrent.bidirectional import *  # noqa: F403
from gpudl.layers.recurrent.conv_lstm import *  # noqa: F403
from gpudl.layers.recurrent.gru import *  # noqa: F403
from gpudl.layers.recurrent.lstm import *  # noqa: F403
from gpudl.layers.recurrent.rnn import *  # noqa: F403
from gpudl.layers.recurrent.simple_rnn import *  # noqa: F403
from gpudl.layers.recurrent.stacked import *  # noqa: F403
from gpudl.layers.recurrent.time_distributed import *  # noqa: F403
from gpudl.names import export

export(
    globals(),
    bidirectional,
    conv_lstm,
    gru,
    lstm,
    rnn,
    simple_rnn,
    stacked,
    time_distributed,
)
