"""Layers that prepare images, and change them at random in training."""

from gpudl.layers.preprocessing.image import (
    augmenting,
    boxes,
    chains,
    colors,
    equalizing,
    erasing,
    filters,
    flipping,
    light,
    mixing,
    moving,
    sizes,
)
from gpudl.layers.preprocessing.image.augmenting import *  # noqa: F403
from gpudl.layers.preprocessing.image.boxes import *  # noqa: F403
from gpudl.layers.preprocessing.image.chains import *  # noqa: F403
from gpudl.layers.preprocessing.image.colors import *  # noqa: F403
from gpudl.layers.preprocessing.image.equalizing import *  # noqa: F403
from gpudl.layers.preprocessing.image.erasing import *  # noqa: F403
from gpudl.layers.preprocessing.image.filters import *  # noqa: F403
from gpudl.layers.preprocessing.image.flipping import *  # noqa: F403
from gpudl.layers.preprocessing.image.light import *  # noqa: F403
from gpudl.layers.preprocessing.image.mixing import *  # noqa: F403
from gpudl.layers.preprocessing.image.moving import *  # noqa: F403
from gpudl.layers.preprocessing.image.sizes import *  # noqa: F403
from gpudl.names import export

export(
    globals(),
    augmenting,
    boxes,
    chains,
    colors,
    equalizing,
    erasing,
    filters,
    flipping,
    light,
    mixing,
    moving,
    sizes,
)
