"""The specification of a layer's inputs, and the error for others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gpudl.engine.spec import ShapeError

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class InputSpec:
    """A specification of a layer's inputs.

    Args:
        ndim: the number of axes, batch included.
        min_ndim: the least number of axes.
        axes: fixed sizes, by axis.
        hint: what the axes mean and what to do, at the end of the error message; or a function that returns it for a
            shape that does not fit.
    """

    ndim: int | None = None
    min_ndim: int | None = None
    axes: dict[int, int] = field(default_factory=dict)
    hint: str | Callable[[Shape], str] = ""

    def check(self, who: str, shape: Shape) -> None:
        """Raise ShapeError, which names the layer `who`, if `shape` does not fit."""
        misfit = self._misfit(shape)
        if misfit:
            hint = self.hint(shape) if callable(self.hint) else self.hint
            raise ShapeError(f"{who} {misfit}, got shape {shape}. {hint}".rstrip())

    def _misfit(self, shape: Shape) -> str:
        if self.ndim is not None and len(shape) != self.ndim:
            return f"expected {self.ndim} axes"
        if self.min_ndim is not None and len(shape) < self.min_ndim:
            return f"expected at least {self.min_ndim} axes"
        for axis, size in self.axes.items():
            if shape[axis] not in (size, None):
                return f"was built for size {size} along axis {axis}"
        return ""
