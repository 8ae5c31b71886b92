"""Names to objects and back, in all families alike; classes and functions of a user."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import (
    activations,
    constraints,
    custom_objects,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
    saving,
)

FAMILIES = {
    "activation": activations,
    "initializer": initializers,
    "regularizer": regularizers,
    "constraint": constraints,
    "loss": losses,
    "metric": metrics,
    "optimizer": optimizers,
    "layer": layers,
}
every_family = pytest.mark.parametrize("kind", FAMILIES)
BASES = {"Initializer", "RandomInitializer", "Regularizer", "Constraint", "Loss", "Metric", "Optimizer", "Layer"}


@pytest.fixture
def registered() -> Iterator[dict[str, Any]]:
    known = saving.get_custom_objects()
    before = dict(known)
    yield known
    known.clear()
    known.update(before)


def needs_arguments(kind: type) -> bool:
    options = list(inspect.signature(kind).parameters.values())
    return kind in (layers.InputLayer, layers.CategoryEncoding, layers.Discretization) or any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in options
    )


def public_classes(kind: str) -> dict[str, type]:
    module = FAMILIES[kind]
    base = {"Loss": losses.Loss, "Metric": metrics.Metric}.get(kind.title()) or getattr(module, kind.title(), None)
    found = {name: getattr(module, name) for name in module.__all__}
    return {
        name: item
        for name, item in found.items()
        if base and inspect.isclass(item) and issubclass(item, base) and name not in BASES and not needs_arguments(item)
    }


@every_family
def test_every_public_class_is_known_by_name_class_and_config(kind: str) -> None:
    module = FAMILIES[kind]
    for name, item in public_classes(kind).items():
        for identifier in (name, item, {"class_name": name, "config": {}}):
            assert type(module.get(identifier)) is item
    assert public_classes(kind) or kind == "activation"


@every_family
def test_what_is_serialized_comes_back(kind: str) -> None:
    module = FAMILIES[kind]
    for item in public_classes(kind).values():
        made = item()
        plain = module.serialize(made)
        assert plain["class_name"] == item.__name__
        again = module.deserialize(plain)
        assert type(again) is item
        assert module.serialize(again) == plain


@every_family
def test_an_unknown_name_is_refused_with_the_nearest(kind: str) -> None:
    known = next(name for name in ("softmax", "zeros", "unit_norm", "huber", "mean", "adagrad", "l1_l2")
                 if _is_known(FAMILIES[kind], name))  # fmt: skip
    with pytest.raises(ValueError, match=rf"^Unknown {kind}: '{known}x'\. Did you mean '{known}'\?$"):
        FAMILIES[kind].get(f"{known}x")
    with pytest.raises(ValueError, match=rf"^the config of an? {kind} is a dict with class_name"):
        FAMILIES[kind].get({"name": "x"})
    for other in (3, 2.5, [1], object(), b"x"):
        with pytest.raises(ValueError, match=rf"\ban? {kind}\b.*, got {re.escape(repr(other))}\.$"):
            FAMILIES[kind].get(other)


def _is_known(module: Any, name: str) -> bool:
    try:
        module.get(name)
    except ValueError:
        return False
    return True


@every_family
def test_the_functions_that_look_up_are_no_members(kind: str) -> None:
    for name in ("get", "serialize", "deserialize"):
        with pytest.raises(ValueError, match=f"Unknown {kind}: '{name}'"):
            FAMILIES[kind].get(name)


def test_what_none_stands_for() -> None:
    assert activations.get(None) is activations.linear
    for module in (initializers, regularizers, constraints, losses, metrics, optimizers):
        assert module.get(None) is None


def test_a_function_has_the_name_in_small_letters_where_a_class_has_it_too() -> None:
    assert losses.get("huber") is losses.huber
    assert isinstance(losses.get("Huber"), losses.Huber)
    assert isinstance(metrics.get("accuracy"), metrics.Accuracy)
    with pytest.raises(ValueError, match="Unknown metric: 'huber'"):
        metrics.get("huber")


def test_a_function_as_keras_describes_one() -> None:
    plain = {
        "module": "builtins",
        "class_name": "function",
        "config": "mean_squared_error",
        "registered_name": "function",
    }
    assert losses.get(plain) is losses.mean_squared_error
    assert (
        losses.get({"module": "keras.losses", "class_name": "Huber", "config": {}, "registered_name": None}).delta == 1
    )


def test_a_registered_class_is_named_with_its_package(registered: dict[str, Any]) -> None:
    @saving.register_keras_serializable(package="mine")
    class Twice(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2

    plain = layers.serialize(Twice(name="t"))
    assert (plain["class_name"], plain["registered_name"]) == ("Twice", "mine>Twice")
    for config in (plain, {**plain, "registered_name": None, "class_name": "mine>Twice"}):
        np.testing.assert_array_equal(layers.deserialize(config)(np.ones((1, 2))).numpy(), [[2, 2]])
    assert saving.get_registered_name(Twice) == "mine>Twice"
    assert saving.get_registered_object("mine>Twice") is registered["mine>Twice"] is Twice
    model = gpudl.Sequential([layers.Input((2,)), Twice()])
    assert isinstance(gpudl.Sequential.from_config(model.get_config()).layers[0], Twice)
    del registered["mine>Twice"]
    with pytest.raises(ValueError, match=r"'Twice' of tests\.test_registry is neither gpudl's nor registered"):
        layers.deserialize(plain)
    assert isinstance(layers.deserialize(plain, {"Twice": Twice}), Twice)


def test_a_registered_function(registered: dict[str, Any]) -> None:
    @saving.register_keras_serializable(name="error")
    def distance(y_true: Any, y_pred: Any) -> Any:
        return abs(y_true - y_pred)

    assert losses.serialize(distance) == "Custom>error"
    assert losses.get("Custom>error") is registered["Custom>error"] is distance
    loss = losses.deserialize(losses.serialize(losses.LossFunctionWrapper(distance)))
    assert loss.fn is distance


def test_what_has_no_config_cannot_be_registered() -> None:
    with pytest.raises(ValueError, match=r"^Plain has no get_config\(\), from which a copy could be made\. Write one"):

        @saving.register_keras_serializable()
        class Plain:
            pass


def test_a_scope_ends_with_its_block() -> None:
    def mine(x: Any) -> Any:
        return x

    def other(x: Any) -> Any:
        return x

    with (
        saving.CustomObjectScope({"mine": mine}),
        saving.custom_object_scope({"other": other}),
        saving.CustomObjectScope(None),
    ):
        assert activations.get("mine") is mine
        assert activations.get("other") is other
        assert saving.get_registered_object("mine") is mine
    with pytest.raises(ValueError, match="Unknown activation: 'mine'"):
        activations.get("mine")
    assert saving.get_registered_object("mine") is None
    assert saving.get_registered_object("mine", {"mine": mine}) is mine
    assert saving.get_registered_object("other", None, {"other": other}) is other


@parity
@every_family
def test_names_are_those_of_keras(kind: str) -> None:
    keras = keras_or_skip()
    ours, theirs = FAMILIES[kind], getattr(keras, FAMILIES[kind].__name__.rpartition(".")[2])
    for name in ("serialize", "deserialize", *(["get"] if kind != "layer" else [])):
        assert len(inspect.signature(getattr(ours, name)).parameters) == len(
            inspect.signature(getattr(theirs, name)).parameters
        )
    assert all(hasattr(keras.saving, name) for name in saving.__all__)
    for name in custom_objects.__all__:
        assert getattr(keras.utils, name)
        assert getattr(gpudl.utils, name) is getattr(saving, name)
