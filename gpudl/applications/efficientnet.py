"""EfficientNet: width, depth and resolution grow together from B0 to B7.

Source: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np

from gpudl import config, layers
from gpudl.applications._network import (
    Body,
    Head,
    Network,
    Published,
    Symbol,
    activated,
    channel_axis,
    divisible,
    network,
    normalized,
    padding_before_strides,
)
from gpudl.applications.imagenet_utils import decode_predictions
from gpudl.engine.tensor import Tensor
from gpudl.initializers import VarianceScaling
from gpudl.registry import Identifier

__all__ = [
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "decode_predictions",
    "preprocess_input",
]

_ACTIVATION = "swish"


class _Stage(NamedTuple):
    kernel: int
    repeats: int
    filters: int
    expansion: int
    stride: int


_STAGES = (
    _Stage(3, 1, 16, 1, 1),
    _Stage(3, 2, 24, 6, 2),
    _Stage(5, 2, 40, 6, 2),
    _Stage(3, 3, 80, 6, 2),
    _Stage(5, 3, 112, 6, 1),
    _Stage(5, 4, 192, 6, 2),
    _Stage(3, 1, 320, 6, 1),
)


def preprocess_input(x: Tensor | np.ndarray, data_format: str | None = None) -> Tensor | np.ndarray:
    """Return x: the network itself scales values from 0 to 255."""
    return x


def _kernel() -> VarianceScaling:
    return VarianceScaling(2.0, "fan_out", "truncated_normal")


def _conv(x: Symbol, filters: int, name: str, activation: str | None = None) -> Symbol:
    """Return a convolution of 1 x 1, with a bias if it has an activation."""
    y: Symbol = layers.Conv2D(
        filters,
        1,
        padding="same",
        activation=activation,
        use_bias=activation is not None,
        kernel_initializer=_kernel(),
        name=name,
    )(x)
    return y


def _block(inputs: Symbol, filters: int, stage: _Stage, stride: int, rate: float, name: str) -> Symbol:
    x, channels = inputs, inputs.shape[channel_axis()]
    wide = channels * stage.expansion
    if stage.expansion != 1:
        x = normalized(_conv(x, wide, f"{name}expand_conv"), f"{name}expand_bn")
        x = activated(x, f"{name}expand_activation", _ACTIVATION)
    if stride == 2:
        x = layers.ZeroPadding2D(padding_before_strides(x, stage.kernel), name=f"{name}dwconv_pad")(x)
    x = layers.DepthwiseConv2D(
        stage.kernel,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        use_bias=False,
        depthwise_initializer=_kernel(),
        name=f"{name}dwconv",
    )(x)
    x = activated(normalized(x, f"{name}bn"), f"{name}activation", _ACTIVATION)
    shape = (wide, 1, 1) if config.image_data_format() == "channels_first" else (1, 1, wide)
    gate = layers.Reshape(shape, name=f"{name}se_reshape")(layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x))
    gate = _conv(gate, max(1, channels // 4), f"{name}se_reduce", _ACTIVATION)
    gate = _conv(gate, wide, f"{name}se_expand", "sigmoid")
    x = layers.multiply([x, gate], name=f"{name}se_excite")
    x = normalized(_conv(x, filters, f"{name}project_conv"), f"{name}project_bn")
    if stride == 1 and channels == filters:
        if rate > 0:
            x = layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
        x = layers.add([x, inputs], name=f"{name}add")
    return x


def _body(width: float, depth: float) -> Body:
    repeats = [ceil(depth * stage.repeats) for stage in _STAGES]

    def body(x: Symbol) -> Symbol:
        x = layers.Normalization(axis=channel_axis())(layers.Rescaling(1 / 255)(x))
        x = layers.ZeroPadding2D(padding_before_strides(x, 3), name="stem_conv_pad")(x)
        first = divisible(32 * width)
        x = layers.Conv2D(first, 3, strides=2, use_bias=False, kernel_initializer=_kernel(), name="stem_conv")(x)
        x = activated(normalized(x, "stem_bn"), "stem_activation", _ACTIVATION)
        done = 0
        for number, (stage, count) in enumerate(zip(_STAGES, repeats, strict=True), 1):
            for at in range(count):
                rate, name = 0.2 * done / sum(repeats), f"block{number}{chr(ord('a') + at)}_"
                x = _block(x, divisible(stage.filters * width), stage, stage.stride if at == 0 else 1, rate, name)
                done += 1
        x = normalized(_conv(x, divisible(1280 * width), "top_conv"), "top_bn")
        return activated(x, "top_activation", _ACTIVATION)

    return body


def _head(dropout: float) -> Head:
    def top(x: Symbol, classes: int, activation: Identifier) -> Symbol:
        x = layers.Dropout(dropout, name="top_dropout")(layers.GlobalAveragePooling2D(name="avg_pool")(x))
        start = VarianceScaling(1 / 3, "fan_out", "uniform")
        y: Symbol = layers.Dense(classes, activation=activation, kernel_initializer=start, name="predictions")(x)
        return y

    return Head("{}_pool", top)


def _efficientnet(
    number: int, width: float, depth: float, size: int, dropout: float, hashes: tuple[str, str]
) -> Network:
    name = f"efficientnetb{number}"
    endings = (".h5", "_notop.h5")
    whole, features = (
        Published("keras-applications/", f"{name}{ending}", checksum)
        for ending, checksum in zip(endings, hashes, strict=True)
    )
    return network(
        f"EfficientNetB{number}",
        f"an EfficientNet B{number}, see `efficientnet`; values are from 0 to 255",
        _body(width, depth),
        (whole, features),
        size,
        head=_head(dropout),
        module=__name__,
    )


EfficientNetB0 = _efficientnet(
    0, 1.0, 1.0, 224, 0.2, ("902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d")
)
EfficientNetB1 = _efficientnet(
    1, 1.0, 1.1, 240, 0.2, ("1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432")
)
EfficientNetB2 = _efficientnet(
    2, 1.1, 1.2, 260, 0.3, ("b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39")
)
EfficientNetB3 = _efficientnet(
    3, 1.2, 1.4, 300, 0.3, ("ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226")
)
EfficientNetB4 = _efficientnet(
    4, 1.4, 1.8, 380, 0.4, ("18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba")
)
EfficientNetB5 = _efficientnet(
    5, 1.6, 2.2, 456, 0.4, ("ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f")
)
EfficientNetB6 = _efficientnet(
    6, 1.8, 2.6, 528, 0.5, ("165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743")
)
EfficientNetB7 = _efficientnet(
    7, 2.0, 3.1, 600, 0.5, ("8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a")
)
