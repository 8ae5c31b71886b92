"""The symbols of a stack of layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TypeVar

from gpudl.engine.calls import calls_of, declare
from gpudl.engine.spec import ShapeError
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tree import Nest
from gpudl.layers import InputLayer
from gpudl.layers.base.layer import Layer
from gpudl.models.functional import CallGraph

T = TypeVar("T")


class Chain:
    """Symbols for a stack of layers: for the inputs, and for the result of each layer."""

    def __init__(self, entry: InputLayer) -> None:
        calls = calls_of(entry)
        first = KerasTensor(entry.batch_shape, entry.dtype, name=entry.name)
        self.entry = entry
        self.stack: list[Layer] = []
        self.graph: CallGraph | None = None
        self.symbols: list[Nest[KerasTensor]] = [calls[0].outputs if calls else declare(entry, first)]

    def follow(self, stack: list[Layer]) -> list[Nest[KerasTensor]]:
        """Return the symbols for `stack`; those of layers that stay below are kept."""
        same = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], zip(self.stack, stack, strict=False)))
        del self.stack[same:], self.symbols[same + 1 :]
        if same < len(stack):
            self.graph = None
        for layer in stack[same:]:
            self.symbols.append(layer(self.symbols[-1]))
            self.stack.append(layer)
        return self.symbols


def require_shape(who: str, built: Sequence[int | None], given: Sequence[int | None], first: int) -> None:
    """Raise ShapeError unless the shape that is given, from the axis `first` on, is that for which a model was built.

    None is any size.
    """
    pairs = zip(built[first:], given[first:], strict=False)
    if len(given) != len(built) or any(None not in (n, m) and n != m for n, m in pairs):
        raise ShapeError(
            f"{who} was built for inputs of shape {tuple(built)}, got {tuple(given)}. Reshape the data, or build a "
            "model for them."
        )


def require_known(who: str, what: str, found: T | None) -> T:
    """Return what is known of a model; raise AttributeError if it is None, because the model has not been built."""
    if found is None:
        raise AttributeError(
            f"{who} has no {what}: its shapes are not known. Begin it with Input(shape), call it on a batch, or "
            "build() it."
        )
    return found
