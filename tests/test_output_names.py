"""Losses, metrics, targets and weights by the names of a functional model's outputs, beside Keras."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl

rng = np.random.default_rng(0)
X, A, B = (rng.normal(size=(8, size)).astype(np.float32) for size in (3, 2, 1))
W, V = np.arange(1, 9, dtype=np.float32), np.full(8, 0.5, np.float32)
LOSSES, METRICS = ("mse", "mae"), ("mae", "mse", "root_mean_squared_error")


def model_of(form: str, library: Any = gpudl) -> Any:
    """Return a functional model of two outputs, ``alpha`` and ``beta``, in a list, a dict or a nest."""
    x = library.Input((3,), name="inputs")
    alpha = library.layers.Dense(2, kernel_initializer="ones", name="alpha")(x)
    beta = library.layers.Dense(1, kernel_initializer="ones", name="beta")(x)
    return library.Model(x, nest_of(form, alpha, beta))


def nest_of(form: str, alpha: Any, beta: Any) -> Any:
    return {"list": [beta, alpha], "dict": {"zed": beta, "one": alpha}, "named": {"beta": beta, "alpha": alpha}}[form]


def drawn(form: str, draw: random.Random) -> dict[str, Any]:
    """Return arguments of `compile` and `fit` drawn at random, such as fit the outputs."""
    keys = ("one", "zed") if form == "dict" else ("alpha", "beta")

    def several(choices: tuple[str, ...]) -> Any:
        return draw.sample(choices, draw.randint(1, 2)) if draw.random() < 0.7 else draw.choice(choices)

    def each(one: Any, partly: bool = False) -> Any:
        if draw.random() < 0.4:
            return [one(), one()]
        names = draw.sample(keys, 1 if partly and draw.random() < 0.3 else 2)
        return {name: one() for name in names}

    single = draw.random() < 0.3
    loss = draw.choice(LOSSES) if single else each(lambda: draw.choice(LOSSES))
    options: dict[str, Any] = {"loss": loss}
    if not single and draw.random() < 0.5:
        options["loss_weights"] = type(loss)(loss)
        for key in loss if isinstance(loss, dict) else range(2):
            options["loss_weights"][key] = draw.choice((0.5, 2.0))
    for what in ("metrics", "weighted_metrics"):
        if draw.random() < 0.6:
            options[what] = each(lambda: several(METRICS), partly=True)
    y: Any = nest_of(form, A, B)
    weight = draw.choice((None, None, W))
    if form == "list" and weight is None and not isinstance(loss, list) and draw.random() < 0.6:
        y = {"beta": B, "alpha": A}
    return {"compile": options, "y": y, "weight": weight}


def trained(form: str, case: dict[str, Any], library: Any = gpudl) -> Any:
    gpudl.utils.set_random_seed(1)  # samples in another order would give sums that differ by a rounding
    model = model_of(form, library)
    model.compile("sgd", **case["compile"], run_eagerly=library is not gpudl)  # or XLA compiles each case
    given = {"sample_weight": case["weight"], "verbose": 0}
    history = model.fit(X, case["y"], **given).history
    logs = model.evaluate(X, case["y"], return_dict=True, **given)
    values = model.evaluate(X, case["y"], **given)
    return history, logs, values, model.metrics_names, model.get_weights()


@parity
@pytest.mark.parametrize("form", ["list", "dict", "named"])
def test_as_in_keras(form: str) -> None:
    keras, draw = keras_or_skip(), random.Random(form)
    for number in range(20):
        case = drawn(form, draw)
        said = f"{form} {number}: {case['compile']}, y {type(case['y'])}, weighted {case['weight'] is not None}"
        ours, theirs = trained(form, case), trained(form, case, keras)
        for mine, other in zip(ours[:2], theirs[:2], strict=True):
            assert list(mine) == list(other), said
            for name, value in mine.items():
                np.testing.assert_allclose(value, other[name], rtol=1e-4, err_msg=f"{name} of {said}")
        np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-4, err_msg=said)
        assert ours[3] == theirs[3], said
        for mine, other in zip(ours[4], theirs[4], strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6, err_msg=said)


def test_sample_weights_by_name() -> None:
    named = trained("list", {"compile": {"loss": "mse"}, "y": [B, A], "weight": {"alpha": W, "beta": V}})
    listed = trained("list", {"compile": {"loss": "mse"}, "y": [B, A], "weight": [V, W]})
    assert named[:3] == listed[:3]


def test_nests_are_named_by_keys_and_layers() -> None:
    x = gpudl.Input((3,))
    first, second = (gpudl.layers.Dense(1, name=name)(x) for name in ("first", "second"))
    third = gpudl.layers.Dense(2, name="third")(x)
    for outputs, y, names in (
        ({"b": [first, second], "a": third}, {"b": [B, B], "a": A}, ["a_loss", "b/first_loss", "b/second_loss"]),
        ([[first, third], second], [[B, A], B], ["0/first_loss", "0/third_loss", "second_loss"]),
    ):
        model = gpudl.Model(x, outputs)
        model.compile("sgd", "mse")
        assert model.evaluate(X, y, verbose=0, return_dict=True).keys() == {*names, "loss"}


def test_one_layer_that_returns_two_outputs() -> None:
    x = gpudl.Input((3,))
    shared = gpudl.layers.Dense(1, name="shared")
    model = gpudl.Model(x, [shared(x), shared(2 * x)])
    model.compile("sgd", "mse", metrics=["mae", "mae"])
    assert list(model.evaluate(X, [B, B], verbose=0, return_dict=True)) == [
        *("loss", "shared_loss", "shared_mae", "shared_mae_1")
    ]
    model.compile("sgd", {"shared": "mse"})
    with pytest.raises(ValueError, match=r"the outputs of the model are named 'shared', 'shared': give loss as a list"):
        model.fit(X, [B, B], verbose=0)


WRONG: dict[str, tuple[dict[str, Any], Any, str]] = {
    "an output without a loss": (
        {"loss": {"alpha": "mse"}},
        [B, A],
        "loss has no entry for the output 'beta'. Give it one, or None to leave it without.",
    ),
    "a loss for no output": (
        {"loss": {"alpha": "mse", "beta": "mse", "gamma": "mse"}},
        [B, A],
        "loss has an entry for 'gamma', and the outputs of the model are 'beta', 'alpha'.",
    ),
    "a metric for no output": (
        {"loss": "mse", "metrics": {"gamma": ["mae"]}},
        [B, A],
        "metrics has an entry for 'gamma', and the outputs of the model are 'beta', 'alpha'.",
    ),
    "targets of another form": (
        {"loss": "mse"},
        [B, A, A],
        "y must have the form of what the model returns, [..., ...], or of a dict by the names 'beta', 'alpha', got "
        "[..., ..., ...].",
    ),
    "a target for no output": (
        {"loss": "mse"},
        {"alpha": A, "beta": B, "gamma": B},
        "y has an entry for 'gamma', and the outputs of the model are 'beta', 'alpha'.",
    ),
    "no target for an output": (
        {"loss": "mse"},
        {"alpha": A},
        "the output 'beta' has a loss or metrics, but y has no target for it.",
    ),
    "a nest inside": (
        {"loss": {"alpha": ["mse", "mae"], "beta": "mse"}},
        [B, A],
        "loss must have the form of what the model returns, [..., ...], or of a dict by the names 'beta', 'alpha', got "
        "{'alpha': ['mse', 'mae'], 'beta': 'mse'}.",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_said_before_anything_is_trained(case: str) -> None:
    options, y, text = WRONG[case]
    model = model_of("list")
    model.compile("sgd", "mse")
    history = model.fit(X, [B, A], verbose=0)
    model.compile("sgd", **options)
    before = model.get_weights()
    for use in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is compared below)
            use(X, y)
        assert str(caught.value).startswith(text)
    assert all((mine == other).all() for mine, other in zip(before, model.get_weights(), strict=True))
    assert int(model.optimizer.iterations) == 0
    assert model.history is history


def test_a_loss_by_name_for_an_only_output() -> None:
    x = gpudl.Input((3,))
    model = gpudl.Model(x, gpudl.layers.Dense(1, name="out")(x))
    model.compile("sgd", {"out": "mse"}, metrics={"out": ["mae"]})
    assert list(model.fit(X, {"out": B}, verbose=0).history) == ["loss", "mae"]
    model.compile("sgd", {"in": "mse"})
    with pytest.raises(ValueError, match=r"loss has an entry for 'in', and the outputs of the model are 'out'"):
        model.fit(X, B, verbose=0)
