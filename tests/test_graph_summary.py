"""The summaries of graphs, models in each other and layers of layers, character by character as Keras prints them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl.names import clear_names

OPTIONS: list[dict[str, Any]] = [
    {},
    {"expand_nested": True},
    {"show_trainable": True},
    {"expand_nested": True, "show_trainable": True},
    {"line_length": 70},
    {"line_length": 150, "expand_nested": True},
    {"layer_range": ["d.*", "d.*"]},
    {"layer_range": ("p", "cat"), "show_trainable": True},
]


def two(of: Any) -> Any:
    a, b = of.Input((3,), name="a"), of.Input((4,), name="b")
    return a, b, of.layers.Dense(5, name="da")(a), of.layers.Dense(5, name="db")(b)


def two_outputs(of: Any) -> Any:
    a, b, x, y = two(of)
    return of.Model([a, b], {"o": x + y, "p": x * y})


def nested(of: Any, frozen: bool = False) -> Any:
    a, b, x, y = two(of)
    inner = of.Model([a, b], [x + 1, y], name="inner")
    p, q = of.Input((3,), name="p"), of.Input((4,), name="q")
    u, v = inner([p, q])
    inner.trainable = not frozen
    return of.Model([p, q], of.layers.Concatenate(name="cat")([u, v, u]))


def dicts(of: Any) -> Any:
    a, b, x, y = two(of)
    inner = of.Model({"a": a, "b": b}, {"x": x, "y": y}, name="inner")
    p, q = of.Input((3,), name="p"), of.Input((4,), name="q")
    found = inner({"a": p, "b": q})
    return of.Model([p, q], of.layers.Add()([found["x"], found["y"]]))


def sequential_inside(of: Any) -> Any:
    deep = of.Sequential([of.layers.Dense(3, name="s1"), of.layers.Dense(3, name="s2")], name="s")
    known = of.Sequential([of.Input((3,)), of.layers.Dense(3, name="k1"), of.layers.Dense(3, name="k2")], name="k")
    i = of.Input((4,), name="i")
    return of.Model(i, known(deep(i)) + 1)


def functional_inside(of: Any) -> Any:
    a = of.Input((3,), name="a")
    inner = of.Model(a, of.layers.Dense(2, name="d")(a) + 1, name="f")
    return of.Sequential([inner, of.layers.Dense(2, name="e")], name="q")


def shared(of: Any) -> Any:
    d = of.layers.Dense(4, name="d")
    inputs = [of.Input((3,), name=name) for name in "pqr"]
    return of.Model(inputs, of.layers.Average(name="cat")([d(x) for x in inputs]))


def own_layers(of: Any) -> Any:
    class Block(of.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.d = of.layers.Dense(2, name="d")
            self.e = [of.layers.Dense(2, name="e0"), of.layers.Dense(2, name="e1")]

        def call(self, x: Any) -> Any:
            return {"a": self.e[0](self.d(x)), "b": (self.e[1](x), x)}

    i = of.Input((3,), name="i")
    found = Block(name="b")(i)
    return of.Model(i, [found["a"], found["b"][0]])


def not_built(of: Any) -> Any:
    class Own(of.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(name="m")
            self.q = of.Sequential([of.layers.Dense(2, name="z")], name="q")
            self.d = of.layers.Dense(3, name="d")

        def call(self, x: Any) -> Any:
            return self.d(self.q(x))

    return Own()


def own_functional(of: Any) -> Any:
    class Own(of.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            i = of.Input((3,), name="i")
            super().__init__(i, of.layers.Dense(2, name="d")(i))
            self.more = of.layers.Dense(3, name="more")

    return Own()


MAKERS: list[Callable[[Any], Any]] = [
    *(two_outputs, nested, lambda of: nested(of, frozen=True), dicts, sequential_inside, functional_inside, shared),
    *(own_layers, not_built, own_functional),
]


def texts(of: Any, make: Callable[[Any], Any]) -> list[str]:
    model = make(of)
    said = []
    for options in OPTIONS:
        text: list[str] = []
        try:
            model.summary(print_fn=lambda line, line_break=None, text=text: text.append(line), **options)
        except ValueError:
            text.append("ValueError")
        said.append("\n".join(text))
    return said


@parity
def test_the_text_is_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    keras = keras_or_skip()
    monkeypatch.setenv("COLUMNS", "160")
    for make in MAKERS:
        keras.backend.clear_session()
        clear_names()
        for options, ours, theirs in zip(OPTIONS, texts(gpudl, make), texts(keras, make), strict=True):
            assert ours == theirs, (make.__name__, options)


@parity
def test_models_are_numbered_as_in_keras() -> None:
    def names(of: Any) -> list[str]:
        def functional() -> str:
            i = of.Input((3,))
            name: str = of.Model(i, of.layers.Dense(1)(i)).name
            return name

        stack = of.Sequential([of.Input((3,)), of.layers.Dense(2), of.layers.Dense(2)])
        found = [functional(), stack.name]
        stack.add(of.layers.Dense(2))
        found.append(functional())
        stack.pop()
        late = of.Sequential([of.layers.Dense(2)])
        found.append(functional())
        late(np.ones((1, 3), np.float32))
        found.append(functional())
        of.Sequential([of.layers.Dense(2)]).build((None, 3))
        return [*found, functional()]

    keras_or_skip().backend.clear_session()
    clear_names()
    assert names(gpudl) == names(keras_or_skip())
