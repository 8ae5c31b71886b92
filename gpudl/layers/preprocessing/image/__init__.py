"""Layers that prepare images, and change them at random in training."""

from gpudl.layers.preprocessing.image import (
    boxes,
    chains,
    colors,
    equalizing,
    erasing,
    filters,
    light,
    moving,
    sizes,
)
from gpudl.layers.preprocessing.image.boxes import *  # noqa: F403
from gpudl.layers.preprocessing.image.chains import *  # noqa: F403
from gpudl.layers.preprocessing.image.colors import *  # noqa: F403
from gpudl.layers.preprocessing.image.equalizing import *  # noqa: F403
from gpudl.layers.preprocessing.image.erasing import *  # noqa: F403
from gpudl.layers.preprocessing.image.filters import *  # noqa: F403
from gpudl.layers.preprocessing.image.light import *  # noqa: F403
from gpudl.layers.preprocessing.image.moving import *  # noqa: F403
from gpudl.layers.preprocessing.image.sizes import *  # noqa: F403

__all__: list[str] = []
__all__ += boxes.__all__
__all__ += chains.__all__
__all__ += colors.__all__
__all__ += equalizing.__all__
__all__ += erasing.__all__
__all__ += filters.__all__
__all__ += light.__all__
__all__ += moving.__all__
__all__ += sizes.__all__
