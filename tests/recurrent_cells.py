"""A cell for the tests of recurrent layers."""

from __future__ import annotations

from typing import Any

from gpudl import layers

UNITS = 3


class Leaky(layers.Layer):
    """A cell whose outputs have another size than its state."""

    state_size = UNITS
    output_size = 2

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(shape=(input_shape[-1], UNITS), name="kernel")
        self.read = self.add_weight(shape=(UNITS, 2), name="read")

    def call(self, inputs: Any, states: Any) -> Any:
        state = 0.5 * states[0] + inputs @ self.kernel
        return state @ self.read, state
