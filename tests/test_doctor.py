"""`gpudl doctor`: what it finds, says and answers, with a GPU that works and with every fault."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import test_detection as faults
from strict_cupy import Meter, cuda, installed, machine
from strict_cupy import blas as cublas

from gpudl.backend import doctor, driver
from gpudl.cli import main

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")
Output = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture
def meter(monkeypatch: Patch) -> Iterator[Meter]:
    monkeypatch.setattr(driver, "version", lambda: 13000)
    monkeypatch.setattr(driver, "cards", lambda: 1)
    monkeypatch.setattr(driver, "wheels", lambda: {"cupy-cuda13x": "14.2.0"})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with installed() as meter:
        yield meter


OF_A_CARD = [
    "tells what it is",
    "is new enough",
    "compiles and runs a kernel",
    "multiplies matrices",
    "multiplies by gpudl's own handle of cuBLAS",
    "captures a CUDA graph",
    "computes the same by the graph",
]


def test_gpus_that_work(meter: Meter, monkeypatch: Patch, capsys: Output) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    machine.cards = 2
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "FAILED" not in out
    for card in ("gpu:0", "gpu:1"):
        for what in OF_A_CARD:
            assert f"ok      {card} {what}\n" in out
    assert "ok      CuPy can be imported\n" in out
    assert "ok      the driver shows a GPU\n" in out
    assert "strict double, compute capability 9.0, 132 multiprocessors, 8.0 of 8.0 GiB free" in out
    for fact in ("cupy-cuda13x", "14.2.0", "driver's CUDA", "13.0", "numba", "python"):
        assert fact in out


def test_json(meter: Meter, capsys: Output) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["healthy"] is True
    assert found["versions"]["CuPy's CUDA"] == "13.0"
    (card,) = found["cards"]
    assert card["device"] == "gpu:0"
    assert card["compute_capability"] == "9.0"
    assert 0 < card["free_bytes"] <= card["total_bytes"] == 2**33
    assert [check["problem"] for check in found["checks"]] == [None] * (2 + len(OF_A_CARD))
    assert found["notes"] == []
    if sys.platform.startswith("linux"):
        assert found["libraries"]["cublas"].endswith("libcublas_double.so")


@faults.every_fault
def test_every_fault(
    break_it: Callable[[Patch], None], sentence: str, meter: Meter, monkeypatch: Patch, capsys: Output
) -> None:
    with monkeypatch.context() as patch:
        break_it(patch)
        assert main(["doctor"]) == 1, "there is a GPU and it does not work"
        out = capsys.readouterr().out
    assert f"        {sentence}\n" in out
    assert out.count("FAILED") >= 1


@pytest.mark.parametrize("break_it", [faults.no_cupy_and_no_driver, faults.no_driver, faults.no_card])
def test_where_no_gpu_is_expected_all_is_well(
    break_it: Callable[[Patch], None], meter: Meter, monkeypatch: Patch, capsys: Output
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(driver, "cards", lambda: 0)
        break_it(patch)
        assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "FAILED" in out
    assert "No GPU was found, and the CPU computes. If there is one, install its driver first.\n" in out


def test_one_card_of_two_is_enough(meter: Meter, monkeypatch: Patch, capsys: Output) -> None:
    machine.cards = 2

    def fail(cupy: Any, index: int) -> None:
        if index == 1:
            raise doctor.BackendError("it is broken")

    monkeypatch.setattr(doctor.detect, "multiplies", fail)
    assert main(["doctor"]) == 0
    assert "FAILED  gpu:1 multiplies matrices\n        it is broken\n" in capsys.readouterr().out


def test_without_a_handle_of_our_own_a_gpu_is_usable_and_no_graph_is_made(meter: Meter, capsys: Output) -> None:
    cublas.fails["cublasCreate_v2"] = 1
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert (
        "FAILED  gpu:0 multiplies by gpudl's own handle of cuBLAS\n        cuBLAS refused to start: it could not be "
        "started (CUBLAS_STATUS_NOT_INITIALIZED). CuPy multiplies instead, and steps with matrix products are not "
        "captured as a "
        'CUDA graph. To fix this, install gpudl with the extra "cuda13".\n'
    ) in out
    assert "FAILED  gpu:0 captures a CUDA graph\n" in out


def test_a_graph_with_other_numbers(meter: Meter, monkeypatch: Patch, capsys: Output) -> None:
    monkeypatch.setattr(cuda.Graph, "launch", lambda self, stream=None: None)
    assert main(["doctor"]) == 1
    assert (
        "FAILED  gpu:0 computes the same by the graph\n        The graph gave other results than its kernels "
        "one by one. Update the driver.\n"
    ) in capsys.readouterr().out


def test_two_packages_of_cupy(meter: Meter, monkeypatch: Patch, capsys: Output) -> None:
    monkeypatch.setattr(driver, "wheels", lambda: {"cupy": "13.6.0", "cupy-cuda13x": "14.2.0"})
    assert main(["doctor"]) == 0
    assert (
        "cupy and cupy-cuda13x overwrite each other's files: uninstall all of them (pip uninstall cupy cupy-cuda13x), "
        'then install gpudl with the extra "cuda13".\n'
    ) in capsys.readouterr().out


def test_what_nobody_foresaw_is_noted(meter: Meter, monkeypatch: Patch, capsys: Output) -> None:
    def fall(*args: Any) -> None:
        raise KeyError("what is this")

    monkeypatch.setattr(doctor, "_card", fall)
    assert main(["doctor"]) == 0
    assert "FAILED  gpu:0 tells what it is\n        KeyError: 'what is this'\n" in capsys.readouterr().out


def test_doctor_runs_as_a_program_without_a_gpu() -> None:
    import subprocess

    code = "import sys; sys.modules['cupy'] = None; from gpudl.cli import main; sys.exit(main(['doctor', '--json']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["healthy"] else 1)
    assert found["checks"][0]["problem"].startswith("CuPy is not installed, so no GPU is used.")
