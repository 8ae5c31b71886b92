"""Weights in several files: written and read, by gpudl and by Keras, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import layers

GIGABYTE = 1024**3


def network(package: Any = gpudl) -> Any:
    sizes = [package.layers.Dense(n, name=name) for n, name in ((40, "a"), (50, "b"), (3, "c"))]
    model = package.Sequential([package.Input((30,)), *sizes])
    model.compile("adam", "mse")
    return model


def test_weights_are_shared_out_and_read_again(tmp_path: Path) -> None:
    model, other = network(), network()
    model.fit(np.ones((4, 30)), np.ones((4, 3)), verbose=0)
    model.save_weights(tmp_path / "w.weights.h5", max_shard_size=9000 / GIGABYTE)
    files = sorted(file.name for file in tmp_path.iterdir())
    assert files[:3] == ["w.weights.json", "w_00000.weights.h5", "w_00001.weights.h5"]
    for name in files[1:]:
        sizes: list[int] = []
        with h5py.File(tmp_path / name) as file:
            file.visititems(lambda _, item: sizes.append(getattr(item, "nbytes", 0)))  # noqa: B023
        assert 0 < sum(sizes) <= 9000
    other.load_weights(tmp_path / "w.weights.json")
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, two)


@parity
@pytest.mark.parametrize("written_by_keras", [True, False])
def test_keras_reads_and_writes_them_too(written_by_keras: bool, tmp_path: Path) -> None:
    keras = keras_or_skip()
    writer, reader = (network(keras), network()) if written_by_keras else (network(), network(keras))
    writer.save_weights(tmp_path / "w.weights.json", max_shard_size=9000 / GIGABYTE)
    reader.load_weights(tmp_path / "w.weights.json")
    for one, two in zip(writer.get_weights(), reader.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_is_refused_in_writing(tmp_path: Path) -> None:
    model = network()
    with pytest.raises(
        ValueError, match=r"the array layers/dense/vars/0 has 4800 bytes, more than the 1000 of max_shard"
    ):
        model.save_weights(tmp_path / "w.weights.h5", max_shard_size=1000 / GIGABYTE)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"must end in `\.weights\.json` or `\.weights\.h5`"):
        model.save_weights(tmp_path / "w.h5", max_shard_size=1)
    model.save_weights(tmp_path / "w.weights.h5", max_shard_size=1)
    with pytest.raises(FileExistsError, match=r"w\.weights\.json is there already"):
        model.save_weights(tmp_path / "w.weights.h5", overwrite=False, max_shard_size=1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", r"is no index of weights: the JSON of an index is a dict with weight_map"),
        ("[]", r"is no index of weights"),
        (json.dumps({"weight_map": {"/vars": ["../w.weights.h5"]}}), r"names '\.\./w\.weights\.h5', which is no file"),
        (json.dumps({"weight_map": {"/vars": [3]}}), r"names 3, which is no file of weights beside it"),
        (json.dumps({"weight_map": {}}), r"does not fit the model: Dense 'a' has weights of shapes"),
    ],
)
def test_an_index_that_is_none(content: str, said: str, tmp_path: Path) -> None:
    index = tmp_path / "w.weights.json"
    index.write_text(content)
    with pytest.raises(ValueError, match=said):
        network().load_weights(index)


def test_a_model_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"save_weights: Sequential .* has no weights yet"):
        gpudl.Sequential([layers.Dense(1)]).save_weights(tmp_path / "w.weights.h5", max_shard_size=1)
