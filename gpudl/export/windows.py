"""Convolution and pooling. ONNX has the channels first: what is around a window is turned, twice where it must be."""

from __future__ import annotations

import numpy as np

from gpudl.export.call import Call, translates
from gpudl.export.graph import UNKNOWN, Attribute, NotExpressibleError, Size
from gpudl.kernels.geometry import Ints, Window

_FIRST, _LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def _first(call: Call, position: int = 0) -> str:
    """Return images with the channels first."""
    return call.transposed(call.typed(position), _FIRST)


def _last(call: Call, y: str) -> str:
    return call.transposed(y, _LAST)


def _slides(window: Window) -> dict[str, Attribute]:
    return {"kernel_shape": window.kernel, "strides": window.strides, "dilations": window.dilation}


def _pads(window: Window, sizes: list[Size]) -> tuple[Ints, Ints] | None:
    """Return the padding before and after along both axes; None where it depends on an unknown size."""
    rounded = (one != two and stride > 1 for (one, two), stride in zip(sizes, window.strides, strict=True))
    if window.padding == "same" and any(rounded):
        return None
    before, after = zip(*window.pads(tuple(one for one, _ in sizes)), strict=True)
    return before, after


def _covers(call: Call) -> bool:
    """Return whether the window is as large as the image, whatever its size.

    Raises:
        NotExpressibleError: it depends on the size in another way.
    """
    one, two = call.static["window"], call.other["window"]
    if one == two:
        return False
    whole = list(zip(one.kernel, two.kernel, strict=True)) == call.ins[0].pair.sizes[1:3]
    if not whole or one.padding != "valid":
        raise NotExpressibleError(f"its window depends on a size that is {UNKNOWN}")
    return True


def _padded(call: Call, x: str, window: Window) -> tuple[str, dict[str, Attribute]]:
    """Return x, without the positions at the end that a window leaves out, and how the window slides over it."""
    pads = _pads(window, call.ins[0].pair.sizes[1:3])
    if pads is None:
        return x, {**_slides(window), "auto_pad": "SAME_UPPER"}
    before, after = pads
    if any(n < 0 for n in after):
        x = call.node("Pad", x, call.graph.ints(0, 0, 0, 0, 0, 0, *(min(n, 0) for n in after)))
        after = tuple(max(n, 0) for n in after)
    return x, {**_slides(window), "pads": (*before, *after)}


@translates("conv2d")
def conv2d(call: Call, x: str, w: str, *, window: Window, algorithm: str = "auto") -> str:
    """A convolution."""
    x, slides = _padded(call, _first(call), window)
    return _last(call, call.node("Conv", x, call.transposed(call.typed(1), (3, 2, 0, 1)), **slides))


@translates("depthwise_conv2d")
def depthwise(call: Call, x: str, w: str, *, window: Window) -> str:
    """A convolution of each channel by itself."""
    x, slides = _padded(call, _first(call), window)
    return _last(call, call.node("Conv", x, _each_channel(call), group=call.ins[1].spec.shape[2], **slides))


def _each_channel(call: Call) -> str:
    """Return the filters (KH, KW, C) as ONNX has them for as many groups as channels."""
    return call.node("Unsqueeze", call.transposed(call.typed(1), (2, 0, 1)), call.graph.ints(1))


@translates("conv2d_input_grad")
def transposed_convolution(call: Call, g: str, w: str, *, shape: Ints, window: Window, algorithm: str = "auto") -> str:
    """The adjoint of a convolution, which is a transposed convolution."""
    filters = call.transposed(call.typed(1), (3, 2, 0, 1))
    return _last(call, _adjoint(call, _first(call), filters, 1, window, call.ins[0].pair.sizes[1:3]))


@translates("depthwise_conv2d_input_grad")
def transposed_depthwise(call: Call, g: str, w: str, *, shape: Ints, window: Window) -> str:
    """The adjoint of a depthwise convolution."""
    groups = call.ins[1].spec.shape[2]
    return _last(call, _adjoint(call, _first(call), _each_channel(call), groups, window, call.ins[0].pair.sizes[1:3]))


