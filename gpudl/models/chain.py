"""The symbols of a stack of layers."""

from __future__ import annotations

from itertools import takewhile

from gpudl.engine.calls import calls_of, declare
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tree import Nest
from gpudl.layers import InputLayer
from gpudl.layers.base.layer import Layer
from gpudl.models.functional import CallGraph


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
