"""Functions for neural networks, with Keras's arguments, defaults and dtypes."""

from gpudl.engine.calls import publish
from gpudl.ops.nn import attention, convolution, ctc, labels, pooling, probabilities
from gpudl.ops.nn.attention import *  # noqa: F403
from gpudl.ops.nn.convolution import *  # noqa: F403
from gpudl.ops.nn.ctc import *  # noqa: F403
from gpudl.ops.nn.labels import *  # noqa: F403
from gpudl.ops.nn.pooling import *  # noqa: F403
from gpudl.ops.nn.probabilities import *  # noqa: F403

publish(
    globals(),
    attention,
    convolution,
    ctc,
    labels,
    pooling,
    probabilities,
)
