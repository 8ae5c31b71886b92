"""Filters that slide over images, and the similarity of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.image.layout import image, spatial
from gpudl.ops.image.weights import along, band, gaussian
from gpudl.ops.numpy.arrangement import stack
from gpudl.ops.numpy.reductions import mean
from gpudl.ops.primitives.elementwise import cast

__all__ = [
    "gaussian_blur",
    "sobel_edges",
    "ssim",
]


def gaussian_blur(
    images: TensorLike,
    kernel_size: Sequence[int] = (3, 3),
    sigma: TensorLike = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    """Return images blurred by a Gaussian bell, with zeros beyond their edges; integers become float32.

    Args:
        images: an image (height, width, channels), or a batch of them.
        kernel_size: where the bell is cut off: its (width, height) in pixels.
        sigma: the standard deviations along (width, height), in pixels.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.

    Raises:
        ShapeError: neither an image nor a batch.
        ValueError: a size that is not positive.

    Example:
        >>> gaussian_blur(np.eye(3)[:, :, None], sigma=(1e-6, 1e-6)).numpy()[..., 0]
        array([[1., 0., 0.],
               [0., 1., 0.],
               [0., 0., 1.]])
    """
    if len(kernel_size) != 2 or min(kernel_size) < 1:
        raise ValueError(f"kernel_size must be two positive numbers of pixels, got {kernel_size!r}.")
    x, at = spatial(images, data_format)
    by = operand(sigma)
    if by.dtype != np.float32:
        by = cast(by, dtype=np.float32)
    for axis, which in ((at, 1), (at + 1, 0)):
        x = along(x, gaussian(x.shape[axis], int(kernel_size[which]), by[which]), axis)
    return x


_SLOPE, _SMOOTH = np.array([-1.0, 0.0, 1.0]), np.array([1.0, 2.0, 1.0])


def sobel_edges(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Return the slopes of images along height and width, in a new last axis, with zeros beyond the edges.

    Raises:
        ShapeError: not a batch of images.

    Example:
        >>> sobel_edges(np.arange(9.0).reshape(1, 3, 3, 1)).numpy()[0, 1, 1, 0]
        array([24.,  8.])
    """
    x, at = spatial(images, data_format)
    if x.ndim != 4:
        raise ShapeError(f"sobel_edges needs a batch of images with 4 axes, got shape {x.shape}.")
    slopes = []
    for down, right in ((_SLOPE, _SMOOTH), (_SMOOTH, _SLOPE)):
        y = along(x, band(x.shape[at], down, 1, x.shape[at]), at)
        slopes.append(along(y, band(x.shape[at + 1], right, 1, x.shape[at + 1]), at + 1))
    return stack(slopes, axis=-1)


def ssim(
    image1: TensorLike,
    image2: TensorLike,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """Return the structural similarity of two images, or of each pair of two batches: 1 for the same image.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.

    Args:
        image1: an image (height, width, channels), or a batch of them.
        image2: as many.
        max_val: the difference between the largest and the smallest possible value.
        filter_size: size of the windows that are compared, in pixels.
        filter_sigma: the standard deviation of the Gaussian bell by which their pixels are weighted.
        k1: a small factor that stabilizes the comparison of brightness.
        k2: one that stabilizes that of contrast.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.

    Raises:
        ShapeError: neither images nor batches, or smaller than the window.

    Example:
        >>> round(float(ssim(np.ones((16, 16, 1)), np.ones((16, 16, 1)))), 4)
        1.0
    """
    (a, at), b = spatial(image1, data_format), image(image2)
    if min(a.shape[at : at + 2]) < filter_size or a.shape != b.shape:
        raise ShapeError(
            f"ssim compares images of one shape, at least {filter_size} pixels high and wide, got {a.shape} and "
            f"{b.shape}. filter_size makes the windows smaller."
        )
    places = np.arange(filter_size) - (filter_size - 1) / 2
    bell = np.exp(-(places**2) / (2 * filter_sigma**2))

    def blurred(x: Tensor) -> Tensor:
        for axis in (at, at + 1):
            x = along(x, band(x.shape[axis], bell / bell.sum(), 0, x.shape[axis] - filter_size + 1), axis)
        return x

    one, two = (x if x.dtype.kind not in "iub" else cast(x, dtype=np.float32) for x in (a, b))
    m1, m2 = blurred(one), blurred(two)
    v1, v2, both = blurred(one * one) - m1 * m1, blurred(two * two) - m2 * m2, blurred(one * two) - m1 * m2
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    alike = (2.0 * m1 * m2 + c1) * (2.0 * both + c2) / ((m1 * m1 + m2 * m2 + c1) * (v1 + v2 + c2))
    result = mean(alike, axis=(-3, -2, -1))
    return result if result.dtype == a.dtype else cast(result, dtype=a.dtype)
