"""The proof with a card, where there is none: how sections are run and judged, and that every program runs."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import strict_cupy

ROOT = Path(__file__).resolve().parents[1]
# At the end: the gpudl that is installed comes before that of the checkout.
sys.path.append(str(ROOT))
NAMES = ("checkout", "claims", "clock", "gaps", "kernels", "lines", "parts", "peers", "probe", "race", "runner")
NAMES += ("sanitize", "sections", "settings", "sides", "suite", "train", "worker", "__main__")
gpu = SimpleNamespace(**{name: importlib.import_module(f"benchmarks.gpu.{name}") for name in NAMES})
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
TINY = gpu.parts.Options(size="tiny", device="cpu", seconds=60)


@pytest.fixture
def digits(tmp_path: Path) -> str:
    random = np.random.default_rng(0)
    parts = {"train": 96, "test": 20}
    images = {f"x_{part}": random.integers(0, 256, (n, 28, 28), np.uint8) for part, n in parts.items()}
    labels = {f"y_{part}": np.arange(n, dtype=np.uint8) % 10 for part, n in parts.items()}
    np.savez(tmp_path / "digits.npz", **images, **labels)
    return str(tmp_path / "digits.npz")


# A module that stands in for the sections, in the processes that are started too.
FAKES = """
import os, time
from benchmarks.gpu.parts import Part, Section

def fine(options):
    yield "number", 7

def wrong(options):
    yield "before", 1
    raise ValueError("a part that fails")

def gone(options):
    yield "before", 2
    os._exit(9)

def slow(options):
    yield "before", 3
    time.sleep(60)

PARTS = {"fine": Part(fine), "wrong": Part(wrong), "gone": Part(gone), "slow": Part(slow, 0.5), "last": Part(fine)}
SECTIONS = {"probe": Section("fakes", 50, PARTS)}
"""


@pytest.fixture
def faked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let the processes find the fakes in the place of the sections."""
    (tmp_path / "fakes.py").write_text(FAKES)
    (tmp_path / "sitecustomize.py").write_text("import sys, fakes; sys.modules['benchmarks.gpu.sections'] = fakes\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    monkeypatch.setattr(gpu.runner, "STARTING", 10.0)
    spec = importlib.util.spec_from_file_location("fakes", tmp_path / "fakes.py")
    assert spec is not None
    assert spec.loader is not None
    fakes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fakes)
    sections: dict[str, Any] = fakes.SECTIONS
    return sections


def test_a_part_that_fails_dies_or_hangs_is_noted_and_the_rest_goes_on(faked: dict[str, Any]) -> None:
    notes: list[dict[str, Any]] = []
    found = gpu.runner.run("probe", faked["probe"], TINY, notes.append, seconds=50, variables={})
    assert list(found) == ["fine", "wrong", "gone", "slow", "last"]
    assert [part["found"] for part in found.values()] == [
        {"number": 7},
        *({"before": n} for n in (1, 2, 3)),
        {"number": 7},
    ]
    assert "error" not in found["fine"]
    assert "error" not in found["last"]
    assert found["wrong"]["error"].endswith("ValueError: a part that fails\n")
    assert found["gone"]["error"].startswith("exit status 9\n")
    assert found["slow"]["error"].endswith("\nstopped: its time was over")
    assert {note["section"] for note in notes} == {"probe"}
    assert [note["part"] for note in notes if "key" not in note] == list(found)


def test_what_there_is_no_time_for_is_not_run(faked: dict[str, Any]) -> None:
    found = gpu.runner.run("probe", faked["probe"], TINY, lambda note: None, seconds=1, variables={})
    assert {part["error"] for part in found.values()} == {"not run: the time for this section was over"}


