"""Whole networks in ONNX files: those of the examples, several inputs and outputs, models in models, 16 bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digit_files import REPOSITORY
from example_runs import run_source
from export_tools import assert_agrees, exported, run, session

from gpudl import Input, Model, Sequential, layers, ops
from gpudl.engine.tree import flatten

Array = np.ndarray
RNG = np.random.default_rng(0)
EXAMPLES = ("010_residual_network", "011_two_inputs_two_outputs", "030_small_gpt", "040_unet", "041_mobile_blocks")


def data_for(model: Model, batch: int = 3) -> list[Array]:
    """Return a random batch for a model, with 7 for each unknown size."""
    found = []
    for symbol in flatten(model.input)[0]:
        shape = (batch, *(7 if size is None else size for size in symbol.shape[1:]))
        integers = symbol.dtype.kind in "iu"
        found.append((RNG.integers(0, 9, shape) if integers else RNG.normal(size=shape)).astype(symbol.dtype))
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_networks_of_the_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = np.zeros((64, 28, 28), np.uint8), np.zeros(64, np.uint8)
    monkeypatch.setattr("gpudl.datasets.mnist.load_data", lambda: (digits, digits))
    path = REPOSITORY / "examples" / f"{name}.py"
    source = path.read_text("utf-8").split("model.compile(")[0]  # untrained
    model = run_source(source, str(path))["model"]
    for weight in model.weights:  # also moving statistics and biases
        weight.assign(RNG.uniform(0.1, 0.4, weight.shape))
    nest = (lambda xs: dict(zip(model.input, xs, strict=True))) if isinstance(model.input, dict) else None
    assert_agrees(model, tmp_path, *data_for(model), nest=nest)


def transformer(steps: int | None) -> Model:
    """Return a block of attention to what came before, and a network for each place."""
    x = Input((steps, 8), name="x")
    y = layers.LayerNormalization()(x)
    x_1 = layers.Add()([x, layers.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)])
    y = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x_1))
    return Model(x, layers.Add()([x_1, layers.Dense(8)(y)]))


class Twice(layers.Layer):
    """Two products with one kernel, as ops."""

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], input_shape[-1]), initializer="glorot_uniform", name="kernel")

    def call(self, x: Any) -> Any:
        return ops.tanh(x @ self.kernel) @ self.kernel + ops.mean(x, axis=-1, keepdims=True)


class Placed(layers.Layer):
    """Vectors, and the numbers of their places."""

    def call(self, x: Any) -> Any:
        return x + ops.expand_dims(ops.arange(x.shape[1], dtype="float32"), -1) / x.shape[1]


class Own(Model):
    """A subclass, with a functional model inside, that takes a list and returns a dict."""

    def __init__(self) -> None:
        super().__init__(name="own")
        x = Input((4,))
        self.inner = Model(x, Twice()(x))
        self.head = Sequential([layers.Dense(3), layers.Dropout(0.5), layers.BatchNormalization()])

    def call(self, inputs: Any, training: bool = False) -> Any:
        one, two = inputs
        both = self.inner(one) * two
        return {"sum": both, "head": self.head(both, training=training)}


def convnet() -> Model:
    """Return the tutorials' network for digits."""
    return Sequential(
        [
            *(layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)), layers.MaxPooling2D((2, 2))),
            *(layers.Conv2D(64, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2))),
            *(layers.Conv2D(64, (3, 3), activation="relu"), layers.Flatten()),
            *(layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax")),
        ]
    )


MODELS: dict[str, tuple[Callable[[], Model], tuple[tuple[int, ...], ...]]] = {
    "dense network": (
        lambda: Sequential(
            [
                layers.Dense(512, activation="relu", input_shape=(784,)),
                *(layers.Dropout(0.2), layers.Dense(10, activation="softmax")),
            ]
        ),
        ((784,),),
    ),
    "convnet": (convnet, ((28, 28, 1),)),
    "transformer": (lambda: transformer(5), ((5, 8),)),
    "transformer of any length": (lambda: transformer(None), ((9, 8),)),
    "LSTM of any length": (lambda: Sequential([Input((None, 3)), layers.LSTM(4, bias_initializer="ones")]), ((6, 3),)),
    "images of any size": (
        lambda: Sequential(
            [
                *(Input((None, None, 2)), layers.Conv2D(4, 3, strides=2, padding="same"), layers.BatchNormalization()),
                *(layers.MaxPooling2D(padding="same"), layers.Conv2DTranspose(3, 3, strides=2, padding="same")),
                *(layers.GroupNormalization(3), layers.GlobalAveragePooling2D()),
            ]
        ),
        ((17, 12, 2),),
    ),
    "steps of any number": (lambda: Sequential([Input((None, 4)), layers.TimeDistributed(Twice())]), ((7, 4),)),
    "places of any number": (lambda: Sequential([Input((None, 3)), Placed()]), ((5, 3),)),
}


