"""Weights as `.npz` and `.safetensors`: what is saved comes back, the same errors as for HDF5, and attacks on them."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import sys
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from attack_files import small, watched

import gpudl
from gpudl import layers

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
every_format = pytest.mark.parametrize("name", ["m.npz", "m.safetensors", "m.weights.h5"])


def same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@every_format
def test_weights_and_the_optimizer_come_back(name: str, tmp_path: Path) -> None:
    model, other = small(), small()
    model.fit(X, X[:, :1], epochs=3, verbose=0)
    model.save_weights(tmp_path / name)
    other.load_weights(tmp_path / name)
    same(model.get_weights(), other.get_weights())
    same([v.numpy() for v in model.optimizer.variables], [v.numpy() for v in other.optimizer.variables])
    bare = gpudl.Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(1)])
    bare.load_weights(str(tmp_path / name))
    same(model.get_weights(), bare.get_weights())
    assert os.listdir(tmp_path) == [name]
    with pytest.raises(FileExistsError, match=r"is there already\. Choose another name"):
        model.save_weights(tmp_path / name, overwrite=False)
    with pytest.raises(FileNotFoundError):
        model.load_weights(tmp_path / f"none-{name}")


def test_other_programs_read_them(tmp_path: Path) -> None:
    model = small()
    model.save_weights(tmp_path / "m.npz")
    model.save_weights(tmp_path / "m.safetensors")
    tensors = safetensors.numpy.load_file(tmp_path / "m.safetensors")
    with np.load(tmp_path / "m.npz") as arrays:
        assert set(arrays) == set(tensors)
        assert {"layers/dense/vars/0", "layers/dense_1/vars/1", "optimizer/vars/0"} <= set(arrays)
        for path in arrays:
            np.testing.assert_array_equal(arrays[path], tensors[path])
        np.savez_compressed(tmp_path / "packed.npz", **{path: np.array(arrays[path], order="F") for path in arrays})
    again = small()
    again.load_weights(tmp_path / "packed.npz")
    same(model.get_weights(), again.get_weights())


@every_format
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_every_dtype(name: str, dtype: str, tmp_path: Path) -> None:
    def made() -> gpudl.Model:
        return gpudl.Sequential([layers.Input((3,)), layers.Dense(2, dtype=dtype, name="d")])

    model, other = made(), made()
    model.save_weights(tmp_path / name)
    other.load_weights(tmp_path / name)
    same(model.get_weights(), other.get_weights())
    single = gpudl.Sequential([layers.Input((3,)), layers.Dense(2)])
    if dtype != "bfloat16" or name != "m.npz":  # which does not say what its two bytes are
        single.load_weights(tmp_path / name)
        np.testing.assert_array_equal(single.layers[0].kernel.numpy(), model.layers[0].kernel.numpy().astype("f4"))


@every_format
def test_weights_of_another_model_are_refused(name: str, tmp_path: Path) -> None:
    small().save_weights(tmp_path / name)
    model = gpudl.Sequential([layers.Input((3,)), layers.Dense(2, name="one"), layers.Dense(5, name="two")])
    before = model.get_weights()
    sentence = (
        f"{name} does not fit the model: Dense 'two' has weights of shapes (2, 5), (5,), and the file has (2, 1), (1,) "
        "at layers/dense_1. No weight was changed. skip_mismatch=True leaves such layers as they are."
    )
    with pytest.raises(ValueError, match=re.escape(sentence)):
        model.load_weights(tmp_path / name)
    same(before, model.get_weights())
    with pytest.warns(UserWarning, match="load_weights leaves 'two' as it is: Dense 'two' has weights"):
        model.load_weights(tmp_path / name, skip_mismatch=True)
    assert not np.array_equal(before[0], model.get_weights()[0])
    same(before[2:], model.get_weights()[2:])


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ValueError, match=r'install gpudl with the extra "safetensors", or choose a name that ends in'):
        small().save_weights(tmp_path / "m.safetensors")
    assert not os.listdir(tmp_path)


def npy(header: bytes, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def pickled() -> bytes:
    made = io.BytesIO()
    np.save(made, np.array([print], object), allow_pickle=True)
    return made.getvalue()


ARRAYS = {
    "objects": (pickled(), "is not an array of numbers, but of object"),
    "code in the header": (npy(b"__import__('os').system('true')\n"), "is no array of NumPy"),
    "a huge shape": (npy(b"{'descr':'<f4','fortran_order':False,'shape':(1099511627776,1048576)}\n"), "has 0 bytes"),
    "a shape below zero": (npy(b"{'descr':'<f4','fortran_order':False,'shape':(-1,4)}\n", bytes(16)), "has 16 bytes"),
    "texts": (npy(b"{'descr':'<U1','fortran_order':False,'shape':(1,)}\n", bytes(4)), "is not an array of numbers"),
    "a deep header": (npy(b"(" * 60_000), "is no array of NumPy"),
    "no header": (b"\x93NUMPY", "is no array of NumPy"),
    "another shape": (npy(b"{'descr':'<f4','fortran_order':False,'shape':(1,)}\n", bytes(4)), r"the file has \(1,\)"),
    "a bomb": (npy(b"{'descr':'<f4','fortran_order':False,'shape':(67108864,)}\n", bytes(1 << 28)), r"\(67108864,\)"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_npz_files_that_mean_harm(name: str, tmp_path: Path) -> None:
    content, said = ARRAYS[name]
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("layers/dense/vars/0.npy", content)
    del content
    model = small()
    with watched(tmp_path), pytest.raises(ValueError, match=said):
        model.load_weights(tmp_path / "m.npz")


HEADERS = {
    "a huge shape": {"shape": [1 << 40, 1 << 20], "data_offsets": [0, 4]},
    "outside": {"shape": [1], "data_offsets": [1 << 40, (1 << 40) + 4]},
    "a shape below zero": {"shape": [-1], "data_offsets": [0, 4]},
    "another dtype": {"shape": [4], "data_offsets": [0, 4], "dtype": "I8"},
    "no dtype": {"shape": [1], "data_offsets": [0, 4], "dtype": "object"},
}


@pytest.mark.parametrize("name", HEADERS)
def test_safetensors_files_that_mean_harm(name: str, tmp_path: Path) -> None:
    header = json.dumps({"layers/dense/vars/0": {"dtype": "F32"} | HEADERS[name]}).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    model = small()
    with watched(tmp_path), pytest.raises(ValueError, match=r"or is damaged|does not fit the model"):
        model.load_weights(tmp_path / "m.safetensors")


@every_format
def test_files_that_are_cut_off(name: str, tmp_path: Path) -> None:
    model, place = small(), tmp_path / name
    model.save_weights(place)
    whole, before = place.read_bytes(), model.get_weights()
    for percent in range(100):
        place.write_bytes(whole[: len(whole) * percent // 100])
        with watched(tmp_path), pytest.raises(ValueError, match=r"is no|is damaged"):
            model.load_weights(place)
    same(before, model.get_weights())


def test_whole_numbers_are_no_weights_of_a_layer(tmp_path: Path) -> None:
    model = small()
    model.save_weights(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as arrays:
        made = {path: arrays[path] for path in arrays}
    np.savez(tmp_path / "m.npz", **made | {"layers/dense/vars/0": np.ones((3, 2), np.int8)})
    with pytest.raises(ValueError, match=r"kernel' of Dense 'd' is float32, and the file has int8 at layers/dense, wh"):
        model.load_weights(tmp_path / "m.npz")
    np.savez(tmp_path / "m.npz", **made | {"layers/dense/vars/0": np.ones((3, 2), ml_dtypes.bfloat16)})
    with pytest.raises(ValueError, match="numbers of another kind"):
        model.load_weights(tmp_path / "m.npz")
