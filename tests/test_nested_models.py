"""Models inside models: Sequential, functional and of one's own class, in each other, shared, frozen, taken apart."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import Input, Model, Sequential, layers

rng = np.random.default_rng(0)
X, Z, Y = (rng.random((12, n), dtype=np.float32) for n in (4, 3, 1))


@pytest.fixture(autouse=True)
def _seed() -> None:
    gpudl.utils.set_random_seed(1)


class Sum(layers.Layer):
    """The sum of a dict of two arrays."""

    def call(self, x: Any) -> Any:
        return x["a"] + x["b"]


def two_in_a_dict_out(of: Any = gpudl) -> Any:
    a, b = of.Input((4,), name="a"), of.Input((3,), name="b")
    return of.Model([a, b], {"a": of.layers.Dense(2)(a), "b": of.layers.Dense(2)(b)}, name="two")


class TestSequential:
    @pytest.mark.parametrize(
        "known",
        [
            lambda stack: Sequential([Input((4,)), *stack]),
            Sequential,
            lambda stack: Sequential([Sequential([Input((4,)), stack[0]]), *stack[1:]]).layers[0],
        ],
    )
    def test_layers_have_symbols_as_soon_as_the_shape_is_known(self, known: Callable[[list[Any]], Any]) -> None:
        stack = [layers.Dense(3), layers.ReLU()]
        model = known(stack)
        if not hasattr(model, "input_shape"):
            with pytest.raises(AttributeError, match=r"it was not called on symbols"):
                stack[0].output  # noqa: B018
        model(X)
        assert stack[0].output.shape == (None, 3)
        assert stack[0].input is model.input
        assert model.layers[-1].output is model.output
        np.testing.assert_array_equal(Model(model.inputs, stack[0].output)(X).numpy(), stack[0](X).numpy())

    @pytest.mark.parametrize("way", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
    def test_so_have_those_of_a_copy(self, way: Callable[[Any], Any]) -> None:
        model = way(Sequential([Input((4,)), layers.Dense(3), layers.ReLU()]))
        features = Model(model.input, model.layers[0].output)
        np.testing.assert_array_equal(features(X).numpy(), model.layers[0](X).numpy())

    def test_symbols_of_layers_that_stay_are_kept(self) -> None:
        model = Sequential([Input((4,)), layers.Dense(3), layers.Dense(2)])
        below = model.layers[0].output
        model.pop()
        model.add(layers.Dense(5))
        assert model.layers[0].output is below
        assert model.output.shape == model.output_shape == (None, 5)

    def test_nests_come_in_and_go_between(self) -> None:
        model = Sequential([two_in_a_dict_out(), Sum(), layers.Dense(1)])
        assert model([X, Z]).shape == (12, 1)
        model.compile("sgd", "mse")
        assert len(model.fit([X, Z], Y, verbose=0).history["loss"]) == 1
        inner = two_in_a_dict_out()
        x = Input((4,))
        one = Sequential([Model(x, inner([x, x[:, :3]])), Sum(), layers.Dense(1)])
        assert one.built
        assert one.output_shape == (None, 1)
        assert Sequential([Sum()])({"a": X, "b": X}).shape == (12, 4)

    def test_it_is_called_on_several_symbols_and_built_for_several_shapes(self) -> None:
        model = Sequential([layers.Concatenate(), layers.Dense(2)])
        a, b = Input((4,)), Input((3,))
        assert Model([a, b], model([a, b]))([X, Z]).shape == (12, 2)
        other = Sequential([layers.Concatenate(), layers.Dense(2)])
        other.build([(None, 4), (None, 3)])
        assert other.output_shape == (None, 2)
        assert other.count_params() == 16

    def test_one_of_a_known_shape_takes_one_array(self) -> None:
        with pytest.raises(ValueError, match=r'^Sequential ".*" takes one array, got a list of 2\. np\.stack makes'):
            Sequential([Input((4,)), layers.Dense(1)])([X, X])

    def test_it_is_a_layer_of_a_functional_model(self) -> None:
        tower = Sequential([layers.Dense(3, "relu"), layers.Dense(2)], name="tower")
        a, b = Input((4,)), Input((4,))
        model = Model([a, b], tower(a) - tower(b))
        assert [layer.name for layer in model.layers][2:] == ["tower"]
        assert len(model.weights) == 4
        assert tower.output.shape == (None, 2)
        np.testing.assert_array_equal(model([X, X]).numpy(), np.zeros((12, 2)))


class Wide(Model):
    """A model of inputs and outputs that calls one layer more."""

    def __init__(self, units: int, **options: Any) -> None:
        x = Input((4,))
        super().__init__(inputs=x, outputs=layers.Dense(units)(x), **options)
        self.units = units
        self.more = layers.Dense(7)

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.more(super().call(inputs, training=training))


class Pair(Model):
    """A model of an own class of two inputs, one of which need not be there."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.one, self.other = layers.Dense(2), layers.Dense(2)

    def call(self, x: Any, z: Any = None) -> Any:
        return self.one(x) if z is None else self.one(x) + self.other(z)


