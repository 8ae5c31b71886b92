"""Layers that make one tensor of several: against float64 NumPy, Keras, and in the words of their errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import layers, ops
from gpudl.engine.tensor import Tensor

Array = np.ndarray
ELEMENTWISE: dict[str, Callable[[list[Array]], Array]] = {
    "Add": sum,
    "Multiply": lambda xs: np.prod(np.broadcast_arrays(*xs), axis=0),
    "Average": lambda xs: np.mean(np.broadcast_arrays(*xs), axis=0),
    "Maximum": lambda xs: np.max(np.broadcast_arrays(*xs), axis=0),
    "Minimum": lambda xs: np.min(np.broadcast_arrays(*xs), axis=0),
    "Subtract": lambda xs: xs[0] - xs[1],
}


class Case(NamedTuple):
    """A layer with its arguments, and the shapes of the samples that it takes."""

    kind: str
    samples: tuple[tuple[int, ...], ...]
    options: dict[str, object]

    def arrays(self, seed: int = 0, batch: int = 3) -> list[Array]:
        rng = np.random.default_rng(seed)
        return [rng.normal(size=(batch, *sample)).astype(np.float32) for sample in self.samples]

    def oracle(self, arrays: list[Array]) -> Array:
        wide = [a.astype(np.float64) for a in arrays]
        if self.kind == "Concatenate":
            return np.concatenate(wide, axis=self.options["axis"])
        if self.kind == "Dot":
            return dotted(*wide, **self.options)
        most = max(a.ndim for a in wide)
        return ELEMENTWISE[self.kind]([a.reshape(len(a), *[1] * (most - a.ndim), *a.shape[1:]) for a in wide])


def dotted(x: Array, y: Array, axes: int | tuple[int, int], normalize: bool = False) -> Array:
    """Return the products of two batches from the definition: sample by sample."""
    one, other = (axes, axes) if isinstance(axes, int) else axes
    one, other = one % x.ndim, other % y.ndim
    if normalize:
        x, y = (a / np.sqrt((a**2).sum(axis=at, keepdims=True)) for a, at in ((x, one), (y, other)))
    found = [np.tensordot(a, b, axes=([one - 1], [other - 1])) for a, b in zip(x, y, strict=True)]
    return np.stack([np.atleast_1d(f) for f in found])


def cases() -> list[Case]:
    """Return twenty cases of each layer, drawn at random."""
    rng = np.random.default_rng(7)
    drawn = []
    for kind in (*ELEMENTWISE, "Concatenate", "Dot"):
        for _ in range(20):
            sizes = [int(n) for n in rng.choice([2, 3], size=rng.integers(1, 4))]
            count = 2 if kind in ("Subtract", "Dot") else int(rng.integers(1, 3))
            if kind == "Concatenate":
                axis = int(rng.integers(1, len(sizes) + 1))
                samples = [(*sizes[: axis - 1], int(rng.integers(1, 4)), *sizes[axis:]) for _ in range(count)]
                options: dict[str, object] = {"axis": int(rng.choice([axis, axis - len(sizes) - 1]))}
            elif kind == "Dot":
                others = [int(n) for n in rng.choice([2, 3], size=rng.integers(1, 3))]
                at, to = int(rng.integers(len(sizes))), int(rng.integers(len(others)))
                others[to] = sizes[at]
                samples = [tuple(sizes), tuple(others)]
                axes = (at + 1, to + 1 if rng.integers(2) else to - len(others))
                options = {"axes": at + 1 if at == to else axes, "normalize": bool(rng.integers(2))}
            else:
                ones = [[1 if rng.integers(4) == 0 else n for n in sizes] for _ in range(count)]
                samples = [tuple(sample[int(rng.integers(len(sizes))) :]) for sample in ones]
                options = {}
            drawn.append(Case(kind, tuple(samples), options))
    return drawn


CASES = cases()


def gradients(layer: layers.Layer, arrays: Sequence[Array], r: Array) -> tuple[Tensor, list[Array]]:
    with gpudl.GradientTape() as tape:
        inputs = [gpudl.convert_to_tensor(a) for a in arrays]
        for x in inputs:
            tape.watch(x)
        y = layer(inputs)
        loss = ops.sum(y * r)
    return y, [g.numpy() for g in tape.gradient(loss, inputs)]


def test_outputs_shapes_and_gradients_are_those_of_the_definition() -> None:
    for case in CASES:
        layer = getattr(layers, case.kind)(**case.options)
        arrays = case.arrays()
        wanted = case.oracle(arrays)
        r = np.random.default_rng(1).normal(size=wanted.shape).astype(np.float32)
        y, found = gradients(layer, arrays, r)
        np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-5, atol=1e-5, err_msg=str(case))
        symbols = [gpudl.Input(sample) for sample in case.samples]
        assert layer(symbols).shape == (None, *wanted.shape[1:]), case
        for at, gradient in enumerate(found):
            direction = np.random.default_rng(2).normal(size=arrays[at].shape)
            shifted = [[a + step * direction if n == at else a for n, a in enumerate(arrays)] for step in (1e-3, -1e-3)]
            up, down = ((case.oracle(moved) * r).sum() for moved in shifted)
            slope = (up - down) / 2e-3
            # Of what is larger or smaller the slope has a corner, which none of these differences goes over.
            np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=2e-3, atol=2e-3, err_msg=str(case))


def test_a_replay_is_eager_bit_for_bit() -> None:
    for case in CASES[::5]:
        layer = getattr(layers, case.kind)(**case.options)
        r = np.ones(case.oracle(case.arrays()).shape, np.float32)

        def step(*arrays: Array, layer: layers.Layer = layer, r: Array = r) -> list[Tensor]:
            with gpudl.GradientTape() as tape:
                for x in arrays:
                    tape.watch(x)
                y = layer(list(arrays))
                loss = ops.sum(y * r)
            return [y, *tape.gradient(loss, list(arrays))]

        traced = gpudl.traced(step)
        for seed in (0, 1):
            given = [gpudl.convert_to_tensor(a) for a in case.arrays(seed)]
            for eager, replayed in zip(step(*given), traced(*given), strict=True):
                np.testing.assert_array_equal(replayed.numpy(), eager.numpy(), err_msg=str(case))


def test_the_functions_are_the_layers() -> None:
    for case in CASES[::5]:
        arrays = case.arrays()
        made = getattr(layers, case.kind)(**case.options)
        options = {name: value for name, value in case.options.items() if name != "normalize"}
        if case.options.get("normalize"):
            continue
        merged = getattr(layers, case.kind.lower())(arrays, **options)
        np.testing.assert_array_equal(merged.numpy(), made(arrays).numpy(), err_msg=str(case))
        named = getattr(layers, case.kind.lower())([gpudl.Input(s) for s in case.samples], name="merged", **options)
        assert named.call.operation.name == "merged"


def test_configs_make_the_same_layers() -> None:
    for case in CASES[::5]:
        layer = getattr(layers, case.kind)(**case.options)
        again = layers.deserialize(layers.serialize(layer))
        assert again.get_config() == layer.get_config()


def test_integers_stay_integers_but_for_the_average() -> None:
    pair = [np.full((2, 3), 7, np.int32), np.full((2, 3), 2, np.int32)]
    assert layers.Add()(pair).dtype == np.int32
    np.testing.assert_array_equal(layers.Average()(pair).numpy(), np.full((2, 3), 4.5, np.float32))


ones = np.ones
ERRORS = [
    (lambda: layers.Add()(ones((2, 3))), ValueError, "a list of at least 1 input, got one array"),
    (lambda: layers.Add()([]), ValueError, "a list of at least 1 input, got 0 of them"),
    (lambda: layers.Subtract()([ones((2, 3))] * 3), ValueError, "a list of exactly 2 inputs, got 3 of them"),
    (lambda: layers.Add()([ones((2, 3)), ones((1, 3))]), ValueError, r"different batch sizes.*\(2, 3\), \(1, 3\)"),
    (lambda: layers.Add()([ones((2, 3)), ones((2, 4))]), ValueError, r"incompatible shapes: got \(2, 3\), \(2, 4\)"),
    (
        lambda: layers.Add()([gpudl.Input((3,)), gpudl.Input((4,))]),
        ValueError,
        r"incompatible shapes: got \(None, 3\), \(None, 4\)",
    ),
    (lambda: layers.Concatenate()([ones((2, 3, 1)), ones((2, 4, 1))]), ValueError, "matching shapes except for axis"),
    (lambda: layers.Dot(1)([ones((2, 3))]), ValueError, "a list of exactly 2 inputs, got 1 of them"),
    (lambda: layers.Dot(2)([ones((2, 3)), ones((2, 3))]), ValueError, r"no axis 2 of samples in inputs of shape"),
    (lambda: layers.Dot(1)([ones((2, 4)), ones((2, 3))]), ValueError, "4 along axis 1 of the first and 3 along axis 1"),
    (lambda: layers.Dot(1.5), TypeError, "axes is an axis or two of them, got 1.5"),
    (lambda: layers.Dot((1, 2, 3)), ValueError, r"two elements that are integers, got \(1, 2, 3\)"),
    (lambda: layers.Dot((1, "a")), ValueError, "two elements that are integers"),
    (lambda: layers.Dot((0, 1)), ValueError, "axis 0 is that of the batch"),
]


@pytest.mark.parametrize(("use", "kind", "text"), ERRORS)
def test_errors(use: Callable[[], object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        use()


@parity
def test_outputs_shapes_and_configs_are_those_of_keras() -> None:
    keras = keras_or_skip()
    for case in CASES:
        arrays = case.arrays()
        theirs = getattr(keras.layers, case.kind)(**case.options)
        ours = getattr(layers, case.kind)(**case.options)
        np.testing.assert_allclose(ours(arrays).numpy(), theirs(arrays), rtol=1e-5, atol=1e-5, err_msg=str(case))
        shapes = [(None, *sample) for sample in case.samples]
        assert ours.compute_output_shape(shapes) == tuple(theirs.compute_output_shape(shapes)), case
        described = theirs.get_config()
        own = {name: described[name] for name in described if name not in ("name", "dtype")}
        assert own == {name: value for name, value in ours.get_config().items() if name in own}, case
