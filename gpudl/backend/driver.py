"""Queries of NVIDIA's driver without CuPy: which CUDA it supports, and so which extra of gpudl to install."""

from __future__ import annotations

import ctypes
import sys
from importlib import metadata

_WHEELS = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x")
NEWEST, OLDEST = 13, 12  # the versions of CUDA for which gpudl has an extra


def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None


def version() -> int:
    """Return the newest CUDA version that the driver supports, as 12040 for 12.4; 0 if there is no driver."""
    found, library = ctypes.c_int(0), _library()
    return found.value if library is not None and library.cuDriverGetVersion(ctypes.byref(found)) == 0 else 0


def cards() -> int:
    """Return the number of GPUs that the driver reports; 0 if there is no driver."""
    count, library = ctypes.c_int(0), _library()
    if library is None or library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def extra(driver: int) -> str | None:
    """Return the extra of gpudl for a driver of this version, or None if it is too old for all of them."""
    major = min(driver // 1000, NEWEST)
    return f"cuda{major}" if major >= OLDEST else None


def spelled(version: int) -> str:
    """Return the usual form of a CUDA version: ``12.4`` for 12040."""
    return f"{version // 1000}.{version % 1000 // 10}"


def to_install(driver: int) -> str:
    """Return the instruction what to install for a driver of this version."""
    fitting = extra(driver)
    if fitting is not None:
        return f'install gpudl with the extra "{fitting}"'
    return f'install gpudl with the extra "cuda{OLDEST}" or "cuda{NEWEST}", whichever fits the driver'


def wheels() -> dict[str, str]:
    """Return the version of each installed package of CuPy; several overwrite each other's files."""
    found = {}
    for name in _WHEELS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
