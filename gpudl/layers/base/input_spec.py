"""The specification of a layer's inputs, and the error for others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gpudl.engine.spec import ShapeError
from gpudl.engine.symbol import open_shape
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten
from gpudl.registry import Config

Shape = tuple[int | None, ...]
Hint = str | Callable[[Shape], str]


@dataclass(frozen=True, repr=False)
class InputSpec:
    """A specification of a layer's inputs.

    Args:
        ndim: the number of axes, batch included.
        min_ndim: the least number of axes.
        axes: fixed sizes, by axis.
        hint: what the axes mean and what to do, at the end of the error message; or a function that returns it for a
            shape that does not fit.
    """

    dtype: str | None = None
    shape: Shape | None = None
    ndim: int | None = None
    max_ndim: int | None = None
    min_ndim: int | None = None
    axes: Mapping[int, int | None] = field(default_factory=dict)
    allow_last_axis_squeeze: bool = False
    name: str | None = None
    optional: bool = False
    hint: Hint = ""

    def __post_init__(self) -> None:
        """Raise ShapeError, which names the layer `who`, if `shape` does not fit."""
        axes: object = {} if self.axes is None else self.axes
        if not isinstance(axes, Mapping) or not all(isinstance(axis, int) for axis in axes):
            raise TypeError(f"InputSpec: axes is a dict of sizes by axis, with integer keys, got {self.axes!r}.")
        vars(self).update(axes=dict(axes))
        if self.shape is not None:
            vars(self).update(shape=tuple(self.shape), ndim=len(self.shape))
        most = self.max_ndim if self.ndim is None else self.ndim
        if most is not None and axes and max(axes) >= most:
            raise ValueError(f"InputSpec: axis {max(axes)} is greater than the last one of {most} axes, {most - 1}.")

    def get_config(self) -> Config:
        """Return the arguments as plain data, in Keras's form."""
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes", "optional")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: Config) -> InputSpec:
        """Return an object with the arguments of `config`."""
        return cls(**config)

    def __repr__(self) -> str:
        shown = (
            f"{name}={value}"
            for name in ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
            if (value := getattr(self, name))
        )
        return f"InputSpec({', '.join(shown)})"

    def check(self, who: str, given: Tensor | None, number: int = 0) -> None:
        """Raise ShapeError, naming the layer `who`, when its input of that number does not fit."""
        if given is None and not self.optional:
            raise ValueError(f"{who}: inputs are tensors, got None as input {number}.")
        misfit = "" if given is None else self._misfit(open_shape(given.shape), str(given.dtype))
        if given is not None and misfit:
            received = (None, *open_shape(given.shape[1:])) if given.ndim else ()
            hint = self.hint(received) if callable(self.hint) else self.hint
            named = f" ({self.name!r})" if self.name else ""
            raise ShapeError(
                f"{who}: Input {number}{named} is incompatible with the layer: {misfit}. Full shape received: "
                f"{received}. {hint}".rstrip()
            )

    def _misfit(self, shape: Shape, dtype: str) -> str:
        wanted = self.shape
        if wanted is not None and self.allow_last_axis_squeeze:
            wanted, shape = (s[:-1] if s and s[-1] == 1 else s for s in (wanted, shape))
        ndim = self.ndim if wanted is None else len(wanted)
        for name, limit, fits in (
            ("ndim", ndim, len(shape) == ndim),
            ("max_ndim", self.max_ndim, len(shape) <= (self.max_ndim or 0)),
            ("min_ndim", self.min_ndim, len(shape) >= (self.min_ndim or 0)),
        ):
            if limit is not None and not fits:
                return f"expected {name}={limit}, found ndim={len(shape)}"
        if self.dtype not in (None, dtype):
            return f"expected dtype={self.dtype}, found dtype={dtype}"
        for axis, size in self.axes.items():
            if not -len(shape) <= axis < len(shape):
                return f"expected an axis {axis}, found ndim={len(shape)}"
            if size is not None and shape[axis] not in (size, None):
                return f"expected axis {axis} of input shape to have value {size}, found {shape[axis]}"
        for one, other in zip(wanted or (), shape, strict=False):
            if None not in (one, other) and one != other:
                return f"expected shape={wanted}, found shape={shape}"
        return ""


Specs = InputSpec | list[InputSpec] | tuple[InputSpec, ...] | dict[str, InputSpec] | None


def check_inputs(who: str, specs: Specs, inputs: Nest[Tensor]) -> None:
    """Raise ShapeError, naming the layer `who`, for inputs that do not fit its input_spec.

    Args:
        who: the layer.
        specs: one for all inputs, or a list, or a dict by name.
        inputs: the first argument of the layer.
    """
    if isinstance(specs, InputSpec):
        if not isinstance(inputs, Tensor) and not (specs.optional and inputs is None):
            raise ValueError(f"{who} takes one array, got {_described(inputs)}.")
        specs.check(who, inputs)
        return
    if not specs:
        return
    names = list(specs) if isinstance(specs, dict) else [spec.name for spec in specs]
    listed = list(specs.values()) if isinstance(specs, dict) else list(specs)
    if isinstance(inputs, dict) and None not in names:
        missing = [name for name in names if name not in inputs]
        if missing:
            raise ValueError(f"{who} takes a dict with {', '.join(map(repr, names))}, and {missing[0]!r} is missing.")
        given = [inputs[name] for name in names]
    else:
        given = flatten(inputs)[0]
    if len(given) != len(listed):
        raise ValueError(f"{who} expects {len(listed)} input(s), but it received {len(given)} input tensors.")
    for number, (spec, one) in enumerate(zip(listed, given, strict=True)):
        spec.check(who, one, number)


def _described(given: object) -> str:
    """Return what was given in place of one array, in words."""
    if given is None:
        return "nothing"
    return f"a {type(given).__name__} of {len(given)}" if isinstance(given, list | tuple | dict) else repr(given)
