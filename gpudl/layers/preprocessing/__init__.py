"""Layers that prepare data: numbers, categories, text and images."""

from gpudl.layers.preprocessing import (
    category_encoding,
    discretization,
    hashing,
    image,
    lookup,
    normalization,
    text_vectorization,
)
from gpudl.layers.preprocessing.category_encoding import *  # noqa: F403
from gpudl.layers.preprocessing.discretization import *  # noqa: F403
from gpudl.layers.preprocessing.hashing import *  # noqa: F403
from gpudl.layers.preprocessing.image import *  # noqa: F403
from gpudl.layers.preprocessing.lookup import *  # noqa: F403
from gpudl.layers.preprocessing.normalization import *  # noqa: F403
from gpudl.layers.preprocessing.text_vectorization import *  # noqa: F403
from gpudl.names import export

export(
    globals(),
    category_encoding,
    discretization,
    hashing,
    image,
    lookup,
    normalization,
    text_vectorization,
)