class TestOwnClasses:
    def test_one_made_of_inputs_and_outputs_with_a_call_of_its_own(self) -> None:
        model = Wide(3)
        assert model.name == "wide"
        assert model(X).shape == (12, 7)
        assert len(model.weights) == 4
        assert [type(layer).__name__ for layer in model.layers] == ["InputLayer", "Dense"]

    def test_one_of_several_arguments(self) -> None:
        model = Pair()
        assert model(X).shape == model(X, Z).shape == model(X, z=Z).shape == (12, 2)
        a, b = Input((4,)), Input((3,))
        outer = Model([a, b], model(a, z=b))
        np.testing.assert_array_equal(outer([X, Z]).numpy(), model(X, Z).numpy())
        assert len(outer.weights) == 4

    def test_one_of_a_list_trains(self) -> None:
        class Listed(Model):
            def __init__(self) -> None:
                super().__init__()
                self.one, self.other = layers.Dense(1), layers.Dense(1)

            def call(self, inputs: Any) -> Any:
                x, z = inputs
                return self.one(x) + self.other(z)

        model = Listed()
        model.compile("adam", "mse")
        losses = model.fit([X, Z], Y, epochs=30, verbose=0).history["loss"]
        assert losses[-1] < losses[0]


class TestFreezing:
    def counts(self, *models: Any) -> list[tuple[int, int]]:
        return [(len(model.trainable_weights), len(model.non_trainable_weights)) for model in models]

    def test_it_reaches_inside_and_the_outer_model_decides(self) -> None:
        x = Input((4,))
        base = Model(x, layers.BatchNormalization(name="bn")(layers.Dense(3, name="d")(x)), name="base")
        model = Sequential([base, layers.Dense(1)])
        assert self.counts(base, model) == [(4, 2), (6, 2)]
        base.trainable = False
        assert not base.get_layer("bn").trainable
        assert self.counts(base, model) == [(0, 6), (2, 6)]
        base.get_layer("d").trainable = True  # of a frozen model: its own count stays, that around it sees the layer
        assert self.counts(base, model) == [(0, 6), (4, 4)]
        base.trainable = True
        assert self.counts(base, model) == [(4, 2), (6, 2)]

    def test_what_is_frozen_stays_in_training(self) -> None:
        base = Sequential([Input((4,)), layers.Dense(3), layers.Dense(3)])
        x = Input((4,))
        model = Model(x, layers.Dense(1)(base(x)))
        base.layers[0].trainable = False
        model.compile("sgd", "mse")
        before = model.get_weights()
        model.fit(X, Y, verbose=0)
        moved = [not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)]
        assert moved == [False, False, True, True, True, True]

    def test_a_model_that_is_made_frozen(self) -> None:
        x = Input((4,))
        model = Model(x, layers.Dense(1)(x), trainable=False)
        assert self.counts(model) == [(0, 2)]


def frozen_and_shared(of: Any) -> list[Any]:
    """Return what a program sees of models in each other, with `of` as the framework."""
    inner = two_in_a_dict_out(of)
    stack = of.Sequential([of.Input((2,)), of.layers.Dense(3, name="s")], name="stack")
    p, q = of.Input((4,), name="p"), of.Input((3,), name="q")
    found = inner([p, q])
    model = of.Model({"p": p, "q": q}, [stack(found["a"]), stack(found["b"]), found["a"]])
    seen = [[layer.name for layer in model.layers], model.output_names, len(model.weights), model.output_shape]
    seen += [model.input_shape, inner.output_shape, stack.output_shape, stack.input_shape]
    for part, value in ((inner, False), (inner.layers[-1], True), (model, False), (stack, True), (model, True)):
        part.trainable = value
        seen.append([(len(m.trainable_weights), len(m.non_trainable_weights)) for m in (model, inner, stack)])
    return seen


@parity
def test_a_program_sees_what_it_sees_in_keras() -> None:
    assert frozen_and_shared(gpudl) == frozen_and_shared(keras_or_skip())
