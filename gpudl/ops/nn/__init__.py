"""Functions for neural networks, with Keras's arguments, defaults and dtypes."""

from gpudl.engine.calls import publish
from gpudl.ops.nn import (
    attention,
    blocks,
    complex_views,
    convolution,
    crossentropy,
    ctc,
    decoding,
    labels,
    normalization,
    piecewise,
    plain,
    pooling,
    probabilities,
    quality,
    shrinking,
    smooth,
)
from gpudl.ops.nn.attention import *  # noqa: F403
from gpudl.ops.nn.blocks import *  # noqa: F403
from gpudl.ops.nn.complex_views import *  # noqa: F403
from gpudl.ops.nn.convolution import *  # noqa: F403
from gpudl.ops.nn.crossentropy import *  # noqa: F403
from gpudl.ops.nn.ctc import *  # noqa: F403
from gpudl.ops.nn.decoding import *  # noqa: F403
from gpudl.ops.nn.labels import *  # noqa: F403
from gpudl.ops.nn.normalization import *  # noqa: F403
from gpudl.ops.nn.piecewise import *  # noqa: F403
from gpudl.ops.nn.plain import *  # noqa: F403
from gpudl.ops.nn.pooling import *  # noqa: F403
from gpudl.ops.nn.probabilities import *  # noqa: F403
from gpudl.ops.nn.quality import *  # noqa: F403
from gpudl.ops.nn.shrinking import *  # noqa: F403
from gpudl.ops.nn.smooth import *  # noqa: F403

publish(
    globals(),
    attention,
    blocks,
    complex_views,
    convolution,
    crossentropy,
    ctc,
    decoding,
    labels,
    normalization,
    piecewise,
    plain,
    pooling,
    probabilities,
    quality,
    shrinking,
    smooth,
)
