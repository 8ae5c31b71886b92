"""DenseNet: each layer reads the outputs of all layers before it.

Source: Huang et al., "Densely connected convolutional networks", 2016.
"""

from __future__ import annotations

from gpudl import config, layers
from gpudl.applications._network import Body, Symbol, activated, channel_axis, network, normalized
from gpudl.applications.imagenet_utils import decode_predictions, preprocessing
from gpudl.applications.resnet import EPSILON, files

__all__ = [
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "decode_predictions",
    "preprocess_input",
]

_GROWTH = 32

preprocess_input = preprocessing("torch")


def _block(x: Symbol, name: str) -> Symbol:
    y = activated(normalized(x, f"{name}_0_bn", EPSILON), f"{name}_0_relu")
    y = layers.Conv2D(4 * _GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(y)
    y = activated(normalized(y, f"{name}_1_bn", EPSILON), f"{name}_1_relu")
    y = layers.Conv2D(_GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(y)
    z: Symbol = layers.Concatenate(channel_axis(), name=f"{name}_concat")([x, y])
    return z


def _halved(x: Symbol, name: str) -> Symbol:
    x = activated(normalized(x, f"{name}_bn", EPSILON), f"{name}_relu")
    x = layers.Conv2D(x.shape[channel_axis()] // 2, 1, use_bias=False, name=f"{name}_conv")(x)
    y: Symbol = layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)
    return y


def _body(*repeats: int) -> Body:
    def body(x: Symbol) -> Symbol:
        if config.image_data_format() == "channels_first":
            raise ValueError("DenseNet needs images with the channels last: config.set_image_data_format.")
        x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(layers.ZeroPadding2D(3)(x))
        x = activated(normalized(x, "conv1_bn", EPSILON), "conv1_relu")
        x = layers.MaxPooling2D(3, strides=2, name="pool1")(layers.ZeroPadding2D(1)(x))
        for stage, count in enumerate(repeats, 2):
            x = x if stage == 2 else _halved(x, f"pool{stage - 1}")
            for at in range(1, count + 1):
                x = _block(x, f"conv{stage}_block{at}")
        return activated(normalized(x, "bn", EPSILON), "relu")

    return body


_HASHES = {
    121: ("9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738"),
    169: ("d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b"),
    201: ("1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1"),
}
_REPEATS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
DenseNet121, DenseNet169, DenseNet201 = (
    network(
        f"DenseNet{depth}",
        f"a DenseNet of {depth} layers, see `densenet`",
        _body(*_REPEATS[depth]),
        files(f"densenet{depth}", *_HASHES[depth], "tensorflow/keras-applications/densenet/"),
        module=__name__,
    )
    for depth in _REPEATS
)
