"""What an export refuses, with which sentence, and that nothing is left behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_tools import exported

from gpudl import Input, Model, Sequential, layers, ops
from gpudl.export import onnx_file


def line() -> Model:
    return Sequential([Input((3,), name="x"), layers.Dense(1, name="line")], name="m")


class Inverse(layers.Layer):
    """The inverse of each matrix."""

    def call(self, x: Any) -> Any:
        return ops.inv(x)


class Counting(layers.Layer):
    """What counts its calls."""

    def build(self, input_shape: Any) -> None:
        self.count = self.add_weight((), initializer="zeros", trainable=False, name="count")

    def call(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return x * self.count


class Noisy(layers.Layer):
    """What draws random numbers also at inference."""

    def __init__(self) -> None:
        super().__init__(name="noisy")
        self.seed = layers.GaussianNoise(1.0)

    def call(self, x: Any) -> Any:
        return self.seed(x, training=True)


class Places(layers.Layer):
    """What adds the roots of the places."""

    def call(self, x: Any) -> Any:
        return x + np.sqrt(np.arange(x.shape[1], dtype=np.float32))[:, None]


class Deciding(layers.Layer):
    """What computes something else for long sequences."""

    def call(self, x: Any) -> Any:
        return x if x.shape[1] < 300 else ops.exp(x)


REFUSED: dict[str, tuple[Any, str]] = {
    "no operator": (
        lambda: Sequential([Input((3, 3)), Inverse(name="inverse")]),
        r"Sequential 'm': the op 'inv', in 'inverse', cannot be exported: ONNX has no operator for it\.",
    ),
    "in a loop": (
        lambda: Sequential([Input((4, 3, 3)), layers.TimeDistributed(Inverse(name="inverse"))]),
        r"the op 'inv', in 'inverse', cannot be exported",
    ),
    "a variable that changes": (
        lambda: Sequential([Input((3,)), Counting(name="counting")]),
        r"the op 'assign_add_', in 'counting', cannot be exported: it updates a variable, and a file has none",
    ),
    "random numbers": (
        lambda: Sequential([Input((3,)), Noisy()]),
        r"cannot be exported: it (draws random numbers, and a file has no seed|updates a variable)",
    ),
    "numbers that depend on a size": (
        lambda: Sequential([Input((None, 2)), Places(name="places")]),
        r"the op 'add', in 'places', cannot be exported: it reads numbers that depend on a size that is not known "
        r"before the model is run\. Give Input, or input_signature, a fixed size in place of None\.",
    ),
    "other ops for other sizes": (
        lambda: Sequential([Input((None, 2)), Deciding()]),
        r"Sequential 'm': the model computes something else for other sizes of its inputs",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_said_is_refused(what: str, tmp_path: Path) -> None:
    make, sentence = REFUSED[what]
    model = make()
    model._name = model.name = "m"
    old = tmp_path / "model.onnx"
    old.write_bytes(b"old")
    with pytest.raises(ValueError, match=sentence):
        model.export(old, verbose=False)
    assert old.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_other_formats_are_refused(tmp_path: Path) -> None:
    for options in ({}, {"format": "openvino"}, {"format": "tf_saved_model"}):
        with pytest.raises(ValueError, match=r'export writes ONNX files only: pass format="onnx", or a path that ends'):
            line().export(tmp_path / "model", **options)
    with pytest.raises(ValueError, match="got format='openvino'"):
        line().export(tmp_path / "model.onnx", format="openvino")
    assert not list(tmp_path.iterdir())


def test_a_path_that_ends_in_onnx_or_the_format_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line().export(tmp_path / "model.onnx")
    assert capsys.readouterr().out == f"Saved artifact at '{tmp_path / 'model.onnx'}'.\n"
    line().export(str(tmp_path / "model"), "onnx", verbose=False)
    assert not capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.onnx"]


def test_a_model_whose_inputs_are_not_known_says_so(tmp_path: Path) -> None:
    for model in (Sequential([layers.Dense(1)]), OfNothing()):
        with pytest.raises(ValueError, match=r"export must know the inputs\. Call the model on data first, or "):
            model.export(tmp_path / "model.onnx")
    model = Sequential([layers.Dense(1)])
    model(np.ones((2, 3)))
    assert exported(model, tmp_path).get_inputs()[0].shape == ["batch", 3]


class OfNothing(Model):
    """A subclass that was never called."""

    def call(self, x: Any) -> Any:
        return x


def test_a_signature_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"input_signature has tensors, symbols or InputSpecs with a shape and a dtype"):
        line().export(tmp_path / "m.onnx", input_signature=["x"])
    with pytest.raises(ValueError, match="an input is text, for which ONNX files have no layers"):
        line().export(tmp_path / "m.onnx", input_signature=[Input((1,), dtype="string")])
    with pytest.raises(ValueError, match=r"cannot be exported for any batch, .* input_signature can fix them\. "):
        line().export(tmp_path / "m.onnx", input_signature=[Input((7,))])


def test_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"opset_version is from 18 to \d+, got 9\."):
        line().export(tmp_path / "m.onnx", opset_version=9)
    with pytest.raises(TypeError, match="export to ONNX takes opset_version, got is_static"):
        line().export(tmp_path / "m.onnx", is_static=True)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"which is missing\. Install it by `pip install gpudl\[onnx\]`\."):
        line().export(tmp_path / "m.onnx")


def test_weights_too_large_for_one_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", 15)
    with pytest.raises(ValueError, match=r"the weights of 'm' are 0\.0 GiB, and one ONNX file holds 2 GiB\."):
        line().export(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        line().export(path)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_export_changes_nothing(tmp_path: Path) -> None:
    model = line()
    before = model.get_weights()
    exported(model, tmp_path)
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
