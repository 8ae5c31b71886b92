"""Many variables in one buffer, so that one kernel updates them all."""

from __future__ import annotations

from collections.abc import Sequence

from gpudl import backend
from gpudl.backend import Array
from gpudl.engine.tensor import Tensor, Variable


class FlatGroup:
    """Variables of one dtype whose values lie one after another in `flat`.

    Args:
        variables: moved into the group's buffer, in this order; their values stay.
    """

    def __init__(self, variables: Sequence[Variable]) -> None:
        self.variables = list(variables)
        first = self.variables[0]
        self.on = backend.of(first.data)
        self.flat = self._buffer(sum(v.size for v in variables), first)
        for variable, part in zip(self.variables, self.parts(self.flat), strict=True):
            variable.rebind(part)

    def _buffer(self, size: int, like: Variable) -> Tensor:
        return Tensor(self.on.empty((size,), like.dtype))

    def parts(self, flat: Tensor) -> list[Array]:
        """Return the views of a buffer like `flat` that belong to the variables, in their shapes."""
        views, start = [], 0
        for variable in self.variables:
            views.append(flat.data[start : start + variable.size].reshape(variable.shape))
            start += variable.size
        return views

    def slot(self, name: str) -> tuple[Tensor, list[Variable]]:
        """Return a buffer of zeros like `flat`, and its parts as variables named after theirs."""
        flat = self._buffer(self.flat.size, self.variables[0])
        flat.data[...] = 0
        named = zip(self.variables, self.parts(flat), strict=True)
        return flat, [Variable.over(part, trainable=False, name=f"{v.name}_{name}") for v, part in named]
