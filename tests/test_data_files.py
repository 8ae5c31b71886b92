"""Data sets whose files hold pickled data: what is read of them, and that nothing in them is run."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import struct
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from pickled import Evil, lists

from gpudl import config
from gpudl.datasets import (
    DatasetUnavailable,
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    imdb,
    reuters,
)
from gpudl.utils.files import hasher


def python2(name: bytes, pixels: np.ndarray, key: bytes, labels: list[int]) -> bytes:
    """Return a batch as Python 2 pickled it: protocol 2, its text as bytes."""

    def short(text: bytes) -> bytes:
        return b"U" + bytes([len(text)]) + text

    size = b"(" + b"".join(b"M" + struct.pack("<H", n) for n in pixels.shape) + b"t"
    dtype = b"cnumpy\ndtype\n" + short(b"u1") + b"K\x00K\x01\x87R(K\x03" + short(b"|")
    dtype += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nK\x00\x85" + short(b"b") + b"\x87R"
    data = b"T" + struct.pack("<i", pixels.nbytes) + pixels.tobytes()
    array += b"(K\x01" + size + dtype + b"\x89" + data + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([n]) for n in labels) + b"e"
    return (
        b"\x80\x02}q\x00(" + short(b"batch_label") + short(name) + short(key) + numbers + short(b"data") + array + b"u."
    )


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUDL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "home" / "datasets"


def serve(module: ModuleType, file: Path, monkeypatch: pytest.MonkeyPatch, name: str = "SOURCE") -> None:
    """Let a data set take its file from `file`, once by its hash."""
    source = getattr(module, name)
    kind = "MD5" if source.sha256 is None else "SHA-256"
    digest = hasher(kind)
    digest.update(file.read_bytes())
    hashes = {"md5" if kind == "MD5" else "sha256": digest.hexdigest()}
    monkeypatch.setattr(module, name, dataclasses.replace(source, urls=(file.as_uri(),), **hashes))


def batch(count: int, seed: int) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3072), np.uint8), rng.integers(0, 10, count).tolist()


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_cifar10(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    parts = {f"data_batch_{n}": batch(4, n) for n in range(1, 6)} | {"test_batch": batch(3, 6)}
    names = {f"cifar-10-batches-py/{name}": python2(b"x", x, b"labels", y) for name, (x, y) in parts.items()}
    serve(cifar10, archive(tmp_path / "a.tar.gz", names), monkeypatch)
    monkeypatch.setattr(config, "image_data_format", lambda: layout)
    (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    assert [path.name for path in home.iterdir()] == ["cifar-10-batches-py-target_archive"]
    expected = np.concatenate([parts[f"data_batch_{n}"][0] for n in range(1, 6)]).reshape(20, 3, 32, 32)
    np.testing.assert_array_equal(x_train, expected if layout == "channels_first" else expected.transpose(0, 2, 3, 1))
    assert y_train[:, 0].tolist() == [label for n in range(1, 6) for label in parts[f"data_batch_{n}"][1]]
    assert y_test[:, 0].tolist() == parts["test_batch"][1]
    assert {array.dtype.name for array in (x_train, y_train, x_test, y_test)} == {"uint8"}
    (tmp_path / "a.tar.gz").unlink()
    cifar10.load_data()


def test_cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {}
    for name, count in (("train", 5), ("test", 2)):
        pixels, labels = batch(count, count)
        both = {b"data": pixels, b"fine_labels": [9 * label for label in labels], b"coarse_labels": labels}
        names[f"cifar-100-python/{name}"] = pickle.dumps(both, 4)
    serve(cifar100, archive(tmp_path / "a.tar.gz", names), monkeypatch)
    (x_train, fine), (x_test, _) = cifar100.load_data()
    _, (_, coarse) = cifar100.load_data("coarse")
    assert (x_train.shape, x_test.shape) == ((5, 32, 32, 3), (2, 32, 32, 3))
    assert fine[:, 0].tolist() == [9 * label for label in batch(5, 5)[1]]
    assert coarse[:, 0].tolist() == batch(2, 2)[1]
    assert fine.dtype == np.int64
    with pytest.raises(ValueError, match='must be "fine" or "coarse"'):
        cifar100.load_data("medium")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({b"data": np.zeros((2, 3072), np.uint8), b"fine_labels": [1, Evil()]}, r"names posix.mkdir.* It was not run"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"fine_labels": [1, 100]}, "expected 2 fine_labels from 0 to 99"),
        ({b"data": np.zeros((2, 3071), np.uint8), b"fine_labels": [1, 2]}, r"expected uint8 images \(N, 3072\)"),
        ([1, 2], r"expected uint8 images"),
    ],
)
def test_a_bad_batch_is_damaged_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path, content: object, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    home.mkdir(parents=True)
    archive(home / "cifar-100-python-target_archive", {"cifar-100-python/train": pickle.dumps(content, 4)})
    monkeypatch.setattr(cifar100, "SOURCE", dataclasses.replace(cifar100.SOURCE, urls=()))
    with pytest.raises(DatasetUnavailable, match=words):
        cifar100.load_data()
    assert not (tmp_path / "ran").exists()


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


TEXTS = lists([1, 2, 3], [4, 5], [9, 300, 70_000, 2], [6], [7, 8])
TOPICS = np.array([0, 1, 0, 1, 1])


def test_imdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {"x_train": TEXTS, "y_train": TOPICS, "x_test": TEXTS[:3], "y_test": TOPICS[:3]}
    serve(imdb, npz(tmp_path / "a.npz", **arrays), monkeypatch)
    (x_train, y_train), (_, y_test) = imdb.load_data(oov_char=None)
    rng = np.random.RandomState(113)
    order, order_of_test = np.arange(5), np.arange(3)
    rng.shuffle(order)
    rng.shuffle(order_of_test)
    assert y_train.tolist() == TOPICS[order].tolist()
    assert y_test.tolist() == TOPICS[order_of_test].tolist()
    # Without num_words the largest number itself is left out, as in Keras.
    kept = [[1] + [word + 3 for word in TEXTS[number] if word != 70_000] for number in order]
    assert x_train.tolist() == kept
    (x_train, y_train), _ = imdb.load_data(num_words=8, skip_top=5, maxlen=4)
    assert len(x_train) == 3
    assert max(map(max, x_train)) < 8
    with pytest.raises(ValueError, match="No text has fewer words than maxlen=1"):
        imdb.load_data(maxlen=1)


def test_reuters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(reuters, npz(tmp_path / "a.npz", x=TEXTS, y=TOPICS), monkeypatch)
    (x_train, y_train), (x_test, y_test) = reuters.load_data(num_words=100_000, start_char=None, index_from=0)
    order = np.arange(5)
    np.random.RandomState(113).shuffle(order)
    assert x_train.tolist() + x_test.tolist() == [TEXTS[number] for number in order]
    assert y_train.tolist() + y_test.tolist() == TOPICS[order].tolist()
    assert (len(x_train), len(x_test)) == (4, 1)
    assert len(set(reuters.get_label_names())) == 46


@pytest.mark.parametrize("module", [imdb, reuters])
def test_the_numbers_of_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"the": 1, "a": 2}))
    serve(module, tmp_path / "a.json", monkeypatch, "WORDS")
    assert module.get_word_index() == {"the": 1, "a": 2}


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (lists([1], Evil()), r"names posix.mkdir.* It was not run"),  # type: ignore[arg-type]
        (lists([1], ["word"]), "expected lists of whole numbers"),  # type: ignore[list-item]
        (np.zeros((2, 2)), r"expected lists of numbers and labels \(N,\)"),
        (np.arange(2), "expected as many lists as labels"),
    ],
)
def test_bad_texts_are_damaged_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, x: np.ndarray, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetUnavailable, match=words):
        reuters.load_data(npz(tmp_path / "a.npz", x=x, y=np.arange(2)))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("module", "columns"), [(boston_housing, 13), (california_housing, 8)])
def test_houses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, columns: int) -> None:
    x, y = np.random.default_rng(0).normal(size=(700, columns)), np.arange(700.0)
    serve(module, npz(tmp_path / "a.npz", x=x, y=y), monkeypatch)
    (x_train, y_train), (x_test, y_test) = module.load_data()
    order = np.arange(700)
    np.random.RandomState(113).shuffle(order)
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), x[order])
    np.testing.assert_array_equal(np.concatenate([y_train, y_test]), y[order])
    assert len(x_test) == 140
    with pytest.raises(ValueError, match="test_split must be at least 0 and below 1, got 1"):
        module.load_data(test_split=1)
    with pytest.raises(DatasetUnavailable, match=rf"expected floats \(N, {columns}\) and \(N,\)"):
        module.load_data(path=npz(tmp_path / "b.npz", x=x, y=y[1:]))


def test_the_small_california() -> None:
    with pytest.raises(ValueError, match='version must be "small" or "large"'):
        california_housing.load_data("medium")


def test_the_small_california_has_600_rows(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", x=np.zeros((700, 8)), y=np.arange(700.0))
    (_, y_train), (_, y_test) = california_housing.load_data("small", path)
    assert sorted([*y_train, *y_test]) == list(range(600))
