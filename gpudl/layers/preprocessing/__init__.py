"""Layers that prepare data: numbers, categories and text."""

from gpudl.layers.preprocessing import (
    category_encoding,
    discretization,
    hashing,
    lookup,
    normalization,
    text_vectorization,
)
from gpudl.layers.preprocessing.category_encoding import *  # noqa: F403
from gpudl.layers.preprocessing.discretization import *  # noqa: F403
from gpudl.layers.preprocessing.hashing import *  # noqa: F403
from gpudl.layers.preprocessing.lookup import *  # noqa: F403
from gpudl.layers.preprocessing.normalization import *  # noqa: F403
from gpudl.layers.preprocessing.text_vectorization import *  # noqa: F403

__all__: list[str] = []
__all__ += category_encoding.__all__
__all__ += discretization.__all__
__all__ += hashing.__all__
__all__ += lookup.__all__
__all__ += normalization.__all__
__all__ += text_vectorization.__all__
