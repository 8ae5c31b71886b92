"""ResNet, with batch normalization after convolutions.

Source: He et al., "Deep residual learning for image recognition", 2015.
"""

from __future__ import annotations

from gpudl import layers
from gpudl.applications._network import Body, Published, Symbol, activated, network, normalized
from gpudl.applications.imagenet_utils import decode_predictions, preprocessing

__all__ = [
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "decode_predictions",
    "preprocess_input",
]

EPSILON = 1.001e-5
_FOLDER = "tensorflow/keras-applications/resnet/"

preprocess_input = preprocessing("caffe")


def _block(x: Symbol, filters: int, name: str, stride: int, widened: bool) -> Symbol:
    shortcut = x
    if widened:
        shortcut = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(x)
        shortcut = normalized(shortcut, f"{name}_0_bn", EPSILON)
    x = layers.Conv2D(filters, 1, strides=stride, name=f"{name}_1_conv")(x)
    x = activated(normalized(x, f"{name}_1_bn", EPSILON), f"{name}_1_relu")
    x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x)
    x = activated(normalized(x, f"{name}_2_bn", EPSILON), f"{name}_2_relu")
    x = normalized(layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x), f"{name}_3_bn", EPSILON)
    return activated(layers.Add(name=f"{name}_add")([shortcut, x]), f"{name}_out")


def stem(x: Symbol, use_bias: bool = True) -> Symbol:
    """Return x after the first convolution."""
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    y: Symbol = layers.Conv2D(64, 7, strides=2, use_bias=use_bias, name="conv1_conv")(x)
    return y


def pooled(x: Symbol) -> Symbol:
    """Return x after the pooling that follows the stem."""
    y: Symbol = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(layers.ZeroPadding2D(1, name="pool1_pad")(x))
    return y


def _body(*repeats: int) -> Body:
    def body(x: Symbol) -> Symbol:
        x = pooled(activated(normalized(stem(x), "conv1_bn", EPSILON), "conv1_relu"))
        for stage, count in enumerate(repeats):
            for at in range(count):
                stride = 2 if stage and at == 0 else 1
                x = _block(x, 64 << stage, f"conv{stage + 2}_block{at + 1}", stride, widened=at == 0)
        return x

    return body


def files(name: str, whole: str, body: str, folder: str = _FOLDER) -> tuple[Published, Published]:
    """Return the published files of weights, with the last layer and without, by their checksums."""
    start = f"{name}_weights_tf_dim_ordering_tf_kernels"
    return Published(folder, f"{start}.h5", whole), Published(folder, f"{start}_notop.h5", body)


_HASHES = {
    50: ("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
    101: ("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
    152: ("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
}
_REPEATS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
ResNet50, ResNet101, ResNet152 = (
    network(
        f"ResNet{depth}",
        f"a ResNet of {depth} layers, see `resnet`",
        _body(*_REPEATS[depth]),
        files(f"resnet{depth}", *_HASHES[depth]),
        module=__name__,
    )
    for depth in _REPEATS
)
