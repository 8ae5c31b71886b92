"""ResNet V2, with batch normalization and activation before convolutions.

Source: He et al., "Identity mappings in deep residual networks", 2016.
"""

from __future__ import annotations

from gpudl import layers
from gpudl.applications._network import Body, Symbol, activated, network, normalized
from gpudl.applications.imagenet_utils import decode_predictions, preprocessing
from gpudl.applications.resnet import EPSILON, files, pooled, stem

__all__ = [
    "ResNet50V2",
    "ResNet101V2",
    "ResNet152V2",
    "decode_predictions",
    "preprocess_input",
]

preprocess_input = preprocessing("tf")


def _block(x: Symbol, filters: int, name: str, stride: int, widened: bool) -> Symbol:
    before = activated(normalized(x, f"{name}_preact_bn", EPSILON), f"{name}_preact_relu")
    if widened:
        shortcut = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(before)
    else:
        shortcut = layers.MaxPooling2D(1, strides=stride)(x) if stride > 1 else x
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(before)
    x = activated(normalized(x, f"{name}_1_bn", EPSILON), f"{name}_1_relu")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = activated(normalized(x, f"{name}_2_bn", EPSILON), f"{name}_2_relu")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    y: Symbol = layers.Add(name=f"{name}_out")([shortcut, x])
    return y


def _body(*repeats: int) -> Body:
    def body(x: Symbol) -> Symbol:
        x = pooled(stem(x))
        for stage, count in enumerate(repeats):
            for at in range(count):
                stride = 2 if at == count - 1 and stage < len(repeats) - 1 else 1
                x = _block(x, 64 << stage, f"conv{stage + 2}_block{at + 1}", stride, widened=at == 0)
        return activated(normalized(x, "post_bn", EPSILON), "post_relu")

    return body


_HASHES = {
    50: ("3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"),
    101: ("6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
    152: ("a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"),
}
_REPEATS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
ResNet50V2, ResNet101V2, ResNet152V2 = (
    network(
        f"ResNet{depth}V2",
        f"a ResNet V2 of {depth} layers, see `resnet_v2`",
        _body(*_REPEATS[depth]),
        files(f"resnet{depth}v2", *_HASHES[depth]),
        module=__name__,
    )
    for depth in _REPEATS
)
