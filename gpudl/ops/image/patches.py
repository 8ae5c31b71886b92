"""Patches of images and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from operator import index

from gpudl import config
from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.kernels.geometry import Window
from gpudl.ops.image.resizing import padded
from gpudl.ops.numpy.arrangement import concatenate, expand_dims, squeeze, transpose
from gpudl.ops.primitives.shape import take_slice

__all__ = [
    "extract_patches",
    "extract_patches_3d",
]

Sizes = int | Sequence[int]


def extract_patches(
    images: TensorLike,
    size: Sizes,
    strides: Sizes | None = None,
    dilation_rate: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Return patches of images as vectors of their pixels, in the places of the channels.

    Args:
        images: an image (height, width, channels), or a batch of them; volumes if `size` has three numbers.
        size: (height, width) of the patches; one integer for both.
        strides: distance between the patches along each axis; None for `size`, so that they do not overlap.
        dilation_rate: distance between the pixels of a patch.
        padding: ``"valid"`` drops incomplete patches; ``"same"`` fills them with zeros.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.

    Raises:
        ShapeError: another number of axes, or images smaller than a patch.
        ValueError: a size that is not positive, or another number of them.

    Example:
        >>> extract_patches(np.arange(16.0).reshape(4, 4, 1), 2).numpy()[0]
        array([[0., 1., 4., 5.],
               [2., 3., 6., 7.]])
    """
    rank = 3 if isinstance(size, Sequence) and len(size) == 3 else 2
    return _patches("extract_patches", rank, images, size, strides, dilation_rate, padding, data_format)


def extract_patches_3d(
    volumes: TensorLike,
    size: Sizes,
    strides: Sizes | None = None,
    dilation_rate: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Return patches of volumes (depth, height, width, channels), or of a batch of them, see `extract_patches`.

    Example:
        >>> extract_patches_3d(np.zeros((4, 6, 6, 2)), (2, 3, 3)).shape
        (2, 2, 2, 36)
    """
    return _patches("extract_patches_3d", 3, volumes, size, strides, dilation_rate, padding, data_format)


def _patches(
    who: str,
    rank: int,
    images: TensorLike,
    size: Sizes,
    strides: Sizes | None,
    dilation_rate: Sizes,
    padding: str,
    data_format: str | None,
) -> Tensor:
    kernel = _sizes(who, rank, "size", size)
    step = _sizes(who, rank, "strides", strides or size)
    window = Window(kernel, step, padding.lower(), _sizes(who, rank, "dilation_rate", dilation_rate))
    x = operand(images)
    if x.ndim not in (rank + 1, rank + 2):
        raise ShapeError(
            f"{who} needs {rank + 1} axes, {rank} of them spatial and one for channels, or {rank + 2} for a batch, got "
            f"shape {x.shape}."
        )
    single, first = x.ndim == rank + 1, config.check_data_format(data_format) == "channels_first"
    if single:
        x = expand_dims(x, 0)
    if first:
        x = transpose(x, (0, *range(2, rank + 2), 1))
    y = _windows(x, window)
    if first:
        y = transpose(y, (0, rank + 1, *range(1, rank + 1)))
    return squeeze(y, 0) if single else y


def _windows(x: Tensor, window: Window) -> Tensor:
    """Return the pixels of each window of a channels-last batch, those of one tap beside one another."""
    sizes = x.shape[1:-1]
    out = window.output(sizes)
    x = padded(x, 1, *window.pads(sizes)) if window.padding == "same" else x
    parts = []
    for number in range(prod(window.kernel)):
        key: list[tuple[int | None, int | None, int | None]] = [(None, None, None)]
        for axis, (steps, stride, apart) in enumerate(zip(out, window.strides, window.dilation, strict=True)):
            tap = number // prod(window.kernel[axis + 1 :]) % window.kernel[axis]
            start = tap * apart
            key.append((start, start + (steps - 1) * stride + 1, stride))
        parts.append(take_slice(x, key=tuple(key)))
    return concatenate(parts, -1)


def _sizes(who: str, rank: int, name: str, value: Sizes) -> tuple[int, ...]:
    found = tuple(map(index, value)) if isinstance(value, Sequence) else (index(value),) * rank
    if len(found) != rank or min(found) < 1:
        raise ValueError(f"{who}: {name} must be a positive integer, or {rank} of them, got {value!r}.")
    return found
