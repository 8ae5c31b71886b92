"""Whole models in `.keras` files: what is saved comes back, goes on training, and the old file is never lost."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from saved_models import MODELS, X, Y

import gpudl
from gpudl import layers, losses, metrics, models, optimizers, saving
from gpudl.saving.window import Window

every_model = pytest.mark.parametrize("name", MODELS)


def compiled(name: str, optimizer: Any = "adam") -> gpudl.Model:
    gpudl.utils.set_random_seed(1)
    model: gpudl.Model = MODELS[name][0](gpudl)
    model.compile(optimizer, losses.Huber(0.5), metrics=["mae", metrics.MeanSquaredError(name="squared")])
    return model


@pytest.fixture
def registered() -> Iterator[dict[str, Any]]:
    known = saving.get_custom_objects()
    before = dict(known)
    yield known
    known.clear()
    known.update(before)


@every_model
def test_a_model_comes_back_and_goes_on(name: str, tmp_path: Path) -> None:
    model, x = compiled(name), MODELS[name][1]
    model.fit(x, Y, epochs=2, batch_size=4, shuffle=False, verbose=0)
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.get_config() == model.get_config()
    assert again.evaluate(x, Y, verbose=0, return_dict=True).keys() == {"loss", "mae", "squared"}
    assert int(again.optimizer.iterations) == 4
    for one in (model, again):
        one.fit(x, Y, epochs=1, batch_size=8, shuffle=False, verbose=0)
    if name != "convolutional":  # whose dropout begins its random numbers again
        np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert os.listdir(tmp_path) == ["m.keras"]


@every_model
def test_the_layers_alone_are_json(name: str) -> None:
    model, x = compiled(name), MODELS[name][1]
    text = model.to_json(indent=1)
    again = models.model_from_json(text)
    assert json.loads(again.to_json()) == json.loads(text)
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_model_is_not_compiled_if_that_is_not_wanted(tmp_path: Path) -> None:
    compiled("nested").save(tmp_path / "m.keras")
    assert not models.load_model(tmp_path / "m.keras", compile=False).compiled
    assert models.load_model(tmp_path / "m.keras").compiled


def test_an_optimizer_with_a_schedule_and_losses_by_name_come_back(tmp_path: Path) -> None:
    x = gpudl.Input((3,))
    model = gpudl.Model(x, {"a": layers.Dense(1, name="a")(x), "b": layers.Dense(2, name="b")(x)})
    schedule = optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    model.compile(optimizers.SGD(schedule, momentum=0.5), {"a": "mse", "b": losses.mean_absolute_error}, {"a": 2.0})
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    data = np.ones((4, 3), np.float32), {"a": np.zeros((4, 1), np.float32), "b": np.zeros((4, 2), np.float32)}
    assert again.evaluate(*data, verbose=0) == model.evaluate(*data, verbose=0)


class Scaled(layers.Layer):
    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: gpudl.Tensor) -> gpudl.Tensor:
        return x * self.factor


class Own(gpudl.Model):
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units)

    def call(self, x: gpudl.Tensor) -> gpudl.Tensor:
        return self.dense(x)


def test_classes_of_ones_own_are_passed_or_registered(tmp_path: Path, registered: dict[str, Any]) -> None:
    file, x = tmp_path / "m.keras", np.ones((2, 3), np.float32)
    model = gpudl.Sequential([layers.Input((3,)), Scaled(3.0), Own(2)])
    model.save(file)
    text = (
        r"'Scaled' of \S*test_saved_models is neither gpudl's nor registered\. Pass custom_objects=\{'Scaled': Scaled\}"
    )
    with pytest.raises(ValueError, match=text):
        models.load_model(file)
    again = models.load_model(file, custom_objects={"Scaled": Scaled, "Own": Own})
    assert again.layers[0].factor == 3.0
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    for kind in (Scaled, Own):
        saving.register_keras_serializable("mine")(kind)
    model.save(file)
    np.testing.assert_array_equal(models.load_model(file).predict(x, verbose=0), model.predict(x, verbose=0))


def test_what_has_no_form_as_data_is_said(tmp_path: Path) -> None:
    model = gpudl.Sequential([layers.Dense(1, input_shape=(3,))])
    model.compile("sgd", lambda y, p: gpudl.ops.mean(y - p))
    with pytest.warns(UserWarning, match=r"What Sequential \"\w+\" was compiled with is not saved: <function .*lambda"):
        model.save(tmp_path / "m.keras")
    assert not models.load_model(tmp_path / "m.keras").compiled
    lambdas = gpudl.Sequential([layers.Input((3,)), layers.Lambda(lambda x: x * 2)])
    with pytest.raises(
        ValueError, match=r"lambda.* cannot be saved: a file holds data only\. Use a function with a name"
    ):
        lambdas.save(tmp_path / "l.keras")
    assert os.listdir(tmp_path) == ["m.keras"]


def test_bad_names_and_models_that_are_not_built(tmp_path: Path) -> None:
    model = compiled("nested")
    for place in ("m", "m.weights.h5", "m.zip"):
        with pytest.raises(ValueError, match=rf"saved to a file that ends in `\.keras`, got '{place}'"):
            model.save(place)
    with pytest.raises(ValueError, match=r"zipped=False, a folder in the place of a file, is not supported"):
        model.save(tmp_path / "m.keras", zipped=False)
    with pytest.raises(ValueError, match=r"save: Sequential '\w+' has no weights yet\. Call it on a batch first"):
        gpudl.Sequential([layers.Dense(1)]).save(tmp_path / "m.keras")
    model.save(tmp_path / "m.keras")
    with pytest.raises(FileExistsError, match=r"is there already\. Choose another name, or allow overwrite=True"):
        model.save(tmp_path / "m.keras", overwrite=False)
    with pytest.raises(FileNotFoundError):
        models.load_model(tmp_path / "other.keras")


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "m.keras"
    model = compiled("nested")
    model.save(file)
    before = file.read_bytes()

    def full(window: Window, data: memoryview) -> int:
        if len(data) > 300:
            window.failure = OSError(28, "No space left on device")
            raise window.failure
        return write(window, data)

    write = Window.write
    monkeypatch.setattr(Window, "write", full)
    with pytest.raises(OSError, match="No space left"):
        model.save(file)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.keras"]


def test_weights_of_other_shapes_are_refused(tmp_path: Path) -> None:
    file, other = tmp_path / "m.keras", tmp_path / "other.keras"
    gpudl.Sequential([layers.Dense(2, input_shape=(3,), name="d")]).save(file)
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(other, "w") as changed:
        for name in whole.namelist():
            content = whole.read(name)
            changed.writestr(name, content.replace(b'"units": 2', b'"units": 4') if name == "config.json" else content)
    with pytest.raises(
        ValueError, match=r"Dense 'd' has weights of shapes \(3, 4\), \(4,\), and the file has \(3, 2\), \(2,\)"
    ):
        models.load_model(other)


def test_checkpoints_are_whole_models(tmp_path: Path) -> None:
    model = compiled("nested")
    saves = gpudl.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", monitor="loss", save_best_only=True)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[saves])
    last = models.load_model(sorted(tmp_path.iterdir())[-1])
    np.testing.assert_array_equal(last.predict(X, verbose=0), model.predict(X, verbose=0))
    with pytest.raises(
        ValueError, match=r"with save_weights_only=False the filepath must end in `\.keras`, got 'm\.weights\.h5'"
    ):
        gpudl.callbacks.ModelCheckpoint("m.weights.h5")


def test_the_older_format(tmp_path: Path) -> None:
    model = compiled("residual")
    model.fit(X, Y, epochs=1, verbose=0)
    model.save(tmp_path / "m.h5")
    again = models.load_model(tmp_path / "m.h5")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    for one in (model, again):
        one.fit(X, Y, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    other = compiled("residual")
    other.load_weights(tmp_path / "m.h5")
    np.testing.assert_array_equal(other.layers[1].kernel, models.load_model(tmp_path / "m.h5").layers[1].kernel)
    few = gpudl.Sequential([layers.Input((4,)), layers.Dense(1, name="score"), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"has weights of 4 layers, and 'sequential\w*' has 2 layers with weights\."):
        few.load_weights(tmp_path / "m.h5")
    few.load_weights(tmp_path / "m.h5", by_name=True)
    np.testing.assert_array_equal(few.layers[0].kernel, other.layers[-1].kernel)
    wide = gpudl.Sequential([layers.Input((4,)), layers.Dense(3, name="score")])
    with pytest.raises(ValueError, match=r"'score' has weights of shapes \[\(4, 3\), \(3,\)\], and the file has"):
        wide.load_weights(tmp_path / "m.h5", by_name=True)
    with pytest.warns(UserWarning, match="load_weights leaves 'score' as it is: 'score' has weights"):
        wide.load_weights(tmp_path / "m.h5", by_name=True, skip_mismatch=True)
    with pytest.raises(ValueError, match=r"by_name=True is for the older files, which end in `\.h5`"):
        wide.load_weights(tmp_path / "m.weights.h5", by_name=True)
    few.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ValueError, match=r"has weights, but no model: build the model in your program"):
        models.load_model(tmp_path / "w.weights.h5")


def test_a_file_as_keras_2_wrote_it(tmp_path: Path) -> None:
    """A `Sequential` with its shape in the first layer, an axis in a list, and an optimizer with a decay."""
    of_all: dict[str, Any] = {"trainable": True, "dtype": "float32"}
    zeros = {"class_name": "Zeros", "config": {}}
    rows = [
        ("InputLayer", {"batch_input_shape": [None, 6], "dtype": "float32", "sparse": False, "name": "dense_input"}),
        (
            "Dense",
            {**of_all, "name": "dense", "batch_input_shape": [None, 6], "units": 4, "bias_initializer": zeros},
        ),
        ("BatchNormalization", {**of_all, "name": "norm", "axis": [1], "momentum": 0.9}),
        ("Dense", {**of_all, "name": "last", "units": 2, "activation": "softmax", "kernel_regularizer": None}),
    ]
    config = {"name": "old", "layers": [{"class_name": name, "config": own} for name, own in rows]}
    optimizer = {"class_name": "Adam", "config": {"name": "Adam", "learning_rate": 0.02, "decay": 0.0, "beta_1": 0.8}}
    training = {"loss": "categorical_crossentropy", "metrics": ["accuracy"], "optimizer_config": optimizer}
    shapes = {
        "dense": {"kernel:0": (6, 4), "bias:0": (4,)},
        "norm": {"gamma:0": (4,), "beta:0": (4,), "moving_mean:0": (4,), "moving_variance:0": (4,)},
        "last": {"kernel:0": (4, 2), "bias:0": (2,)},
    }
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config}).encode()
        file.attrs["training_config"] = json.dumps(training).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in shapes]
        for layer, weights in shapes.items():
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = [f"{layer}/{name}".encode() for name in weights]
            for number, (name, shape) in enumerate(weights.items()):
                inner.create_dataset(f"{layer}/{name}", data=np.full(shape, number + 0.5, np.float32))
    model = models.load_model(tmp_path / "old.h5")
    assert [layer.name for layer in model.layers] == ["dense", "norm", "last"]
    assert [float(v.numpy().flat[0]) for v in model.layers[1].weights] == [0.5, 1.5, 2.5, 3.5]
    assert (float(model.optimizer.learning_rate), model.optimizer.beta_1) == (pytest.approx(0.02), 0.8)
    assert model.predict(np.ones((3, 6)), verbose=0).shape == (3, 2)


def test_what_layers_have_learnt_is_saved(tmp_path: Path) -> None:
    words = np.array([["red"], ["blue"], ["red"]])
    lookup = layers.StringLookup()
    lookup.adapt(words)
    texts = layers.TextVectorization(output_sequence_length=2)
    texts.adapt(["a red house", "a blue house"])
    named, said = gpudl.Input((1,), dtype="string"), gpudl.Input((1,), dtype="string")
    spread = layers.Embedding(9, 2)
    y = layers.Concatenate(axis=1)([spread(lookup(named)), spread(texts(said))])
    model = gpudl.Model([named, said], layers.Dense(1)(layers.Flatten()(y)))
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    data = [words, np.array([["red house"], ["a"], ["no"]])]
    np.testing.assert_array_equal(again.predict(data, verbose=0), model.predict(data, verbose=0))
    assert again.get_layer(lookup.name).get_vocabulary() == ["[UNK]", "red", "blue"]
    assert again.get_layer(texts.name).get_vocabulary() == texts.get_vocabulary()


@pytest.mark.parametrize("mode", ["multi_hot", "count", "tf_idf"])
def test_a_model_whose_shapes_depend_on_what_was_learnt_is_saved(mode: str, tmp_path: Path) -> None:
    lookup, texts = layers.StringLookup(output_mode=mode), layers.TextVectorization(output_mode=mode)
    lookup.adapt(np.array([["red", "blue"], ["red", "green"]]))
    texts.adapt(["a red house", "a blue house"])
    words, text = gpudl.Input((2,), dtype="string"), gpudl.Input((1,), dtype="string")
    both = layers.Concatenate()([lookup(words), texts(text)])
    model = gpudl.Model([words, text], layers.Dense(1)(both))
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    data = [np.array([["red", "no"], ["blue", "red"]]), np.array([["a red"], ["no house"]])]
    np.testing.assert_array_equal(again.predict(data, verbose=0), model.predict(data, verbose=0))


def test_the_words_of_a_file_are_saved_and_not_its_name(tmp_path: Path) -> None:
    place = tmp_path / "words.txt"
    place.write_text("red\nblue\n")
    model = gpudl.Sequential([layers.StringLookup(vocabulary=str(place)), layers.Embedding(4, 2)])
    data = np.array([["blue"], ["red"]])
    expected = model.predict(data, verbose=0)
    model.save(tmp_path / "m.keras")
    place.unlink()
    np.testing.assert_array_equal(models.load_model(tmp_path / "m.keras").predict(data, verbose=0), expected)
