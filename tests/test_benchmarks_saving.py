"""The benchmark of saving: that it runs on a small model, and that its copies are whole."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))
saving = importlib.import_module("benchmarks.saving")


def test_it_runs_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, written = tmp_path / "disk", tmp_path / "saving.json"
    folder.mkdir()
    given = ("--parameters", "9000000", "--repeats", "2", "--folder", str(folder), "--json", str(written))
    record = saving.main([*given, "--files", "m.keras"])
    assert json.loads(written.read_text()) == record
    assert record["ratios"].keys() == record["runs"].keys() == {"save:m.keras", "load:m.keras"}
    assert all(len(run["seconds"]) == len(run["copies"]) == 2 for run in record["runs"].values())
    assert all(ratio["times_the_copy"] > 0 for ratio in record["ratios"].values())
    assert all(0 < ratio["memory_of_the_model"] < 2 for ratio in record["ratios"].values())
    assert not list(folder.iterdir())
    assert "times the copy" in capsys.readouterr().out


def test_a_copy_is_written_and_read_whole(tmp_path: Path) -> None:
    held = bytes(range(256)) * 5000
    saving.copy_to(tmp_path / "copy", memoryview(held))
    assert (tmp_path / "copy").read_bytes() == held
    saving.forget(tmp_path / "copy")
    assert bytes(saving.copy_from(tmp_path / "copy", len(held))) == held


def test_the_model_has_as_many_parameters_as_were_asked_for() -> None:
    model = saving.stack(saving.WIDTH, saving.layers_of(18_000_000))
    assert model.count_params() == pytest.approx(18_000_000, rel=0.01)
