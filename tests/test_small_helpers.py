"""Small names of Keras: limits of training, scopes of names, dtypes, serializers, and what a model is called with."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import config, layers, optimizers

X, Y = np.ones((12, 3), np.float32), np.ones((12, 1), np.float32)


def compiled() -> gpudl.Model:
    model = gpudl.Sequential([gpudl.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


class TestLimits:
    def test_epochs_of_fit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(config._limits, "epochs", None)
        config.set_max_epochs(2)
        assert config.max_epochs() == 2
        with pytest.warns(
            UserWarning, match=r"set_max_epochs\(2\) limits this training to that number of its 5 epochs"
        ):
            assert len(compiled().fit(X, Y, epochs=5, verbose=0).epoch) == 2
        assert len(compiled().fit(X, Y, epochs=2, verbose=0).epoch) == 2

    def test_steps_of_a_pass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(config._limits, "steps", None)
        config.set_max_steps_per_epoch(2)
        model = compiled()
        limited = pytest.warns(UserWarning, match=r"set_max_steps_per_epoch\(2\) limits each pass over the data")
        with limited:
            model.fit(X, Y, batch_size=2, verbose=0, epochs=3)
        assert int(model.optimizer.iterations) == 6
        with pytest.warns(UserWarning, match="limits each pass"):
            assert model.predict(X, batch_size=2, verbose=0).shape == (4, 1)
        assert model.predict(X, batch_size=6, verbose=0).shape == (12, 1)

    @pytest.mark.parametrize("limit", [config.set_max_epochs, config.set_max_steps_per_epoch])
    def test_a_limit_is_a_count(self, limit: Any) -> None:
        with pytest.raises(ValueError, match=r"max_\w+ must be a positive integer or None, got 0"):
            limit(0)


def test_progress_in_a_file_is_a_line_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    config.disable_interactive_logging()
    try:
        assert not gpudl.utils.is_interactive_logging_enabled()
        compiled().fit(X, Y, epochs=2)
        assert capsys.readouterr().out.count("\n") == 4
    finally:
        config.enable_interactive_logging()
    assert config.is_interactive_logging_enabled()


def test_names_of_weights_begin_with_their_scope() -> None:
    with gpudl.name_scope("outer"), gpudl.name_scope("inner"):
        layer = layers.Dense(1, name="top")
        layer.build((None, 2))
    assert layer.kernel.path == "outer/inner/top/kernel"
    with pytest.raises(ValueError, match=r"name_scope needs a name, text without a slash, got 'a/b'"):
        gpudl.name_scope("a/b").__enter__()


def test_variables_that_are_created_in_a_scope_or_a_build_have_its_path() -> None:
    class Own(layers.Layer):
        def build(self, input_shape: tuple[int, ...]) -> None:
            self.scale = gpudl.Variable([1.0], name="scale")

    with gpudl.name_scope("outer"):
        variable = gpudl.Variable([1.0], name="kernel")
        layer = Own(name="own")
        layer.build((2,))
    outside = gpudl.Variable([1.0], name="kernel")
    assert [v.path for v in (variable, layer.scale, outside)] == ["outer/kernel", "outer/own/scale", "kernel"]


def test_losses_of_a_layer_in_a_scope_are_those_of_the_last_call() -> None:
    layer = layers.Dense(1, activity_regularizer="l2")
    for _ in range(3):
        with gpudl.name_scope("outer"):
            layer(X)
    assert len(layer.losses) == 1


@pytest.mark.parametrize(
    ("module", "argument", "value"),
    [
        (gpudl.activations, "activation", "relu"),
        (gpudl.constraints, "constraint", "non_neg"),
        (gpudl.initializers, "initializer", "zeros"),
        (gpudl.losses, "loss", "mse"),
        (gpudl.metrics, "metric", "mse"),
        (gpudl.optimizers, "optimizer", "sgd"),
        (gpudl.regularizers, "regularizer", "l2"),
        (gpudl.layers, "layer", layers.ReLU()),
        (optimizers.schedules, "learning_rate_schedule", optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
    ],
)
def test_serializers_name_what_they_take(module: Any, argument: str, value: Any) -> None:
    made = module.get(value) if hasattr(module, "get") else value
    assert list(inspect.signature(module.serialize).parameters) == [argument]
    assert module.serialize(**{argument: made}) == module.serialize(made)
    with pytest.raises(TypeError, match=f"missing a required argument: {argument!r}"):
        module.serialize(value=made)


class TestPositions:
    def test_options_come_behind_an_optimizers_own_arguments(self) -> None:
        config_of = optimizers.SGD(0.1, 0.9, True, 0.01, None, 1.5).get_config()
        assert (config_of["momentum"], config_of["weight_decay"], config_of["clipvalue"]) == (0.9, 0.01, 1.5)
        assert optimizers.Adam(0.1, 0.8, 0.9, 1e-5, False, 0.02).weight_decay == 0.02
        assert optimizers.AdamW(0.1, 0.03, 0.8, 0.9, 1e-5, False, 2.0).clipnorm == 2.0

    def test_those_of_muon_stand_between_its_own(self) -> None:
        names = list(inspect.signature(optimizers.Muon).parameters)
        assert names[names.index("weight_decay") + 1] == "clipnorm"
        assert names.index("name") + 1 == names.index("exclude_layers")
        assert optimizers.Muon(*[0.1, 0.9, 0.99, None, 1e-6, None, 1.0]).clipnorm == 1.0

    def test_a_layers_name_is_the_last_of_its_arguments(self) -> None:
        assert layers.MaxPooling2D(2, 2, "same", "channels_last", "largest").name == "largest"
        given = [None, None, None, None, "int", 3, False, ["a"], None, False, False, "utf-8", "words"]
        assert layers.TextVectorization(*given).name == "words"
        assert layers.AveragePooling1D(name="mean").get_config()["name"] == "mean"

    def test_too_many_are_an_error(self) -> None:
        with pytest.raises(TypeError, match="positional arguments"):
            optimizers.SGD(*range(1, 20))


def test_a_policy_converts_inputs() -> None:
    policy = gpudl.DTypePolicy("mixed_float16")
    assert policy.convert_input(X, True, "float16").dtype == np.float16
    assert policy.convert_input(X, False, "float16").dtype == np.float32
    assert policy.convert_input(np.arange(3), True, "float16").dtype == np.int64
    assert policy.convert_input("text", True, "float16") == "text"
    assert gpudl.FloatDTypePolicy("float32") == gpudl.DTypePolicy("float32")


def test_symbols_are_reshaped_and_squeezed() -> None:
    x = gpudl.Input((4, 1))
    assert x.squeeze(-1).shape == (None, 4)
    assert x.reshape((-1, 2, 2)).shape == (None, 2, 2)
    model = gpudl.Model(x, x.squeeze(-1).reshape((-1, 2, 2)))
    assert model(np.arange(8.0).reshape(2, 4, 1)).numpy().tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


def test_early_stopping_reads_its_metric() -> None:
    stopping = gpudl.callbacks.EarlyStopping("val_loss")
    assert stopping.get_monitor_value({"val_loss": 0.5}) == 0.5
    with pytest.warns(UserWarning, match=r"watches 'val_loss', which is not there\. Available metrics: loss"):
        assert stopping.get_monitor_value({"loss": 1.0}) is None


class TestTrainingOfInnerCalls:
    """What `fit`, `predict` or a caller says of the whole model counts more than a call inside it."""

    def test_predict_overrides_it(self) -> None:
        x = gpudl.Input((100,))
        model = gpudl.Model(x, layers.Dropout(0.5)(x, training=True))
        ones = np.ones((2, 100), np.float32)
        assert (model.predict(ones, verbose=0) == 1).all()
        assert (model(ones, training=False).numpy() == 1).all()
        assert not (model(ones).numpy() == 1).all()

    def test_training_does_too(self) -> None:
        x = gpudl.Input((100,))
        model = gpudl.Model(x, layers.Dropout(0.5)(x, training=False))
        ones = np.ones((2, 100), np.float32)
        assert not (model(ones, training=True).numpy() == 1).all()
        assert (model(ones).numpy() == 1).all()


class AddIfThere(layers.Layer):
    def call(self, x: Any, more: Any = None) -> Any:
        return x if more is None else x + more


class TestOptionalInputs:
    def model(self) -> gpudl.Model:
        x, more = gpudl.Input((2,), name="x"), gpudl.Input((2,), optional=True, name="more")
        return gpudl.Model([x, more], AddIfThere()(x, more))

    def test_none_stands_for_one(self) -> None:
        ones = np.ones((3, 2), np.float32)
        model = self.model()
        assert (model([ones, None]).numpy() == 1).all()
        assert (model([ones, ones]).numpy() == 2).all()
        assert (model({"x": ones, "more": None}).numpy() == 1).all()

    def test_data_have_none_in_its_place(self) -> None:
        ones = np.ones((3, 2), np.float32)
        model = self.model()
        assert (model.predict([ones, None], verbose=0) == 1).all()
        assert (model.predict([ones, ones], verbose=0) == 2).all()
        model.compile("sgd", "mse")
        assert model.evaluate({"x": ones, "more": None}, ones, verbose=0) == 0

    def test_others_must_be_there(self) -> None:
        with pytest.raises(
            ValueError, match=r"got None for its input 'x'\. Give it an array, or Input\(optional=True\)"
        ):
            self.model()([None, np.ones((3, 2), np.float32)])

    def test_its_config_says_so(self) -> None:
        layer = layers.InputLayer((2,), optional=True, sparse=True)
        assert layers.InputLayer.from_config(layer.get_config()).optional
        with pytest.raises(
            ValueError, match=r"Input\(ragged=True\) is not supported: every batch of an input is one array"
        ):
            layers.InputLayer((2,), ragged=True)


def test_an_output_without_weights_of_samples() -> None:
    x = gpudl.Input((3,))
    model = gpudl.Model(
        x, [layers.Dense(1, kernel_initializer="ones")(x), layers.Dense(1, kernel_initializer="ones")(x)]
    )
    model.compile("sgd", ["mse", "mse"])
    weights = np.zeros(12, np.float32)
    assert model.evaluate(X, [Y, Y], sample_weight=[None, weights], verbose=0)[0] == pytest.approx(4)
    history = model.fit(X, [Y, Y], sample_weight=[weights, None], batch_size=5, verbose=0).history
    assert history["loss"][0] < 4


def test_a_models_path_is_its_name() -> None:
    assert compiled().path.startswith("sequential")
    x = gpudl.Input((2,))
    assert gpudl.Model(x, layers.Dense(1)(x), name="whole").path == "whole"
