"""MobileNet V2: narrow layers with shortcuts, and wide depthwise convolutions between them.

Source: Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018.
"""

from __future__ import annotations

import os
from functools import partial

from gpudl import layers
from gpudl.applications._network import (
    Given,
    Head,
    Published,
    Size,
    Symbol,
    assembled,
    channel_axis,
    divisible,
    height_of,
    normalized,
    padding_before_strides,
    scores,
    side_of,
)
from gpudl.applications.imagenet_utils import decode_predictions, preprocessing
from gpudl.applications.mobilenet import relu6
from gpudl.models import Model
from gpudl.registry import Identifier

__all__ = [
    "MobileNetV2",
    "decode_predictions",
    "preprocess_input",
]

_SIDES = (96, 128, 160, 192, 224)
_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
# How many blocks there are of how many filters, and the strides of the first.
_STAGES = ((1, 16, 1), (2, 24, 2), (3, 32, 2), (4, 64, 2), (3, 96, 1), (3, 160, 2), (1, 320, 1))

preprocess_input = preprocessing("tf")
_normalized = partial(normalized, epsilon=1e-3, momentum=0.999)


def _block(inputs: Symbol, filters: int, stride: int, at: int) -> Symbol:
    x, channels = inputs, inputs.shape[channel_axis()]
    start = f"block_{at}_" if at else "expanded_conv_"
    if at:
        x = layers.Conv2D(6 * channels, 1, padding="same", use_bias=False, name=f"{start}expand")(x)
        x = relu6(_normalized(x, f"{start}expand_BN"), f"{start}expand_relu")
    if stride == 2:
        x = layers.ZeroPadding2D(padding_before_strides(x, 3), name=f"{start}pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False, name=f"{start}depthwise")(x)
    x = relu6(_normalized(x, f"{start}depthwise_BN"), f"{start}depthwise_relu")
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{start}project")(x)
    x = _normalized(x, f"{start}project_BN")
    return layers.Add(name=f"{start}add")([inputs, x]) if stride == 1 and channels == filters else x


def _top(x: Symbol, classes: int, activation: Identifier) -> Symbol:
    return scores(layers.GlobalAveragePooling2D()(x), classes, activation)


def MobileNetV2(  # noqa: N802 (Keras's name)
    input_shape: tuple[Size, ...] | None = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    input_tensor: Symbol | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str | None = None,
) -> Model:
    """Return a MobileNet V2, see `mobilenet_v2`.

    Args:
        input_shape: see `ResNet50`.
        alpha: a factor of the number of filters in all layers.
        include_top: see `ResNet50`.
        weights: see `ResNet50`.
        input_tensor: see `ResNet50`.
        pooling: see `ResNet50`.
        classes: see `ResNet50`.
        classifier_activation: see `ResNet50`.
        name: a name.

    Raises:
        ValueError: an argument that does not fit; the text says which.
    """
    side = side_of(input_shape, _SIDES)
    given = Given("MobileNetV2", include_top, weights, classes, pooling, classifier_activation, side, 32)
    if weights == "imagenet" and alpha not in _ALPHAS:
        known = ", ".join(map(str, _ALPHAS))
        raise ValueError(f"MobileNetV2: the weights of 'imagenet' are for an alpha of {known}, got {alpha}.")

    def body(x: Symbol) -> Symbol:
        x = layers.Conv2D(divisible(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
        x = relu6(_normalized(x, "bn_Conv1"), "Conv1_relu")
        blocks = [(f, stride if i == 0 else 1) for count, f, stride in _STAGES for i in range(count)]
        for at, (filters, stride) in enumerate(blocks):
            x = _block(x, divisible(int(filters * alpha)), stride, at)
        last = divisible(1280 * alpha) if alpha > 1 else 1280
        x = layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
        return relu6(_normalized(x, "Conv_1_bn"), "out_relu")

    start = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{side}"
    folder = "tensorflow/keras-applications/mobilenet_v2/"
    published = Published(folder, f"{start}.h5"), Published(folder, f"{start}_no_top.h5")
    height = height_of(given.shape(input_shape))
    name = f"mobilenetv2_{alpha:0.2f}_{height}" if name is None else name
    return assembled(given, body, Head(None, _top), published, input_tensor, input_shape, name)
