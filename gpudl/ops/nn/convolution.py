"""Convolution of sequences, images and volumes, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from math import prod

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.kernels.geometry import Ints, Pads, Window
from gpudl.ops.nn.windows import Sizes, as_columns, as_rows, axes_of, each, in_layout, spatial
from gpudl.ops.numpy.arrangement import broadcast_to, concatenate, transpose
from gpudl.ops.primitives.conv import col2im, conv2d, conv2d_input_grad, im2col
from gpudl.ops.primitives.depthwise import depthwise_conv2d
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "conv",
    "conv_transpose",
    "depthwise_conv",
    "separable_conv",
]


def conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Return the cross-correlation of sequences, images or volumes with a kernel.

    Args:
        inputs: (batch, length, channels), (batch, height, width, channels) or (batch, depth, height, width, channels),
            or with the channels second.
        kernel: (size, ..., channels / groups, filters): where it has fewer channels than the inputs, these are split
            into groups, each of which computes an equal share of the filters.
        strides: steps of the window along each spatial axis; one integer for all.
        padding: ``"valid"`` keeps the window inside the inputs; ``"same"`` pads with zeros so that the new size is
            ``ceil(size / stride)``; ``"causal"``, for sequences, pads before the first step only.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        dilation_rate: distance between the positions that a window covers.

    Raises:
        ShapeError: the shapes do not fit, or the inputs are smaller than the window.

    Example:
        >>> conv(np.ones((1, 5, 1), "float32"), np.ones((3, 1, 1), "float32"), padding="same").numpy().ravel()
        array([2., 3., 3., 3., 2.], dtype=float32)
    """
    x, w = operand(inputs), operand(kernel)
    rank = spatial(x, "conv")
    window = sliding(_size(w, rank), strides, padding, dilation_rate)

    def applied(x: Tensor) -> Tensor:
        channels, share, filters = x.shape[-1], w.shape[-2], w.shape[-1]
        if share < 1 or channels % share or filters % (channels // share):
            raise ShapeError(
                f"a kernel of shape {w.shape}, for groups of {share} channels and {filters} filters in all, does not "
                f"fit {channels} channels of inputs {x.shape}."
            )
        return convolved(x, w, window, channels // share)

    return in_layout(applied, x, data_format)


def conv_transpose(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: Sizes = 1,
    padding: str = "valid",
    output_padding: Sizes | None = None,
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Return the transposed convolution: each position adds its channels times the kernel to a window of the result.

    Args:
        inputs: as for `conv`.
        kernel: (size, ..., filters, channels).
        strides: steps of the window in the result along each spatial axis; one integer for all.
        padding: ``"valid"`` for every position that a window reaches; ``"same"`` for ``size * stride``.
        output_padding: with it the new size is that of the windows plus `output_padding`, with ``padding="same"`` minus
            ``2 * (size of the window // 2)``.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        dilation_rate: distance between the positions that a window covers.

    Raises:
        ShapeError: the shapes do not fit.

    Example:
        >>> conv_transpose(np.ones((1, 2, 1), "float32"), np.ones((3, 1, 1), "float32"), strides=2).numpy().ravel()
        array([1., 1., 2., 1., 1.], dtype=float32)
    """
    x, w = operand(inputs), operand(kernel)
    rank = spatial(x, "conv_transpose")
    kernel_size = _size(w, rank)
    steps, more = each(strides, rank), None if output_padding is None else each(output_padding, rank)

    def applied(x: Tensor) -> Tensor:
        size, window = scattering(x.shape[1:-1], kernel_size, steps, padding, more, each(dilation_rate, rank))
        return transposed(x, w, size, window)

    return in_layout(applied, x, data_format)


def depthwise_conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Return the cross-correlation of each channel with kernels of its own; the arguments are those of `conv`.

    The kernel has shape (size, ..., channels, multiplier); the results of channel c are channels c * multiplier and
    following.

    Example:
        >>> x = np.array([[[1.0, 10.0], [2.0, 20.0]]], "float32")
        >>> depthwise_conv(x, np.ones((2, 2, 1), "float32")).numpy()
        array([[[ 3., 30.]]], dtype=float32)
    """
    x, w = operand(inputs), operand(kernel)
    window = sliding(_size(w, spatial(x, "depthwise_conv")), strides, padding, dilation_rate)
    return in_layout(lambda x: depthwise(x, w, window), x, data_format)


def separable_conv(
    inputs: TensorLike,
    depthwise_kernel: TensorLike,
    pointwise_kernel: TensorLike,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Return a `depthwise_conv` followed by a `conv` with windows of one position.

    Args:
        inputs: as for `conv`.
        depthwise_kernel: (size, ..., channels, multiplier).
        pointwise_kernel: (1, ..., channels * multiplier, filters).
        strides: steps of the window; one integer for all axes.
        padding: ``"valid"`` or ``"same"``.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        dilation_rate: distance between the positions that a window covers.

    Example:
        >>> x, both = np.ones((1, 4, 2), "float32"), np.ones((1, 2, 1), "float32")
        >>> separable_conv(x, np.ones((3, 2, 1), "float32"), both).numpy().ravel()
        array([6., 6.], dtype=float32)
    """
    x, w, point = operand(inputs), operand(depthwise_kernel), operand(pointwise_kernel)
    rank = spatial(x, "separable_conv")
    window = sliding(_size(w, rank), strides, padding, dilation_rate)
    return in_layout(lambda x: convolved(depthwise(x, w, window), point, one_position(rank)), x, data_format)


def sliding(size: Ints, strides: Sizes, padding: str, dilation: Sizes) -> Window:
    """Return the window of a convolution; causal padding is all before the first step."""
    rank = len(size)
    steps, apart = each(strides, rank), each(dilation, rank)
    if padding.lower() != "causal":
        return Window(size, steps, padding.lower(), apart)
    if rank != 1:
        raise ShapeError(
            f'padding="causal" is for sequences only, and these inputs have {rank} axes like that of time.'
        )
    return Window(size, steps, (((size[0] - 1) * apart[0], 0),), apart)


def one_position(rank: int) -> Window:
    """Return a window of one position."""
    return Window((1,) * rank, (1,) * rank)


def scattering(
    size: Ints, kernel: Ints, strides: Ints, padding: str, output_padding: Ints | None, dilation: Ints
) -> tuple[Ints, Window]:
    """Return the size of the result of a transposed convolution, and the window of the convolution back from there.

    Args:
        size: of the inputs, along the axes that the window slides over.
        kernel: size of the window.
        strides: its steps, in the result.
        padding: ``"valid"`` or ``"same"``.
        output_padding: what is added to the size of the result; None where `padding` alone decides it.
        dilation: distance between the positions that a window covers.
    """
    same, whole = Window(kernel, strides, padding.lower(), dilation).padding == "same", []
    pads: Pads = ()
    for axis, (n, step) in enumerate(zip(size, strides, strict=True)):
        extent = (kernel[axis] - 1) * dilation[axis] + 1
        if output_padding is None:
            last = step if same else max(extent, step)
        else:
            last = extent + output_padding[axis] - (extent // 2 * 2 if same else 0)
        before = max(0, (extent - last) // 2) if same else 0
        pads += ((before, extent - last - before),)
        whole.append((n - 1) * step + last)
    return tuple(whole), Window(kernel, strides, pads, dilation)


def convolved(x: Tensor, kernel: Tensor, window: Window, groups: int = 1) -> Tensor:
    """Return the convolution of x (batch, ..., channels), with the channels in independent `groups`."""
    if groups > 1:
        inputs, outputs = kernel.shape[-2], kernel.shape[-1] // groups
        parts = (
            convolved(x[..., g * inputs : (g + 1) * inputs], kernel[..., g * outputs : (g + 1) * outputs], window)
            for g in range(groups)
        )
        return concatenate(list(parts), axis=-1)
    n, *size, c = x.shape
    if len(size) == 2:
        return conv2d(x, kernel, window=window)
    if len(size) == 1:
        y = conv2d(reshape(x, (n, 1, *size, c)), reshape(kernel, (1, *kernel.shape)), window=as_rows(window))
    else:  # the windows along the first axis become channels
        depth, *rest = size
        first = axes_of(window, 0, 1)
        layers = im2col(reshape(x, (n, depth, prod(rest), c)), window=as_columns(first))
        images = reshape(layers, (n * first.output((depth,))[0], *rest, window.kernel[0] * c))
        y = conv2d(images, _filters_of_images(kernel), window=axes_of(window, 1, 3))
    return reshape(y, (n, *window.output(tuple(size)), kernel.shape[-1]))


def transposed(x: Tensor, kernel: Tensor, size: Ints, window: Window) -> Tensor:
    """Return the adjoint of `convolved`: x (batch, ..., channels) and a kernel (..., filters, channels) give `size`."""
    n, *before, c = x.shape
    filters = kernel.shape[-2]
    whole = (n, *size, filters)
    if len(size) == 2:
        return conv2d_input_grad(x, kernel, shape=whole, window=window)
    if len(size) == 1:
        rows, weights = reshape(x, (n, 1, *before, c)), reshape(kernel, (1, *kernel.shape))
        y = conv2d_input_grad(rows, weights, shape=(n, 1, *size, filters), window=as_rows(window))
        return reshape(y, whole)
    count, pixels = n * before[0], prod(size[1:])
    images, weights = reshape(x, (count, *before[1:], c)), _filters_of_images(kernel)
    shape = (count, *size[1:], window.kernel[0] * filters)
    layers = conv2d_input_grad(images, weights, shape=shape, window=axes_of(window, 1, 3))
    columns = reshape(layers, (count * pixels, shape[-1]))
    y = col2im(columns, shape=(n, size[0], pixels, filters), window=as_columns(axes_of(window, 0, 1)))
    return reshape(y, whole)


def depthwise(x: Tensor, kernel: Tensor, window: Window) -> Tensor:
    """Return the convolution of each channel of x (batch, ..., channels) with kernels (..., channels, multiplier)."""
    *size, channels, multiplier = kernel.shape
    if channels != x.shape[-1]:
        raise ShapeError(
            f"a kernel of shape {kernel.shape} is for {channels} channels, and the inputs have {x.shape[-1]}."
        )
    if multiplier > 1:  # each channel as many times
        x = reshape(broadcast_to(x[..., None], (*x.shape, multiplier)), (*x.shape[:-1], channels * multiplier))
    n, *before, c = x.shape
    weights = reshape(kernel, (*size, c))
    if len(size) == 2:
        return depthwise_conv2d(x, weights, window=window)
    if len(size) == 3:
        return convolved(x, reshape(kernel, (*size, 1, c)), window, c)
    y = depthwise_conv2d(reshape(x, (n, 1, *before, c)), reshape(weights, (1, *weights.shape)), window=as_rows(window))
    return reshape(y, (n, *window.output(tuple(before)), c))


def _filters_of_images(kernel: Tensor) -> Tensor:
    """Return the kernel of volumes, (depth, height, width, c, f), as one of images: (height, width, depth * c, f)."""
    d, h, w, c, f = kernel.shape
    return reshape(transpose(kernel, (1, 2, 0, 3, 4)), (h, w, d * c, f))


def _size(kernel: Tensor, rank: int) -> Ints:
    if kernel.ndim != rank + 2:
        raise ShapeError(
            f"a kernel over {rank} axes has shape (size of each, channels, filters), {rank + 2} numbers, got "
            f"{kernel.shape}."
        )
    return kernel.shape[:rank]
