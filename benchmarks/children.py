"""A process for each side of a comparison, so that neither thread pools nor memory of two sides meet."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

# What has to be installed for each side.
SIDES = {
    "gpudl": ("gpudl",),
    "torch": ("torch",),
    "torch-channels-last": ("torch",),
    "torch-compile": ("torch",),
    "keras-jax": ("keras", "jax"),
    "keras-tensorflow": ("keras", "tensorflow"),
}
PEERS = ("torch", "keras", "jax", "tensorflow")
ROOT = str(Path(__file__).resolve().parents[1])
# Finds the benchmarks from any folder, and the gpudl that is installed before that of the checkout.
_START = "import runpy, sys; sys.path.append({!r}); runpy.run_module({!r}, run_name='__main__')"
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA")


def missing(side: str) -> str | None:
    """Return the first package that a side needs and that is not installed, or None."""
    return next((package for package in SIDES[side] if importlib.util.find_spec(package) is None), None)


def usable(wanted: Sequence[str]) -> list[str]:
    """Return the sides that can run here, and say of the others why they are left out."""
    kept = []
    for side in wanted:
        package = missing(side)
        if package is None:
            kept.append(side)
        else:
            print(f"left out: {side} ({package} is not installed)")
    return kept


# Whether GNU's malloc gives the memory of a large array back after each use, to be mapped again for the next, depends
# on what the program happened to free before; PyTorch's step of the convolutional network takes twice as long if so.
# All sides keep it.
_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1)}


def environment(side: str, threads: int | None = None) -> dict[str, str]:
    """Return the environment of a side's process, with `threads` threads for whatever computes there."""
    variables = {"TF_CPP_MIN_LOG_LEVEL": "3", **_KEPT_MEMORY}
    if side.startswith("keras-"):
        variables["KERAS_BACKEND"] = side.removeprefix("keras-")
    if threads is not None:
        variables |= {f"{pool}_NUM_THREADS": str(threads) for pool in _THREADS}
        variables |= {f"TF_NUM_{kind}_THREADS": str(threads) for kind in ("INTRAOP", "INTEROP")}
    return {**os.environ, **variables}


def hold_to(threads: int | None, side: str) -> None:
    """Hold this process to `threads` threads and cores, also where no variable of the environment does."""
    if threads is None:
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if side.startswith("torch"):
        import torch

        torch.set_num_threads(threads)


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module of the benchmarks in a Python of its own, from any folder."""
    return [sys.executable, "-P", "-c", _START.format(ROOT, module), *arguments]


class Child:
    """A Python module that runs as a side and speaks JSON, a line a message.

    Args:
        module: what to run, with ``--worker side`` and `arguments`.
        side: one of `SIDES`.
        arguments: more of the command line.
        threads: see `environment`.
        variables: more of the environment.
    """

    def __init__(
        self,
        module: str,
        side: str,
        *arguments: str,
        threads: int | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.side = side
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed below)
        count = () if threads is None else ("--threads", str(threads))
        self.process = subprocess.Popen(
            command(module, "--worker", side, *count, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**environment(side, threads), **(variables or {})},
        )

    def read(self) -> Any:
        """Return the next message; raises RuntimeError with the last lines of its errors when there is none."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.errors.seek(0)
        last = "".join(self.errors.readlines()[-12:])
        raise RuntimeError(f"{self.side} ended before it answered:\n{last}")

    def ask(self, request: Any) -> Any:
        """Send a message and return the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.read()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


def answers() -> TextIO:
    """Return the pipe to the process that asks; whatever else is printed from now on goes to standard error."""
    pipe = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return pipe


@contextmanager
def digits_file(path: str | None) -> Iterator[str]:
    """Lend the path of an mnist.npz: the one given, or a copy of what gpudl's data set holds.

    Sides other than gpudl's need not import gpudl for it.
    """
    if path is not None:
        yield str(Path(path).resolve())
        return
    import numpy as np

    import gpudl

    (x_train, y_train), (x_test, y_test) = gpudl.datasets.mnist.load_data()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mnist.npz"
        np.savez(file, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
        yield str(file)
