"""Layers, one family per file."""

from gpudl.layers import (
    activation,
    attention,
    convolution,
    core,
    depthwise_convolution,
    dropout,
    einsum_dense,
    embedding,
    global_pooling,
    group_normalization,
    merging,
    multi_head_attention,
    normalization,
    padding,
    pooling,
    preprocessing,
    recurrent,
    regularization,
    reshaping,
    spectral_normalization,
    transposed_convolution,
    upsampling,
    wrapping,
)
from gpudl.layers.activation import *  # noqa: F403
from gpudl.layers.attention import *  # noqa: F403
from gpudl.layers.base.input_spec import InputSpec
from gpudl.layers.base.layer import LAYERS, Layer
from gpudl.layers.convolution import *  # noqa: F403
from gpudl.layers.core import *  # noqa: F403
from gpudl.layers.depthwise_convolution import *  # noqa: F403
from gpudl.layers.dropout import *  # noqa: F403
from gpudl.layers.einsum_dense import *  # noqa: F403
from gpudl.layers.embedding import *  # noqa: F403
from gpudl.layers.global_pooling import *  # noqa: F403
from gpudl.layers.group_normalization import *  # noqa: F403
from gpudl.layers.merging import *  # noqa: F403
from gpudl.layers.multi_head_attention import *  # noqa: F403
from gpudl.layers.normalization import *  # noqa: F403
from gpudl.layers.padding import *  # noqa: F403
from gpudl.layers.pooling import *  # noqa: F403
from gpudl.layers.preprocessing import *  # noqa: F403
from gpudl.layers.recurrent import *  # noqa: F403
from gpudl.layers.regularization import *  # noqa: F403
from gpudl.layers.reshaping import *  # noqa: F403
from gpudl.layers.spectral_normalization import *  # noqa: F403
from gpudl.layers.transposed_convolution import *  # noqa: F403
from gpudl.layers.upsampling import *  # noqa: F403
from gpudl.layers.wrapping import *  # noqa: F403
from gpudl.names import export

__all__ = ["InputSpec", "Layer", "deserialize", "get", "serialize"]

_FAMILIES = (
    activation,
    attention,
    convolution,
    core,
    depthwise_convolution,
    dropout,
    einsum_dense,
    embedding,
    global_pooling,
    group_normalization,
    merging,
    multi_head_attention,
    normalization,
    padding,
    pooling,
    preprocessing,
    recurrent,
    regularization,
    reshaping,
    spectral_normalization,
    transposed_convolution,
    upsampling,
    wrapping,
)
export(globals(), *_FAMILIES)
LAYERS.add(*map(vars, _FAMILIES))
get, serialize, deserialize = LAYERS.get, LAYERS.serializer("layer"), LAYERS.deserialize
