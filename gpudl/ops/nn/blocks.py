"""Images as the blocks of their pixels: patches as columns and back, and blocks of pixels as channels and back."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

from gpudl import config
from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.kernels.geometry import Ints, Window
from gpudl.ops.numpy.arrangement import transpose
from gpudl.ops.primitives.conv import col2im, im2col
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "depth_to_space",
    "fold",
    "space_to_depth",
    "unfold",
]

Pair = int | Sequence[int]


def unfold(x: TensorLike, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> Tensor:
    """Return the patches of images as columns.

    Args:
        x: images (batch, channels, height, width).
        kernel_size: (height, width) of the patches, as all arguments here; one integer stands for both.
        dilation: distance between the pixels of a patch.
        padding: how many zeros are added before and behind each axis.
        stride: distance between the patches.

    Returns:
        (batch, channels * pixels of a patch, patches).

    Raises:
        ShapeError: another number of axes, or images smaller than a patch.
        ValueError: a size that is not positive, or not two of them.

    Example:
        >>> unfold(np.arange(4.0).reshape(1, 1, 2, 2), (1, 2)).numpy()
        array([[[0., 2.],
                [1., 3.]]])
    """
    x = operand(x)
    if x.ndim != 4:
        raise ShapeError(f"unfold takes images (batch, channels, height, width), got shape {x.shape}.")
    window = _window("unfold", kernel_size, dilation, padding, stride)
    n, channels, *size = x.shape
    patches = reshape(im2col(transpose(x, (0, 2, 3, 1)), window=window), (n, -1, window.taps, channels))
    high, wide = window.output(tuple(size))
    return reshape(transpose(patches, (0, 3, 2, 1)), (n, channels * window.taps, high * wide))


def fold(
    x: TensorLike, output_size: Pair, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1
) -> Tensor:
    """Return images from their patches: the sums of the pixels that are at the same place, see `unfold`.

    Args:
        x: patches (batch, channels * pixels of a patch, patches).
        output_size: (height, width) of the images; one integer stands for both.
        kernel_size: as of `unfold`.
        dilation: as of `unfold`.
        padding: as of `unfold`.
        stride: as of `unfold`.

    Returns:
        (batch, channels, height, width).

    Raises:
        ShapeError: another number of axes, or patches that images of this size do not have.
        ValueError: a size that is not positive, or not two of them.

    Example:
        >>> fold(unfold(np.ones((1, 1, 1, 3)), (1, 2)), (1, 3), (1, 2)).numpy().ravel()
        array([1., 2., 1.])
    """
    x = operand(x)
    if x.ndim != 3:
        raise ShapeError(f"fold takes patches (batch, channels * pixels of a patch, patches), got shape {x.shape}.")
    window, size = _window("fold", kernel_size, dilation, padding, stride), _pair("fold", "output_size", output_size, 1)
    n, rows, columns = x.shape
    high, wide = window.output(size)
    if rows % window.taps or columns != high * wide:
        raise ShapeError(
            f"fold: images of {size} have {high * wide} patches of {window.taps} pixels a channel, but x has shape "
            f"{x.shape}: (batch, channels * {window.taps}, {high * wide}) is needed."
        )
    channels = rows // window.taps
    patches = transpose(reshape(x, (n, channels, window.taps, columns)), (0, 3, 2, 1))
    patches = reshape(patches, (n * columns, window.taps * channels))
    return transpose(col2im(patches, shape=(n, *size, channels), window=window), (0, 3, 1, 2))


def depth_to_space(x: TensorLike, block_size: int, data_format: str | None = "channels_last") -> Tensor:
    """Return images whose pixels are taken from the channels of x: each pixel becomes a square of `block_size` pixels.

    Source: Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional
    neural network", CVPR 2016.

    Args:
        x: images with block_size**2 times as many channels.
        block_size: the side of the squares, at least 2.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.

    Raises:
        ShapeError: another number of axes, or channels that cannot be divided.
        ValueError: a size below 2.

    Example:
        >>> depth_to_space(np.arange(4.0).reshape(1, 1, 1, 4), 2).numpy()[0, :, :, 0]
        array([[0., 1.],
               [2., 3.]])
    """
    first, x, b = _checked("depth_to_space", x, block_size, data_format)
    n, high, wide, deep = (x.shape[at] for at in ((0, 2, 3, 1) if first else (0, 1, 2, 3)))
    if deep % (b * b):
        raise ShapeError(f"depth_to_space: {deep} channels cannot be divided into squares of {b} x {b} pixels.")
    if first:
        apart = transpose(reshape(x, (n, deep // (b * b), b, b, high, wide)), (0, 1, 4, 2, 5, 3))
        return reshape(apart, (n, deep // (b * b), high * b, wide * b))
    apart = transpose(reshape(x, (n, high, wide, b, b, deep // (b * b))), (0, 1, 3, 2, 4, 5))
    return reshape(apart, (n, high * b, wide * b, deep // (b * b)))


def space_to_depth(x: TensorLike, block_size: int, data_format: str | None = "channels_last") -> Tensor:
    """Return images of which each pixel has the channels of a square of pixels of x: undo `depth_to_space`.

    Args:
        x: images.
        block_size: the side of the squares, at least 2.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.

    Raises:
        ShapeError: another number of axes, or a height or width that cannot be divided.
        ValueError: a size below 2.

    Example:
        >>> space_to_depth(np.arange(4.0).reshape(1, 2, 2, 1), 2).numpy().ravel()
        array([0., 1., 2., 3.])
    """
    first, x, b = _checked("space_to_depth", x, block_size, data_format)
    n, high, wide, deep = (x.shape[at] for at in ((0, 2, 3, 1) if first else (0, 1, 2, 3)))
    if high % b or wide % b:
        raise ShapeError(f"space_to_depth: {high} x {wide} pixels cannot be divided into squares of {b} x {b}.")
    high, wide = high // b, wide // b
    if first:
        apart = transpose(reshape(x, (n, deep, high, b, wide, b)), (0, 1, 3, 5, 2, 4))
        return reshape(apart, (n, deep * b * b, high, wide))
    apart = transpose(reshape(x, (n, high, b, wide, b, deep)), (0, 1, 3, 2, 4, 5))
    return reshape(apart, (n, high, wide, b * b * deep))


def _window(who: str, kernel: Pair, dilation: Pair, padding: Pair, stride: Pair) -> Window:
    high, wide = _pair(who, "padding", padding, 0)
    return Window(
        _pair(who, "kernel_size", kernel, 1),
        _pair(who, "stride", stride, 1),
        ((high, high), (wide, wide)),
        _pair(who, "dilation", dilation, 1),
    )


def _pair(who: str, name: str, value: Pair, least: int) -> Ints:
    found = tuple(map(index, value)) if isinstance(value, Sequence) else (index(value),) * 2
    if len(found) != 2 or min(found) < least:
        raise ValueError(f"{who}: {name} must be one or two integers of at least {least}, got {value!r}.")
    return found


def _checked(who: str, x: TensorLike, block_size: int, data_format: str | None) -> tuple[bool, Tensor, int]:
    x, size = operand(x), index(block_size)
    if size < 2:
        raise ValueError(f"{who}: block_size must be at least 2, got {block_size!r}.")
    if x.ndim != 4:
        raise ShapeError(f"{who} takes a batch of images, with 4 axes, got shape {x.shape}.")
    return config.check_data_format(data_format) == "channels_first", x, size
