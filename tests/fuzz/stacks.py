"""Random layers that fit one after another, as names and arguments that gpudl and Keras both understand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fuzz.programs import Program

ACTIVATIONS = (
    *("linear", "relu", "tanh", "sigmoid", "softmax", "elu", "selu", "gelu", "silu", "softplus", "softsign"),
    *("exponential", "hard_sigmoid", "hard_silu", "leaky_relu", "mish", "relu6", "log_softmax"),
)
Shape = tuple[int, ...]


@dataclass
class Part:
    """A layer: the name of its class and its arguments."""

    kind: str
    kwargs: dict[str, Any] = field(default_factory=dict)

    def make(self, module: Any, **more: Any) -> Any:
        """Return the layer, of gpudl's or Keras's module of layers."""
        return getattr(module, self.kind)(**self.kwargs, **more)

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(f'{k}={v!r}' for k, v in self.kwargs.items())})"


class Stack:
    """Layers chosen one after another, each for the shape that the last one leaves.

    Args:
        program: what to choose by.
        shape: of one sample.
        channels_first: where the channels of images are.
        kinked: whether functions whose slope jumps are allowed.
    """

    def __init__(self, program: Program, shape: Shape, *, channels_first: bool = False, dropout: bool = False) -> None:
        self.program = program
        self.input_shape = self.shape = shape
        self.first = channels_first
        self.dropout = dropout
        self.parts: list[Part] = []

    def grow(self, count: int) -> Stack:
        """Add `count` layers and return the stack."""
        for _ in range(count):
            fitting: list[Callable[[], None]] = [self._dense, self._normalization, self._activation, self._reshaping]
            if len(self.shape) == 3:
                fitting += [self._convolution, self._convolution, self._pooling, self._pooling, self._global_pooling]
            self.program.one_of(fitting)()
        return self

    def close(self, units: int, activation: str | None = None) -> Stack:
        """End with one vector of so many numbers a sample."""
        if len(self.shape) > 1:
            self.add("Flatten")
        return self.add("Dense", units=units, activation=activation, shape=(units,))

    def add(self, kind: str, *, shape: Shape | None = None, **kwargs: Any) -> Stack:
        """Add one layer, after which a sample has `shape`."""
        self.parts.append(Part(kind, kwargs))
        size = 1
        for n in self.shape:
            size *= n
        self.shape = (size,) if kind == "Flatten" else self.shape if shape is None else shape
        return self

    def __repr__(self) -> str:
        return f"{self.input_shape} -> {self.parts}"

    @property
    def _format(self) -> dict[str, str]:
        return {"data_format": "channels_first"} if self.first else {}

    def _some(self, **options: Any) -> dict[str, Any]:
        """Return some of the options."""
        return {name: value for name, value in options.items() if self.program.chance(0.5)}

    def _dense(self) -> None:
        p = self.program
        units = p.integer(1, 9)
        options = self._some(activation=p.one_of(ACTIVATIONS), use_bias=p.chance(0.5))
        self.add("Dense", units=units, **options, shape=(*self.shape[:-1], units))

    def _normalization(self) -> None:
        p = self.program
        options = self._some(epsilon=p.one_of((1e-2, 1e-3)), center=p.chance(0.5), scale=p.chance(0.5))
        axes = len(self.shape)
        if p.chance(0.5):
            some = sorted(p.rng.permutation(axes)[: p.integer(1, axes)] + 1)
            axis = p.one_of((-1, p.integer(1, axes), [int(a) for a in some]))
            self.add("LayerNormalization", axis=axis, **options)
        else:
            axis = 1 if self.first and axes == 3 else p.one_of((-1, p.integer(1, axes)))
            self.add("BatchNormalization", axis=axis, **self._some(momentum=0.9), **options)

    def _activation(self) -> None:
        p = self.program
        if self.dropout and p.chance(0.3):
            self.add("Dropout", rate=p.one_of((0.0, 0.25, 0.5)), seed=p.integer(0, 99))
            return
        kind = p.one_of(("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax"))
        arguments: dict[str, dict[str, Any]] = {
            "Activation": {"activation": p.one_of(ACTIVATIONS)},
            "ReLU": self._some(max_value=1.5, negative_slope=0.2, threshold=0.25),
            "LeakyReLU": self._some(negative_slope=0.1),
            "ELU": self._some(alpha=0.7),
            "Softmax": self._some(axis=p.integer(1, len(self.shape))),
        }
        self.add(kind, **arguments[kind])

    def _reshaping(self) -> None:
        if self.program.chance(0.5):
            self.add("Flatten", **(self._format if len(self.shape) == 3 else {}))
        else:
            target = tuple(int(n) for n in self.program.rng.permutation(self.shape))
            unknown = self.program.integer(0, len(target))  # or none, after the last one
            given = tuple(-1 if i == unknown else n for i, n in enumerate(target))
            self.add("Reshape", target_shape=given, shape=target)

    def _sides(self) -> tuple[int, int, int]:
        """Return height, width and channels."""
        a, b, c = self.shape
        return (b, c, a) if self.first else (a, b, c)

    def _image(self, height: int, width: int, channels: int) -> Shape:
        return (channels, height, width) if self.first else (height, width, channels)

    def _window(self, dilated: bool) -> tuple[dict[str, Any], list[int]]:
        """Return size, strides, dilation and padding of a window that fits, and the sides that it leaves."""
        p = self.program
        padding = p.one_of(("valid", "same"))
        size, strides, dilation, left = [], [], [], []
        dilate = dilated and p.chance(0.3)
        for n in self._sides()[:2]:
            k = p.integer(1, 4)
            d = p.integer(1, 2) if dilate else 1
            if padding == "valid":
                k = max(1, min(k, (n - 1) // d + 1))
            s = 1 if dilate else p.integer(1, 3)
            size.append(k)
            strides.append(s)
            dilation.append(d)
            left.append(-(-n // s) if padding == "same" else (n - (k - 1) * d - 1) // s + 1)
        options: dict[str, Any] = {"padding": padding, "strides": tuple(strides), "size": tuple(size)}
        return options | ({"dilation_rate": tuple(dilation)} if dilate else {}), left

    def _convolution(self) -> None:
        p = self.program
        options, left = self._window(dilated=True)
        channels = self._sides()[2]
        groups = p.one_of([g for g in (1, 1, 1, 2, 3) if channels % g == 0])
        filters = groups * p.integer(1, 5 if p.chance(0.8) else 20)
        given = {"filters": filters, "kernel_size": options.pop("size"), **options, **self._format}
        given |= self._some(activation=p.one_of(ACTIVATIONS), use_bias=p.chance(0.5))
        self.add("Conv2D", **given, **({"groups": groups} if groups > 1 else {}), shape=self._image(*left, filters))

    def _pooling(self) -> None:
        options, left = self._window(dilated=False)
        kind = self.program.one_of(("MaxPooling2D", "AveragePooling2D"))
        if self.program.chance(0.3):  # strides of the window's own size
            size, padding = options["size"], options["padding"]
            sides = zip(self._sides()[:2], size, strict=True)
            left = [-(-n // k) if padding == "same" else n // k for n, k in sides]
            del options["strides"]
        pool = {"pool_size": options.pop("size"), **options, **self._format}
        self.add(kind, **pool, shape=self._image(*left, self._sides()[2]))

    def _global_pooling(self) -> None:
        kind = self.program.one_of(("GlobalMaxPooling2D", "GlobalAveragePooling2D"))
        channels = self._sides()[2]
        if self.program.chance(0.3):
            self.add(kind, keepdims=True, **self._format, shape=self._image(1, 1, channels))
        else:
            self.add(kind, **self._format, shape=(channels,))


def random_stack(program: Program, layers: int, **options: Any) -> Stack:
    """Return so many layers for random images, sequences or vectors."""
    p = program
    if p.chance(0.6):
        first = p.chance(0.25)
        height, width, channels = p.integer(3, 9), p.integer(3, 9), p.integer(1, 4)
        shape: Shape = (channels, height, width) if first else (height, width, channels)
        return Stack(p, shape, channels_first=first, **options).grow(layers)
    return Stack(p, tuple(p.integer(2, 8) for _ in range(p.integer(1, 2))), **options).grow(layers)


def random_weights(program: Program, layer: Any) -> list[np.ndarray]:
    """Return random weights for a layer that is built: positive ones where they scale or are a variance."""
    positive = ("gamma", "moving_variance")
    drawn = [(w.name in positive, program.normal(*w.shape)) for w in layer.weights]
    return [np.abs(w) + np.float32(0.5) if scales else w for scales, w in drawn]
