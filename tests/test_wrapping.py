"""Layers around a function, another layer or nothing; and what variables refuse."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import Input, Model, layers

X = np.arange(6.0, dtype=np.float32).reshape(2, 3)


class TestVariables:
    def test_attributes(self) -> None:
        v = gpudl.Variable([1.0, 2.0], aggregation="mean", synchronization="on_read")
        assert v.name.startswith("variable")
        assert (v.path, v.ndim, v.aggregation, v.synchronization) == (v.name, 1, "mean", "on_read")
        assert v.overwrite_with_gradient is False

    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda: gpudl.Variable(1.0, aggregation="foo"), "the aggregation of a variable is one of None, 'none',"),
            (lambda: gpudl.Variable(1.0, synchronization="x"), "the synchronization of a variable is one of None,"),
            (lambda: gpudl.Variable(1.0, name="a/b"), "the name of a variable is text without a slash, got 'a/b'."),
            (
                lambda: setattr(gpudl.Variable(1.0), "regularizer", 3),
                "the regularizer of a variable is a function, such",
            ),
            (lambda: setattr(gpudl.Variable(1.0), "constraint", 3), "the constraint of a variable is a function, such"),
        ],
    )
    def test_what_they_refuse(self, call: Any, text: str) -> None:
        with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
            call()


def twice(x: Any) -> Any:
    return 2 * x


class TestWrappers:
    def test_lambda(self) -> None:
        layer = layers.Lambda(twice, output_shape=(7,), name="l")
        assert layer.compute_output_shape((None, 3)) == (None, 7)
        assert layers.Lambda(twice, output_shape=lambda s: (*s, 1)).compute_output_shape((None, 3)) == (None, 3, 1)
        assert layers.Lambda(twice).compute_output_shape((None, 3)) == (None, 3)
        made = layers.Lambda.from_config(layer.get_config())
        np.testing.assert_array_equal(made(X).numpy(), 2 * X)
        with gpudl.saving.custom_object_scope({"twice": twice}):
            config = layer.get_config()
            assert config["function"] == "twice"
            assert layers.Lambda.from_config(config).function is twice
        with pytest.raises(ValueError, match=r"^Lambda: there is no function called 'twice'\. Register it with"):
            layers.Lambda.from_config(config)
        with pytest.raises(TypeError, match=r"^Lambda takes a function of the inputs, got 3\."):
            layers.Lambda(3)
        seen: list[Any] = []
        layers.Lambda(lambda x, training: seen.append(training) or x)(X, training=True)
        assert seen == [True]

    def test_wrapper(self) -> None:
        class Halved(layers.Wrapper):
            def call(self, x: Any) -> Any:
                return self.layer(x) / 2

        layer = Halved(layers.Dense(2, name="d"), name="w")
        y = layer(X)
        np.testing.assert_allclose(y.numpy(), layer.layer(X).numpy() / 2)
        assert [v.path for v in layer.weights] == ["w/d/kernel", "w/d/bias"]
        made = Halved.from_config(layer.get_config())
        assert made.get_config() == layer.get_config()
        assert made.layer is not layer.layer
        with pytest.raises(ValueError, match=r"^Halved wraps a layer, got 3\. Give it one, such as Dense\(8\)\.$"):
            Halved(3)
        with pytest.raises(NotImplementedError, match=r"Wrapper must implement call\(\)\."):
            layers.Wrapper(layers.Dense(2))(X)

    def test_identity_of_a_nest(self) -> None:
        nest = {"a": X, "b": [X, X]}
        same = layers.Identity()(nest)
        np.testing.assert_array_equal(same["b"][1].numpy(), X)
        x = Input((3,))
        assert Model(x, layers.Identity()({"a": x}))(X)["a"].shape == (2, 3)
