"""Layers, one family per file."""

from gpudl.layers import (
    activation,
    convolution,
    core,
    embedding,
    merging,
    normalization,
    pooling,
    recurrent,
    regularization,
    reshaping,
    wrapping,
)
from gpudl.layers.activation import *  # noqa: F403
from gpudl.layers.base.input_spec import InputSpec
from gpudl.layers.base.layer import LAYERS, Layer
from gpudl.layers.convolution import *  # noqa: F403
from gpudl.layers.core import *  # noqa: F403
from gpudl.layers.embedding import *  # noqa: F403
from gpudl.layers.merging import *  # noqa: F403
from gpudl.layers.normalization import *  # noqa: F403
from gpudl.layers.pooling import *  # noqa: F403
from gpudl.layers.recurrent import *  # noqa: F403
from gpudl.layers.regularization import *  # noqa: F403
from gpudl.layers.reshaping import *  # noqa: F403
from gpudl.layers.wrapping import *  # noqa: F403

__all__ = ["InputSpec", "Layer", "deserialize", "get", "serialize"]
__all__ += activation.__all__
__all__ += convolution.__all__
__all__ += core.__all__
__all__ += embedding.__all__
__all__ += merging.__all__
__all__ += normalization.__all__
__all__ += pooling.__all__
__all__ += recurrent.__all__
__all__ += regularization.__all__
__all__ += reshaping.__all__
__all__ += wrapping.__all__

LAYERS.add(
    *map(
        vars,
        (
            *(activation, convolution, core, embedding, merging, normalization, pooling, regularization, reshaping),
            recurrent,
            wrapping,
        ),
    )
)
get, serialize, deserialize = LAYERS.get, LAYERS.serialize, LAYERS.deserialize
