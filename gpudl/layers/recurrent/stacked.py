"""Cells on top of one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self, Unpack

from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest
from gpudl.layers.base.input_spec import Shape
from gpudl.layers.base.layer import LAYERS, Layer
from gpudl.layers.base.options import LayerOptions
from gpudl.layers.recurrent.protocol import AnyCell, applied, built, initial, output_shape, require_cell
from gpudl.layers.recurrent.states import States, listed
from gpudl.registry import Config

__all__ = ["StackedRNNCells"]


class StackedRNNCells(Layer):
    """Cells on top of one another, as one cell: the outputs of each are the inputs of the next.

    Args:
        cells: the cells, the first of which gets the inputs.
        **options: those of `Layer`.

    Raises:
        ValueError: there is none, or something that is not a cell.

    Example:
        >>> layer = gpudl.layers.RNN([gpudl.layers.LSTMCell(8), gpudl.layers.GRUCell(3)])
        >>> layer(np.zeros((2, 5, 4))).shape, layer.cell.state_size
        ((2, 3), [[8, 8], 3])
    """

    def __init__(self, cells: Sequence[AnyCell], **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        if not cells:
            raise ValueError("StackedRNNCells needs a list of cells, got an empty one. Give it one, as [LSTMCell(8)].")
        for cell in cells:
            require_cell("StackedRNNCells", cell)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[object]:
        """The size of the state, or a list of those of several states, of each cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> object:
        """The size of the outputs, those of the last cell."""
        return getattr(self.cells[-1], "output_size", None) or listed(self.cells[-1].state_size)[0]

    def get_initial_state(self, batch_size: int | None = None) -> States:
        """Return the list of states of each cell before the first step."""
        return [initial(cell, batch_size or 1, self.compute_dtype) for cell in self.cells]

    def build(self, input_shape: Shape) -> None:
        """Build the cells for the inputs of one step, (batch, features)."""
        for cell in self.cells:
            built(cell, input_shape)
            input_shape = output_shape(cell, input_shape[0])

    def call(self, inputs: Tensor, states: States, training: bool = False) -> tuple[Tensor, States]:
        """Return the outputs of one step of the last cell, and the list of states of each after it."""
        after: list[Nest[Tensor]] = []
        for cell, before in zip(self.cells, states, strict=True):
            inputs, made = applied(cell, inputs, listed(before), training)
            after.append(listed(made))
        return inputs, after

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, object] | None = None) -> Self:
        """Return a new layer of new cells."""
        return super().from_config(
            {**config, "cells": [LAYERS.deserialize(cell, custom_objects) for cell in config["cells"]]}
        )
