"""What convolution and pooling share: windows over one, two or three axes, and the layouts of what they slide over.

Everything is computed over images, (batch, height, width, channels): a sequence is an image of one row, and along its
first axis a volume is a column of pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpudl import config
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.kernels.geometry import Ints, Window
from gpudl.ops.numpy.arrangement import transpose
from gpudl.ops.primitives.shape import reshape, sizes

Sizes = int | Sequence[int]


def each(value: Sizes, count: int) -> Ints:
    """Return one size for each of `count` axes."""
    return sizes(value) if isinstance(value, Sequence) else sizes(value) * count


def axes_of(window: Window, start: int, stop: int) -> Window:
    """Return a window over some of the axes that `window` slides over."""
    padding = window.padding if isinstance(window.padding, str) else window.padding[start:stop]
    return Window(window.kernel[start:stop], window.strides[start:stop], padding, window.dilation[start:stop])


def as_rows(window: Window) -> Window:
    """Return a window over sequences as one over images of one row."""
    padding = window.padding if isinstance(window.padding, str) else ((0, 0), *window.padding)
    return Window((1, *window.kernel), (1, *window.strides), padding, (1, *window.dilation))


def as_columns(window: Window) -> Window:
    """Return a window over one axis as one over images of which each position is a row of pixels."""
    padding = window.padding if isinstance(window.padding, str) else (*window.padding, (0, 0))
    return Window((*window.kernel, 1), (*window.strides, 1), padding, (*window.dilation, 1))


def spatial(x: Tensor, who: str) -> int:
    """Return the number of axes between batch and channels, one to three; raise ShapeError for another number."""
    if x.ndim not in (3, 4, 5):
        raise ShapeError(
            f"{who} needs sequences, images or volumes, with a batch and channels: 3, 4 or 5 axes, got {x.ndim}."
        )
    return x.ndim - 2


def in_layout(function: Callable[[Tensor], Tensor], x: Tensor, data_format: str | None) -> Tensor:
    """Return function(x), which is for channels that come last, in the layout of x."""
    if config.check_data_format(data_format) == "channels_last":
        return function(x)
    last, first = (0, *range(2, x.ndim), 1), (0, x.ndim - 1, *range(1, x.ndim - 1))
    return transpose(function(transpose(x, last)), first)


def over_images(function: Callable[[Tensor, Window], Tensor], x: Tensor, window: Window) -> Tensor:
    """Return function(x, window), which is for images and treats each axis by itself, of x (batch, ..., channels)."""
    n, *size, c = x.shape
    if len(size) == 1:
        y = function(reshape(x, (n, 1, *size, c)), as_rows(window))
    elif len(size) == 2:
        return function(x, window)
    else:
        depth, *rest = size
        y = function(reshape(x, (n * depth, *rest, c)), axes_of(window, 1, 3))
        pixels = y.shape[1] * y.shape[2]
        y = function(reshape(y, (n, depth, pixels, c)), as_columns(axes_of(window, 0, 1)))
    return reshape(y, (n, *window.output(tuple(size)), c))
