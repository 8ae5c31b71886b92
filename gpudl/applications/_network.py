"""What all networks share: their arguments, their inputs and their last layers, and where weights are found."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from gpudl import activations, config, layers
from gpudl.applications import _weights
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tensor import Tensor
from gpudl.models import Model
from gpudl.registry import Identifier
from gpudl.utils import get_file, get_source_inputs

Symbol: TypeAlias = Tensor
Size: TypeAlias = int | None
Body: TypeAlias = Callable[[Symbol], Symbol]
"""The layers of a network between its inputs and its last ones."""

_SERVER = "https://storage.googleapis.com/"


class Published(NamedTuple):
    """A file of weights that were trained on ImageNet.

    Attributes:
        folder: on the server.
        file: its name.
        checksum: its MD5, if it is known.
    """

    folder: str
    file: str
    checksum: str | None = None

    def path(self) -> str:
        """Return where the file is, which is downloaded once."""
        return get_file(self.file, f"{_SERVER}{self.folder}{self.file}", cache_subdir="models", file_hash=self.checksum)


class Head(NamedTuple):
    """The last layers of a network.

    Attributes:
        name: of the layers for pooling, a pattern such as ``"{}_pool"``; None for names by themselves.
        top: returns class scores of features.
    """

    name: str | None
    top: Callable[[Symbol, int, Identifier], Symbol]


def dense_top(x: Symbol, classes: int, activation: Identifier) -> Symbol:
    """Return the scores of classes, of the mean of features over all places."""
    return scores(layers.GlobalAveragePooling2D(name="avg_pool")(x), classes, activation)


def scores(x: Symbol, classes: int, activation: Identifier) -> Symbol:
    """Return the scores of classes, of a row of features."""
    y: Symbol = layers.Dense(classes, activation=activation, name="predictions")(x)
    return y


NAMED = Head("{}_pool", dense_top)
UNNAMED = Head(None, dense_top)


class Network(Protocol):
    """A function that builds a network."""

    def __call__(
        self,
        include_top: bool = True,
        weights: str | os.PathLike[str] | None = "imagenet",
        input_tensor: Symbol | None = None,
        input_shape: tuple[Size, ...] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Identifier = "softmax",
        name: str = "",
    ) -> Model:
        """Return the network."""
        ...


def network(
    function: str,
    title: str,
    body: Body,
    published: tuple[Published, Published],
    size: int = 224,
    least: int = 32,
    head: Head = NAMED,
    module: str = "",
    model: str | None = None,
) -> Network:
    """Return the function of a name that builds the network of a `body`, with the arguments that all have.

    Args:
        function: its name.
        title: what it builds, for its documentation.
        body: the layers.
        published: the files of weights, with the last layer and without.
        size: height and width of the images that it was trained on.
        least: the smallest height and width.
        head: the last layers.
        module: where it is.
        model: the name of the models; None means that of the function.
    """

    def build(
        include_top: bool = True,
        weights: str | os.PathLike[str] | None = "imagenet",
        input_tensor: Symbol | None = None,
        input_shape: tuple[Size, ...] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Identifier = "softmax",
        name: str = model or function.lower(),
    ) -> Model:
        given = Given(function, include_top, weights, classes, pooling, classifier_activation, size, least)
        return assembled(given, body, head, published, input_tensor, input_shape, name)

    build.__name__ = build.__qualname__ = function
    build.__module__ = module
    build.__doc__ = f"""Return {title}.

    Args:
        include_top: whether it ends with the scores of classes; else with features.
        weights: ``"imagenet"`` downloads weights once that were trained on ImageNet; else a file of weights of such a
            network, or None for random ones.
        input_tensor: a symbol that is the input, such as an `Input`.
        input_shape: (height, width, channels) of the images, at least {least} x {least}; by default {size} x {size}
            with 3 channels, or any size without the scores.
        pooling: for features: ``"avg"`` or ``"max"`` over all places; None keeps places.
        classes: the number of classes.
        classifier_activation: the activation of the scores; None gives logits.
        name: a name.

    Raises:
        ValueError: an argument that does not fit; the text says which.
    """
    return build


class Given(NamedTuple):
    """Arguments of a network, see `network`."""

    who: str
    include_top: bool
    weights: str | os.PathLike[str] | None
    classes: int
    pooling: str | None
    activation: Identifier
    size: int
    least: int

    def check(self) -> None:
        """Raise ValueError for arguments that do not fit each other."""
        weights = self.weights
        if not (weights is None or weights == "imagenet" or os.path.exists(weights)):
            raise ValueError(
                f"{self.who}: weights must be None, 'imagenet' or the path of a file that is there, got {weights!r}."
            )
        if self.pooling not in (None, "avg", "max"):
            raise ValueError(f"{self.who}: pooling must be None, 'avg' or 'max', got {self.pooling!r}.")
        if weights == "imagenet" and self.include_top and self.classes != 1000:
            raise ValueError(
                f"{self.who}: the weights of 'imagenet' are of 1000 classes, got classes={self.classes}. Use "
                "include_top=False and a layer of your own after it, or weights=None."
            )
        known = activations.get("softmax"), activations.get(None)
        if weights is not None and self.include_top and activations.get(self.activation) not in known:
            raise ValueError(
                f"{self.who}: with weights the classifier_activation is 'softmax' or None, got {self.activation!r}."
            )

    def shape(self, shape: tuple[Size, ...] | None) -> tuple[Size, ...]:
        """Return the shape of the images."""
        first = config.image_data_format() == "channels_first"

        def laid(height: Size, width: Size, channels: Size) -> tuple[Size, ...]:
            return (channels, height, width) if first else (height, width, channels)

        if shape is None:
            side = self.size if self.include_top else None
            return laid(side, side, 3)
        if len(shape) != 3:
            raise ValueError(f"{self.who}: input_shape must have three sizes, got {shape}.")
        sides, channels = (shape[1:], shape[0]) if first else (shape[:2], shape[2])
        if self.weights == "imagenet" and channels != 3:
            raise ValueError(f"{self.who}: the weights of 'imagenet' are for 3 channels, got input_shape={shape}.")
        if self.weights == "imagenet" and self.include_top and tuple(sides) != (self.size, self.size):
            raise ValueError(
                f"{self.who}: with the weights of 'imagenet' and the last layer input_shape must be "
                f"{laid(self.size, self.size, 3)}, got {shape}. include_top=False allows other sizes."
            )
        if any(side is not None and side < self.least for side in sides):
            raise ValueError(f"{self.who}: images must be at least {self.least} x {self.least}, got {shape}.")
        if self.include_top and None in shape:
            raise ValueError(f"{self.who}: with include_top=True all sizes of input_shape must be known, got {shape}.")
        return tuple(shape)


def assembled(
    given: Given,
    body: Body,
    head: Head,
    published: tuple[Published, Published],
    input_tensor: Symbol | None,
    input_shape: tuple[Size, ...] | None,
    name: str,
) -> Model:
    """Return the model of a body and its last layers, with weights."""
    given.check()
    shape = given.shape(input_shape)
    inputs: Symbol
    if input_tensor is None:
        inputs = layers.Input(shape)
    elif isinstance(input_tensor, KerasTensor):
        inputs = input_tensor
    else:
        raise ValueError(f"{given.who}: input_tensor must be a symbol, such as an Input, got {input_tensor!r}.")
    x = body(inputs)
    if given.include_top:
        x = head.top(x, given.classes, given.activation)
    elif given.pooling is not None:
        kind = layers.GlobalAveragePooling2D if given.pooling == "avg" else layers.GlobalMaxPooling2D
        x = kind(name=None if head.name is None else head.name.format(given.pooling))(x)
    sources = get_source_inputs(input_tensor) if isinstance(input_tensor, KerasTensor) else inputs
    model = Model(sources, x, name=name)
    if given.weights == "imagenet":
        _weights.load(model, published[0 if given.include_top else 1].path())
    elif given.weights is not None:
        _weights.load(model, given.weights)
    return model


def side_of(shape: tuple[Size, ...] | None, known: tuple[int, ...], default: int = 224) -> int:
    """Return the side of square images of `shape` if it is a known one, for which there are weights."""
    if shape is None or len(shape) != 3:
        return default
    sides = {*(shape[1:] if config.image_data_format() == "channels_first" else shape[:2])}
    side = sides.pop()
    return side if not sides and side in known else default


def height_of(shape: tuple[Size, ...]) -> Size:
    """Return the height of images of a shape."""
    return shape[1 if config.image_data_format() == "channels_first" else 0]


def channel_axis() -> int:
    """Return the axis of the channels."""
    return 1 if config.image_data_format() == "channels_first" else 3


def normalized(
    x: Symbol, name: str | None, epsilon: float = 1e-3, momentum: float = 0.99, scale: bool = True
) -> Symbol:
    """Return x after a batch normalization."""
    layer = layers.BatchNormalization(channel_axis(), momentum, epsilon, scale=scale, name=name)
    y: Symbol = layer(x)
    return y


def activated(x: Symbol, name: str | None, activation: str = "relu") -> Symbol:
    """Return x after an activation."""
    y: Symbol = layers.Activation(activation, name=name)(x)
    return y


def padding_before_strides(x: Symbol, kernel: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the zeros around x before a convolution with strides of 2 whose windows begin at even places."""
    first = config.image_data_format() == "channels_first"
    sides = x.shape[2:4] if first else x.shape[1:3]
    before = [kernel // 2 - (1 if side is None else 1 - side % 2) for side in sides]
    return (before[0], kernel // 2), (before[1], kernel // 2)


def divisible(count: float, by: int = 8) -> int:
    """Return the number of channels nearest to `count` that `by` divides, but not less than nine tenths of it."""
    found = max(by, int(count + by / 2) // by * by)
    return found + by if found < 0.9 * count else found
