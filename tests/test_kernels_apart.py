"""Kernels touch nothing beside their arrays, and are right on processors with narrower vectors than this one."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from chain_cases import SUMS
from llvmlite import binding

HERE = Path(__file__).parent
SINGLE = {"matmul", "conv2d", "conv2d_input_grad", "conv2d_weight_grad", "max_pool", "max_pool_grad"}
pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs mprotect")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    everything = os.environ | {"PYTHONPATH": str(HERE)} | environment
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=everything, capture_output=True, text=True, check=False)


def ran(draws: int, **environment: str) -> tuple[list[int], set[str]]:
    """Run the program; return lanes and registers, and the names of all kernels that ran."""
    done = run(str(HERE / "kernels_apart.py"), str(draws), **environment)
    first, *others = done.stdout.splitlines()
    assert done.returncode == 0, f"{others[-1:]}: {done.stderr[-2000:]}"
    return [int(n) for n in first.split()], {line.split()[0] for line in others}


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("does", ["a[place]", "a[place] = 1"])
def test_the_edge_is_one(at_end: bool, does: str) -> None:
    program = (
        "import ctypes, numpy as np; from kernels_apart import at_edge\n"
        f"array, place = at_edge(np.zeros(5, np.float32), {at_end}), {5 if at_end else -1}\n"
        "a = ctypes.cast(array.ctypes.data, ctypes.POINTER(ctypes.c_float))\n"
        f"print(a[0], a[4], flush=True); {does}; print('alive')"
    )
    done = run("-c", program)
    assert done.stdout == "0.0 0.0\n"
    assert done.returncode == -signal.SIGSEGV


def test_nothing_beside_the_arrays_is_touched() -> None:
    _, names = ran(16)
    assert names == SINGLE | set(SUMS)


X86 = platform.machine() in ("x86_64", "AMD64")


@pytest.mark.skipif(not X86, reason="names processors of another family")
@pytest.mark.parametrize(
    ("processor", "features", "expected"),
    [
        pytest.param("haswell", "+avx,+avx2,+fma", [8, 16], id="eight lanes"),
        pytest.param("generic", "", [4, 16], id="four lanes"),
    ],
)
def test_narrower_vectors(processor: str, features: str, expected: list[int], tmp_path: Path) -> None:
    if features and not binding.get_host_cpu_features().get("fma"):
        pytest.skip("this processor has no vectors of eight lanes")
    # A cache of its own: what is compiled for another processor is of no use later.
    kind, names = ran(6, NUMBA_CPU_NAME=processor, NUMBA_CPU_FEATURES=features, NUMBA_CACHE_DIR=str(tmp_path))
    assert kind == expected
    assert names == SINGLE | set(SUMS)
