"""The command line: what it prints, what it leaves behind, how it fails."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digit_files import write_synthetic

import gpudl
from gpudl.cli import main
from gpudl.datasets import mnist, synthetic_digits

Output = pytest.CaptureFixture[str]
SMALL = ["--epochs", "2", "--samples", "600", "--seed", "1", "--backend", "numpy"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_synthetic(tmp_path_factory.mktemp("digits") / "digits.npz"))


def printed_results(out: str) -> tuple[float, float, float]:
    """Return accuracy, loss and seconds of the line that ends a training."""
    found = re.search(
        r"^Test accuracy: (\d\.\d{4})   test loss: (\d+\.\d{4})   training took (\d+\.\d\d) s$", out, re.M
    )
    assert found, out
    accuracy, loss, seconds = map(float, found.groups())
    return accuracy, loss, seconds


@pytest.mark.parametrize(("name", "parameters"), [("mnist-mlp", "407,050"), ("mnist-cnn", "93,322")])
def test_a_training_from_a_file(name: str, parameters: str, digits: str, capsys: Output) -> None:
    assert main(["train", name, "--data", digits, "--batch-size", "50", *SMALL]) == 0
    out, errors = capsys.readouterr()
    assert errors == ""
    assert out.startswith(f"Device: {gpudl.backend.get('numpy').describe()}\nModel: ")
    assert f"Total params: {parameters} " in out
    for epoch in (1, 2):
        assert re.search(rf"^Epoch {epoch}/2\n12/12 .* accuracy: \d\.\d+ - loss: \d\.\d+", out, re.M), out
    accuracy, loss, seconds = printed_results(out)
    assert accuracy > 0.5
    assert loss > 0
    assert seconds > 0


def test_a_seed_repeats_a_training(digits: str, capsys: Output) -> None:
    results = []
    for seed in ("1", "1", "2"):
        assert main(["train", "mnist-mlp", "--data", digits, *SMALL, "--epochs", "1", "--seed", seed]) == 0
        results.append(printed_results(capsys.readouterr().out)[:2])
    assert results[0] == results[1] != results[2]


def test_the_batch_size_is_the_tutorials(digits: str, capsys: Output) -> None:
    assert main(["train", "mnist-mlp", "--data", digits, *SMALL, "--epochs", "1"]) == 0
    assert "\n5/5 " in capsys.readouterr().out  # 600 images, 128 a step


def test_the_plot_is_a_picture(digits: str, tmp_path: Path, capsys: Output) -> None:
    image = pytest.importorskip("matplotlib.image")
    target = tmp_path / "curves.png"
    assert main(["train", "mnist-mlp", "--data", digits, *SMALL, "--save-plot", str(target)]) == 0
    out = capsys.readouterr().out
    assert out.endswith(f"Curves and misread digits are in {target}\n")
    assert "val_accuracy" in out
    pixels = image.imread(target)
    assert pixels.shape[0] >= 600
    assert pixels.shape[1] >= 800
    assert 0.01 < np.mean(pixels[..., :3] < 0.5) < 0.5, "neither blank nor black"


def test_a_plot_that_cannot_be_written_is_known_before_the_training(
    digits: str, tmp_path: Path, capsys: Output
) -> None:
    pytest.importorskip("matplotlib")
    train = ["train", "mnist-mlp", "--data", digits, *SMALL, "--save-plot"]
    assert main([*train, str(tmp_path / "none" / "curves.png")]) == 1
    out, errors = capsys.readouterr()
    assert errors == f"gpudl: --save-plot: there is no folder {tmp_path / 'none'}. Make it first.\n"
    assert "Epoch" not in out
    assert main([*train, str(tmp_path / "curves.xyz")]) == 1
    out, errors = capsys.readouterr()
    assert re.match(r"gpudl: --save-plot cannot write '\.xyz' files\. Use one of: .*\.png", errors), errors
    assert "Epoch" not in out


def test_without_matplotlib_a_plot_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["train", "mnist-mlp", "--save-plot", "curves.png"]) == 1
    assert capsys.readouterr().err == 'gpudl: --save-plot needs matplotlib: install gpudl with the extra "plot".\n'


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    gpudl.backend.forget()
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["train", "mnist-mlp", "--backend", "cupy"]) == 1
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("gpudl: CuPy is not installed, so no GPU is used. For an NVIDIA GPU install gpudl with")
    assert errors.count("\n") == 1


def test_an_unknown_backend_in_the_environment_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    gpudl.backend.forget()
    monkeypatch.setenv("GPUDL_BACKEND", "cuda")
    assert main(["train", "mnist-mlp"]) == 1
    assert capsys.readouterr().err == "gpudl: unknown backend 'cuda': choose one of numpy, cupy, auto.\n"


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No MNIST on this machine, and no network."""
    monkeypatch.setenv("GPUDL_HOME", str(tmp_path / "gpudl"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(mnist, "SOURCE", replace(mnist.SOURCE, urls=("http://127.0.0.1:9/mnist.npz",)))
    few = partial(synthetic_digits.load_data, train=600, test=100)
    monkeypatch.setattr(synthetic_digits, "load_data", few)


@pytest.mark.usefixtures("nowhere")
def test_without_mnist_and_network_it_trains_on_drawn_digits(capsys: Output) -> None:
    assert main(["train", "mnist-mlp", *SMALL]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "synthetic" in line]
    assert len(lines) == 1
    assert re.fullmatch(
        r"MNIST is not on this machine and cannot be downloaded \(http://127\.0\.0\.1:9/mnist\.npz: .+\); "
        r"training on synthetic digits instead\.",
        lines[0],
    )


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("damage", ["cut", "other arrays", "text"])
def test_a_damaged_file_is_an_error(damage: str, tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "digits.npz"
    if damage == "other arrays":
        np.savez(file, x_train=np.zeros((5, 28, 28), np.uint8))
    else:
        file.write_bytes(b"PK\3\4 and no more" if damage == "cut" else b"hello")
    before = file.read_bytes()
    assert main(["train", "mnist-mlp", "--data", str(file)]) == 1
    out, errors = capsys.readouterr()
    assert errors.startswith(f"gpudl: {file}: the file is damaged: ")
    assert errors.rstrip().endswith("Pass the path of a good mnist.npz, or move this one away.")
    assert "Epoch" not in out
    assert "synthetic" not in out
    assert file.read_bytes() == before


@pytest.mark.usefixtures("nowhere")
def test_a_file_that_is_not_there_is_an_error(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "mnist-mlp", "--data", "none.npz"]) == 1
    out, errors = capsys.readouterr()
    assert errors == f"gpudl: --data: there is no file {tmp_path / 'none.npz'}.\n"
    assert "Epoch" not in out
    assert list(tmp_path.iterdir()) == [], "nothing was made"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "the following arguments are required: command"),
        (["train"], "the following arguments are required: network"),
        (["train", "mnist"], "invalid choice: 'mnist'"),
        (["train", "mnist-mlp", "--epochs", "0"], "argument --epochs: 0 is not a positive number"),
        (["train", "mnist-mlp", "--samples", "many"], "argument --samples: many is not a positive number"),
        (["train", "mnist-mlp", "--backend", "cuda"], "argument --backend: invalid choice: 'cuda'"),
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str], text: str, capsys: Output) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert text in capsys.readouterr().err


def test_a_wrong_seed_is_an_error(capsys: Output) -> None:
    assert main(["train", "mnist-mlp", "--seed", "-1"]) == 1
    assert capsys.readouterr().err == "gpudl: seed must lie between 0 and 2**32 - 1, got -1.\n"


def test_an_interrupt_ends_quietly(digits: str, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gpudl.Model, "fit", interrupted)
    assert main(["train", "mnist-mlp", "--data", digits]) == 130
    assert capsys.readouterr().err == "gpudl: interrupted\n"


def test_it_runs_as_a_module(digits: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gpudl", "train", "mnist-mlp", "--data", digits, *SMALL]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\r" not in done.stdout
    assert "\x1b" not in done.stdout
    assert printed_results(done.stdout)[0] > 0.5
    assert list(tmp_path.iterdir()) == []
