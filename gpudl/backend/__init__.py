"""The backends: array libraries and devices.

NumPy and CuPy can be used together: every array belongs to one backend (`of`), and arrays are created on the current
one by default (`current`, `use`, or the environment variable ``GPUDL_BACKEND``).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np

from gpudl.backend import detect
from gpudl.backend.base import Array, Backend, BackendError, CaptureError, OutOfMemoryError, Static, Upload, in_words
from gpudl.backend.numpy_backend import NumpyBackend
from gpudl.kernels import precision, team

__all__ = [
    "Array",
    "Backend",
    "BackendError",
    "CaptureError",
    "OutOfMemoryError",
    "Static",
    "Upload",
    "current",
    "device",
    "enable_op_determinism",
    "forget",
    "get",
    "get_num_threads",
    "in_words",
    "list_devices",
    "matmul_precision",
    "of",
    "on_device",
    "op_determinism_enabled",
    "scope",
    "set_matmul_precision",
    "set_num_threads",
    "use",
    "why_not_cupy",
    "within",
]

_NAMES = ("numpy", "cupy", "auto")
_DEVICE = re.compile(r"cpu(?::0)?|gpu(?::(\d+))?", re.IGNORECASE)
_numpy = NumpyBackend()
_cards: dict[int, Backend] = {}
_chosen: list[Backend] = []  # for the process


class _Here(threading.local):
    """The backend of a thread's scope, and the backend of the process that its current device was set to."""

    scoped: Backend | None = None
    followed: Backend | None = None


_here = _Here()


def _cupy(index: int | None = None) -> Backend:
    """Return the backend of a GPU, or of CuPy's current one."""
    if index is None and _cards:
        index = next(iter(_cards.values())).xp.cuda.runtime.getDevice()
    if index in _cards:
        return _cards[index]
    from gpudl.backend.cupy_backend import CupyBackend

    made = CupyBackend(index)
    return _cards.setdefault(made.index, made)


def forget() -> None:
    """Forget the GPUs that were detected, and the backend that was chosen."""
    _cards.clear()
    _chosen.clear()
    _here.scoped = _here.followed = None


def get(name: str) -> Backend:
    """Return the backend called `name`; ``"auto"`` is CuPy if a GPU is usable, else NumPy.

    Raises:
        BackendError: the name is unknown, or is ``"cupy"`` and no GPU is usable; the message says why.
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


def on_device(name: str) -> Backend:
    """Return the backend of a device: ``"cpu"``, ``"gpu"``, which is the thread's current GPU, or ``"gpu:1"``.

    Raises:
        BackendError: the name is unknown, or the GPU does not exist or cannot be used; the message says why.
    """
    match = _DEVICE.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise BackendError(f'device expected "cpu", "gpu" or a GPU such as "gpu:1", got {name!r}. {_there()}')
    if name.lower().startswith("cpu"):
        return _numpy
    return _cupy(None if match[1] is None else int(match[1]))


def _there() -> str:
    names = list_devices()
    return f"Here {'is' if len(names) == 1 else 'are'} {', '.join(names)}."


def list_devices() -> list[str]:
    """Return the names of the devices: ``"cpu"``, and ``"gpu:0"`` and so on for the GPUs that CuPy finds."""
    try:
        count = detect.imported().cuda.runtime.getDeviceCount()
    except Exception:  # no CuPy, or no driver: `why_not_cupy` says which
        count = 0
    return ["cpu", *(f"gpu:{index}" for index in range(count))]


def why_not_cupy() -> str | None:
    """Return the reason, in a sentence, why no GPU is usable; None if one is.

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
    """Return the backend of new tensors: that of the thread's scope, or else that of the process.

    The backend of the process is set by `use`, or by ``GPUDL_BACKEND`` (default ``auto``).
    """
    if _here.scoped is not None:
        return _here.scoped
    if not _chosen:
        _chosen.append(get(os.environ.get("GPUDL_BACKEND", "auto")))
    chosen = _chosen[0]
    if _here.followed is not chosen:  # a thread begins on GPU 0
        chosen.activate()
        _here.followed = chosen
    return chosen


def use(name: str) -> Backend:
    """Make the backend called `name` the current one and return it.

    Inside a scope this lasts until the scope ends, for this thread only; otherwise it applies to the process.
    """
    chosen = get(name)
    if _here.scoped is None:
        _chosen[:] = [chosen]
    else:
        _here.scoped = chosen
    return chosen


def scope(name: str) -> AbstractContextManager[Backend]:
    """Make the backend called `name` the current one of this thread inside a ``with`` block."""
    return _scope(lambda: get(name))


def device(device_name: str) -> AbstractContextManager[Backend]:
    """Make a device the current one of this thread inside a ``with`` block: new tensors are created on it.

    Args:
        device_name: ``"cpu"``, ``"gpu"`` or, of several GPUs, ``"gpu:0"``, ``"gpu:1"`` and so on. The environment
            variable ``CUDA_VISIBLE_DEVICES`` determines the visible GPUs.

    Raises:
        BackendError: the name is unknown, or the GPU does not exist or cannot be used; the message says why.

    Example:
        >>> with gpudl.device("cpu"):
        ...     x = gpudl.convert_to_tensor([1.0, 2.0])
        >>> gpudl.config.list_devices()[0]
        'cpu'
    """
    return _scope(lambda: on_device(device_name))


@contextmanager
def _scope(found: Callable[[], Backend]) -> Iterator[Backend]:
    before, chosen = _here.scoped, found()
    try:
        with chosen.active():
            _here.scoped = chosen
            yield chosen
    finally:
        _here.scoped = before


def within(chosen: Backend) -> AbstractContextManager[Backend]:
    """Make a backend the current one of this thread inside a ``with`` block."""
    return _scope(lambda: chosen)


def of(array: Array) -> Backend:
    """Return the backend that an array belongs to."""
    return _numpy if isinstance(array, np.ndarray) else _cupy(array.data.device_id)


def set_num_threads(count: int) -> None:
    """Set the number of threads for kernels on the CPU; raise ValueError for more than there are processors."""
    team.choose(count, "set_num_threads")


def get_num_threads() -> int:
    """Return the number of threads for kernels on the CPU."""
    return team.size()


def enable_op_determinism() -> None:
    """Make all results bitwise independent of the number of threads."""
    team.require_determinism()


def op_determinism_enabled() -> bool:
    """Return whether results have to be bitwise independent of the number of threads."""
    return team.deterministic()


def set_matmul_precision(name: str) -> None:
    """Set the precision of float32 products on a GPU: ``"highest"`` or ``"high"``; raise ValueError for others."""
    precision.choose(name, "set_matmul_precision")


def matmul_precision() -> str:
    """Return the precision of float32 products on a GPU."""
    return precision.chosen()
