"""The bases of convolution and pooling layers: images in either layout, and a window over them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from gpudl import config, ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.kernels.geometry import Window, WindowError
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.base.layer import Layer

# By layout: the axis of the channels, and the hint for inputs without it.
_CHANNELS = {"channels_last": -1, "channels_first": 1}
_IMAGES = {
    "channels_last": "Images are (batch, height, width, channels)",
    "channels_first": "Images are (batch, channels, height, width)",
}
_RESHAPED = {"channels_last": "x.reshape(-1, 28, 28, 1)", "channels_first": "x.reshape(-1, 1, 28, 28)"}
Pair = tuple[int, int]
Size = int | Pair


def pair(who: str, **size: object) -> Pair:
    """Return a positive integer, or two of them, as a pair; raise ValueError, which names it, for anything else."""
    ((name, value),) = size.items()
    both = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(both) != 2 or not all(isinstance(n, int | np.integer) and n > 0 for n in both):
        raise ValueError(f"{who}: {name} must be a positive integer or a pair of them, got {value!r}.")
    return int(both[0]), int(both[1])


def image_hint(data_format: str, shape: Shape) -> str:
    """Return a hint for inputs of `shape`; not a method, so that a layer does not hold itself."""
    images = _IMAGES[data_format]
    if len(shape) != 4:
        return f"{images}: add the channel axis, e.g. {_RESHAPED[data_format]}."
    return f"{images}; the number of channels cannot change after the first call."


class OnImages(Layer):
    """A layer on images.

    Args:
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.
    """

    def __init__(self, *, data_format: str | None, **options: Any) -> None:
        super().__init__(**options)
        self.data_format = config.check_data_format(data_format)
        self.input_spec = InputSpec(ndim=4, hint=partial(image_hint, self.data_format))

    @property
    def channel_axis(self) -> int:
        """The axis of the channels."""
        return _CHANNELS[self.data_format]


class Windowed(OnImages):
    """A layer that slides a window over images; subclasses set `window` and implement `slide`.

    Args:
        padding: ``"valid"`` or ``"same"``.
        data_format: that of `OnImages`.
        **options: those of `Layer`.
    """

    window: Window

    def __init__(self, *, padding: str, data_format: str | None, **options: object) -> None:
        super().__init__(data_format=data_format, **options)
        self.padding = str(padding).lower()

    def build(self, input_shape: Shape) -> None:
        """Check that the window fits images of `input_shape`; raise ShapeError if not."""
        sizes = input_shape[1:3] if self.channel_axis == -1 else input_shape[2:]
        extent = self.window.extent
        try:
            self.window.output(tuple(e if n is None else n for n, e in zip(sizes, extent, strict=True)))
        except WindowError as error:
            raise ShapeError(str(error)) from None

    def call(self, x: Tensor) -> Tensor:
        """Return the result of `slide`, in the layout of the inputs."""
        if self.channel_axis == -1:
            return self.slide(x)
        return ops.transpose(self.slide(ops.transpose(x, axes=(0, 2, 3, 1))), axes=(0, 3, 1, 2))

    def slide(self, x: Tensor) -> Tensor:
        """Return the outputs for images (batch, height, width, channels)."""
        raise NotImplementedError(f"{type(self).__name__} must implement slide(x).")
