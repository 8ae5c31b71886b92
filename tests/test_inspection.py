"""What `gpudl inspect` says of files: what is inside, without making anything, and without harm."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from attack_files import KERNEL, changed, harmless, in_place, layer_of, rewritten, small, watched, weights_with

import gpudl
from gpudl import layers
from gpudl.cli import main
from gpudl.saving.inspection import contents_of

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_a_model_is_described(tmp_path: Path, capsys: Output) -> None:
    for name in ("m.keras", "m.h5"):
        model = small()
        inner = gpudl.Sequential([layers.Input((1,)), layers.Dense(4, activation="relu", name="deep")], name="inner")
        whole = gpudl.Sequential([layers.Input((3,)), *model.layers, inner])
        whole.compile(gpudl.optimizers.SGD(0.25, momentum=0.5), "mse", metrics=["mae"])
        whole.save(tmp_path / name)
        assert main(["inspect", str(tmp_path / name)]) == 0
        out = capsys.readouterr().out
        for said in ("a model (.", "3.15.0", "SGD(", "momentum=0.5", "mse", "mae", "Sequential", "inner", "relu"):
            assert said in out
        assert "    deep" in out
        assert "(3, 2)" in out
        assert "float32" in out


@pytest.mark.parametrize("name", ["m.weights.h5", "m.npz", "m.safetensors", "m.weights.json"])
def test_weights_are_listed(name: str, tmp_path: Path, capsys: Output) -> None:
    size = 1.0 if name.endswith(".json") else None
    small().save_weights(tmp_path / name, max_shard_size=size)
    found = contents_of(tmp_path / name)
    assert found.kind.startswith("weights")
    assert {(w.path, w.shape, w.dtype, w.bytes) for w in found.weights} >= {
        ("layers/dense/vars/0", (3, 2), "float32", 24),
        ("layers/dense_1/vars/1", (1,), "float32", 4),
    }
    assert len(found.weights) == 14
    assert main(["inspect", str(tmp_path / name)]) == 0
    assert "14 arrays, " in capsys.readouterr().out


def test_nothing_of_a_file_is_made_or_obeyed(tmp_path: Path, capsys: Output) -> None:
    file = harmless(tmp_path)
    attack = changed(file, lambda c: layer_of(c).update(module="os", class_name="\x1b]0;pwned\x07[red]system"))
    with watched(tmp_path):
        found = contents_of(attack)
    assert found.parts[2].kind.endswith("[red]system")
    assert main(["inspect", str(attack)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[red]system" in out


def test_what_is_refused(tmp_path: Path, capsys: Output) -> None:
    file = harmless(tmp_path)
    circle = tmp_path / "circle.h5"
    with h5py.File(circle, "w") as inside:
        inside["again"] = inside["/"]
    outside = weights_with(
        file, in_place(lambda h: h.create_dataset(KERNEL, (3, 2), "f4", external=[("/etc/hostname", 0, 24)]))
    ).rename(tmp_path / "outside.keras")
    deep = tmp_path / "deep.keras"
    rewritten(file, [("config.json", json.dumps(nest(400)).encode()), ("model.weights.h5", b"x")]).rename(deep)
    linked = weights_with(file, in_place(lambda h: h["layers/dense/vars"].__setitem__("0", h5py.SoftLink("/x"))))
    image = tmp_path / "m.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n")
    for path, said in (
        (linked, "is not an array of numbers within the file"),
        (outside, "is not an array of numbers within the file"),
        (circle, "its groups are nested more than 32 levels deep"),
        (deep, "nested more than 100 levels deep"),
        (image, "it is a PNG image"),
        (tmp_path, "it is a folder"),
        (tmp_path / "none.keras", "No such file"),
    ):
        with watched(tmp_path):
            assert main(["inspect", str(path)]) == 1
        assert said in capsys.readouterr().err
    np.savez(tmp_path / "m.npz", a=np.array(["text"]))
    assert main(["inspect", str(tmp_path / "m.npz")]) == 1
    assert "is not an array of numbers" in capsys.readouterr().err


def nest(depth: int) -> object:
    inner: object = {}
    for _ in range(depth):
        inner = {"config": inner}
    return inner
