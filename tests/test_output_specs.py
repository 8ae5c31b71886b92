"""Layers that say themselves what symbols a call returns, by a `compute_output_spec` of their own."""

from __future__ import annotations

import numpy as np
import pytest

import gpudl
from gpudl import KerasTensor, layers


def test_a_layer_that_says_what_its_results_are_is_not_called_on_symbols() -> None:
    class OnlyTraining(layers.Layer):
        def call(self, x: gpudl.Tensor, training: bool = False) -> gpudl.Tensor:
            assert training
            return x * 2

        def compute_output_spec(self, x: KerasTensor, training: bool = False) -> KerasTensor:
            return KerasTensor(x.shape, dtype=x.dtype)

    inputs = layers.Input((3,))
    model = gpudl.Model(inputs, OnlyTraining()(inputs))
    assert model.output_shape == (None, 3)
    np.testing.assert_array_equal(model(np.ones((2, 3), np.float32), training=True).numpy(), np.full((2, 3), 2))
    with pytest.raises(AssertionError):
        model(np.ones((2, 3), np.float32))


def test_a_layer_that_says_no_symbols() -> None:
    class Shapes(layers.Layer):
        def call(self, x: gpudl.Tensor) -> gpudl.Tensor:
            return x

        def compute_output_spec(self, x: KerasTensor) -> object:
            return x.shape

    with pytest.raises(
        TypeError, match=r'^Shapes "s": compute_output_spec\(\) must return KerasTensor\(shape, dtype\), got'
    ):
        Shapes(name="s")(layers.Input((3,)))


@pytest.mark.parametrize("builds_itself", [True, False])
def test_a_layer_that_says_what_its_results_are_is_built(builds_itself: bool) -> None:
    class Both(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            if not builds_itself:
                self.inner = layers.Dense(2)

        def call(self, x: gpudl.Tensor) -> dict[str, gpudl.Tensor]:
            return {"sum": self.inner(x), "same": x}

        def compute_output_spec(self, x: KerasTensor) -> dict[str, KerasTensor]:
            return {"sum": KerasTensor((*x.shape[:-1], 2), x.dtype), "same": KerasTensor(x.shape, x.dtype)}

    class Building(Both):
        def build(self, shape: tuple[int | None, ...]) -> None:
            assert shape == (None, None, 3)
            self.inner = layers.Dense(2)
            self.inner.build(shape)

    layer = Building() if builds_itself else Both()
    inputs = layers.Input((None, 3))
    outputs = layer(inputs)
    assert {name: symbol.shape for name, symbol in outputs.items()} == {"sum": (None, None, 2), "same": (None, None, 3)}
    assert layer.built
    assert [tuple(weight.shape) for weight in layer.weights] == [(3, 2), (2,)]
    results = gpudl.Model(inputs, outputs)(np.ones((4, 5, 3), np.float32))
    assert {name: result.shape for name, result in results.items()} == {"sum": (4, 5, 2), "same": (4, 5, 3)}
