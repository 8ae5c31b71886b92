"""Xception: separable convolutions, with shortcuts.

Source: Chollet, "Xception: deep learning with depthwise separable convolutions", 2016.
"""

from __future__ import annotations

from gpudl import layers
from gpudl.applications._network import UNNAMED, Symbol, activated, network, normalized
from gpudl.applications.imagenet_utils import decode_predictions, preprocessing
from gpudl.applications.resnet import files

__all__ = [
    "Xception",
    "decode_predictions",
    "preprocess_input",
]

preprocess_input = preprocessing("tf")


def _separable(x: Symbol, filters: int, name: str) -> Symbol:
    return normalized(layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x), f"{name}_bn")


def _halving(x: Symbol, block: int, filters: tuple[int, int]) -> Symbol:
    """Return x at half the size, with a convolution as the shortcut."""
    shortcut = normalized(layers.Conv2D(filters[1], 1, strides=2, padding="same", use_bias=False)(x), None)
    for at, count in enumerate(filters, 1):
        if block > 2 or at > 1:
            x = activated(x, f"block{block}_sepconv{at}_act")
        x = _separable(x, count, f"block{block}_sepconv{at}")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
    y: Symbol = layers.add([x, shortcut])
    return y


def _body(x: Symbol) -> Symbol:
    for at, (filters, stride) in enumerate(((32, 2), (64, 1)), 1):
        name = f"block1_conv{at}"
        x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=name)(x)
        x = activated(normalized(x, f"{name}_bn"), f"{name}_act")
    for block, filters in ((2, 128), (3, 256), (4, 728)):
        x = _halving(x, block, (filters, filters))
    for block in range(5, 13):
        shortcut = x
        for at in range(1, 4):
            x = _separable(activated(x, f"block{block}_sepconv{at}_act"), 728, f"block{block}_sepconv{at}")
        x = layers.add([x, shortcut])
    x = _halving(x, 13, (728, 1024))
    for at, count in enumerate((1536, 2048), 1):
        x = activated(_separable(x, count, f"block14_sepconv{at}"), f"block14_sepconv{at}_act")
    return x


Xception = network(
    "Xception",
    "an Xception, see `xception`",
    _body,
    files(
        "xception",
        "0a58e3b7378bc2990ea3b43d5981f1f6",
        "b0042744bf5b25fce3cb969f33bebb97",
        "tensorflow/keras-applications/xception/",
    ),
    size=299,
    least=71,
    head=UNNAMED,
    module=__name__,
)
