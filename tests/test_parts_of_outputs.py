"""Losses of several outputs together, and several losses for one part of the outputs."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl

rng = np.random.default_rng(0)
X, A, B = (rng.normal(size=(8, size)).astype(np.float32) for size in (3, 1, 1))
Pair = namedtuple("Pair", "left right")


def total(y_true: Any, y_pred: Any) -> Any:
    """Return the sum over all outputs of the squared errors of each sample."""
    pairs = zip(_leaves(y_true), _leaves(y_pred), strict=True)
    return sum(((true - pred) ** 2)[:, 0] for true, pred in pairs)


def apart(y_true: Any, y_pred: Any) -> Any:
    """Return by how much the difference of two outputs is wrong; it needs their structure."""
    (true, other), (pred, another) = (tuple(_leaves(nest)) for nest in (y_true, y_pred))
    return abs((true - other) - (pred - another))[:, 0]


def _leaves(nest: Any) -> list[Any]:
    if isinstance(nest, dict):
        return [leaf for key in sorted(nest) for leaf in _leaves(nest[key])]
    return [leaf for child in nest for leaf in _leaves(child)] if isinstance(nest, list | tuple) else [nest]


Form = Callable[[Any, Any], Any]
FORMS: dict[str, Form] = {
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "named tuple": Pair,
    "dict": lambda a, b: {"zed": a, "alpha": b},
    "nest": lambda a, b: {"zed": (a, b), "alpha": {"in": a, "out": b}},
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "a tuple for a list": ("list", {"loss": (total, [total, "mae"])}),
    "a list for a tuple": ("tuple", {"loss": [total, ("mse", "mae")]}),
    "with weights in a list": ("tuple", {"loss": [total, (total, "mae")], "loss_weights": [0.5, 2.0, 3.0]}),
    "with weights in the same nest": ("tuple", {"loss": [total, ("mse", "mae")], "loss_weights": [0.5, (2.0, 3.0)]}),
    "a list for a named tuple": ("named tuple", {"loss": [total, Pair("mse", "mae")]}),
    "a list for a dict": ("dict", {"loss": [apart, {"zed": "mae", "alpha": "mse"}]}),
    "two for all": ("nest", {"loss": [total, {"zed": (None, "mse")}]}),
    "one for a part": ("nest", {"loss": {"zed": apart, "alpha": [total, {"in": "mse"}]}}),
    "parts with weights": ("nest", {"loss": {"zed": [apart, ("mse", None)]}, "loss_weights": [2.0, 3.0, 1.0]}),
    "two for one output": ("nest", {"loss": {"zed": (("mse", "mae"), "mae"), "alpha": total}}),
}  # fmt: skip


def trained(form: str, options: dict[str, Any], library: Any = gpudl, weight: Any = None) -> tuple[Any, Any]:
    """Return the history and the weights after training."""
    entry = library.layers.Input((3,))
    heads = [library.layers.Dense(1, name=name, kernel_initializer="ones")(entry) for name in ("first", "second")]
    model = library.Model(entry, FORMS[form](*heads))
    model.compile("sgd", **options)
    data = {"batch_size": 4, "verbose": 0, "shuffle": False, "sample_weight": weight}
    return model.fit(X, FORMS[form](A, B), epochs=2, **data).history, model.get_weights()


@pytest.mark.parametrize("case", CASES)
@parity
def test_trains_as_in_keras(case: str) -> None:
    history, weights = trained(*CASES[case])
    expected, theirs = trained(*CASES[case], keras_or_skip())
    assert sorted(history) == sorted(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, err_msg=name)
    for own, other in zip(weights, theirs, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-6)


def test_a_loss_gets_its_part_of_the_outputs_in_their_own_nest() -> None:
    seen: dict[str, Any] = {}

    def loss(y_true: Any, y_pred: Any) -> Any:
        seen["nests"] = [(type(nest), nest.left.shape, nest.right.shape) for nest in (y_true, y_pred)]
        return total(y_true, y_pred)

    history, _ = trained("named tuple", {"loss": [loss]})
    assert seen["nests"] == [(Pair, (4, 1), (4, 1))] * 2
    assert list(history) == ["loss"]


def test_sample_weights_of_a_loss_of_several_outputs() -> None:
    weight = np.arange(8.0)
    history, _ = trained("tuple", {"loss": [total]}, weight=weight)
    apart, _ = trained("list", {"loss": "mse"}, weight=weight)
    np.testing.assert_allclose(history["loss"], apart["loss"], rtol=1e-6)
    with pytest.raises(ValueError, match="sample_weight has one array for each output, but the loss 'total' "):
        trained("tuple", {"loss": [total, ("mse", None)]}, weight=(weight, weight.copy()))


@pytest.mark.parametrize(
    ("form", "options", "text"),
    [
        ("list", {"loss": [total, (), "mse"]}, r"loss must have the form of what the model returns, \[..., ...\]"),
        ("tuple", {"loss": ["mse", ("mse", "mae")]}, r"loss must have the form of what the model returns"),
        ("dict", {"loss": [total, {"beta": "mse"}]}, r"loss .*'beta'"),
        ("dict", {"loss": [total, ("mse", "mae", "mse")]}, "loss must have the form"),
        (
            "tuple",
            {"loss": [total, ("mse", None)], "loss_weights": [1.0, 2.0]},
            "loss_weights must have one number for each loss, got 2 for 3.",
        ),
    ],
)
def test_what_does_not_fit(form: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        trained(form, options)
