"""The table of `summary`: Keras's text, from layers and models that only have what the table needs."""

import os
import re
import warnings
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpudl.reports.summary import print_summary


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@dataclass
class Variable:
    size: int
    dtype: np.dtype


@dataclass
class Layer:
    name: str
    output_shape: Any = None
    weights: list[Variable] = field(default_factory=list)
    trainable: bool = True
    built: bool = True
    layers: list[Any] = field(default_factory=list)

    def count_params(self) -> int:
        return sum(v.size for v in self.weights)


class Dense(Layer):
    pass


@dataclass
class Model:
    layers: list[Any]
    trainable_weights: list[Variable] = field(default_factory=list)
    non_trainable_weights: list[Variable] = field(default_factory=list)
    optimizer: Any = None
    name: str = "sequential"


def floats(size: int) -> Variable:
    return Variable(size, np.dtype("float32"))


def text(model: Any, **options: Any) -> str:
    printed: list[str] = []
    print_summary(model, print_fn=printed.append, **options)
    (whole,) = printed
    return whole


def small() -> Model:
    weights = [floats(401_408), floats(512)]
    return Model([Dense("dense", (None, 512), weights), Dense("dense_1", built=False)], weights)


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    expected = """\
Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ dense (Dense)                   │ (None, 512)            │       401,920 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense_1 (Dense)                 │ ?                      │   0 (unbuilt) │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 401,920 (1.53 MB)
 Trainable params: 401,920 (1.53 MB)
 Non-trainable params: 0 (0.00 B)
"""
    assert text(small()) == expected
    print_summary(small())
    assert capsys.readouterr().out == expected


def test_the_optimizer_counts_once_it_is_built() -> None:
    model = small()
    model.optimizer = SimpleNamespace(built=False, variables=[floats(3)])
    assert "Optimizer" not in text(model)
    model.optimizer.built = True
    model.optimizer.variables = [floats(256), Variable(1, np.dtype("int64"))]
    assert text(model).splitlines()[-4:] == [
        " Total params: 402,177 (1.53 MB)",
        " Trainable params: 401,920 (1.53 MB)",
        " Non-trainable params: 0 (0.00 B)",
        " Optimizer params: 257 (1.01 KB)",
    ]


def test_a_shared_weight_counts_once() -> None:
    weight = floats(10)
    model = Model([Dense("a", (None, 1), [weight]), Dense("b", (None, 1), [weight])], [weight, weight])
    assert " Trainable params: 10 (40.00 B)" in text(model)


def test_trainable_column() -> None:
    layers = [Dense("a", (None, 1), [floats(1)]), Dense("b", (None, 1), [floats(1)], trainable=False), Dense("c", ())]
    rows = [line for line in text(Model(layers), show_trainable=True, line_length=100).splitlines() if "Dense" in line]
    assert [row.split("│")[-2].strip() for row in rows] == ["Y", "N", "-"]
    assert {len(row) for row in rows} == {100}


def test_nested_layers_are_shown_on_demand() -> None:
    inner = Dense("inner", (None, 2), layers=[Dense("innermost", (None, 1))])
    model = Model([Dense("block", (None, 2), layers=[inner])])
    assert "inner" not in text(model)
    shown = text(model, expand_nested=True)
    assert "│ block (Dense) " in shown
    assert "│    └ inner (Dense) " in shown
    assert "│       └ innermost (Dense) " in shown


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("b", "c"), "bc"),
        (("c", "b"), "bc"),
        (("a", "[cd]"), "abcd"),
        (["d", "d"], "d"),
    ],
)
def test_layer_range(names: Any, shown: str) -> None:
    whole = text(Model([Dense(name, (None, 1)) for name in "abcd"]), layer_range=names)
    assert [line[2] for line in whole.splitlines() if "(Dense)" in line] == list(shown)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((), "()"),
        ((None, 3), "(None, 3)"),
        ([(None, 3), (None, 4)], "[(None, 3), (None, 4)]"),
        (((None, 3), (None,)), "[(None, 3), (None)]"),
        ({"y": (None, 3)}, "(None, 3)"),
        ({"y": (None, 3), "x": [(None, 4)]}, "[(None, 3), (None, 4)]"),
        (None, "?"),
    ],
)
def test_shapes(shape: Any, shown: str) -> None:
    (row,) = [line for line in text(Model([Dense("d", shape)])).splitlines() if "(Dense)" in line]
    assert row.split("│")[2].strip() == shown


