"""What does not work says what happened, what was expected and what to do, and leaves everything as it was."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from small_models import CLASSES, SAMPLES, digits, line, mlp, same, state_of

import gpudl
from gpudl import Input, Sequential, callbacks, layers, optimizers

pd = pytest.importorskip("pandas")


@contextmanager
def refused(model: Any, match: str, kind: type[Exception] = ValueError) -> Iterator[None]:
    """Expect an error, after which the model is what it was and still trains."""
    state, history, names = state_of(model), model.history, model.metrics_names
    with pytest.raises(kind, match=match):
        yield
    assert same(state, state_of(model))
    assert model.history is history
    assert model.metrics_names == names


@pytest.fixture
def model() -> Any:
    """Return a model that has been trained, so that there is something to lose."""
    model = mlp()
    model.fit(*digits(), verbose=0)
    return model


def everywhere(model: Any, x: Any, y: Any) -> list[Callable[[], Any]]:
    """Return every way of putting data through the model."""
    good = digits()
    return [
        lambda: model.fit(x, y, verbose=0),
        lambda: model.fit(*good, validation_data=(x, y), verbose=0),
        lambda: model.evaluate(x, y, verbose=0),
        lambda: model.train_on_batch(x, y),
        lambda: model.test_on_batch(x, y),
    ]


class TestShapes:
    @pytest.mark.parametrize(
        ("shape", "match"),
        [
            (
                (70, 5),
                r'Sequential "\w+" was built for inputs of shape \(None, 4\), got \(\d+, 5\)\. Reshape the data',
            ),
            ((70, 2, 2), r'Sequential "\w+" was built for inputs of shape \(None, 4\), got \(\d+, 2, 2\)'),
            ((70,), r'Sequential "\w+" was built for inputs of shape \(None, 4\), got \(\d+,\)'),
        ],
    )
    def test_inputs_that_the_model_was_not_built_for(self, model: Any, shape: Any, match: str) -> None:
        x, (_, y) = np.zeros(shape), digits()
        uses = [lambda: model.predict(x, verbose=0), lambda: model.predict_on_batch(x), lambda: model(x)]
        for use in (*everywhere(model, x, y), *uses):
            with refused(model, match):
                use()

    @pytest.mark.parametrize(
        ("stack", "shape", "match"),
        [
            (
                [layers.Conv2D(2, 3, name="c")],
                (8, 28, 28),
                r'Conv2D "c": Input 0 .* ndim=4, found ndim=3\. .*\(None, 28, 28\)\. .*\(batch, height, width, chan',
            ),
            (
                [layers.Conv2D(2, 9, name="c")],
                (8, 6, 6, 1),
                r'Conv2D "c": the window covers \(9, 9\) positions but its input has only \(6, 6\)\. Use a smaller',
            ),
            (
                [layers.MaxPooling2D(name="p")],
                (8, 28),
                r'MaxPooling2D "p": Input 0 .* ndim=4, found ndim=2\. .*: \(None, 28\)',
            ),
            ([layers.MaxPooling2D(9, name="p")], (8, 6, 6, 1), r'MaxPooling2D "p".*9'),
            (
                [layers.Dense(2, name="d")],
                (8,),
                r'Dense "d": Input 0 .* min_ndim=2, found ndim=1\. .*: \(None,\)\. .*batch axis',
            ),
            ([layers.Reshape((3, 3), name="r")], (8, 4), r'Reshape "r".*\(3, 3\)'),
            (
                [layers.Flatten(), layers.Conv2D(2, 3, name="c")],
                (8, 6, 6, 1),
                r'Conv2D "c": Input 0 .* ndim=4, found ndim=2\. .*: \(None, 36\)',
            ),
        ],
    )
    def test_layers_name_themselves(self, stack: Any, shape: Any, match: str) -> None:
        model = Sequential([layers.Layer.from_config.__func__(type(la), la.get_config()) for la in stack])
        model.compile("sgd", "mse")
        for use in (model.fit, model.evaluate, model.predict):
            with pytest.raises(gpudl.ShapeError, match=match):
                use(np.zeros(shape), *(() if use == model.predict else (np.zeros(8),)), verbose=0)
        assert model.history is None
        assert int(model.optimizer.iterations) == 0
        with pytest.raises(gpudl.ShapeError, match=match):
            Sequential([Input(shape[1:]), *stack])

    def test_a_dense_layer_asks_for_flatten(self) -> None:
        layer = layers.Dense(2, name="d")
        layer(np.zeros((2, 784)))
        with pytest.raises(gpudl.ShapeError, match=r'Dense "d": .* to have value 784, .*\. Add Flatten\(\) before it'):
            layer(np.zeros((2, 28, 28)))

    def test_a_deferred_model_can_be_built_after_an_error(self) -> None:
        model = Sequential([layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(1)])
        model.compile("sgd", "mse")
        with pytest.raises(gpudl.ShapeError, match="expected ndim=4"):
            model.fit(np.zeros((8, 6, 6)), np.zeros(8), verbose=0)
        assert not model.built
        model.fit(np.zeros((8, 6, 6, 1)), np.zeros((8, 1)), verbose=0)
        assert model.input_shape == (None, 6, 6, 1)

    def test_samples_in_a_list(self, model: Any) -> None:
        x, _ = digits()
        with refused(model, r'Sequential "\w+" takes one array, got a list of 2\. np.stack makes one array'):
            model.predict([x, x], verbose=0)

    def test_targets_of_another_shape(self) -> None:
        model = line()
        match = r"mean_squared_error expected targets of the shape of the predictions, \(8, 1\), got \(8, 2\)"
        with refused(model, match):
            model.fit(np.zeros((8, 1)), np.zeros((8, 2)), verbose=0)

    def test_weights_of_another_shape(self, model: Any) -> None:
        x, y = digits()
        with refused(model, r"sample_weight of shape \(32, 2\) does not fit"):
            model.fit(x, y, sample_weight=np.ones((SAMPLES, 2)), verbose=0)


class TestLabels:
    @pytest.mark.parametrize(("label", "said"), [(3, "3"), (-1, "-1"), (255, "255")])
    def test_out_of_range(self, model: Any, label: int, said: str) -> None:
        x, y = digits()
        y[-1] = label
        match = rf"label {said} is out of range: the model has 3 outputs, so labels go from 0 to 2\. Renumber"
        for use in everywhere(model, x, y):
            with refused(model, match):
                use()
        with refused(model, match):
            model.fit(x, y, validation_split=0.1, verbose=0)

    def test_one_hot_against_a_sparse_loss(self, model: Any) -> None:
        x, y = digits()
        match = r"sparse_categorical_crossentropy .*\(\d+, 3\).*one-hot.*categorical_crossentropy"
        for use in everywhere(model, x, gpudl.utils.to_categorical(y)):
            with refused(model, match):
                use()

    def test_labels_against_a_one_hot_loss(self) -> None:
        x, y = digits()
        model = mlp(loss="categorical_crossentropy")
        match = r"categorical_crossentropy .*\(\d+,\).*sparse_categorical_crossentropy"
        for use in everywhere(model, x, y):
            with refused(model, match):
                use()

    def test_one_label_is_named_where_nan_is_another(self) -> None:
        x, y = digits()
        model = mlp(metrics=None)
        labels = y.astype(float)
        labels[3] = 7
        with refused(model, "label 7 is out of range"):
            model.fit(x, labels, verbose=0)


class TestData:
    def test_lengths_differ(self, model: Any) -> None:
        x, y = digits()
        with refused(model, r"differ in their numbers of samples: x has 70, y has 60\. Each sample needs its own"):
            model.fit(x, y[:60], verbose=0)
        with refused(model, r"x has 70, y has 70, sample_weight has 3"):
            model.evaluate(x, y, sample_weight=np.ones(3), verbose=0)
        with refused(model, r"x has 70, y has 60"):
            model.fit(x, y, validation_data=(x, y[:60]), verbose=0)

    @pytest.mark.parametrize(
        ("bad", "match"),
        [
            (np.zeros((0, 4)), r"x has shape \(0, 4\): expected at least one sample along the first axis"),
            ([], r"x has shape \(0,\): expected at least one sample"),
            (pd.DataFrame(), r"x has shape \(0, 0\)"),
            (np.float32(3), r"x has shape \(\): expected at least one sample"),
            (3.0, r"x has shape \(\): expected at least one sample"),
            ("data.csv", r"x is 'data\.csv', of type str: expected an array of numbers"),
            ([["a", "b", "c", "d"]] * SAMPLES, r"x has dtype <U1, expected numbers"),
            (np.full((SAMPLES, 4), None), r"x has dtype object, expected numbers"),
            (np.zeros((SAMPLES, 4), complex), r"x has dtype complex128, expected numbers"),
            (np.zeros((SAMPLES, 4), "datetime64[D]"), r"x has dtype datetime64\[D\], expected numbers"),
            (pd.DataFrame({"a": [1.0], "b": ["x"]}), r"x has dtype object, expected numbers.*column by column"),
            ([[1.0, 2.0], [3.0]], r"x is no table of numbers, its rows differ in length"),
            (None, r"x is missing: pass the inputs"),
        ],
    )
    def test_no_table_of_numbers(self, model: Any, bad: Any, match: str) -> None:
        _, y = digits()
        for use in everywhere(model, bad, y):
            with refused(model, match):
                use()
        with refused(model, match):
            model.predict(bad, verbose=0)

    @pytest.mark.parametrize(
        ("bad", "match"),
        [
            ("labels", r"y is 'labels', of type str: expected an array of numbers"),
            (["cat"] * SAMPLES, r"y has dtype <U3, expected numbers.*categories to integers"),
            ([], r"y has shape \(0,\)"),
            (None, r"the loss compares predictions with targets, but no y was given"),
        ],
    )
    def test_no_targets(self, model: Any, bad: Any, match: str) -> None:
        x, _ = digits()
        for use in everywhere(model, x, bad)[:1] + everywhere(model, x, bad)[2:]:
            with refused(model, match):
                use()

    def test_weights_without_targets(self, model: Any) -> None:
        x, y = digits()
        with refused(model, "sample_weight weighs the loss of targets, but no y was given"):
            model.fit(x, sample_weight=np.ones(SAMPLES), verbose=0)
        with refused(model, "class_weight needs y as an array, and cannot be given together with sample_weight"):
            model.fit(x, y, sample_weight=np.ones(SAMPLES), class_weight={0: 2.0}, verbose=0)
        with refused(model, "class_weight needs y as an array"):
            model.train_on_batch(x, class_weight={0: 2.0})

    @pytest.mark.parametrize(
        "weights",
        [
            {"one": 1.0},
            {0: "heavy"},
            {0.5: 1.0},
            {float("nan"): 1.0},
            {None: 1.0},
            [1.0, 2.0],
            {0: None},
            {1: float("nan")},
        ],
    )
    def test_class_weights_that_are_none(self, model: Any, weights: Any) -> None:
        with refused(model, r"class_weight expected a dict such as \{0: 1\.0, 1: 2\.5\}, of finite numbers by whole"):
            model.fit(*digits(), class_weight=weights, verbose=0)

    def test_nan_is_reported_once_with_its_step(self) -> None:
        x, y = digits()
        x[65] = np.nan
        model = mlp()
        match = r"the loss became NaN or infinite at step 3, in epoch 1; the weights are probably lost\. Lower the"
        with pytest.warns(RuntimeWarning, match=match) as caught:
            model.fit(x, y, epochs=4, shuffle=False, verbose=0)
        assert len(caught) == 1
        assert caught[0].filename == __file__

    def test_a_finite_training_warns_of_nothing(self, model: Any) -> None:
        x, y = digits()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.fit(x, y, epochs=2, verbose=0)

    def test_a_loss_that_grows_without_bounds(self) -> None:
        model = line(optimizer=optimizers.SGD(1e20))
        with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match=r"at step [23], in epoch"):
            model.fit(np.ones((8, 1)), np.zeros((8, 1)), epochs=6, verbose=0)


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"batch_size": 0}, r"batch_size must be a positive integer, got 0"),
            ({"batch_size": -3}, r"batch_size must be a positive integer, got -3"),
            ({"batch_size": 2.5}, r"batch_size must be a positive integer, got 2\.5"),
            ({"batch_size": "32"}, r"batch_size must be a positive integer, got '32'"),
            ({"epochs": -1}, r"epochs must be 0 or a positive integer, got -1"),
            ({"epochs": 1.5}, r"epochs must be 0 or a positive integer, got 1\.5"),
            ({"epochs": "5"}, r"epochs must be 0 or a positive integer, got '5'"),
            ({"epochs": None}, r"epochs must be 0 or a positive integer, got None"),
            ({"initial_epoch": -1}, r"initial_epoch must be 0 or a positive integer, got -1"),
            ({"steps_per_epoch": 0}, r"steps_per_epoch must be a positive integer, got 0"),
            ({"validation_steps": 0}, r"validation_steps must be a positive integer, got 0"),
            ({"validation_batch_size": 0}, r"validation_batch_size must be a positive integer, got 0"),
            ({"validation_freq": 0}, r"validation_freq must be a positive integer, got 0"),
            ({"verbose": 3}, r'verbose must be 0, 1, 2 or "auto", got 3'),
            ({"verbose": "loud"}, r'verbose must be 0, 1, 2 or "auto", got \'loud\''),
            ({"validation_split": 1.0}, r"validation_split must be a share between 0 and 1, got 1\.0"),
            ({"validation_split": -0.1}, r"validation_split must be a share between 0 and 1, got -0\.1"),
            ({"validation_split": "0.1"}, r"validation_split must be a share between 0 and 1, got '0\.1'"),
            ({"validation_split": 0.999}, r"validation_split=0\.999 of 70 samples leaves an empty part"),
            ({"validation_data": "test"}, r"validation_data expected \(x, y\) or \(x, y, sample_weight\)"),
            ({"validation_data": 3}, r"validation_data expected \(x, y\) or \(x, y, sample_weight\)"),
        ],
    )
    def test_numbers_of_fit(self, model: Any, arguments: dict[str, Any], match: str) -> None:
        with refused(model, match):
            model.fit(*digits(), **{"verbose": 0, **arguments})

    def test_numbers_of_evaluate_and_predict(self, model: Any) -> None:
        x, y = digits()
        for use, data in ((model.evaluate, (x, y)), (model.predict, (x,))):
            with refused(model, r"batch_size must be a positive integer, got 0"):
                use(*data, batch_size=0)
            with refused(model, r"steps must be a positive integer, got -1"):
                use(*data, steps=-1)
            with refused(model, r'verbose must be 0, 1, 2 or "auto", got 9'):
                use(*data, verbose=9)

    @pytest.mark.parametrize(
        ("bad", "match"),
        [
            (["early"], r"callbacks expected objects of gpudl.callbacks.Callback, got 'early'\. Subclass Callback"),
            ([callbacks.EarlyStopping], r"got the class EarlyStopping\. Write EarlyStopping\(\)"),
            (print, r"callbacks expected objects of gpudl.callbacks.Callback"),
        ],
    )
    def test_callbacks_that_are_none(self, model: Any, bad: Any, match: str) -> None:
        with refused(model, match, TypeError):
            model.fit(*digits(), callbacks=bad, verbose=0)

    def test_before_compile(self) -> None:
        x, y = digits()
        model = Sequential([layers.Dense(CLASSES)])
        uses = {
            "fit": lambda: model.fit(x, y),
            "evaluate": lambda: model.evaluate(x, y),
            "train_on_batch": lambda: model.train_on_batch(x, y),
            "test_on_batch": lambda: model.test_on_batch(x, y),
        }
        for name, use in uses.items():
            with pytest.raises(ValueError, match=rf"call compile\(optimizer=\.\.\., loss=\.\.\.\) before {name}\(\)"):
                use()
        assert not model.built

    @pytest.mark.parametrize("wrong", [{"optimizer": 3}, {"loss": 3}, {"metrics": [None]}, {"metrics": [3]}])
    def test_what_compile_cannot_take(self, model: Any, wrong: dict[str, Any]) -> None:
        before = model.optimizer, model.loss
        with refused(model, r"expected|is a name", (TypeError, ValueError)):
            model.compile(**{"optimizer": "sgd", "loss": "mse", **wrong})
        assert (model.optimizer, model.loss) == before


class TestModels:
    @pytest.mark.parametrize(
        "thing", [3, "dense", layers.Dense, lambda x: x, None, np.ones(3), optimizers.SGD(), [layers.Dense(2)]]
    )
    def test_a_layer_that_is_none(self, thing: Any) -> None:
        with pytest.raises(ValueError, match=r"only layers can be added to a Sequential, got "):
            Sequential([thing])

    def test_an_input_in_the_middle(self) -> None:
        with pytest.raises(ValueError, match="an Input can only come first in a Sequential"):
            Sequential([layers.Dense(2), Input((3,))])
        with pytest.raises(ValueError, match="an Input can only come first in a Sequential"):
            Sequential([Input((3,)), Input((3,))])

    def test_no_layers(self) -> None:
        model = Sequential()
        model.compile("sgd", "mse")
        with pytest.raises(ValueError, match=r'Sequential "\w+" has no layers: add some before it is built or called'):
            model.fit(np.ones((3, 2)), np.ones((3, 2)), verbose=0)

    def test_names_that_are_unknown(self) -> None:
        with pytest.raises(ValueError, match=r"Unknown activation: 'rellu'\. Did you mean 'relu'\?"):
            layers.Dense(2, activation="rellu")
        with pytest.raises(ValueError, match=r"Unknown initializer: 'glorot'\. Did you mean '\w+'\?"):
            layers.Dense(2, kernel_initializer="glorot")
        with pytest.raises(ValueError, match=r"Unknown optimizer: 'adamm'\. Did you mean 'adam'\?"):
            mlp(optimizer="adamm")
        with pytest.raises(ValueError, match=r"Unknown loss: 'mean_square_error'\. Did you mean 'mean_squared_error'"):
            mlp(loss="mean_square_error")
        with pytest.raises(ValueError, match=r"Unknown metric: 'accurracy'\. Did you mean 'accuracy'\?"):
            mlp(metrics=["accurracy"])

    def test_a_kernel_larger_than_its_input(self) -> None:
        model = Sequential([Input((4, 4, 1))])
        with pytest.raises(gpudl.ShapeError, match=r'Conv2D "\w+".*kernel'):
            model.add(layers.Conv2D(2, 5))
        assert model.layers == []
