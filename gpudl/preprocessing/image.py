"""Images of files and arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.image import resize
from gpudl.utils import array_to_img, img_to_array, load_img, save_img


def smart_resize(
    x: TensorLike, size: Sequence[int], interpolation: str = "bilinear", data_format: str = "channels_last"
) -> Tensor | NDArray[np.generic]:
    """Return images of another size, of which the largest middle part that has the size's aspect ratio is taken.

    Args:
        x: an image (height, width, channels), or a batch of them.
        size: (height, width) of the results.
        interpolation: as for `ops.image.resize`.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        An array of NumPy for one, else a tensor.

    Raises:
        ShapeError: neither an image nor a batch.
        ValueError: an unknown interpolation, or a size that is not two numbers.

    Example:
        >>> smart_resize(np.ones((4, 8, 3)), (2, 2)).shape
        (2, 2, 3)
    """
    y = resize(x, size, interpolation, crop_to_aspect_ratio=True, data_format=data_format)
    return np.asarray(y) if isinstance(x, np.ndarray) else y


__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]
