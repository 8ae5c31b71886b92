"""Every program in examples/ runs and finds out what it should."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from digit_files import REPOSITORY, SIZES
from example_runs import Limits, limited, run_file

import gpudl

FOLDER = REPOSITORY / "examples"


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Limits]:
    yield limited(monkeypatch, tmp_path)
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.close("all")


Output = pytest.CaptureFixture[str]


def test_there_is_a_test_for_each_program() -> None:
    tested = {name[5:8] for name in globals() if re.match(r"test_\d{3}_", name)}
    assert tested == {path.name[:3] for path in FOLDER.glob("*.py")}


def test_000_shows_a_digit(limits: Limits, capsys: Output) -> None:
    digit = run_file(FOLDER / "000_show_a_digit.py")["x_train"][0]
    assert limits.shown == 1
    version, _, printed = capsys.readouterr().out.partition("\n")
    assert version == gpudl.__version__
    assert printed == f"{digit}\n"


def test_001_trains_two_dense_layers(limits: Limits, capsys: Output) -> None:
    limits.steps = 60
    variables = run_file(FOLDER / "001_dense_network.py")
    out = capsys.readouterr().out
    assert out.startswith(f"{SIZES['train']}\n(60000, 28, 28)\n(28, 28)\n(10000, 28, 28)\n")
    assert limits.shown == 1
    assert limits.fits == [{"epochs": 5, "batch_size": 128}]
    assert variables["test_acc"] > 0.85
    assert f"test_acc: {variables['test_acc']}\ntest_loss: {variables['test_loss']}" in out


def test_002_finds_the_weights_of_a_linear_unit(limits: Limits, capsys: Output) -> None:
    limits.steps = None
    variables = run_file(FOLDER / "002_linear_unit.py")
    out = capsys.readouterr().out
    found = re.search(r"calories = (\S+) sugars \+ (\S+) fiber \+ (\S+) protein \+ (\S+)", out)
    assert found, out
    with_ones = np.column_stack([variables["features"], np.ones(80)])
    exact, *_ = np.linalg.lstsq(with_ones, variables["calories"], rcond=None)
    np.testing.assert_allclose([float(n) for n in found.groups()], exact, rtol=0.05)
    error = re.search(r"mean squared error: (\S+)", out)
    assert error
    assert float(error[1]) < 5  # the noise alone has a variance of 4
    before_and_after = re.search(r"mean absolute error: (\S+) -> (\S+)", out)
    assert before_and_after
    assert float(before_and_after[2]) < 0.2 * float(before_and_after[1])


def test_003_separates_small_classes(limits: Limits, capsys: Output) -> None:
    limits.steps = None
    run_file(FOLDER / "003_sequential_lists.py")
    out = capsys.readouterr().out
    accuracies = [float(number) for number in re.findall(r"features, accuracy: (\S+)", out)]
    assert len(accuracies) == 2
    assert min(accuracies) > 0.85
    assert "Total params: 124 " in out


def test_009_draws_digits(limits: Limits, capsys: Output) -> None:
    limits.steps = 150
    variables = run_file(FOLDER / "009_variational_autoencoder.py")
    out = capsys.readouterr().out
    assert "Total params: 404,244 " in out
    assert limits.fits == [{"epochs": 5, "batch_size": 128}]
    mean_image = variables["images"].mean(axis=0)
    clipped = np.clip(mean_image, 1e-7, 1 - 1e-7)
    target = variables["test_images"]
    blind = -(target * np.log(clipped) + (1 - target) * np.log(1 - clipped)).mean()
    assert variables["loss"] < 0.97 * blind  # it knows more of a digit than what digits look like on average
    assert out.count("\n", out.index("a digit drawn at the middle:")) == 11


def test_004_trains_the_convnet(limits: Limits, capsys: Output) -> None:
    limits.steps = 30
    variables = run_file(FOLDER / "004_convnet.py")
    out = capsys.readouterr().out
    assert re.findall(r"Total params: (\S+)", out) == ["55,744", "93,322"]
    assert limits.fits == [{"epochs": 5, "batch_size": 64}]
    assert variables["test_acc"] > 0.6
    assert out.endswith(f"{variables['test_acc']}\n")


def test_010_trains_the_residual_network(limits: Limits, capsys: Output) -> None:
    limits.steps = 220
    variables = run_file(FOLDER / "010_residual_network.py")
    out = capsys.readouterr().out
    assert limits.fits == [{"epochs": 3, "batch_size": 64}]
    assert variables["test_acc"] > 0.75
    assert "features: (100, 16)" in out


def test_011_trains_two_inputs_and_two_outputs(limits: Limits, capsys: Output) -> None:
    limits.steps = None
    variables = run_file(FOLDER / "011_two_inputs_two_outputs.py")
    assert variables["results"]["zone_accuracy"] > 0.8
    spread = np.abs(variables["price"] - np.median(variables["price"])).mean()
    assert variables["results"]["cost_mae"] < 0.5 * spread
    assert "zones told apart: " in capsys.readouterr().out


def test_012_trains_a_shared_tower(limits: Limits, capsys: Output) -> None:
    limits.steps = 300
    variables = run_file(FOLDER / "012_siamese_network.py")
    assert len(variables["tower"].weights) == 4
    assert len(variables["model"].weights) == 6
    assert variables["closer"] < 0.85
    assert "distance between pictures of one digit" in capsys.readouterr().out


def test_013_draws_points_on_a_ring(limits: Limits, capsys: Output) -> None:
    limits.steps = None
    variables = run_file(FOLDER / "013_gan.py")
    points, radii = variables["after"], variables["radii"]
    assert abs(radii(variables["before"]).mean() - 2) > 0.5
    assert abs(radii(points).mean() - 2) < 0.2
    assert radii(points).std() < 0.3
    assert {(x > 0, y > 0) for x, y in points} == {(a, b) for a in (False, True) for b in (False, True)}
    assert len(variables["gan"]._train.entries) == 1
    assert f"after: radius {radii(points).mean():.2f}" in capsys.readouterr().out


def test_014_a_small_network_learns_from_a_large_one(limits: Limits, capsys: Output) -> None:
    limits.steps = 100
    variables = run_file(FOLDER / "014_distillation.py")
    assert variables["teacher_acc"] > variables["student_acc"] > 0.75
    assert variables["teacher"].optimizer.iterations == variables["distiller"].optimizer.iterations == 100
    assert variables["distiller"].trainable_weights == variables["student"].weights
    assert "with 12730 weights" in capsys.readouterr().out


def test_020_remembers_what_was_marked(limits: Limits) -> None:
    limits.steps = None
    variables = run_file(FOLDER / "020_recurrent_memory.py")
    assert set(variables["errors"]) == {"LSTM", "GRU"}
    assert max(variables["errors"].values()) < 0.25 * variables["blind"]


def test_021_tells_the_next_picture(limits: Limits, capsys: Output) -> None:
    limits.steps = None
    variables = run_file(FOLDER / "021_moving_pictures.py")
    assert variables["standing"] < 0.3
    assert variables["right"] > 0.8
    assert "pictures told without a mistake" in capsys.readouterr().out


def test_022_adds_numbers_that_are_text(limits: Limits, capsys: Output) -> None:
    limits.steps = None
    variables = run_file(FOLDER / "022_adding_by_reading.py")
    assert variables["right"] > 0.75
    assert f"{variables['right']:.2f} are right" in capsys.readouterr().out


def test_030_a_small_gpt_learns_the_license(limits: Limits, capsys: Output) -> None:
    limits.steps = None
    variables = run_file(FOLDER / "030_small_gpt.py")
    assert variables["loss"] < 1.0  # of what comes next the letter before alone tells no more than 2.1
    assert capsys.readouterr().out.splitlines()[-1].startswith(variables["text"][:32])


def test_040_finds_the_ink_of_digits(limits: Limits, capsys: Output) -> None:
    limits.steps = 50
    variables = run_file(FOLDER / "040_unet.py")
    assert limits.fits == [{"epochs": 3, "batch_size": 32}]
    assert variables["overlap"] > 0.75 > 0.6 > variables["by_light"]
    assert "overlap of found and true ink: 0." in capsys.readouterr().out


def test_041_trains_blocks_of_depthwise_convolutions(limits: Limits) -> None:
    limits.steps = 170
    variables = run_file(FOLDER / "041_mobile_blocks.py")
    assert limits.fits == [{"epochs": 2, "batch_size": 64}]
    assert variables["test_acc"] > 0.6
