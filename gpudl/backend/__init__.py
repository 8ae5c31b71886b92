"""Which array library computes, and on which device.

NumPy and CuPy stand side by side: every array belongs to one backend (`of`), and what is created without
saying where goes to the current one (`current`, `use`, or the environment variable ``GPUDL_BACKEND``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gpudl.backend.base import Array, Backend, BackendError, CaptureError, Upload
from gpudl.backend.numpy_backend import NumpyBackend
from gpudl.kernels import precision, team

__all__ = [
    "Array",
    "Backend",
    "BackendError",
    "CaptureError",
    "Upload",
    "current",
    "enable_op_determinism",
    "get",
    "get_num_threads",
    "matmul_precision",
    "of",
    "op_determinism_enabled",
    "scope",
    "set_matmul_precision",
    "set_num_threads",
    "use",
    "why_not_cupy",
]

_NAMES = ("numpy", "cupy", "auto")
_numpy = NumpyBackend()
_made: dict[str, Backend] = {"numpy": _numpy}
_chosen: list[Backend] = []


def _cupy() -> Backend:
    if "cupy" not in _made:
        from gpudl.backend.cupy_backend import CupyBackend

        _made["cupy"] = CupyBackend()
    return _made["cupy"]


def get(name: str) -> Backend:
    """Return the backend called `name`; ``"auto"`` is CuPy where a GPU is usable, else NumPy.

    Raises:
        BackendError: an unknown name, or ``"cupy"`` where no GPU is usable; the text says why.
    """
    if name not in _NAMES:
        raise BackendError(f"unknown backend {name!r}: choose one of {', '.join(_NAMES)}.")
    if name == "numpy":
        return _numpy
    try:
        return _cupy()
    except BackendError:
        if name == "cupy":
            raise
        return _numpy


def why_not_cupy() -> str | None:
    """Return the reason, in a sentence, why no GPU is usable here; None where one is.

    Example:
        >>> reason = gpudl.backend.why_not_cupy()
        >>> reason is None or "GPU" in reason or "CuPy" in reason
        True
    """
    try:
        _cupy()
    except BackendError as reason:
        return str(reason)
    return None


def current() -> Backend:
    """Return the backend of new tensors, chosen by ``GPUDL_BACKEND`` (default ``auto``) or by `use`."""
    if not _chosen:
        _chosen.append(get(os.environ.get("GPUDL_BACKEND", "auto")))
    return _chosen[0]


def use(name: str) -> Backend:
    """Make the backend called `name` the current one and return it."""
    _chosen[:] = [get(name)]
    return _chosen[0]


@contextmanager
def scope(name: str) -> Iterator[Backend]:
    """Make the backend called `name` the current one inside a ``with`` block."""
    before = list(_chosen)
    try:
        yield use(name)
    finally:
        _chosen[:] = before


def of(array: Any) -> Backend:
    """Return the backend that an array belongs to."""
    return _numpy if isinstance(array, np.ndarray) else _cupy()


def set_num_threads(count: int) -> None:
    """Let kernels on the CPU use `count` threads; raises ValueError for more than there are processors."""
    team.choose(count, "set_num_threads")


def get_num_threads() -> int:
    """Return how many threads kernels on the CPU use."""
    return team.size()


def enable_op_determinism() -> None:
    """Let the number of threads change no bit of any result."""
    team.require_determinism()


def op_determinism_enabled() -> bool:
    """Return whether the number of threads must change no bit."""
    return team.deterministic()


def set_matmul_precision(name: str) -> None:
    """Let products of float32 on a GPU be ``"highest"`` or ``"high"``; raises ValueError for anything else."""
    precision.choose(name, "set_matmul_precision")


def matmul_precision() -> str:
    """Return how exactly products of float32 are computed on a GPU."""
    return precision.chosen()
