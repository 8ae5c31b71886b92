"""Models with several outputs: losses, weights and metrics for each, their names, and what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import Model, layers, losses, metrics

rng = np.random.default_rng(0)
X, A, B = (rng.normal(size=(8, size)).astype(np.float32) for size in (3, 2, 1))
W, V = np.arange(1, 9, dtype=np.float32), np.full(8, 0.5, np.float32)
FORMS: dict[str, Any] = {
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "dict": lambda a, b: {"zed": a, "alpha": b},
    "nest": lambda a, b: {"zed": [a, b], "alpha": b},
    "alone": lambda a, b: {"only": a},
}


def model_of(form: str, library: Any = gpudl) -> Any:
    class Heads(library.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.a = library.layers.Dense(2, kernel_initializer="ones")
            self.b = library.layers.Dense(1, kernel_initializer="ones")

        def call(self, x: Any) -> Any:
            return FORMS[form](self.a(x), self.b(x))

    return Heads()


def trained(form: str, options: dict[str, Any], y: Any = None, library: Any = gpudl, weight: Any = None) -> Any:
    """Return the histories, the values and dict of evaluate, and the weights after training."""
    model = model_of(form, library)
    model.compile("sgd", **options)
    y = FORMS[form](A, B) if y is None else y
    data = {"batch_size": 4, "verbose": 0, "sample_weight": weight}
    history = model.fit(X, y, epochs=2, shuffle=False, validation_data=(X, y), **data).history
    values, logs = model.evaluate(X, y, **data), model.evaluate(X, y, return_dict=True, **data)
    return history, values, logs, model.get_weights()


BOTH, NAMED = ["mse", "mae"], {"zed": "mse", "alpha": "mae"}
AS_IN_KERAS = {
    "one loss for all, a dict": ("dict", {"loss": "mse"}),
    "one loss for all, a nest": ("nest", {"loss": "mse"}),
    "one loss with a weight": ("dict", {"loss": "mse", "loss_weights": 2.0}),
    "a list": ("list", {"loss": BOTH}),
    "a list for a tuple": ("tuple", {"loss": BOTH}),
    "a list for a dict": ("dict", {"loss": BOTH}),
    "a dict": ("dict", {"loss": NAMED}),
    "a nest": ("nest", {"loss": {"zed": ["mse", "mae"], "alpha": "mse"}, "metrics": {"zed": BOTH, "alpha": "mae"}}),
    "a dict with one": ("dict", {"loss": {"zed": "mse"}}),
    "None": ("list", {"loss": [None, "mse"]}),
    "one output in a dict": ("alone", {"loss": "mse", "metrics": ["mae"]}),
    "weights": ("list", {"loss": BOTH, "loss_weights": [2.0, 0.5]}),
    "weights by name": ("dict", {"loss": NAMED, "loss_weights": {"zed": 2.0, "alpha": 0.5}}),
    "weights of a dict in a list": ("dict", {"loss": NAMED, "loss_weights": [2.0, 0.5]}),
    "a metric each": ("list", {"loss": BOTH, "metrics": ["mae", "mse"]}),
    "a metric each, a dict": ("dict", {"loss": NAMED, "metrics": ["mae", "mse"]}),
    "metrics": ("list", {"loss": BOTH, "metrics": [["mae", "mse"], ["mae"]]}),
    "metrics by name": ("dict", {"loss": NAMED, "metrics": {"zed": ["mae", "mse"], "alpha": "mae"}}),
    "metrics of one": ("dict", {"loss": NAMED, "metrics": {"alpha": ["mae"]}}),
    "no metric": ("list", {"loss": BOTH, "metrics": [None, "mse"]}),
    "weighted metrics": (
        "dict",
        {"loss": NAMED, "metrics": {"alpha": "mae"}, "weighted_metrics": {"alpha": ["mae", "mse"]}},
    ),
    "weighted metrics of one name": (
        "list",
        {"loss": BOTH, "metrics": ["mae", None], "weighted_metrics": ["mae", ["mae", "mse"]]},
    ),
}


def assert_same(ours: Any, theirs: Any) -> None:
    for mine, other in zip(ours[:3:2], theirs[:3:2], strict=True):  # history and dict
        assert list(mine) == list(other)
        for name, value in mine.items():
            np.testing.assert_allclose(value, other[name], rtol=1e-5, err_msg=name)
    for mine, other in zip(ours[3], theirs[3], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


# An output without a loss has weights without a gradient, and both libraries say so.
without_loss = pytest.mark.filterwarnings("ignore:no gradient for", "ignore:Gradients do not exist")


@parity
@without_loss
class TestAsInKeras:
    @pytest.mark.parametrize("case", AS_IN_KERAS)
    def test_names_and_values(self, case: str) -> None:
        keras, (form, options) = keras_or_skip(), AS_IN_KERAS[case]
        ours, theirs = trained(form, options), trained(form, options, library=keras)
        assert_same(ours, theirs)
        if np.size(theirs[1]) == len(theirs[2]):  # Keras lists a value for each of several of one name
            np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5)

    @pytest.mark.parametrize("weight", [W, [W, V]])
    def test_sample_weights(self, weight: Any) -> None:
        options = {"loss": BOTH, "metrics": BOTH, "weighted_metrics": BOTH}
        ours, theirs = (trained("list", options, None, library, weight) for library in (gpudl, keras_or_skip()))
        assert_same(ours, theirs)

    def test_sample_weights_by_name(self) -> None:
        options = {"loss": NAMED, "weighted_metrics": NAMED}
        weight = {"zed": W, "alpha": V}
        ours, theirs = (trained("dict", options, None, library, weight) for library in (gpudl, keras_or_skip()))
        assert_same(ours, theirs)
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5)

    @pytest.mark.parametrize(
        ("form", "options", "y"),
        [
            ("list", {"loss": BOTH}, (A, B)),
            ("dict", {"loss": NAMED}, {"alpha": B, "zed": A}),
            ("dict", {"loss": {"zed": "mse"}}, {"zed": A}),
            ("list", {"loss": ["mse", None]}, [A]),
            ("list", {"loss": ["mse", None]}, A),
        ],
    )
    def test_targets(self, form: str, options: dict[str, Any], y: Any) -> None:
        ours, theirs = (trained(form, options, y, library) for library in (gpudl, keras_or_skip()))
        assert_same(ours, theirs)


class TestSteps:
    @pytest.mark.parametrize("form", ["list", "dict", "nest"])
    def test_replay_equals_computing_op_by_op(self, form: str) -> None:
        options = {"loss": "mse", "weighted_metrics": ["mae"] * len(gpudl.engine.tree.flatten(FORMS[form](0, 0))[0])}
        replayed = trained(form, options, weight=W)
        eager = trained(form, {**options, "run_eagerly": True}, weight=W)
        assert replayed[:3] == eager[:3]
        assert all(mine.tobytes() == other.tobytes() for mine, other in zip(replayed[3], eager[3], strict=True))

    def test_the_loss_is_the_weighted_sum_of_the_losses(self) -> None:
        _, _, logs, _ = trained("dict", {"loss": NAMED, "loss_weights": {"zed": 3.0, "alpha": 0.25}})
        assert logs["loss"] == pytest.approx(3 * logs["zed_loss"] + 0.25 * logs["alpha_loss"], rel=1e-6)

    @pytest.mark.parametrize("form", FORMS)
    def test_predictions_have_the_form_of_the_outputs(self, form: str) -> None:
        model = model_of(form)
        for predicted in (model.predict(X, batch_size=3, verbose=0), model.predict_on_batch(X)):
            assert str(gpudl.engine.tree.map_leaves(np.shape, predicted)) == str(FORMS[form]((8, 2), (8, 1)))

    def test_one_batch(self) -> None:
        model = model_of("dict")
        model.compile("sgd", NAMED, metrics={"zed": ["mae"]})
        y = FORMS["dict"](A, B)
        logs = model.train_on_batch(X, y, return_dict=True)
        assert list(logs) == ["alpha_loss", "loss", "zed_loss", "zed_mae"]
        assert model.test_on_batch(X, y) == model.evaluate(X, y, verbose=0)

    def test_batches_of_a_generator(self) -> None:
        model = model_of("dict")
        model.compile("sgd", NAMED)
        y = FORMS["dict"](A, B)
        history = model.fit(iter([(X, y), (X, y)]), verbose=0).history
        assert list(history) == ["alpha_loss", "loss", "zed_loss"]

    @without_loss
    def test_metrics_of_a_model_without_a_loss_for_them(self) -> None:
        model = model_of("list")
        model.compile("sgd", ["mse", None], metrics=[None, "mae"])
        assert list(model.fit(X, [A, B], verbose=0).history) == ["loss", "mae"]

    def test_each_metric_and_loss_counts_from_nothing_in_each_pass(self) -> None:
        model = model_of("list")
        model.compile("sgd", [losses.MeanSquaredError(), losses.MeanSquaredError()], metrics=["mae", "mae"])
        first = model.evaluate(X, [A, B], verbose=0, return_dict=True)
        assert first == model.evaluate(X, [A, B], verbose=0, return_dict=True)
        assert list(first) == ["loss", "mae", "mae_1", "mean_squared_error_loss"]


WRONG: dict[str, tuple[str, dict[str, Any], Any, str]] = {
    "too few": (
        "list",
        {"loss": ["mse"]},
        [A, B],
        "loss must have the form of what the model returns, [..., ...], got ['mse']. None stands for nothing.",
    ),
    "two for one": (
        "alone",
        {"loss": BOTH},
        {"only": A},
        "loss must have the form of what the model returns, {'only': ...}, got ['mse', 'mae']. None stands for ",
    ),
    "another name": (
        "dict",
        {"loss": {"zed": "mse", "beta": "mse"}},
        None,
        "loss has an entry for 'beta', and the outputs of the model are 'alpha', 'zed'.",
    ),
    "names for a list": (
        "list",
        {"loss": "mse", "metrics": {"zed": ["mae"]}},
        None,
        "metrics must have the form of what the model returns, [..., ...], got {'zed': ['mae']}.",
    ),
    "metrics for all": (
        "list",
        {"loss": "mse", "metrics": ["mae"]},
        None,
        "metrics must have the form of what the model returns, [..., ...], got ['mae'].",
    ),
    "three weights": (
        "list",
        {"loss": BOTH, "loss_weights": [1.0, 2.0, 3.0]},
        None,
        "loss_weights must have the form of what the model returns, [..., ...], got [1.0, 2.0, 3.0].",
    ),
    "one target": (
        "list",
        {"loss": "mse"},
        A,
        "y must have the form of what the model returns, [..., ...], got one array.",
    ),
    "a target that misses": (
        "dict",
        {"loss": "mse"},
        {"zed": A},
        "the output 'alpha' has a loss or metrics, but y has no target for it.",
    ),
    "a target of metrics that misses": (
        "dict",
        {"loss": {"zed": "mse"}, "metrics": {"alpha": ["mae"]}},
        {"zed": A},
        "the output 'alpha' has a loss or metrics, but y has no target for it.",
    ),
    "a target too many": (
        "dict",
        {"loss": "mse"},
        {"zed": A, "alpha": B, "more": B},
        "y has an entry for 'more', and the outputs of the model are 'alpha', 'zed'.",
    ),
    "a nest inside": (
        "dict",
        {"loss": "mse"},
        {"zed": [A, A], "alpha": B},
        "y must have the form of what the model returns, {'alpha': ..., 'zed': ...}, got {'alpha': ..., 'zed': [...",
    ),
}


class TestWhatDoesNotFit:
    @pytest.mark.parametrize("case", WRONG)
    def test_it_is_said_before_anything_is_trained(self, case: str) -> None:
        form, options, y, text = WRONG[case]
        model = model_of(form)
        model.compile("sgd", **options)
        model.build((None, 3))
        before = model.get_weights()
        for use in (model.fit, model.evaluate):
            with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is compared below)
                use(X, FORMS[form](A, B) if y is None else y, verbose=0)
            assert str(caught.value).startswith(text)
        assert all((mine == other).all() for mine, other in zip(before, model.get_weights(), strict=True))
        assert int(model.optimizer.iterations) == 0
        assert model.get_metrics_result().keys() == {"loss"}

    def test_weights_of_another_form(self) -> None:
        model = model_of("list")
        model.compile("sgd", "mse")
        with pytest.raises(ValueError, match=r"sample_weight must have the form of what the model returns, \[\.\.\., "):
            model.fit(X, [A, B], sample_weight=[W], verbose=0)

    def test_labels_of_one_output(self) -> None:
        class Heads(Model):
            def __init__(self) -> None:
                super().__init__()
                self.a, self.b = layers.Dense(2), layers.Dense(3)

            def call(self, x: Any) -> Any:
                return [self.a(x), self.b(x)]

        model = Heads()
        model.compile("sgd", ["mse", losses.SparseCategoricalCrossentropy(from_logits=True)])
        labels = np.arange(8) % 4
        with pytest.raises(ValueError, match=r"label 3 is out of range: the model has 3 outputs, so labels go from 0"):
            model.fit(X, [A, labels], verbose=0)
        model.fit(X, [A, labels % 3], verbose=0)

    def test_a_loss_that_is_not_reduced(self) -> None:
        model = model_of("list")
        model.compile("sgd", ["mse", losses.MeanSquaredError(reduction=None, name="apart")])
        with pytest.raises(gpudl.ShapeError, match=r"the loss 'apart' has shape \(8,\), and training minimises one"):
            model.fit(X, [A, B], verbose=0)


def test_accuracy_means_what_each_output_is() -> None:
    class Heads(Model):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = layers.Dense(1, activation="sigmoid"), layers.Dense(3, activation="softmax")

        def call(self, x: Any) -> Any:
            return [self.a(x), self.b(x)]

    model = Heads()
    model.compile("sgd", ["crossentropy", "crossentropy"], metrics=["acc", "acc"])
    model.fit(X, [(B > 0).astype("f"), np.arange(8) % 3], verbose=0)
    kinds = [type(metric) for metric in model.metrics[1].metrics]
    assert kinds == [metrics.BinaryAccuracy, metrics.SparseCategoricalAccuracy]
