"""The proof with a card, where there is none: how sections are run and judged, and that every program runs."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import time
import warnings
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
NAMES = (
    "checkout",
    "claims",
    "clock",
    "compiling",
    "gaps",
    "kernels",
    "lines",
    "parts",
    "peers",
    "probe",
    "race",
    "recurrent",
    "runner",
)
NAMES += ("sanitize", "sequences", "sections", "settings", "sides", "suite", "summary", "train", "worker", "__main__")
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


def lines(**sections: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"section": section, "part": part, "key": key, "value": value}
        for section, parts in sections.items()
        for part, found in parts.items()
        for key, value in found.items()
    ]


def test_claims_are_judged_by_what_was_measured() -> None:
    times = {"gpudl": 1.0, "torch-eager": 9.0, "torch-eager-channels-last": 8.5, "torch-graph": 1.1}
    raced = {
        "highest": {"median seconds": 0.4, "runs": [{"reached": True}]},
        "high": {"median seconds": 0.3, "runs": [{"reached": False}]},
    }
    written = lines(
        epochs={"cnn epochs": {"times_first": times}},
        more={"race": raced},
        bandwidth={"copies": {"copy of CUDA, GB/s": 4000.0}, "op take": {"GB/s": 3000.0}},
        tiles={"tiles": {"counts": {"passed": 3, "failed": 0, "error": 0}}},
    )
    claims = {claim["claim"]: claim for claim in gpu.summary.record(written)["claims"]}
    eager = claims["seed 004, an epoch against PyTorch eager"]
    assert (eager["measured"], eager["reached"]) == (8.5, True)
    assert claims["seed 004, an epoch against PyTorch's captured graph"]["reached"] is False
    assert claims["first 99.0 % of the test images"]["measured"] == 0.4
    assert claims["take, share of the copy's bandwidth"]["measured"] == 0.75
    assert claims["seed 004, 5 epochs and evaluation"]["reached"] is None
    assert claims["tiles of products beyond rounding"]["reached"] is None, "the run was cut in it"
    written.append({"section": "tiles", "part": "tiles", "seconds": 3.0})
    claims = {claim["claim"]: claim for claim in gpu.summary.record(written)["claims"]}
    assert claims["tiles of products beyond rounding"]["reached"] is True
    assert all(claim["measured"] is None for claim in gpu.claims.judged({}))


def test_every_asked_op_is_measured_and_every_part_has_a_name_of_its_own() -> None:
    assert set(gpu.kernels.ASKED) <= set(gpu.kernels.OPS)
    for section in gpu.sections.SECTIONS.values():
        assert all(part.seconds <= section.seconds for part in section.parts.values())
    for name in gpu.suite.FILES:
        assert (ROOT / f"tests/test_{name}.py").is_file(), name


def gpu_backend() -> Any:
    return importlib.import_module("gpudl").backend


def found(part: Any, options: Any) -> dict[str, Any]:
    return dict(part(options))


@pytest.mark.parametrize("name", gpu.kernels.OPS)
def test_the_ops_are_measured_on_the_double(name: str) -> None:
    with strict_cupy.installed(), gpu_backend().scope("cupy"):
        measured = found(partial(gpu.kernels.bandwidth, name), TINY)
    assert measured["GB/s"] > 0


@pytest.mark.parametrize("side", ["gpudl", pytest.param("torch", marks=needs_torch)])
@pytest.mark.parametrize("direction", gpu.sides.PASSES)
def test_attention_is_measured(direction: str, side: str) -> None:
    make = gpu.sides.WORKLOADS[f"attention-tiny-{direction}-float32"].sides[side]
    work = make(gpu.settings.OnDevice(device="cpu"))
    assert work.check(work.call()) > 0


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


def test_the_kernels_of_a_recurrent_step_are_listed() -> None:
    kernels = found(partial(gpu.recurrent.instructions, "lstm-100x64"), TINY)
    assert {"lstm", "lstm_grad"} <= {row["op"] for row in kernels["instructions"]}


@needs_torch
@pytest.mark.parametrize("graph", [False, True])
def test_the_peers_of_recurrent_steps_train(graph: bool) -> None:
    settings = gpu.settings.OnDevice(device="cpu")
    for case in gpu.sequences.TINY.values():
        work = gpu.sequences.torch_sequences(case, graph, settings)
        first = work.call()
        assert [work.call() for _ in range(5)][-1] < first < 5


@needs_torch
def test_steps_of_recurrent_networks_take_turns() -> None:
    rounds = found(partial(gpu.recurrent.steps, "highest"), TINY)
    assert set(rounds) == set(gpu.sequences.TINY)
    assert all(set(each["times_first"]) == {"gpudl", "torch-eager", "torch-graph"} for each in rounds.values())


@needs_torch
def test_sides_take_turns_and_one_that_fails_is_left_out(digits: str) -> None:
    settings = gpu.settings.OnDevice(data=digits, images=80, batch_size=32, device="cpu")
    with gpu.sides.Sides("cpu") as sides:
        asked = ("gpudl", "torch-eager", "no-such")
        first, *rounds = sides.compared("mnist-mlp", asked, settings, rounds=2, seconds=0.001)
    assert set(rounds[0]["times_first"]) == {"gpudl", "torch-eager"}
    assert len(rounds[1]["seconds"]["gpudl"]) == len(rounds) == 2
    assert "KeyError" in first["errors"]["no-such"]


def test_lines_of_tests_are_written_as_they_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_three.py").write_text(
        "import pytest\n"
        "def test_good(record_property): record_property('size', 3)\n"
        "def test_bad(): assert 1 == 2\n"
        "def test_left(): pytest.skip('no card')\n"
        "def test_hangs(): import time; time.sleep(60)\n"
    )
    (tmp_path / "test_broken.py").write_text("import no_such_module_at_all\n")
    files = [str(tmp_path / f"test_{name}.py") for name in ("three", "broken")]
    later = [0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + later[0], sleep=time.sleep)
    monkeypatch.setattr(gpu.lines, "time", clock)
    for lines in gpu.lines.run([[*files, "-c", str(ROOT / "pyproject.toml")]], tmp_path, 60, {}):
        if gpu.lines.counts(lines) == {"passed": 1, "failed": 1, "error": 1, "skipped": 1}:
            later[0] = 60  # all but the one that hangs have ended
    assert later == [60]
    assert gpu.lines.counts(lines) == {"passed": 1, "failed": 1, "error": 2, "skipped": 1}
    outcome = {line["test"].rpartition("::")[2]: line for line in lines}
    assert outcome["test_good"]["recorded"] == {"size": 3}
    assert "assert 1 == 2" in outcome["test_bad"]["said"]
    assert "no card" in outcome["test_left"]["said"]
    assert any(line["said"].startswith("stopped: its time was over") for line in gpu.lines.failures(lines))
    assert any("no_such_module_at_all" in line["said"] for line in gpu.lines.failures(lines))


def test_tests_are_shared_out_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "test_five.py").write_text("".join(f"def test_{n}(): pass\n" for n in range(5)))
    groups = [[str(tmp_path / "test_five.py"), "--share", f"{n}/2"] for n in range(2)]
    *_, lines = gpu.lines.run(groups, tmp_path, 30, {})
    assert sorted(line["test"][-6:] for line in lines) == [f"test_{n}" for n in range(5)]


def test_the_kernels_of_the_networks_are_known_before_they_are_needed() -> None:
    with strict_cupy.installed(), gpu_backend().scope("cupy"):
        sources = gpu.compiling.asked(["highest"])
        names = {name for _, _, name in sources}
        assert {"matmul", "conv2d", "conv2d_input_grad", "conv2d_weight_grad", "rmsprop", "max_pool"} <= names
        launch = importlib.import_module("gpudl.kernels.cuda.launch")
        missing: list[str] = []

        def make(text: str, options: tuple[str, ...], name: str, real: Any = launch.make) -> Any:
            if (text, options, name) not in sources:
                missing.append(name)
            return gpu.compiling.Nothing()

        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(action="ignore"):
            patch.setattr(launch, "make", make)
            launch.forget()
            gpudl = importlib.import_module("gpudl")
            model = gpu.train.keras_model(gpudl, "mnist-mlp")
            model.fit(*gpu.gaps.batch("mnist-mlp", 3 * 128), batch_size=128, verbose=0)
        launch.forget()
    assert not missing


def test_a_checkout_becomes_importable_without_being_installed(tmp_path: Path) -> None:
    gpu.checkout.copy(tmp_path)
    packages = str(Path(np.__file__).parents[1])  # without what is installed for development
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {packages!r}]; import gpudl.kernels as k; print(k.__file__)"
    done = subprocess.run([sys.executable, "-S", "-P", "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == str(tmp_path / "gpudl/kernels/__init__.py")


def test_where_there_is_no_sanitizer_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.sanitize, "found", lambda: None)
    assert found(partial(gpu.sanitize.checked, "memcheck"), TINY) == {"compute-sanitizer": "not on this machine"}
