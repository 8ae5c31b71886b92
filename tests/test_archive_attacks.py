"""Archives that mean harm, are damaged, or are files of another kind: each is refused with a sentence that says so."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from attack_files import harmless, members, refused, rewritten, small, watched

import gpudl
from gpudl import models


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return harmless(tmp_path)


def test_archives_that_mean_harm(file: Path) -> None:
    content = members(file)
    config, weights = content["config.json"], content["model.weights.h5"]
    both = [("config.json", config), ("model.weights.h5", weights)]
    refused(rewritten(file, both[:1]), "has 0 files 'model.weights.h5'")
    refused(rewritten(file, both[1:]), "is no `.keras` archive: it is a zip archive without a config.json")
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = rewritten(file, [*both, both[0]])
    refused(twice, "has 2 files 'config.json'")
    climbing = rewritten(file, [*both, ("../climbed.txt", b"x"), ("/climbed.txt", b"x")])
    with watched(file.parent):
        models.load_model(climbing)  # other members are never unpacked
    assert sorted(os.listdir(file.parent)) == ["m.keras", "other.keras"]
    bomb = rewritten(file, [both[0], ("model.weights.h5", bytes(1 << 26))], compression=zipfile.ZIP_DEFLATED)
    refused(bomb, r"says that it has 67,108,864 bytes, more than")
    many = rewritten(file, [both[0], ("model.weights.h5", b"x")], compression=zipfile.ZIP_DEFLATED)
    refused(many, r"is damaged: .*file signature not found")
    text = rewritten(file, [("config.json", b" " * ((64 << 20) + 1)), both[1]], compression=zipfile.ZIP_DEFLATED)
    refused(text, "config.json says that it has")
    refused(rewritten(file, [("config.json", b"["), both[1]]), "has no config of a model")
    refused(rewritten(file, [("config.json", b"[1]"), both[1]]), "has no config of a model, a dict")
    refused(rewritten(file, [("config.json", b"{}"), both[1]]), "has no config of a model, a dict with class_name")
    refused(rewritten(file, [("config.json", b"\xff\xfe\xff"), both[1]]), "has no config of a model")
    refused(rewritten(file, [("config.json", b"[" * 100_000), both[1]]), "has no config of a model")
    refused(rewritten(file, [both[0], ("model.weights.h5", b"no HDF5")]), "is damaged: .*file signature not found")


def test_what_another_program_has_compressed_is_read(file: Path) -> None:
    packed = rewritten(file, list(members(file).items()), compression=zipfile.ZIP_DEFLATED)
    with watched(file.parent):
        again = models.load_model(packed)
    for one, other in zip(again.get_weights(), models.load_model(file).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_damaged_files(file: Path) -> None:
    """A file that was cut off anywhere is refused; there is no half of a model."""
    whole = file.read_bytes()
    cut = file.with_name("cut.keras")
    for percent in range(1, 100):
        cut.write_bytes(whole[: len(whole) * percent // 100])
        refused(cut, r"is no `.keras` archive: it is a zip archive that is damaged or cut off|it begins with b'PK")
    model = small()
    before = model.get_weights()
    rng = np.random.default_rng(np.random.randint(1 << 31))
    for _ in range(40):
        broken = bytearray(whole)
        broken[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        cut.write_bytes(broken)
        with watched(file.parent), suppress(ValueError):
            models.load_model(cut)
    with zipfile.ZipFile(file) as archive:
        start = archive.getinfo("model.weights.h5").header_offset
    kernel = model_bytes(file)
    place = whole.index(kernel, start)
    cut.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    refused(cut, "is damaged: the checksum of its weights is another")
    with pytest.raises(ValueError, match="is damaged: the checksum of its weights is another"):
        model.load_weights(cut)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def model_bytes(file: Path) -> bytes:
    kernel: bytes = models.load_model(file).layers[0].kernel.numpy().tobytes()
    return kernel


def pytorch(place: Path) -> None:
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(1))


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda p: p.write_bytes(b""), "it is empty"),
    "image": (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20)), "it is a PNG image"),
    "pickle": (lambda p: p.write_bytes(pickle.dumps(np.ones(2))), "it is a pickle, which is code rather than data"),
    "pytorch": (pytorch, "it is a file of PyTorch, which has a pickle inside"),
    "page": (lambda p: p.write_bytes(b"<html>404"), "it is a text, perhaps HTML, such as the page of an error"),
    "array": (lambda p: np.save(p.open("wb"), np.ones(2)), r"it is an array of NumPy \(\.npy\)"),
    "safetensors": (lambda p: p.write_bytes(struct.pack("<Q", 2) + b'{"a'), "it is a .safetensors file of weights"),
    "lite": (lambda p: p.write_bytes(b"\x1c\0\0\0TFL3"), "it is a model of TensorFlow Lite"),
    "gzip": (lambda p: p.write_bytes(b"\x1f\x8b\x08"), "it is a gzip archive"),
    "other": (lambda p: p.write_bytes(b"what?"), "it begins with b'what"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.npz", "m.safetensors", "m.h5"])
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_file_of_another_kind_is_named(kind: str, name: str, tmp_path: Path) -> None:
    make, said = KINDS[kind]
    make(tmp_path / name)
    with watched(tmp_path), pytest.raises(ValueError, match=said):
        network().load_weights(tmp_path / name)
    if name in ("m.keras", "m.h5"):
        with watched(tmp_path), pytest.raises(ValueError, match=said):
            models.load_model(tmp_path / name)


def network() -> gpudl.Model:
    return gpudl.Sequential([gpudl.layers.Input((3,)), gpudl.layers.Dense(2, name="d")])


def test_folders_and_weights_in_the_place_of_models(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    refused(saved, "it is a folder")
    (saved / "saved_model.pb").write_bytes(b"x")
    refused(saved, "it is a SavedModel folder of TensorFlow, whose program gpudl cannot run")
    for ending in (".npz", ".safetensors", ".weights.h5"):
        place = tmp_path / f"w{ending}"
        network().save_weights(place)
        refused(place, "has weights, but no model|it is an .npz archive|it is a .safetensors file of weights")
    with pytest.raises(FileNotFoundError):
        models.load_model(tmp_path / "none.keras")


def test_a_newer_format_is_said(file: Path) -> None:
    content = members(file)
    config = json.loads(content["config.json"])
    config["config"]["layers"][1]["class_name"] = "HologramDense"
    content |= {
        "metadata.json": json.dumps({"keras_version": "5.1.0"}).encode(),
        "config.json": json.dumps(config).encode(),
    }
    newer = rewritten(file, list(content.items()))
    refused(newer, r"HologramDense.* Keras 5\.1\.0 has written the file, and gpudl reads what Keras 3\.15\.0 writes")


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5", "m.npz", "m.safetensors"])
def test_a_folder_that_cannot_be_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    save = model.save if name in ("m.keras", "m.h5") else model.save_weights
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=rf"file is a file, and '{name}' was to be in a folder of this name"):
        save(tmp_path / "file" / name)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*none\. Make it first"):
        save(tmp_path / "none" / name)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match=rf"the folder {tmp_path} cannot be written\. Choose another one"):
        save(tmp_path / name)
    assert os.listdir(tmp_path) == ["file"]
    (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder, and a file was to have this name"):
        save(tmp_path / name)
