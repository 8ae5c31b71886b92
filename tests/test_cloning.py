"""`clone_model`: the same layers with new weights, or what functions make of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import Input, Model, Sequential, layers
from gpudl.models import clone_model

X = np.random.default_rng(0).random((5, 4), dtype=np.float32)


def shared(of: Any = gpudl) -> Any:
    """Return a functional model with a layer that is called twice, a plain op and dicts."""
    a, b = of.Input((4,), name="a"), of.Input((4,), name="b")
    layer = of.layers.Dense(3, name="shared")
    x = of.layers.Dense(2, name="top")(layer(a) * 2.0 - layer(b))
    return of.Model({"a": a, "b": b}, {"x": x, "y": layer(a)}, name="m")


def stack(of: Any = gpudl) -> Any:
    return of.Sequential([of.Input((4,)), of.layers.Dense(3, name="one"), of.layers.Dense(2, name="two")], name="m")


def around(of: Any = gpudl) -> Any:
    """Return a functional model around a Sequential around a functional model."""
    i = of.Input((3,))
    inner = of.Model(i, of.layers.Dense(3, name="deep")(i), name="inner")
    middle = of.Sequential([of.layers.Dense(3, name="low"), inner], name="middle")
    x = of.Input((4,), name="x")
    return of.Model(x, of.layers.Dense(1, name="out")(middle(x)), name="m")


class Own(Model):
    def __init__(self, units: int = 2, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.layer = layers.Dense(units)

    def call(self, x: Any) -> Any:
        return self.layer(x)


MAKERS: dict[str, Callable[..., Any]] = {"shared": shared, "stack": stack, "around": around}
GIVEN: dict[str, Any] = {"shared": {"a": X, "b": X[::-1].copy()}, "stack": X, "around": X}


def leaves(nest: Any) -> list[np.ndarray]:
    return [nest[key].numpy() for key in sorted(nest)] if isinstance(nest, dict) else [nest.numpy()]


@pytest.mark.parametrize("name", MAKERS)
def test_a_clone_computes_the_same_with_the_same_weights(name: str) -> None:
    model = MAKERS[name]()
    clone = clone_model(model)
    assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
    assert [op.name for op in clone.operations] == [op.name for op in model.operations]
    assert clone.name == model.name
    assert not {id(v) for v in clone.variables} & {id(v) for v in model.variables}
    assert any(not np.array_equal(a, b) for a, b in zip(clone.get_weights(), model.get_weights(), strict=True))
    clone.set_weights(model.get_weights())
    for one, other in zip(leaves(clone(GIVEN[name])), leaves(model(GIVEN[name])), strict=True):
        np.testing.assert_array_equal(one, other)
    assert type(clone.input) is type(model.input)
    assert type(clone.output) is type(model.output)


@pytest.mark.parametrize("name", ["stack", "around"])
def test_a_clone_of_a_compiled_model_is_compiled_alike(name: str) -> None:
    model = MAKERS[name]()
    assert not clone_model(model).compiled
    metric = gpudl.metrics.MeanAbsoluteError()
    model.compile(gpudl.optimizers.SGD(0.5, momentum=0.25), lambda y, p: p - y, metrics=[metric])
    clone = clone_model(model)
    assert clone.compiled
    assert clone.optimizer is not model.optimizer
    assert clone.optimizer.get_config() == model.optimizer.get_config()
    clone.set_weights(model.get_weights())
    target = np.zeros((len(X), *model.output_shape[1:]))
    assert clone.train_on_batch(X, target) == model.train_on_batch(X, target)
    assert clone.metrics[1].metrics[0] is not metric


def test_a_sequential_that_is_not_built_stays_so() -> None:
    model = Sequential([layers.Dense(2)])
    assert not clone_model(model).built
    model(X)
    assert clone_model(model).output_shape == (None, 2)
    twice = layers.Dense(4)
    assert len(clone_model(Sequential([Input((4,)), twice, twice])).weights) == 2


def test_an_own_class_is_made_by_its_config() -> None:
    model = Own(7, name="own")
    clone = clone_model(model)
    assert (type(clone), clone.units, clone.name) == (Own, 7, "own")
    assert clone_model(layers.Dense(3, name="d")).name == "d"

    class Trained(Model):
        pass

    x = Input((4,))
    assert type(clone_model(Trained(x, layers.Dense(1)(x)))) is Trained


def test_a_function_makes_the_layers() -> None:
    def renamed(layer: Any) -> Any:
        return type(layer).from_config({**layer.get_config(), "name": f"{layer.name}_new"})

    clone = clone_model(shared(), clone_function=renamed)
    assert [layer.name for layer in clone.layers] == ["a", "shared_new", "b", "top_new"]
    kept = clone_model(stack_model := stack(), clone_function=lambda layer: layer)
    assert kept.layers == stack_model.layers


def test_a_function_calls_the_layers() -> None:
    seen: list[str] = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(layer.name)
        result = layer(*args, **kwargs)
        return layers.Dropout(0.5)(result) if isinstance(layer, layers.Dense) else result

    clone = clone_model(shared(), call_function=call)
    assert sorted(set(seen)) == ["multiply", "shared", "subtract", "top"]
    assert [type(layer).__name__ for layer in clone.layers].count("Dropout") == 4


def test_other_inputs() -> None:
    p, q = Input((4,), name="p"), Input((4,), name="q")
    clone = clone_model(shared(), input_tensors={"a": p, "b": q})
    assert clone.input_names == ["p", "q"]
    assert clone_model(stack(), input_tensors=p).inputs[0] is p


@pytest.mark.parametrize("recursive", [False, True])
def test_models_inside(recursive: bool) -> None:
    seen: list[str] = []

    def note(layer: Any) -> Any:
        seen.append(layer.name)
        return clone_model(layer)

    clone = clone_model(around(), clone_function=note, recursive=recursive)
    assert seen == (["low", "deep", "out"] if recursive else ["middle", "out"])
    assert clone.get_layer("middle").get_layer("inner").get_layer("deep").units == 3


ERRORS: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: clone_model(Own(), clone_function=clone_model),
        r'^clone_function, .* Sequential, got Own "own.*config alo',
    ),
    (
        lambda: clone_model(Own(), recursive=True),
        r"^clone_function, input_tensors and recursive are for functional mod",
    ),
    (lambda: clone_model(stack(), call_function=lambda layer, x: x), r"^call_function is for functional models only"),
    (
        lambda: clone_model(shared(), input_tensors=[Input((4,)), Input((4,))]),
        r"^input_tensors must have the same structure as model\.input, \{'a': <KerasTensor.*, got \[<KerasTensor",
    ),
]


@pytest.mark.parametrize(("use", "text"), ERRORS)
def test_errors(use: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        use()


def seen_by_a_program(of: Any, name: str, recursive: bool) -> list[Any]:
    of.utils.clear_session()
    seen: list[Any] = []

    def made(layer: Any) -> Any:
        if isinstance(layer, of.layers.Layer):  # Keras asks for its ops too
            seen.append(layer.name)
        return type(layer).from_config(layer.get_config()) if layer.name != "middle" else layer

    def called(layer: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append([layer.name, len(args)])
        return layer(*args, **kwargs)

    functional = {"call_function": called} if name != "stack" else {}
    clone = of.models.clone_model(MAKERS[name](of), clone_function=made, recursive=recursive, **functional)
    names = [layer.name for layer in clone.layers]
    return [*sorted(seen, key=repr), names, clone.name, len(clone.weights), clone.output_shape]


@parity
def test_a_program_sees_what_it_sees_in_keras() -> None:
    for name in MAKERS:
        for recursive in (False, True):
            ours, theirs = (seen_by_a_program(of, name, recursive) for of in (gpudl, keras_or_skip()))
            assert ours == theirs, (name, recursive)
