"""The bases of layers on sequences, images and volumes, in either layout, and of those that slide a window."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from typing import Unpack

import numpy as np

from gpudl import config
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.kernels.geometry import Ints, Window, WindowError
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import LayerOptions
from gpudl.ops.nn.windows import in_layout

Size = int | Iterable[int]
# By number of axes between batch and channels: what the inputs are, and those axes.
_INPUTS = {1: ("Sequences", "steps"), 2: ("Images", "height, width"), 3: ("Volumes", "depth, height, width")}
_MORE = {1: "", 2: " or a pair of them", 3: " or three of them"}


def sizes_of(who: str, rank: int, least: int = 1, **size: object) -> Ints:
    """Return an integer, or one for each of `rank` axes, as a tuple; raise ValueError, which names it, for others."""
    ((name, value),) = size.items()
    given: tuple[object, ...] = tuple(value) if isinstance(value, list | tuple) else (value,) * rank
    found = tuple(int(n) for n in given if isinstance(n, int | np.integer) and n >= least)
    if not len(found) == len(given) == rank:
        kind = "a positive integer" if least else "an integer of at least 0"
        raise ValueError(f"{who}: {name} must be {kind}{_MORE[rank]}, got {value!r}.")
    return found


def _hint(data_format: str, rank: int, shape: Shape) -> str:
    """Return a hint for inputs of `shape`; not a method, so that a layer does not hold itself."""
    kind, axes = _INPUTS[rank]
    last = data_format == "channels_last"
    layout = f"{kind} are (batch, {axes}, channels)" if last else f"{kind} are (batch, channels, {axes})"
    if len(shape) == rank + 2:
        return f"{layout}; the number of channels cannot change after the first call."
    numbers = ", ".join(["28"] * rank)
    return f"{layout}: add the channel axis, e.g. x.reshape(-1, {f'{numbers}, 1' if last else f'1, {numbers}'})."


def _with_defaults(init: Callable[..., None], rank: int, said: Mapping[str, object]) -> Callable[..., None]:
    """Return a constructor whose defaults are `said`, and (n, n) in place of n for layers on images, and so on."""
    signature = inspect.signature(init)
    many = {name: (p.default,) * rank for name, p in signature.parameters.items() if type(p.default) is int}
    kept = {"groups", "depth_multiplier"}
    changed = ({name: value for name, value in many.items() if name not in kept} if rank > 1 else {}) | dict(said)
    places = {name: place for place, name in enumerate(signature.parameters)}

    @wraps(init)
    def in_rank(self: object, *args: object, **kwargs: object) -> None:
        missing = {n: value for n, value in changed.items() if n not in kwargs and places[n] > len(args)}
        init(self, *args, **missing, **kwargs)

    shown = [p.replace(default=changed.get(name, p.default)) for name, p in signature.parameters.items()]
    vars(in_rank)["__signature__"] = signature.replace(parameters=shown)
    return in_rank


class Spatial(Layer):
    """A layer on sequences, images or volumes: on inputs with `rank` axes between batch and channels.

    A subclass says its rank, ``class Conv2D(Convolving, rank=2)``, and the defaults by which its constructor differs.

    Args:
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.
    """

    rank: int

    def __init_subclass__(cls, rank: int = 0, defaults: Mapping[str, object] | None = None, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)  # type: ignore[arg-type]
        if rank:
            cls.rank = rank
            cls.__init__ = _with_defaults(cls.__init__, rank, defaults or {})  # type: ignore[method-assign]

    def __init__(self, *, data_format: str | None = "channels_last", **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.data_format = config.check_data_format(data_format)
        self.input_spec = self._spec()

    def _spec(self, channels: int | None = None) -> InputSpec:
        axes = {} if channels is None else {self.channel_axis: channels}
        return InputSpec(ndim=self.rank + 2, axes=axes, hint=partial(_hint, self.data_format, self.rank))

    @property
    def channel_axis(self) -> int:
        """The axis of the channels."""
        return -1 if self.data_format == "channels_last" else 1

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes between batch and channels."""
        first = 1 if self.channel_axis == -1 else 2
        return tuple(range(first, first + self.rank))

    def _sizes(self, least: int = 1, **size: object) -> Ints:
        return sizes_of(type(self).__name__, self.rank, least, **size)

    def call(self, x: Tensor) -> Tensor:
        """Return the result of `slide`, in the layout of the inputs."""
        return in_layout(self.slide, x, self.data_format)

    def slide(self, x: Tensor) -> Tensor:
        """Return the outputs for inputs (batch, ..., channels)."""
        raise NotImplementedError(f"{type(self).__name__} must implement slide(x).")


class Windowed(Spatial):
    """A layer that slides a window over its inputs; subclasses set `window` and implement `slide`."""

    window: Window

    def _sliding(self, size: Ints, strides: Ints, padding: object, dilation: Ints = ()) -> Window:
        """Return a window with the layer's own name in its errors."""
        try:
            return Window(size, strides, str(padding).lower(), dilation)
        except WindowError as error:
            raise WindowError(f"{type(self).__name__}: {error}") from None

    def build(self, input_shape: Shape) -> None:
        """Check that the window fits inputs of `input_shape`; raise ShapeError if not."""
        self._require_fit(input_shape)

    def _require_fit(self, input_shape: Shape) -> None:
        sizes, extent = [input_shape[axis] for axis in self.axes], self.window.extent
        try:
            self.window.output(tuple(e if n is None else n for n, e in zip(sizes, extent, strict=True)))
        except WindowError as error:
            raise ShapeError(str(error)) from None