@pytest.mark.parametrize("name", MODELS)
def test_networks(name: str, tmp_path: Path) -> None:
    make, shapes = MODELS[name]
    assert_agrees(make(), tmp_path, *(RNG.normal(size=(3, *shape)).astype(np.float32) for shape in shapes))


def test_a_subclass_that_was_called_knows_its_inputs(tmp_path: Path) -> None:
    xs = [RNG.normal(size=(3, 4)).astype(np.float32) for _ in range(2)]
    model = Own()
    model.predict(xs, verbose=0)
    found = assert_agrees(model, tmp_path, *xs, nest=list)
    assert [each.name for each in found.get_inputs()] == ["input_0", "input_1"]
    assert [each.name for each in found.get_outputs()] == ["sum", "head"]
    assert found.get_inputs()[0].shape == ["batch", 4]


def test_a_subclass_is_told_its_inputs(tmp_path: Path) -> None:
    spec = layers.InputSpec(shape=(None, 4), dtype="float32", name="left")
    found = exported(Own(), tmp_path, input_signature=[[spec, Input((4,), name="right")]])
    assert [each.name for each in found.get_inputs()] == ["left", "right"]


def test_names_are_those_of_inputs_and_of_the_layers_that_return_outputs(tmp_path: Path) -> None:
    a, b = Input((3,), name="a"), Input((3,), name="b")
    shared = layers.Dense(2, name="shared")
    found = exported(Model({"first": a, "second": b}, [shared(a), shared(b), a]), tmp_path)
    assert [each.name for each in found.get_inputs()] == ["a", "b"]
    assert [each.name for each in found.get_outputs()][:2] == ["shared", "shared_1"]
    x = np.ones((2, 3), np.float32)
    outs = run(found, x, 2 * x)
    np.testing.assert_allclose(outs[1], 2 * outs[0], rtol=1e-6)
    np.testing.assert_array_equal(outs[2], x)


@pytest.mark.parametrize(("policy", "dtype"), [("mixed_float16", "float16"), ("mixed_bfloat16", "float32")])
def test_16_bits(policy: str, dtype: str, tmp_path: Path) -> None:
    model = Sequential(
        [
            *(Input((8, 8, 2)), layers.Conv2D(4, 3, dtype=policy), layers.BatchNormalization(dtype=policy)),
            *(layers.ReLU(dtype=policy), layers.Flatten(dtype=policy), layers.Dense(3, "softmax", dtype=policy)),
        ]
    )
    found = assert_agrees(model, tmp_path, RNG.normal(size=(3, 8, 8, 2)).astype(np.float32), tolerance=1e-2)
    assert found.get_outputs()[0].type == f"tensor({dtype.replace('float32', 'float')})"


def test_float16_halves_the_file(tmp_path: Path) -> None:
    made = {policy: Sequential([Input((64,)), layers.Dense(64, dtype=policy)]) for policy in ("float32", "float16")}
    sizes = []
    for policy, model in made.items():
        model.export(tmp_path / f"{policy}.onnx", verbose=False)
        sizes.append((tmp_path / f"{policy}.onnx").stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]


def test_a_trained_model_is_exported_as_it_is_now(tmp_path: Path) -> None:
    model = Sequential([Input((4,)), layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dense(1)])
    model.compile("adam", "mse")
    x = RNG.normal(size=(32, 4)).astype(np.float32)
    model.fit(x, x[:, :1], epochs=2, verbose=0)
    before = exported(model, tmp_path)
    assert_agrees(model, tmp_path, x)
    model.fit(x, x[:, :1], epochs=2, verbose=0)
    assert np.abs(run(before, x)[0] - model.predict(x, verbose=0)).max() > 1e-4


@pytest.mark.parametrize("version", [18, 21])
def test_other_sets_of_operators(version: int, tmp_path: Path) -> None:
    model = Sequential([Input((6, 6, 1)), layers.Conv2D(2, 3), layers.Flatten()])
    path = tmp_path / "model.onnx"
    model.export(path, verbose=False, opset_version=version)
    x = RNG.normal(size=(2, 6, 6, 1)).astype(np.float32)
    np.testing.assert_allclose(run(session(path), x)[0], model(x).numpy(), rtol=1e-5, atol=1e-6)
    onnx = pytest.importorskip("onnx")
    assert onnx.load(path).opset_import[0].version == version
