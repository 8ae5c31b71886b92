"""The checks of `gpudl doctor`: versions, driver, libraries, GPUs, and whether each GPU computes."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TypedDict, TypeVar

import numpy as np

from gpudl.backend import detect, driver
from gpudl.backend.base import BackendError

_PACKAGES = ("gpudl", "numpy", "numba")
_LIBRARIES = ("nvrtc", "cublas")
_SIZE = 64


T = TypeVar("T")


class Card(TypedDict):
    """What a card is; its memory in bytes."""

    device: str
    name: str
    free_bytes: int
    total_bytes: int
    compute_capability: str
    multiprocessors: int


@dataclass
class Check:
    """The result of one check.

    Attributes:
        what: what was checked.
        problem: what failed and what to do; None if nothing did.
    """

    what: str
    problem: str | None = None


@dataclass
class Report:
    """The results of all checks.

    Attributes:
        versions: versions of packages, of the driver's CUDA and CuPy's CUDA, by name; "none" for missing ones.
        libraries: the paths of the toolkit's libraries that CuPy has loaded, by name.
        cards: the properties of each GPU.
        checks: the results, in order.
        healthy: whether a GPU is usable, or there is none.
        notes: further advice.
    """

    versions: dict[str, str] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    cards: list[Card] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    healthy: bool = True
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """Return the report as a dict that can be written as JSON."""
        return asdict(self)

    def tries(self, what: str, run: Callable[[], T]) -> T | None:
        """Run a check, add its result, and return its value; None if it failed."""
        check = Check(what)
        self.checks.append(check)
        try:
            return run()
        except BackendError as error:
            check.problem = str(error)
        except Exception as error:  # the doctor itself must not fail
            check.problem = f"{type(error).__name__}: {detect.detail(error)}"
        return None


def examine() -> Report:
    """Return a report on the GPUs; a failing check does not raise."""
    report = Report(versions={"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}})
    wheels = driver.wheels()
    report.versions |= wheels or {"cupy": "none"}
    report.versions["driver's CUDA"] = driver.spelled(driver.version()) if driver.version() else "none"
    if len(wheels) > 1:
        report.notes.append(
            f"{' and '.join(wheels)} overwrite each other's files: uninstall all of them (pip uninstall "
            f"{' '.join(wheels)}), then {driver.to_install(driver.version())}."
        )
    cupy = report.tries("CuPy can be imported", detect.imported)
    count = 0
    if cupy is not None:
        report.versions["CuPy's CUDA"] = driver.spelled(cupy.cuda.runtime.runtimeGetVersion())
        if report.tries("the driver shows a GPU", lambda: (detect.counted(cupy), True)) is not None:
            count = cupy.cuda.runtime.getDeviceCount()
    works = [cupy is not None and _examine_card(report, cupy, index) for index in range(count)]
    if cupy is not None:
        report.libraries = {name: path for name in _LIBRARIES if (path := _loaded(name)) is not None}
    expected = count or driver.cards()
    report.healthy = any(works) or not expected
    if not expected:
        report.notes.append("No GPU was found, and the CPU computes. If there is one, install its driver first.")
    return report


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def _loaded(name: str) -> str | None:
    """Return the path of a library that this process has loaded; None if there is none, or it cannot be found out."""
    maps = Path("/proc/self/maps")
    if not sys.platform.startswith("linux") or not maps.exists():
        return None
    paths = {line.split(maxsplit=5)[-1].strip() for line in maps.read_text().splitlines() if f"lib{name}" in line}
    return min(paths, key=lambda path: len(os.path.basename(path)), default=None)


def _examine_card(report: Report, cupy: ModuleType, index: int) -> bool:
    """Report the properties and checks of a GPU; return whether it can be used."""
    runtime, name = cupy.cuda.runtime, f"gpu:{index}"
    report.tries(f"{name} tells what it is", lambda: report.cards.append(_card(cupy, runtime, index)))
    for what, step in (
        ("is new enough", detect.supported),
        ("compiles and runs a kernel", detect.compiles),
        ("multiplies matrices", detect.multiplies),
    ):
        report.tries(f"{name} {what}", partial(step, cupy, index))
        if report.checks[-1].problem is not None:
            return False
    report.tries(f"{name} multiplies by gpudl's own handle of cuBLAS", lambda: _handle(cupy, index))
    compare = report.tries(f"{name} captures a CUDA graph", lambda: _captured(cupy, index))
    if compare is not None:
        report.tries(f"{name} computes the same by the graph", compare)
        return report.checks[-1].problem is None
    return True  # kernels launched one by one work


def _card(cupy: ModuleType, runtime: ModuleType, index: int) -> Card:
    properties = runtime.getDeviceProperties(index)
    with cupy.cuda.Device(index) as card:
        free, total = runtime.memGetInfo()
        capability = card.compute_capability
    return {
        "device": f"gpu:{index}",
        "name": properties["name"].decode(),
        "free_bytes": int(free),
        "total_bytes": int(total),
        "compute_capability": f"{capability[:-1]}.{capability[-1]}",
        "multiprocessors": int(properties["multiProcessorCount"]),
    }


def _handle(cupy: ModuleType, index: int) -> None:
    from gpudl.kernels.cuda import cublas

    with cupy.cuda.Device(index):
        try:
            cublas.handle()
        except cublas.BlasError as error:
            raise BackendError(
                f"{error} CuPy multiplies instead, and steps with matrix products are not captured as a CUDA graph. "
                f"To fix this, {driver.to_install(driver.version())}."
            ) from error


def _captured(cupy: ModuleType, index: int) -> Callable[[], None]:
    """Capture a product and an elementwise kernel; return a function that compares the graph with separate launches."""
    from gpudl.backend.cupy_backend import CupyBackend
    from gpudl.kernels.cuda import blas

    on = CupyBackend(index)
    with on.active():
        x = on.asarray(np.linspace(-1, 1, _SIZE * _SIZE, dtype=np.float32).reshape(_SIZE, _SIZE))
        y, z = on.empty(x.shape, x.dtype), on.empty(x.shape, x.dtype)
        calls = (lambda: blas.matmul(y, x, x), lambda: cupy.tanh(y, out=z))
        for call in calls:
            call()
        expected = on.to_host(z)
        launch = on.capture(calls)

    def compare(kept: object = (x, y)) -> None:  # the graph contains their addresses
        with on.active():
            z[...] = 0
            launch()
            if not np.array_equal(on.to_host(z), expected):
                raise BackendError("The graph gave other results than its kernels one by one. Update the driver.")

    return compare
