"""Images of another size on the host."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpudl.ops.image.weights import resizing_weights

METHODS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")


def resized(image: NDArray[np.generic], height: int, width: int, method: str = "bilinear") -> NDArray[np.float32]:
    """Return an image (H, W, channels) as float32 (height, width, channels), without smoothing what gets smaller.

    Example:
        >>> resized(np.array([[[0], [8]]]), 1, 4)[..., 0]
        array([[0., 2., 6., 8.]], dtype=float32)
    """
    pixels = image.astype(np.float32)
    if pixels.shape[:2] == (height, width):
        return pixels
    rows, columns = (
        resizing_weights(old, new, method) for old, new in zip(pixels.shape[:2], (height, width), strict=True)
    )
    result: NDArray[np.float32] = np.einsum("hy,wx,yxc->hwc", rows, columns, pixels, optimize=True)
    return result
