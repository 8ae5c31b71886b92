"""Keras's functions of images, with its arguments, defaults and dtypes."""

from gpudl.engine.calls import publish
from gpudl.ops.image import colors, elastic, filters, patches, resizing, sampling
from gpudl.ops.image.colors import *  # noqa: F403
from gpudl.ops.image.elastic import *  # noqa: F403
from gpudl.ops.image.filters import *  # noqa: F403
from gpudl.ops.image.patches import *  # noqa: F403
from gpudl.ops.image.resizing import *  # noqa: F403
from gpudl.ops.image.sampling import *  # noqa: F403

publish(
    globals(),
    colors,
    elastic,
    filters,
    patches,
    resizing,
    sampling,
)
