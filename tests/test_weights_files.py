"""Weights in `.weights.h5` files: between gpudl and Keras, whole or not at all, and never more than data."""

from __future__ import annotations

import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

import gpudl
from gpudl import layers, ops
from gpudl.saving.parts import parts_of
from gpudl.utils.files import replacing

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)
Y = X[:, :2]


class Block(layers.Layer):
    """Layers in a list, in a dict, in a model inside, and a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = [layers.Dense(3), layers.Dense(3)]
        self.named = {"a": layers.Dense(2)}
        self.inner = gpudl.Sequential([layers.Dense(2)])
        self.shift = self.add_weight(shape=(2,), name="shift")

    def call(self, x: gpudl.Tensor) -> gpudl.Tensor:
        for layer in self.stack:
            x = layer(x)
        return self.inner(x) + self.named["a"](x) + self.shift


def functional() -> gpudl.Model:
    x = gpudl.Input((4,))
    hidden = layers.BatchNormalization()(layers.Dense(3, name="first")(x))
    return gpudl.Model(x, layers.Dense(2)(layers.Dropout(0.5)(hidden)) + Block()(hidden))


def sequential() -> gpudl.Model:
    return gpudl.Sequential([layers.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dense(2)])


class Own(gpudl.Model):
    """A model of its own kind, with a metric."""

    def __init__(self) -> None:
        super().__init__()
        self.first = layers.Dense(3)
        self.again = self.first
        self.block = Block()
        self.seen = gpudl.metrics.Mean()

    def call(self, x: gpudl.Tensor) -> gpudl.Tensor:
        return self.block(self.first(x))


def own() -> gpudl.Model:
    model = Own()
    model(X)
    return model


KINDS = [functional, sequential, own]


def scrambled(model: gpudl.Model) -> None:
    for number, variable in enumerate(model.weights):
        variable.assign(np.full(variable.shape, number, variable.dtype))


@pytest.mark.parametrize("make", KINDS)
def test_what_is_saved_comes_back(make: object, tmp_path: Path) -> None:
    model, file = make(), tmp_path / "m.weights.h5"
    expected = [v.numpy() for v in model.weights]
    model.save_weights(file)
    scrambled(model)
    model.load_weights(file)
    for variable, value in zip(model.weights, expected, strict=True):
        np.testing.assert_array_equal(variable, value)
    other = make()
    other.load_weights(str(file))
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    assert os.listdir(tmp_path) == ["m.weights.h5"]


def test_parts_have_the_paths_of_keras() -> None:
    assert [path for path, _ in parts_of(functional())] == [
        "",
        "layers/input_layer",
        "layers/dense",
        "layers/batch_normalization",
        "layers/dropout",
        "layers/dense_1",
        "layers/block",
        "layers/block/inner",
        "layers/block/inner/layers/dense",
        "layers/block/named/dense",
        "layers/block/stack/dense",
        "layers/block/stack/dense_1",
    ]
    paths = [path for path, _ in parts_of(own())]
    assert paths[:2] == ["", "again"]  # by the alphabet, and each part once
    assert "seen" in paths
    assert "first" not in paths


def test_the_optimizer_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "m.weights.h5"

    def compiled(seed: int) -> gpudl.Model:
        gpudl.utils.set_random_seed(seed)
        model = sequential()
        model.compile("adam", "mse")
        return model

    first = compiled(1)
    first.fit(X, Y, epochs=3, shuffle=False, verbose=0)
    first.save_weights(file)
    second = compiled(2)
    second.load_weights(file)
    assert int(second.optimizer.iterations) == 3
    for model in (first, second):
        model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    third = compiled(3)
    third.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="load_weights leaves the optimizer as it is: SGD"):
        third.load_weights(file)
    with h5py.File(file) as inside:
        np.testing.assert_array_equal(third.layers[0].kernel, inside["layers/dense/vars/0"])


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("compiled", [False, True])
def test_keras_reads_gpudls_files_and_gpudl_those_of_keras(compiled: bool, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")

    def made(library: object) -> object:
        x = library.Input((4,))
        hidden = library.layers.BatchNormalization()(library.layers.Dense(3, name="first")(x))
        inner = library.Sequential([library.layers.Input((3,)), library.layers.Dense(2)])
        model = library.Model(x, library.layers.Dense(2)(hidden) + inner(hidden))
        if compiled:
            model.compile("adam", "mse")
            model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
        return model

    ours, theirs, again = made(gpudl), made(keras), made(gpudl)
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    np.testing.assert_allclose(theirs.predict(X, verbose=0), ours.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    again.load_weights(tmp_path / "theirs.weights.h5")
    for one, other in zip(ours.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    if compiled:
        for one, other in zip(ours.optimizer.variables, again.optimizer.variables, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_file_of_another_model_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "m.weights.h5"
    sequential().save_weights(file)
    model = gpudl.Sequential([layers.Input((4,)), layers.Dense(3, name="one"), layers.Dense(5, name="two")])
    before = model.get_weights()
    sentence = (
        "m.weights.h5 does not fit the model: Dense 'two' has weights of shapes (3, 5), (5,), and the file has (3, 2), "
        "(2,) at layers/dense_1. No weight was changed. skip_mismatch=True leaves such layers as they are."
    )
    with pytest.raises(ValueError, match=re.escape(sentence)):
        model.load_weights(file)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.warns(UserWarning, match="load_weights leaves 'two' as it is: Dense 'two' has weights"):
        model.load_weights(file, skip_mismatch=True)
    assert not np.array_equal(before[0], model.get_weights()[0])
    np.testing.assert_array_equal(before[2], model.get_weights()[2])


def test_layers_save_what_they_like(tmp_path: Path) -> None:
    class Doubled(layers.Dense):
        def save_own_variables(self, store: dict[str, object]) -> None:
            store["twice"] = self.kernel.numpy() * 2

        def load_own_variables(self, store: dict[str, object]) -> None:
            self.kernel.assign(store["twice"] / 2)

    model = gpudl.Sequential([layers.Input((4,)), Doubled(2)])
    kernel = model.layers[0].kernel.numpy()
    model.save_weights(tmp_path / "m.weights.h5")
    model.layers[0].kernel.assign(ops.zeros_like(kernel))
    model.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(model.layers[0].kernel, kernel)


def test_bad_arguments(tmp_path: Path) -> None:
    model = sequential()
    for method in (model.save_weights, model.load_weights):
        with pytest.raises(ValueError, match=r"must end in `\.weights\.h5`, or in .* got 'm\.hdf'\."):
            method("m.hdf")
        with pytest.raises(ValueError, match=r"Sequential '.*' has no weights yet. Call it on a batch first"):
            getattr(gpudl.Sequential([layers.Dense(1)]), method.__name__)("m.weights.h5")
    with pytest.raises(FileNotFoundError):
        model.load_weights(tmp_path / "m.weights.h5")
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(FileExistsError, match=r"m\.weights\.h5 is there already\. Choose another name"):
        model.save_weights(tmp_path / "m.weights.h5", overwrite=False)
    (tmp_path / "no.weights.h5").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is no HDF5 file of weights: it begins with b'nothing'"):
        model.load_weights(tmp_path / "no.weights.h5")


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, file = sequential(), tmp_path / "m.weights.h5"
    model.save_weights(file)
    before = file.read_bytes()

    def full(self: object, *args: object, **options: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(OSError, match="No space left"):
        model.save_weights(file)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.weights.h5"]
    with pytest.raises(ZeroDivisionError), replacing(file) as unfinished:
        unfinished.write_text(str(1 / 0))
    assert file.read_bytes() == before


@pytest.mark.parametrize("kind", ["external link", "soft link", "external storage", "text", "group"])
def test_nothing_but_arrays_within_the_file_is_read(kind: str, tmp_path: Path) -> None:
    model, file = sequential(), tmp_path / "m.weights.h5"
    model.save_weights(file)
    (tmp_path / "raw").write_bytes(bytes(48))
    with h5py.File(file, "a") as inside:
        group = inside["layers/dense/vars"]
        del group["0"]
        if kind == "external link":
            group["0"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
        elif kind == "soft link":
            group["0"] = h5py.SoftLink("/layers/dense/vars/1")
        elif kind == "external storage":
            group.create_dataset("0", (4, 3), "f4", external=[(str(tmp_path / "raw"), 0, 48)])
        elif kind == "text":
            group["0"] = "words"
        else:
            group.create_group("0")
    before = model.get_weights()
    with pytest.raises(ValueError, match="/layers/dense/vars/0 is not an array of numbers within the file"):
        model.load_weights(file)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_group_is_a_link(tmp_path: Path) -> None:
    model, file = sequential(), tmp_path / "m.weights.h5"
    model.save_weights(file)
    with h5py.File(file, "a") as inside:
        inside.move("layers", "moved")
        inside["layers"] = h5py.SoftLink("/moved")
    with pytest.raises(ValueError, match="/layers is a link or no group"):
        model.load_weights(file)