def _adjoint(call: Call, g: str, filters: str, groups: int, window: Window, given: list[Size]) -> str:
    """Return a transposed convolution of g, of `given` sizes, to the height and width of the result."""
    wanted = call.sizes()[1:3]
    # Of whole strides the padding is always the same.
    whole = [tuple(n * s for n in size) for size, s in zip(given, window.strides, strict=True)] == wanted
    pads = _pads(window, [(one, one) for one, _ in wanted] if whole else wanted)
    more = {
        tuple(
            size[at] - (s * (n[at] - 1) + e)
            for size, n, s, e in zip(wanted, given, window.strides, window.extent, strict=True)
        )
        for at in (0, 1)
    }
    if pads is None or len(more) > 1:
        raise NotExpressibleError(f"its padding depends on a size that is {UNKNOWN}")
    before, after = pads
    ((rows, columns),) = more
    beyond = [m + b + max(a, 0) for m, b, a in zip((rows, columns), before, after, strict=True)]
    inside = [min(n, s - 1) for n, s in zip(beyond, window.strides, strict=True)]
    y = call.node(
        "ConvTranspose",
        g,
        filters,
        group=groups,
        **_slides(window),
        pads=(*before, *(max(n, 0) for n in after)),
        output_padding=tuple(inside),
    )
    left = [n - i for n, i in zip(beyond, inside, strict=True)]
    return call.node("Pad", y, call.graph.ints(0, 0, 0, 0, 0, 0, *left)) if any(left) else y


def _single_taps(call: Call, window: Window, channels: int) -> str:
    """Return filters that each pick one tap of one channel, (C * taps, 1, KH, KW)."""
    one = np.eye(window.taps, dtype=call.dtype).reshape(window.taps, 1, *window.kernel)
    return call.graph.constant(np.tile(one, (channels, 1, 1, 1)))


@translates("im2col")
def windows(call: Call, x: str, *, window: Window) -> str:
    """The windows as rows: what filters that pick one tap each return."""
    (channels,) = call.fixed(3)
    x, slides = _padded(call, _first(call), window)
    taps = call.node("Conv", x, _single_taps(call, window, channels), group=channels, **slides)
    last = call.transposed(taps, _LAST)
    apart = call.node("Reshape", last, call.graph.ints(-1, channels, window.taps))
    return call.node("Reshape", call.transposed(apart, (0, 2, 1)), call.graph.ints(-1, channels * window.taps))


@translates("col2im")
def from_windows(call: Call, cols: str, *, shape: Ints, window: Window) -> str:
    """The sums of windows at their places: the adjoint of the filters that pick one tap each."""
    sizes = call.sizes()
    channels = sizes[3][0]
    outs = [window.output(tuple(size[at] for size in sizes[1:3])) for at in (0, 1)]
    given = list(zip(*outs, strict=True))
    apart = call.node("Reshape", cols, call.graph.ints(-1, window.taps, channels))
    rows = call.node("Reshape", call.transposed(apart, (0, 2, 1)), call.graph.ints(-1, channels * window.taps))
    count = (channels * window.taps,) * 2
    g = call.transposed(call.node("Reshape", rows, call.graph.shape([sizes[0], *given, count])), _FIRST)
    return _last(call, _adjoint(call, g, _single_taps(call, window, channels), channels, window, given))


@translates("max_pool")
def max_pool(call: Call, x: str, *, window: Window) -> list[str]:
    """A maximum of each window."""
    if _covers(call):
        return [_last(call, call.node("GlobalMaxPool", _first(call))), ""]
    x, slides = _padded(call, _first(call), window)
    pads = slides.get("pads", ())
    if isinstance(pads, tuple) and any(pad >= size for pad, size in zip(pads, window.kernel * 2, strict=False)):
        # onnxruntime takes no padding as large as the window.
        ints = call.graph.ints(0, 0, *pads[:2], 0, 0, *pads[2:])
        x = call.node("Pad", x, ints, call.graph.number(-np.inf, call.dtype))
        slides["pads"] = (0, 0, 0, 0)
    return [_last(call, call.node("MaxPool", x, **slides)), ""]


@translates("avg_pool")
def avg_pool(call: Call, x: str, *, window: Window) -> str:
    """A mean of each window, over what is inside the image."""
    if _covers(call):
        return _last(call, call.node("GlobalAveragePool", _first(call)))
    x, slides = _padded(call, _first(call), window)
    if slides.pop("dilations") != (1, 1):
        raise NotExpressibleError("ONNX has no means of windows with gaps")
    return _last(call, call.node("AveragePool", x, count_include_pad=0, **slides))
