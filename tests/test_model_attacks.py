"""Files of models that mean harm, or are damaged, are refused with a sentence; nothing in them is run or opened."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import gpudl
from gpudl import layers, models

Config = dict[str, Any]
_watched: list[list[str]] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    """Note what a program might do that loading a file must not."""
    forbidden = ("socket.connect", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class")
    if _watched and event in (*forbidden, "marshal.loads", "exec"):
        _watched[-1].append(event)
    if _watched and event == "open" and isinstance(args[0], str):
        _watched[-1].append(f"open {args[0]}")


sys.addaudithook(_hook)


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Fail if what runs inside opens files elsewhere, starts programs, or runs code."""
    seen: list[str] = []
    _watched.append(seen)
    begin = time.perf_counter()
    try:
        yield
    finally:
        _watched.pop()
    mine = (f"open {folder}", f"open {tempfile.gettempdir()}")
    wrong = [event for event in seen if not event.startswith(mine)]
    assert not wrong
    assert time.perf_counter() - begin < 20  # not forever


@pytest.fixture
def file(tmp_path: Path) -> Path:
    model = gpudl.Sequential([layers.Input((3,)), layers.Dense(2, name="d"), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    model.save(tmp_path / "m.keras")
    models.load_model(tmp_path / "m.keras")  # brings in the libraries
    return tmp_path / "m.keras"


def changed(file: Path, change: Callable[[Config], object]) -> Path:
    """Return another file, with a changed config."""
    with zipfile.ZipFile(file) as whole:
        content = {name: whole.read(name) for name in whole.namelist()}
    config = json.loads(content["config.json"])
    change(config)
    content["config.json"] = json.dumps(config).encode()
    other = file.with_name("other.keras")
    with zipfile.ZipFile(other, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return other


def refused(file: Path, text: str, error: type[Exception] = ValueError) -> None:
    with watched(file.parent), pytest.raises(error, match=text):
        models.load_model(file)


def layer(config: Config) -> Config:
    found: Config = config["config"]["layers"][1]
    return found


CODE: dict[str, tuple[Callable[[Config], object], str]] = {
    "a function of another module as a layer": (
        lambda c: layer(c).update(module="os", class_name="system", config={"command": "touch x"}),
        r"'system' of os is neither gpudl's nor registered",
    ),
    "a function of Python as a layer": (
        lambda c: layer(c).update(module="builtins", class_name="eval", config="1"),
        r"'eval' of builtins is neither gpudl's nor registered",
    ),
    "a function of Keras that is no layer": (
        lambda c: layer(c).update(module="keras.config", class_name="enable_unsafe_deserialization", config={}),
        r"Unknown layer: 'enable_unsafe_deserialization'|neither gpudl's nor registered",
    ),
    "a download as a layer": (
        lambda c: layer(c).update(module="keras.utils", class_name="get_file", config={"origin": "file:///etc/passwd"}),
        r"Unknown layer: 'get_file'|neither gpudl's nor registered",
    ),
    "a lambda": (
        lambda c: layer(c).update(
            class_name="Lambda",
            config={"name": "l", "function": {"class_name": "__lambda__", "config": {"value": ["4w"]}}},
        ),
        r"code of a lambda, which is not run",
    ),
    "a lambda of Keras 2": (
        lambda c: layer(c).update(
            class_name="Lambda", config={"name": "l", "function_type": "lambda", "function": ["4wEAAA==", None, None]}
        ),
        r"code of a lambda, which is not run|no argument 'function_type'",
    ),
    "an activation of another module": (
        lambda c: layer(c)["config"].update(activation={"module": "os", "class_name": "function", "config": "system"}),
        r"Unknown activation: 'system'",
    ),
    "an initializer that is a function of Python": (
        lambda c: layer(c)["config"].update(
            kernel_initializer={"module": "builtins", "class_name": "exec", "config": {"source": "1"}}
        ),
        r"'exec' of builtins is neither|Unknown initializer: 'exec'",
    ),
    "an optimizer of another module": (
        lambda c: c["compile_config"].update(
            optimizer={"module": "shutil", "class_name": "rmtree", "config": {"path": "/"}}
        ),
        r"'rmtree' of shutil is neither gpudl's nor registered",
    ),
    "a loss of another module": (
        lambda c: c["compile_config"].update(loss={"module": "os", "class_name": "function", "config": "remove"}),
        r"'remove' is neither gpudl's nor registered",
    ),
    "a file as a vocabulary": (
        lambda c: layer(c).update(class_name="StringLookup", config={"vocabulary": "/etc/hostname"}, build_config=None),
        r"its config names the file '/etc/hostname' as its vocabulary, and no file that a config names is opened",
    ),
    "a config that never ends": (
        lambda c: layer(c)["config"].update(nest=nest(400)),
        r"nested more than 100 levels deep",
    ),
    "a model that is a number": (
        lambda c: (c.clear(), c.update(class_name="__numpy__", config={"value": 1, "dtype": "i4"})),
        r"no model",
    ),
    "no layers": (lambda c: c.update(config={"name": "s"}), r"layers"),
    "weights for another class": (lambda c: layer(c).update(class_name="Conv2D"), r"Conv2D"),
    "sizes that no memory has": (
        lambda c: layer(c)["config"].update(units=10**12),
        r"weight 'kernel' of shape \(3, 1000000000000\) needs 12,000,000,000,000 b",
    ),
    "sizes that are negative": (lambda c: layer(c)["config"].update(units=-1), r"units"),
}


def nest(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize("name", CODE)
def test_configs_that_mean_harm(name: str, file: Path) -> None:
    change, text = CODE[name]
    refused(changed(file, change), text, ValueError)


def rewritten(file: Path, members: list[tuple[str, bytes]], **options: Any) -> Path:
    other = file.with_name("other.keras")
    with zipfile.ZipFile(other, "w", **options) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return other


def test_archives_that_mean_harm(file: Path) -> None:
    with zipfile.ZipFile(file) as whole:
        config, weights = whole.read("config.json"), whole.read("model.weights.h5")
    both = [("config.json", config), ("model.weights.h5", weights)]
    refused(rewritten(file, both[:1]), "has 0 files 'model.weights.h5'")
    refused(rewritten(file, both[1:]), "has 0 files 'config.json'")
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = rewritten(file, [*both, both[0]])
    refused(twice, "has 2 files 'config.json'")
    climbing = rewritten(file, [*both, ("../climbed.txt", b"x"), ("/climbed.txt", b"x")])
    with watched(file.parent):
        models.load_model(climbing)  # other members are never unpacked
    assert sorted(os.listdir(file.parent)) == ["m.keras", "other.keras"]
    bomb = rewritten(file, [both[0], ("model.weights.h5", bytes(1 << 26))], compression=zipfile.ZIP_DEFLATED)
    refused(bomb, r"says that it has 67,108,864 bytes, more than")
    refused(rewritten(file, [("config.json", b" " * ((64 << 20) + 1)), both[1]]), "config.json says that it has")
    refused(rewritten(file, [("config.json", b"["), both[1]]), "has no config of a model")
    refused(rewritten(file, [("config.json", b"[1]"), both[1]]), "has no config of a model, a dict")
    refused(rewritten(file, [("config.json", b"[" * 100_000), both[1]]), "has no config of a model")
    refused(rewritten(file, [both[0], ("model.weights.h5", b"no HDF5")]), "file signature not found", OSError)


def weights_with(file: Path, change: Callable[[h5py.File], object]) -> Path:
    with zipfile.ZipFile(file) as whole:
        config, weights = whole.read("config.json"), whole.read("model.weights.h5")
    place = file.with_name("w.h5")
    place.write_bytes(weights)
    with h5py.File(place, "r+") as inside:
        change(inside)
    return rewritten(file, [("config.json", config), ("model.weights.h5", place.read_bytes())])


KERNEL = "layers/dense/vars/0"


def in_place(make: Callable[[h5py.File], object]) -> Callable[[h5py.File], object]:
    def change(inside: h5py.File) -> None:
        del inside[KERNEL]
        make(inside)

    return change


WEIGHTS: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "a file outside": (
        in_place(lambda h: h.create_dataset(KERNEL, (3, 2), "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])),
        "is not an array of numbers within the file",
    ),
    "a link to another file": (
        in_place(lambda h: h["layers/dense/vars"].__setitem__("0", h5py.ExternalLink("x.h5", "/a"))),
        "is not an array of numbers within the file",
    ),
    "a soft link": (
        in_place(lambda h: h["layers/dense/vars"].__setitem__("0", h5py.SoftLink("/layers/dense_1/vars/0"))),
        "is not an array of numbers within the file",
    ),
    "a huge shape without data": (
        in_place(lambda h: h.create_dataset(KERNEL, (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))),
        "says that it has",
    ),
    "texts": (in_place(lambda h: h.create_dataset(KERNEL, data=["a", "b"])), "is not an array of numbers"),
    "objects": (
        in_place(lambda h: h.create_dataset(KERNEL, (2,), h5py.vlen_dtype(np.int32))),
        "is not an array of numbers",
    ),
    "another shape": (
        in_place(lambda h: h.create_dataset(KERNEL, data=np.ones((3, 3)))),
        r"the file has \(3, 3\), \(2,\)",
    ),
    "nothing": (lambda h: h.__delitem__("layers/dense"), "the file has none"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_mean_harm(name: str, file: Path) -> None:
    change, text = WEIGHTS[name]
    refused(weights_with(file, change), text)


def test_damaged_files(file: Path) -> None:
    """A file that was cut off anywhere is refused; there is no half of a model."""
    whole = file.read_bytes()
    cut = file.with_name("cut.keras")
    for percent in range(0, 100, 2):
        cut.write_bytes(whole[: len(whole) * percent // 100])
        refused(cut, "is no `.keras` archive, which begins with PK")
    rng = np.random.default_rng(0)
    for _ in range(40):
        broken = bytearray(whole)
        broken[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        cut.write_bytes(broken)
        with watched(file.parent), suppress(ValueError, OSError):
            models.load_model(cut)


def test_other_files(file: Path) -> None:
    for content, text in (
        (b"", "it begins with b''"),
        (b"\x80\x04pickle", "it begins with"),
    ):
        file.write_bytes(content)
        refused(file, text)
    file.write_bytes(b"\x89HDF\r\n\x1a\n")  # the beginning of HDF5
    refused(file, "nable to", OSError)
