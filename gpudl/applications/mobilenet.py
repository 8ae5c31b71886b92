"""MobileNet: depthwise convolutions, each followed by a 1 x 1 one.

Source: Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017.
"""

from __future__ import annotations

import os

from gpudl import layers
from gpudl.applications._network import Given, Head, Published, Size, Symbol, assembled, height_of, normalized, side_of
from gpudl.applications.imagenet_utils import decode_predictions, preprocessing
from gpudl.models import Model
from gpudl.registry import Identifier

__all__ = [
    "MobileNet",
    "decode_predictions",
    "preprocess_input",
]

_SIDES = (128, 160, 192, 224)
_ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
# The filters after each block, and the strides of its depthwise convolution.
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))

preprocess_input = preprocessing("tf")


def relu6(x: Symbol, name: str) -> Symbol:
    """Return x limited to [0, 6]."""
    y: Symbol = layers.ReLU(6.0, name=name)(x)
    return y


def _block(x: Symbol, filters: int, depth_multiplier: int, stride: int, at: int) -> Symbol:
    if stride > 1:
        x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{at}")(x)
    x = layers.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        depth_multiplier=depth_multiplier,
        use_bias=False,
        name=f"conv_dw_{at}",
    )(x)
    x = relu6(normalized(x, f"conv_dw_{at}_bn"), f"conv_dw_{at}_relu")
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"conv_pw_{at}")(x)
    return relu6(normalized(x, f"conv_pw_{at}_bn"), f"conv_pw_{at}_relu")


def MobileNet(  # noqa: N802 (Keras's name)
    input_shape: tuple[Size, ...] | None = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    input_tensor: Symbol | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str | None = None,
) -> Model:
    """Return a MobileNet, see `mobilenet`.

    Args:
        input_shape: see `ResNet50`.
        alpha: a factor of the number of filters in all layers.
        depth_multiplier: filters per channel in depthwise convolutions.
        dropout: the rate before the last layer.
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
    given = Given("MobileNet", include_top, weights, classes, pooling, classifier_activation, side, 32)
    if weights == "imagenet" and (depth_multiplier != 1 or alpha not in _ALPHAS):
        raise ValueError(
            f"MobileNet: the weights of 'imagenet' are for a depth_multiplier of 1 and an alpha of "
            f"{', '.join(map(str, _ALPHAS))}, got {depth_multiplier} and {alpha}."
        )

    def body(x: Symbol) -> Symbol:
        x = layers.Conv2D(int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(x)
        x = relu6(normalized(x, "conv1_bn"), "conv1_relu")
        for at, (filters, stride) in enumerate(_BLOCKS, 1):
            x = _block(x, int(filters * alpha), depth_multiplier, stride, at)
        return x

    def top(x: Symbol, classes: int, activation: Identifier) -> Symbol:
        x = layers.Dropout(dropout, name="dropout")(layers.GlobalAveragePooling2D(keepdims=True)(x))
        x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
        x = layers.Reshape((classes,), name="reshape_2")(x)
        y: Symbol = layers.Activation(activation, name="predictions")(x)
        return y

    start, folder = f"mobilenet_{_ALPHAS.get(alpha)}_{side}_tf", "tensorflow/keras-applications/mobilenet/"
    published = Published(folder, f"{start}.h5"), Published(folder, f"{start}_no_top.h5")
    height = height_of(given.shape(input_shape))
    name = f"mobilenet_{alpha:0.2f}_{height}" if name is None else name
    return assembled(given, body, Head(None, top), published, input_tensor, input_shape, name)
