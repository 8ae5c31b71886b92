"""Inception V3: branches of convolutions of several sizes, concatenated.

Source: Szegedy et al., "Rethinking the Inception architecture for computer vision", 2015.
"""

from __future__ import annotations

from gpudl import layers
from gpudl.applications._network import UNNAMED, Symbol, activated, channel_axis, network, normalized
from gpudl.applications.imagenet_utils import decode_predictions, preprocessing
from gpudl.applications.resnet import files

__all__ = [
    "InceptionV3",
    "decode_predictions",
    "preprocess_input",
]

preprocess_input = preprocessing("tf")
Step = tuple[int, int, int]
"""The filters of a convolution, and its height and width."""


def _conv(x: Symbol, step: Step, strides: int = 1, padding: str = "same") -> Symbol:
    filters, height, width = step
    x = layers.Conv2D(filters, (height, width), strides=strides, padding=padding, use_bias=False)(x)
    return activated(normalized(x, None, scale=False), None)


def _branch(x: Symbol, *steps: Step) -> Symbol:
    for step in steps:
        x = _conv(x, step)
    return x


def _halving_branch(x: Symbol, *steps: Step) -> Symbol:
    return _conv(_branch(x, *steps[:-1]), steps[-1], 2, "valid")


def _pooled(x: Symbol, filters: int) -> Symbol:
    return _conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), (filters, 1, 1))


def _mixed(branches: list[Symbol], name: str | None) -> Symbol:
    y: Symbol = layers.concatenate(branches, axis=channel_axis(), name=name)
    return y


def _long(x: Symbol, width: int, name: str) -> Symbol:
    """Return branches of 7 x 7 windows, as 1 x 7 and 7 x 1 ones."""
    whole, across, down = (192, 1, 1), (width, 1, 7), (width, 7, 1)
    branches = [
        _branch(x, whole),
        _branch(x, (width, 1, 1), across, (192, 7, 1)),
        _branch(x, (width, 1, 1), down, across, down, (192, 1, 7)),
    ]
    return _mixed([*branches, _pooled(x, 192)], name)


def _wide(x: Symbol, at: int) -> Symbol:
    first = _branch(x, (320, 1, 1))
    second = _branch(x, (384, 1, 1))
    second = _mixed([_branch(second, (384, 1, 3)), _branch(second, (384, 3, 1))], f"mixed9_{at}")
    third = _branch(x, (448, 1, 1), (384, 3, 3))
    third = _mixed([_branch(third, (384, 1, 3)), _branch(third, (384, 3, 1))], None)
    return _mixed([first, second, third, _pooled(x, 192)], f"mixed{9 + at}")


def _body(x: Symbol) -> Symbol:
    x = _conv(_conv(x, (32, 3, 3), 2, "valid"), (32, 3, 3), 1, "valid")
    x = layers.MaxPooling2D(3, strides=2)(_conv(x, (64, 3, 3)))
    x = _conv(_conv(x, (80, 1, 1), 1, "valid"), (192, 3, 3), 1, "valid")
    x = layers.MaxPooling2D(3, strides=2)(x)
    for at, filters in enumerate((32, 64, 64)):
        branches = [
            _branch(x, (64, 1, 1)),
            _branch(x, (48, 1, 1), (64, 5, 5)),
            _branch(x, (64, 1, 1), (96, 3, 3), (96, 3, 3)),
        ]
        x = _mixed([*branches, _pooled(x, filters)], f"mixed{at}")
    branches = [_halving_branch(x, (384, 3, 3)), _halving_branch(x, (64, 1, 1), (96, 3, 3), (96, 3, 3))]
    x = _mixed([*branches, layers.MaxPooling2D(3, strides=2)(x)], "mixed3")
    for at, width in enumerate((128, 160, 160, 192), 4):
        x = _long(x, width, f"mixed{at}")
    branches = [
        _halving_branch(x, (192, 1, 1), (320, 3, 3)),
        _halving_branch(x, (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3)),
    ]
    x = _mixed([*branches, layers.MaxPooling2D(3, strides=2)(x)], "mixed8")
    return _wide(_wide(x, 0), 1)


InceptionV3 = network(
    "InceptionV3",
    "an Inception V3, see `inception_v3`",
    _body,
    files(
        "inception_v3",
        "9a0d58056eeedaa3f26cb7ebd46da564",
        "bcbd6486424b2319ff4ef7d526e38f63",
        "tensorflow/keras-applications/inception_v3/",
    ),
    size=299,
    least=75,
    head=UNNAMED,
    module=__name__,
    model="inception_v3",
)
