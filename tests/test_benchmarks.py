"""The benchmarks: that they run, on the smallest work, and that what they make of their measurements is right."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
# At the end: the gpudl that is installed comes before that of the checkout.
sys.path.append(str(ROOT))
NAMES = ("busy", "children", "compare", "curves", "memory", "peaks", "planning", "roofline", "start", "workloads")
busy, children, compare, curves, memory, peaks, planning, roofline, start, workloads = (
    importlib.import_module(f"benchmarks.{name}") for name in NAMES
)
convolutions = importlib.import_module("benchmarks.workloads.convolutions")
harness = importlib.import_module("benchmarks.suites.harness")

MACHINE = peaks.Peaks(flops=100e9, bandwidths={1000: 50e9, 10_000: 20e9, 100_000: 10e9})
SMALL = (
    "(test_conv and conv3) or test_im2col or 32x3 or (test_pool and 11x11) or (test_elementwise and 128x512)"
    " or (test_reduce and 128x512) or (test_loss and 64x10) or (test_update and 93322)"
    " or (test_random and 128x512) or (test_norm and 128x512)"
)


@pytest.fixture
def digits(tmp_path: Path) -> str:
    random = np.random.default_rng(0)
    parts = {"train": 96, "test": 10}
    images = {f"x_{part}": random.integers(0, 256, (n, 28, 28), np.uint8) for part, n in parts.items()}
    labels = {f"y_{part}": np.arange(n, dtype=np.uint8) % 10 for part, n in parts.items()}
    np.savez(tmp_path / "mnist.npz", **images, **labels)
    return str(tmp_path / "mnist.npz")


def text_of(made: Any) -> str:
    console = Console(width=160)
    with console.capture() as captured:
        console.print(made)
    return captured.get()


def test_the_suites_run_on_small_shapes() -> None:
    command = [sys.executable, "-m", "pytest", "benchmarks", "-q", "--benchmark-disable", "-k", SMALL]
    run = subprocess.run(
        [*command, "-p", "no:cacheprovider"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stdout[-3000:]
    files = len(list((ROOT / "benchmarks/suites").glob("bench_*.py")))
    assert files == 8
    assert int(run.stdout.rpartition(" passed")[0].split()[-1]) > 50


def test_a_benchmark_says_how_near_the_peak_it_came() -> None:
    case = harness.op("matmul", (4, 8), (8, 2), flops=128)
    calls: list[Any] = []

    class Fake:
        enabled, extra_info = True, {}
        stats = SimpleNamespace(stats=SimpleNamespace(median=64e-9))

        def __call__(self, call: Any) -> None:
            calls.append(call())

    fake = Fake()
    harness.suite([case])(case, fake, SimpleNamespace(getfixturevalue=lambda name: MACHINE))
    assert calls[0].shape == (4, 2)
    assert harness.measured.pop("matmul 4x8 8x2")["seconds"] == 64e-9
    assert fake.extra_info == {
        "gflops": pytest.approx(2.0),
        "gbytes": pytest.approx(4 * (32 + 16 + 8) / 64),
        "share": pytest.approx(224 / 50e9 / 64e-9),
        "flops": 128,
        "bytes": 224,
    }


def test_what_an_update_overwrites_is_read_and_written() -> None:
    size = (10,)
    _, flops, nbytes = harness.op("sgd_", size, size, np.array(np.float32(0.1))).ready()
    assert (flops, nbytes) == (10, 4 * (10 + 10 + 1 + 10))


def test_the_roof_is_that_of_the_smallest_memory_that_holds_the_bytes() -> None:
    assert MACHINE.bandwidth(1000) == 50e9
    assert MACHINE.bandwidth(1001) == 20e9
    assert MACHINE.bandwidth(10**9) == MACHINE.slowest == 10e9
    assert MACHINE.seconds(flops=1e6, nbytes=1000) == 1e-5
    assert MACHINE.seconds(flops=1, nbytes=1000) == 2e-8
    assert MACHINE.rates(1e6, 1000, 2e-5) == pytest.approx({"gflops": 50.0, "gbytes": 0.05, "share": 0.5})


def test_peaks_are_measured() -> None:
    found = peaks.measure(sizes=(64,), working_sets=(2**14, 2**16), seconds=0.001)
    assert found.flops > 1e8
    assert list(found.bandwidths) == [2**14, 2**16]
    assert min(found.bandwidths.values()) > 1e7


def test_every_workload_has_a_group_and_a_gpudl_side() -> None:
    names = [name for group in workloads.GROUPS.values() for name in group]
    assert sorted(names) == sorted(workloads.WORKLOADS)
    for workload in workloads.WORKLOADS.values():
        assert next(iter(workload.sides)) == "gpudl"
        assert set(workload.sides) <= set(children.SIDES)
        assert workload.unit in compare.UNITS
    networks = ["mnist-mlp", "mnist-cnn", "mnist-mlp-without-zeros"]
    assert [w.name for w in workloads.chosen(["dense1"], ["networks"])] == ["dense1", *networks]
    assert len(workloads.chosen([], [])) == len(names)


def test_an_unknown_workload_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        compare.parser().parse_args(["--workload", "mnist-rnn"])
    assert "invalid choice: 'mnist-rnn'" in capsys.readouterr().err


@pytest.mark.parametrize("direction", convolutions.DIRECTIONS)
def test_a_direction_of_a_convolution_is_one_instruction(direction: str) -> None:
    case = convolutions.Convolution("tiny", 2, 6, 3, 4, padding="same")
    step = convolutions.gpudl_step(case, direction)
    result = step().numpy()
    (entry,) = step.func.__self__.entries.values()
    assert len(entry.plan.calls) == 1
    x, w, g = case.arrays()
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))  # (N, OH, OW, C, KH, KW)
    spread = np.pad(g.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    around = np.lib.stride_tricks.sliding_window_view(spread, (3, 3), axis=(1, 2))
    expected = {
        "forward": np.einsum("nijcab,abcf->nijf", windows, w),
        "weight-grad": np.einsum("nijcab,nijf->abcf", windows, g),
        "input-grad": np.einsum("nijfab,abcf->nijc", around, w[::-1, ::-1]),
    }[direction]
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    assert case.flops == 2 * 2 * 6 * 6 * 9 * 3 * 4


def test_the_table_shows_medians_and_ratios() -> None:
    times = {"gpudl": [1e-6, 3e-6, 2e-6], "torch-channels-last": [4e-6, 5e-6, 3e-6]}
    result = {"unit": "us", **compare.ratios(times)}
    assert result["times_first"] == {"gpudl": 1.0, "torch-channels-last": 2.0}
    epoch = {"unit": "s", **compare.ratios({"gpudl": [0.5], "keras-jax": [20.0]})}
    lines = text_of(
        compare.table(compare.with_sums({"conv1-forward": result, "conv2-forward": result, "mnist-cnn": epoch}))
    )
    rows = {line.split("│")[1].strip(): line.replace("│", " ").split() for line in lines.splitlines() if "│" in line}
    assert rows["conv1-forward"][1:] == ["us", "2.00", "1.00x", "4.00", "2.00x"]
    assert rows["mnist-cnn"][1:] == ["s", "0.500", "1.00x", "20.0", "40.00x"]
    assert rows["sum of 2 convolutions"][4:] == ["us", "4.00", "1.00x", "8.00", "2.00x"]


def test_sides_that_are_not_installed_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(children.importlib.util, "find_spec", lambda name: None if name == "jax" else name)
    assert children.usable(["gpudl", "keras-jax", "torch"]) == ["gpudl", "torch"]
    assert capsys.readouterr().out == "left out: keras-jax (jax is not installed)\n"


def test_threads_reach_every_pool() -> None:
    variables = children.environment("keras-tensorflow", 2)
    pools = ("OMP", "OPENBLAS", "MKL", "NUMBA", "TF_INTRAOP")
    assert variables["KERAS_BACKEND"] == "tensorflow"
    assert {variables[f"{p}_NUM_THREADS"] for p in pools[:4]} == {"2"}
    assert variables["TF_NUM_INTRAOP_THREADS"] == "2"


def test_a_side_that_ends_says_why() -> None:
    with (
        children.Child("benchmarks.no_such_module", "gpudl") as child,
        pytest.raises(RuntimeError, match=r"gpudl ended before it answered:\n(.*\n)*.*no_such_module"),
    ):
        child.read()


def test_sides_take_turns_in_processes_of_their_own(digits: str, tmp_path: Path) -> None:
    common = ["--sides", "gpudl", "--rounds", "2", "--seconds", "0.001", "--threads", "1"]
    common += ["--images", "96", "--data", digits]
    record = compare.main(
        ["--workload", "mnist-mlp", "--workload", "conv3-forward", *common, "--json", str(tmp_path / "record.json")]
    )
    assert json.loads((tmp_path / "record.json").read_text()) == record
    assert list(record["workloads"]) == ["mnist-mlp", "conv3-forward"]
    for result in record["workloads"].values():
        assert len(result["seconds"]["gpudl"]) == 2
        assert result["times_first"] == {"gpudl": 1.0}
    assert 0 < record["workloads"]["mnist-mlp"]["check"]["gpudl"] < 10
    assert record["threads"] == 1
    assert {"date", "cpu", "versions"} <= set(record)


def test_curves_take_whole_batches(digits: str) -> None:
    assert list(curves.points([32, 64], [1, 2])) == [(32, 1), (64, 1), (64, 2)]
    common = ["--sides", "gpudl", "--rounds", "1", "--data", digits]
    record = curves.main(["--batch-sizes", "32", "--widths", "--images", "80", *common])
    (point,) = record["workloads"].values()
    assert (point["batch_size"], point["width"], point["unit"]) == (32, 1, "us/image")


def test_slowdowns_beside_busy_programs(digits: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--sides", "gpudl", "--rounds", "1", "--seconds", "0", "--images", "96", "--data", digits]
    record = busy.main(["--workload", "mnist-mlp", "--beside", "1", *common, "--json", str(tmp_path / "record.json")])
    found = json.loads((tmp_path / "record.json").read_text())["workloads"]["mnist-mlp"]
    assert found["slowdown"].keys() == {"0", "1"}
    assert found["slowdown"]["0"] == {"gpudl": 1.0}
    alone, beside = (record["workloads"]["mnist-mlp"]["beside"][n]["median_seconds"]["gpudl"] for n in (0, 1))
    assert found["slowdown"]["1"] == {"gpudl": beside / alone}
    assert "1 busy" in capsys.readouterr().out


def test_memory_of_a_whole_run(digits: str) -> None:
    record = memory.main(["--sides", "gpudl", "--epochs", "1", "--images", "64", "--data", digits])
    (run,) = record["runs"]["gpudl"]
    assert 50e6 < run["bytes"] < 2e9
    assert 0 <= run["accuracy"] <= 1


def test_a_start_is_split_into_marks(
    digits: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Compiling everything anew takes a minute: this start finds what the tests have compiled.
    first = start.start("gpudl", digits)
    assert list(first) == list(start.MARKS)
    assert 0 < first["imported"] < first["images ready"] < first["first step"]
    starts = iter([dict.fromkeys(start.MARKS, seconds) for seconds in (20.0, 3.0, 1.0, 2.0)])
    monkeypatch.setattr(start, "start", lambda side, data, cache: next(starts))
    found = start.main(["--sides", "gpudl", "--starts", "3", "--data", digits])["sides"]["gpudl"]
    assert found["first"]["first step"] == 20.0
    assert found["median_later"]["first step"] == 2.0
    assert "first ever" in capsys.readouterr().out


def test_planning_is_measured_by_length(tmp_path: Path) -> None:
    file = tmp_path / "planning.json"
    short, long = planning.main(["--lengths", "2", "4", "--replays", "1", "--json", str(file)])
    assert json.loads(file.read_text()) == [short, long]
    assert short["recorded"] < long["recorded"] < 2 * short["recorded"]
    # Each gradient of a slice, and each sum of two of them, is an array of the whole.
    assert 0 < short["slices"] < long["slices"]
    assert short["planned"] > 0 < short["replay"]


def test_a_scan_is_planned_once_for_any_length() -> None:
    short, long = planning.main(["--lengths", "2", "4", "--replays", "1", "--scan"])
    assert short["scan"]
    assert short["recorded"] == long["recorded"]
    assert short["instructions"] == long["instructions"]
    assert short["arena"] < long["arena"]


def test_the_roofline_holds_every_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "measure", lambda: MACHINE)
    record = roofline.main(["--network", "mnist-mlp", "--batch-size", "8", "--repeats", "2"])
    kernels = record["kernels"]
    # Two products forward, their two weight gradients and the gradient of the hidden layer.
    products = 2 * 8 * (2 * 784 * 512 + 3 * 512 * 10)
    assert record["floor_seconds"] == pytest.approx(products / 100e9, rel=0.02)
    assert record["step_by_floor"] == record["step_seconds"] / record["floor_seconds"]
    for kernel in kernels:
        assert kernel["share"] * kernel["seconds"] == pytest.approx(MACHINE.seconds(kernel["flops"], kernel["bytes"]))
    text = text_of(roofline.table(kernels))
    assert "rmsprop_" in text
    assert "share of roof" in text
