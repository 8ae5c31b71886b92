"""Layers that prepare data: images."""

from gpudl.layers.preprocessing import (
    image,
)
from gpudl.layers.preprocessing.image import *  # noqa: F403

__all__: list[str] = []
__all__ += image.__all__
