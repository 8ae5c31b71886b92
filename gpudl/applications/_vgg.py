"""VGG: blocks of convolutions, each followed by a pooling.

Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014.
"""

from __future__ import annotations

from gpudl import layers
from gpudl.applications._network import Head, Network, Symbol, network, scores
from gpudl.applications.resnet import files
from gpudl.registry import Identifier


def _top(x: Symbol, classes: int, activation: Identifier) -> Symbol:
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
    return scores(x, classes, activation)


def vgg(depth: int, repeats: tuple[int, ...], hashes: tuple[str, str], module: str) -> Network:
    """Return the function that builds a VGG of so many layers."""

    def body(x: Symbol) -> Symbol:
        for block, count in enumerate(repeats, 1):
            for at in range(1, count + 1):
                filters, name = min(32 << block, 512), f"block{block}_conv{at}"
                x = layers.Conv2D(filters, 3, activation="relu", padding="same", name=name)(x)
            x = layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
        return x

    folder = f"tensorflow/keras-applications/vgg{depth}/"
    return network(
        f"VGG{depth}",
        f"a VGG of {depth} layers, see `vgg{depth}`",
        body,
        files(f"vgg{depth}", *hashes, folder),
        head=Head(None, _top),
        module=module,
    )