def test_a_wide_table_is_not_cut() -> None:
    lines = text(small(), line_length=200).splitlines()
    assert [len(line) for line in lines[1:7]] == [200] * 6


def test_own_columns() -> None:
    rule = text(small(), positions=[0.2, 0.5, 1.0], line_length=80).splitlines()[1]
    first, second, third = (len(column) for column in rule.strip("┏┓").split("┳"))
    assert first < second < third
    assert first + second + third + 4 == 80


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"line_length": 10}, "a summary of 10 characters leaves columns of [4, 4, 2]. Pass a larger line_length"),
        ({"positions": [0.5, 1.0]}, "positions expected 3 shares of the width, one for each column, got 2."),
        ({"layer_range": "dense"}, "layer_range expected the names of the first and the last layer, got 'dense'."),
        ({"layer_range": ("dense", "x")}, "('dense', 'x') matches no layers. The layers are dense, dense_1."),
    ],
)
def test_errors(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        text(small(), **options)


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras")


def fake_layer(layer: Any) -> Any:
    """Return a fake with the facts of a Keras layer."""
    fake = type(type(layer).__name__, (Layer,), {})
    shape = layer.output.shape if layer.built and layer._inbound_nodes else None
    inner = [fake_layer(one) for one in getattr(layer, "layers", [])]
    return fake(layer.name, shape, facts(layer.weights), layer.trainable, layer.built, inner)


def facts(variables: Any) -> list[Variable]:
    return [Variable(int(np.prod(v.shape)), np.dtype(v.dtype)) for v in variables]


def fake_model(model: Any) -> Model:
    optimizer = model.optimizer if model.compiled else None
    if optimizer is not None:
        optimizer = SimpleNamespace(built=optimizer.built, variables=facts(optimizer.variables))
    trainable, frozen = facts(model.trainable_weights), facts(model.non_trainable_weights)
    return Model([fake_layer(layer) for layer in model.layers], trainable, frozen, optimizer, model.name)


def keras_text(model: Any, **options: Any) -> str:
    printed: list[str] = []
    model.summary(print_fn=printed.append, **options)
    return "".join(printed)


def dense_net(keras: ModuleType) -> Any:
    return keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(512, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def conv_net(keras: ModuleType) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def unbuilt_net(keras: ModuleType) -> Any:
    return keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(4)], name="not[built]")


def nested_net(keras: ModuleType) -> Any:
    frozen = keras.layers.Dense(3, trainable=False)
    inner = keras.Sequential([keras.Input((4,)), frozen, keras.layers.Dense(2)])
    return keras.Sequential(
        [keras.Input((4,)), inner, keras.layers.Dense(5, name="a_name_that_is_far_too_long_for_it")]
    )


@pytest.mark.parity
@pytest.mark.parametrize("build", [dense_net, conv_net, unbuilt_net, nested_net])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"line_length": 60},
        {"show_trainable": True},
        {"expand_nested": True, "positions": [0.5, 0.7, 1.0]},
        {"layer_range": (".", ".")},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
@pytest.mark.parametrize("columns", ["80", "200"])
def test_the_text_is_keras(
    keras: ModuleType, monkeypatch: pytest.MonkeyPatch, build: Any, options: dict[str, Any], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    model = build(keras)
    assert text(fake_model(model), **options) == keras_text(model, **options)


@pytest.mark.parity
def test_the_text_after_training_is_keras(keras: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    model = dense_net(keras)
    model.compile(optimizer="rmsprop", loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.summary()
    expected = capsys.readouterr().out
    print_summary(fake_model(model))
    assert capsys.readouterr().out == expected
    assert "Optimizer params: 407,052" in expected