def test_the_command_ends_with_a_table_and_a_record(
    faked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = gpu.__main__
    monkeypatch.setattr(main, "SECTIONS", faked)
    monkeypatch.setattr(main, "card", lambda: "NVIDIA Fake 9000")
    monkeypatch.setattr("benchmarks.gpu.claims.CLAIMS", gpu.claims.CLAIMS[:2])
    assert main.main(["--device", "cpu", "--tiny", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "not measured" in said
    assert "2 of 5 parts ran" in said
    assert "probe/wrong: FAILED" in said
    (file,) = (tmp_path / "out").glob("gpu-nvidia-fake-9000-*.json")
    record = json.loads(file.read_text())
    assert {"date", "card", "size", "minutes", "clocks", "claims", "sections"} <= set(record)
    assert record["sections"]["probe"]["fine"]["found"] == {"number": 7}
    lines = [json.loads(line) for line in file.with_suffix(".jsonl").read_text().splitlines()]
    assert {"section": "probe", "part": "slow", "key": "before", "value": 3} in lines
    with pytest.raises(SystemExit):
        main.main(["--data", str(tmp_path / "missing.npz")])
    assert "--data: there is no file" in capsys.readouterr().err


def results(**train: Any) -> dict[str, Any]:
    copied = {"copies": {"found": {"copy of CUDA, GB/s": 4000.0}}, "op take": {"found": {"GB/s": 3000.0}}}
    return {"train": {part: {"found": found} for part, found in train.items()}, "kernels": copied}


def test_claims_are_judged_by_what_was_measured() -> None:
    times = {"gpudl": 1.0, "torch-eager": 9.0, "torch-eager-channels-last": 8.5, "torch-graph": 1.1}
    raced = {
        "highest": {"median seconds": 0.4, "runs": [{"reached": True}]},
        "high": {"median seconds": 0.3, "runs": [{"reached": False}]},
    }
    claims = {
        claim["claim"]: claim
        for claim in gpu.claims.judged(results(**{"cnn epochs": {"times_first": times}, "race": raced}))
    }
    eager = claims["seed 004, an epoch against PyTorch eager"]
    assert (eager["measured"], eager["reached"]) == (8.5, True)
    assert claims["seed 004, an epoch against PyTorch's captured graph"]["reached"] is False
    assert claims["first 99.0 % of the test images"]["measured"] == 0.4
    assert claims["take, share of the copy's bandwidth"]["measured"] == 0.75
    assert claims["seed 004, 5 epochs and evaluation"]["reached"] is None
    assert all(claim["measured"] is None for claim in gpu.claims.judged({}))


def test_every_asked_op_is_measured_and_every_part_has_a_name_of_its_own() -> None:
    assert set(gpu.kernels.ASKED) <= set(gpu.kernels.OPS)
    for section in gpu.sections.SECTIONS.values():
        assert all(part.seconds <= section.seconds for part in section.parts.values())
    for name in gpu.suite.FILES:
        assert (ROOT / f"tests/test_{name}.py").is_file(), name


def found(part: Any, options: Any) -> dict[str, Any]:
    return dict(part(options))


@pytest.mark.parametrize("name", gpu.kernels.OPS)
def test_the_ops_are_measured_on_the_double(name: str) -> None:
    with strict_cupy.installed():
        gpu_backend = importlib.import_module("gpudl").backend
        with gpu_backend.scope("cupy"):
            measured = found(partial(gpu.kernels.bandwidth, name), TINY)
    assert measured["GB/s"] > 0


def test_a_race_is_run_and_recorded(digits: str) -> None:
    run = gpu.race.sprint(gpu.train.all_digits("mnist-cnn", digits), "highest", seed=1, most=1)
    assert run["way"][-1]["seconds"] == run["seconds"] > 0
    assert not run["reached"]
    rates = [gpu.race.rate(share / 20) for share in range(21)]
    assert max(rates) == pytest.approx(gpu.race.HIGHEST)
    assert rates[0] == pytest.approx(gpu.race.LOWEST)
    assert rates[-1] == pytest.approx(gpu.race.LOWEST)


def test_whole_runs_are_timed(digits: str) -> None:
    options = gpu.parts.Options(digits, "tiny", "cpu", 60)
    runs = found(partial(gpu.train.whole_runs, "mnist-mlp", "highest"), options)
    assert runs["median seconds"] > 0
    assert 0 <= runs["lowest accuracy"] <= runs["median accuracy"] <= 1
    with pytest.raises(RuntimeError, match="no digits: pass --data"):
        gpu.train.all_digits("mnist-mlp", None)


def test_kernels_of_a_step_are_listed() -> None:
    kernels = found(partial(gpu.gaps.kernels, "mnist-mlp"), TINY)
    assert any(row["op"].startswith("rmsprop_") for row in kernels["instructions"])
    assert found(partial(gpu.gaps.steps, "mnist-mlp"), TINY)["us a step of 128"] > 0


def test_the_time_between_kernels() -> None:
    steps = gpu.gaps.STEPS
    events = [(0.0, 10.0, "a"), (12.0, 20.0, "b"), (18.0, 22.0, "a")]
    seen = gpu.gaps.summed(events, 1e-3)
    assert seen["us a step between kernels"] == 2 / steps
    assert seen["us a step in which a kernel runs"] == 20 / steps
    assert seen["median us between kernels"] == 2
    assert gpu.gaps.summed([], 1e-3)["median us between kernels"] is None


@needs_torch
@pytest.mark.parametrize("way", ["eager", "graph"])  # to compile takes longer than all other tests of this file
@pytest.mark.parametrize("network", ["mnist-mlp", "mnist-cnn"])
def test_the_peers_train(network: str, way: str, digits: str) -> None:
    settings = gpu.settings.OnDevice(data=digits, images=80, batch_size=32, device="cpu")
    work = gpu.peers.torch_epoch(network, way, True, settings)
    first = work.call()
    assert work.call() < first < 5


@needs_torch
def test_sides_take_turns_and_one_that_fails_is_left_out(digits: str) -> None:
    settings = gpu.settings.OnDevice(data=digits, images=80, batch_size=32, device="cpu")
    with gpu.sides.Sides("cpu") as sides:
        result = sides.compared("mnist-mlp", ("gpudl", "torch-eager", "no-such"), settings, rounds=1, seconds=0.001)
    assert set(result["times_first"]) == {"gpudl", "torch-eager"}
    assert "KeyError" in result["errors"]["no-such"]


def test_lines_of_tests_are_written_as_they_end(tmp_path: Path) -> None:
    (tmp_path / "test_three.py").write_text(
        "import pytest\n"
        "def test_good(record_property): record_property('size', 3)\n"
        "def test_bad(): assert 1 == 2\n"
        "def test_left(): pytest.skip('no card')\n"
        "def test_hangs(): import time; time.sleep(60)\n"
    )
    (tmp_path / "test_broken.py").write_text("import no_such_module_at_all\n")
    groups = [[str(tmp_path / "test_three.py"), "-c", str(ROOT / "pyproject.toml")], [str(tmp_path / "test_broken.py")]]
    lines = gpu.lines.run(groups, tmp_path, 15, {})
    assert gpu.lines.counts(lines) == {"passed": 1, "failed": 1, "error": 2, "skipped": 1}
    outcome = {line["test"].rpartition("::")[2]: line for line in lines}
    assert outcome["test_good"]["recorded"] == {"size": 3}
    assert "assert 1 == 2" in outcome["test_bad"]["said"]
    assert "no card" in outcome["test_left"]["said"]
    assert any(line["said"].startswith("stopped: its time was over") for line in gpu.lines.failures(lines))
    assert any("no_such_module_at_all" in line["said"] for line in gpu.lines.failures(lines))


def test_a_checkout_becomes_importable_without_being_installed(tmp_path: Path) -> None:
    gpu.checkout.copy(tmp_path)
    packages = str(Path(np.__file__).parents[1])  # without what is installed for development
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {packages!r}]; import gpudl.kernels as k; print(k.__file__)"
    done = subprocess.run([sys.executable, "-S", "-P", "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == str(tmp_path / "gpudl/kernels/__init__.py")


def test_where_there_is_no_sanitizer_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.sanitize, "found", lambda: None)
    assert found(partial(gpu.sanitize.checked, "memcheck"), TINY) == {"compute-sanitizer": "not on this machine"}
