"""Every layer against float64 NumPy, Keras, its own config and its own replay."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity
from layer_cases import CASES, Array, Case
from public_names import classes

import gpudl
from gpudl import layers, ops
from gpudl.engine.op import Op
from gpudl.layers import attention, merging, multi_head_attention, preprocessing, recurrent

every = pytest.mark.parametrize("case", CASES, ids=str)
random_too = pytest.mark.parametrize(
    "case",
    [
        *CASES,
        Case("Dropout", (6, 5), {"rate": 0.4, "seed": 3}, training=True),
        Case("GaussianNoise", (6, 5), {"stddev": 0.4, "seed": 3}, training=True),
    ],
    ids=str,
)
TOLERANCE = {"rtol": 1e-5, "atol": 2e-6}


def _gradients(layer: layers.Layer, x: Any, r: Any, training: bool) -> tuple[Any, list[Any]]:
    """Return the outputs, and the gradients of sum(outputs * r) by the inputs and the trainable weights."""
    with gpudl.GradientTape() as tape:
        x = gpudl.convert_to_tensor(x)
        tape.watch(x)
        y = layer(x, training=training)
        loss = ops.sum(y * r)
    return y, tape.gradient(loss, [x, *layer.trainable_weights])


def _slope(case: Case, arrays: list[Array], at: int, direction: Array, r: Array) -> float:
    step = 1e-5

    def shifted(sign: int) -> float:
        moved = [np.asarray(a, np.float64) for a in arrays]
        moved[at] = moved[at] + sign * step * direction
        return float((case.oracle(*moved) * r).sum())

    return (shifted(1) - shifted(-1)) / (2 * step)


@every
def test_outputs_and_gradients_are_those_of_the_definition(case: Case) -> None:
    layer, x = case.layer(), case.inputs()
    arrays = [x, *layer.get_weights()]
    wanted = case.oracle(*arrays)
    rng = np.random.default_rng(3)
    r = rng.normal(size=wanted.shape).astype(np.float32)
    y, found = _gradients(layer, x, r, case.training)
    np.testing.assert_allclose(y.numpy(), wanted, **TOLERANCE)
    assert len(found) == 1 + len(layer.trainable_weights)
    for at, gradient in enumerate(found):
        assert gradient.shape == arrays[at].shape
        for _ in range(4):
            direction = rng.normal(size=arrays[at].shape)
            slope = _slope(case, arrays, at, direction, r)
            assert float((gradient.numpy() * direction).sum()) == pytest.approx(slope, rel=2e-5, abs=2e-5)


@parity
@every
def test_outputs_gradients_and_states_are_those_of_keras(case: Case) -> None:
    keras = keras_or_skip()
    import jax

    layer, x = case.layer(), case.inputs()
    peer = getattr(keras.layers, case.kind)(**case.kwargs)
    peer.build(x.shape)
    peer.set_weights(layer.get_weights())
    assert [w.name for w in layer.weights] == [w.name for w in peer.weights]

    def outputs(x: Any, trained: Any) -> Any:
        fixed = [v.value for v in peer.non_trainable_variables]
        said = {"training": case.training} if "training" in inspect.signature(peer.call).parameters else {}
        return peer.stateless_call(trained, fixed, x, **said)

    trained = [v.value for v in peer.trainable_variables]
    wanted, states = outputs(x, trained)
    r = np.random.default_rng(3).normal(size=wanted.shape).astype(np.float32)
    by = jax.grad(lambda x, trained: (outputs(x, trained)[0] * r).sum(), argnums=(0, 1))(x, trained)
    y, found = _gradients(layer, x, r, case.training)
    np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-5, atol=1e-5)
    for mine, theirs in zip(found, [by[0], *by[1]], strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-4, atol=1e-4)
    for mine, theirs in zip(layer.non_trainable_weights, states[: len(layer.non_trainable_weights)], strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-6)


@parity
@every
def test_shapes_are_inferred_as_keras_does(case: Case) -> None:
    free = (None, *case.shape[1:])
    peer = getattr(keras_or_skip().layers, case.kind)(**case.kwargs)
    found, expected = case.layer().compute_output_shape(free), tuple(peer.compute_output_shape(free))
    if case.kind == "EinsumDense":  # Keras leaves open what output_shape leaves open, also where the inputs say it
        expected = tuple(n if n is not None else m for m, n in zip(found, expected, strict=True))
    assert found == expected


@every
def test_inferred_shape_is_the_real_one(case: Case) -> None:
    layer = getattr(layers, case.kind)(**case.kwargs)
    inferred = layer.compute_output_shape((None, *case.shape[1:]))
    for batch in (case.shape[0], 1):
        assert layer(case.inputs(batch)).shape == (batch, *inferred[1:])
    assert inferred[0] is None
    assert layer.compute_output_shape(case.shape) == (case.shape[0], *inferred[1:])


@every
def test_config_makes_the_same_layer(case: Case) -> None:
    layer = case.layer()
    config = layer.get_config()
    copy = type(layer).from_config(config)
    assert copy.get_config() == config
    assert copy.name == layer.name
    copy.compute_output_shape((None, *case.shape[1:]))
    copy.set_weights(layer.get_weights())
    x = case.inputs()
    np.testing.assert_array_equal(copy(x).numpy(), layer(x).numpy())
    again = layers.deserialize(layers.serialize(layer))
    assert type(again) is type(layer)
    assert again.get_config() == config


@every
def test_each_sample_is_computed_by_itself_at_inference(case: Case) -> None:
    layer, x = case.layer(), case.inputs()
    whole = layer(x).numpy()
    for batch in (slice(0, 1), slice(0, len(x) - 1)):
        np.testing.assert_allclose(layer(x[batch]).numpy(), whole[batch], rtol=1e-5, atol=1e-6)


@random_too
def test_everything_stays_float32(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = case.layer(), gpudl.convert_to_tensor(case.inputs())
    seen: set[str] = set()
    specs = Op.specs

    def spying(self: Op, *args: Any) -> Any:
        found = specs(self, *args)
        seen.update(spec.dtype.name for spec in found)
        return found

    monkeypatch.setattr(Op, "specs", spying)
    r = np.float32(2)
    y, found = _gradients(layer, x, r, case.training)
    assert "float64" not in seen
    assert {t.dtype.name for t in (y, *found, *layer.weights)} == {"float32"}
    assert layer(case.inputs().astype(np.float64)).dtype == np.float32


@random_too
def test_replay_is_eager_bit_for_bit(case: Case) -> None:
    layer, x = case.layer(), case.inputs()
    r = np.random.default_rng(3).normal(size=layer(x).shape).astype(np.float32)

    def step(x: Any, r: Any) -> Any:
        y, found = _gradients(layer, x, r, case.training)
        return [y, *found]

    start = [v.numpy() for v in layer.variables]
    records = []
    for run in (step, gpudl.traced(step)):
        for variable, value in zip(layer.variables, start, strict=True):
            variable.assign(value)
        results = [run(batch, r) for batch in (x, x[::-1].copy(), x)]
        records.append([t.numpy() for found in results for t in found] + [v.numpy() for v in layer.variables])
    for eager, replayed in zip(*records, strict=True):
        np.testing.assert_array_equal(replayed, eager)


@every
def test_a_shared_layer_has_one_set_of_weights_and_sums_its_gradients(case: Case) -> None:
    layer, x = case.layer(), case.inputs()
    other = x[::-1].copy()
    weights = layer.trainable_weights
    with gpudl.GradientTape() as tape:
        loss = ops.sum(ops.square(layer(x))) + ops.sum(ops.square(layer(other)) * 3)
    both = tape.gradient(loss, weights)
    assert layer.trainable_weights == weights
    for part, factor in ((x, 1), (other, 3)):
        with gpudl.GradientTape() as tape:
            loss = ops.sum(ops.square(layer(part)) * factor)
        both = [g - one for g, one in zip(both, tape.gradient(loss, weights), strict=True)]
    for rest, weight in zip(both, weights, strict=True):
        np.testing.assert_allclose(rest.numpy(), np.zeros(weight.shape), atol=2e-4)


@pytest.mark.parametrize("kind", ["uint8", "int64", "bool"])
@pytest.mark.parametrize("case", [c for c in CASES if c.kind not in ("Flatten", "Reshape")], ids=str)
def test_whole_numbers_are_computed_as_floats(case: Case, kind: str) -> None:
    layer = case.layer()
    x = (np.abs(case.inputs()) * 100 % 256).astype(kind)
    found = layer(x).numpy()
    np.testing.assert_allclose(found, layer(x.astype(np.float32)).numpy(), rtol=1e-6)


def test_every_layer_has_a_case() -> None:
    elsewhere = {
        "Embedding",
        "InputLayer",
        "ReversibleEmbedding",
        "SpectralNormalization",
        "Wrapper",
        *attention.__all__,
        *multi_head_attention.__all__,
        *preprocessing.__all__,
        *recurrent.__all__,
        *(name for name in merging.__all__ if name.istitle()),
    }
    assert classes(layers, layers.Layer) - elsewhere == {case.kind for case in CASES}
