"""Detecting whether a GPU can be used, in four steps, with a message for each reason why not.

Importing CuPy and counting GPUs succeed without a compiler and without cuBLAS; only a kernel and a matrix product show
that these are present.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TypeVar

import numpy as np

from gpudl.backend import driver
from gpudl.backend.base import BackendError

T = TypeVar("T")
_OLDEST_CARD = 70  # compute capability 7.0, Volta
_OLDEST_CARD_OF_CUDA_13 = 75
_KERNEL = 'extern "C" __global__ void add_one(int* x) { x[threadIdx.x] += 1; }'


def usable(index: int | None = None) -> tuple[ModuleType, int]:
    """Return CuPy and the number of a GPU, the current one by default, on which it computes.

    Raises:
        BackendError: if it does not; the message says why, and what to do.
    """
    cupy = imported()
    index = counted(cupy, index)
    for step in (supported, compiles, multiplies):
        step(cupy, index)
    return cupy, index


def imported() -> ModuleType:
    """Import CuPy."""
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise _not_imported(error) from error
        raise BackendError(
            f"CuPy is not installed, so no GPU is used. For an NVIDIA GPU {driver.to_install(driver.version())}."
        ) from error
    except Exception as error:  # CuPy raises many kinds of errors here; the CPU can still be used
        raise _not_imported(error) from error
    module: ModuleType = cupy
    return module


def _not_imported(error: Exception) -> BackendError:
    text = f"CuPy is installed but cannot be imported: {detail(error)}"
    return _unusable(text, f"Reinstall it: uninstall CuPy, then {driver.to_install(driver.version())}")


def counted(cupy: ModuleType, index: int | None = None) -> int:
    """Return the number of an existing GPU: `index`, or CuPy's current one."""
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except Exception as error:
        raise _no_count(runtime, error) from error
    if not count:
        raise _no_card()
    chosen = runtime.getDevice() if index is None else index
    if not 0 <= chosen < count:
        there = ", ".join(f"gpu:{i}" for i in range(count))
        raise BackendError(f"There is no GPU {chosen}: there {'is' if count == 1 else 'are'} {there}.")
    return int(chosen)


def _no_count(runtime: ModuleType, error: Exception) -> BackendError:
    found, wanted = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if not found:
        return _unusable(
            "no NVIDIA driver was found",
            "Install the driver of the GPU; in a container, start it with the GPU (docker run --gpus all)",
        )
    if found // 1000 < wanted // 1000:
        fitting = driver.extra(found)
        instead = "" if fitting is None else f', or uninstall CuPy and install gpudl with the extra "{fitting}"'
        return _unusable(
            f"the driver runs CUDA {driver.spelled(found)}, and this CuPy needs CUDA {wanted // 1000}",
            f"Update the driver{instead}",
        )
    if "nodevice" in detail(error).lower():
        return _no_card()
    return _unusable(f"the driver does not answer: {detail(error)}", "See what the command nvidia-smi says")


def _no_card() -> BackendError:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return _unusable(
            f"the driver shows no GPU, and the environment variable CUDA_VISIBLE_DEVICES is {visible!r}",
            "Unset it, or give it the number of a GPU that the command nvidia-smi lists",
        )
    return _unusable("the driver shows no GPU", "See whether the command nvidia-smi lists one")


def supported(cupy: ModuleType, index: int) -> None:
    """Check that the GPU is not too old for gpudl's kernels, or for this version of CUDA."""
    capability = _step(cupy, index, "tell its compute capability", lambda: cupy.cuda.Device(index).compute_capability)
    number = int(capability)
    is_13 = cupy.cuda.runtime.runtimeGetVersion() // 1000 >= driver.NEWEST
    card = f"GPU {index} has compute capability {number // 10}.{number % 10}"
    if number < _OLDEST_CARD:
        raise _unusable(f"{card}, and gpudl needs 7.0 or newer", "Use a newer GPU")
    if is_13 and number < _OLDEST_CARD_OF_CUDA_13:
        raise _unusable(
            f"{card}, which CUDA 13 does not support", 'Uninstall CuPy and install gpudl with the extra "cuda12"'
        )


def compiles(cupy: ModuleType, index: int) -> None:
    """Compile a kernel for the GPU, run it, and check the result."""

    def run() -> list[int]:
        kernel = cupy.RawModule(code=_KERNEL).get_function("add_one")
        x = cupy.zeros(4, np.int32)
        kernel((1,), (4,), (x,))
        return list(map(int, x.get()))

    _right(index, "kernel", _step(cupy, index, "compile and run a kernel", run), [1, 1, 1, 1])


def multiplies(cupy: ModuleType, index: int) -> None:
    """Multiply matrices on the GPU by cuBLAS, with gpudl's own handle or else with CuPy's."""
    from gpudl.kernels.cuda import blas, cublas

    def run() -> list[float]:
        ones = cupy.ones((2, 2), np.float32)
        out = cupy.zeros((2, 2), np.float32)
        try:
            blas.matmul(out, ones, ones)
        except cublas.BlasError:  # then products go through CuPy, and the first one warns of that
            cupy.matmul(ones, ones, out=out)
        return [float(x) for x in out.get().reshape(-1)]

    _right(index, "matrix product", _step(cupy, index, "multiply matrices", run), [2, 2, 2, 2])


def _step(cupy: ModuleType, index: int, doing: str, run: Callable[[], T]) -> T:
    """Run one step of the detection and return its result; raise BackendError with the reason if it fails."""
    try:
        with cupy.cuda.Device(index):
            return run()
    except Exception as error:
        raise _explained(cupy, index, doing, error) from error


def _right(index: int, what: str, got: Sequence[float], expected: Sequence[float]) -> None:
    if got != expected:
        raise _unusable(f"a {what} on GPU {index} gave {got} instead of {expected}", "The GPU or its driver is faulty")


def _explained(cupy: ModuleType, index: int, doing: str, error: Exception) -> BackendError:
    said = detail(error)
    low = str(error).lower().replace(" ", "")
    wanted = cupy.cuda.runtime.runtimeGetVersion() // 1000
    if "devicesunavailable" in low or "busyorunavailable" in low:
        return _unusable(
            f"GPU {index} is in use by another program in exclusive mode",
            'Wait for that program or choose another GPU, as in gpudl.device("gpu:1")',
        )
    if isinstance(error, MemoryError) or "memoryallocation" in low or "outofmemory" in low:
        return _unusable(
            f"GPU {index} has no memory left ({_memory(cupy, index)})",
            "End other programs that use it (the command nvidia-smi lists them), or choose another GPU",
        )
    if "nokernelimage" in low or "nobinaryforgpu" in low or "gpu-architecture" in low:
        return _unusable(
            f"CuPy for CUDA {wanted} has no code for the compute capability of GPU {index}",
            'Install gpudl with the other extra ("cuda12" for an older GPU, "cuda13" for a newer one)',
        )
    missing = next((name for name in ("nvrtc", "cublas", "cudart") if name in low), None)
    if missing is not None and any(
        word in low for word in ("load", "notfound", "cannotopen", "nosuchfile", "failure:")
    ):
        return _unusable(
            f"CUDA's library {missing} is not installed ({said})",
            f'Install gpudl with the extra "cuda{wanted}", which brings it as cupy-cuda{wanted}x[ctk] does',
        )
    return _unusable(f"GPU {index} could not {doing}: {said}", "`gpudl doctor` shows more")


def _memory(cupy: ModuleType, index: int) -> str:
    try:
        with cupy.cuda.Device(index):
            free, total = cupy.cuda.runtime.memGetInfo()
    except Exception:  # there may be too little memory even for this
        return "not even enough to ask how much"
    return f"{free / 2**30:.2f} of {total / 2**30:.2f} GiB are free"


def detail(error: BaseException) -> str:
    """Return the most informative line of an error: the last one, if the first is only a frame."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" =\t")]
    if not lines:
        return type(error).__name__
    framed = str(error).strip().startswith("===")
    return lines[-1] if framed else lines[0]


def _unusable(why: str, what_to_do: str) -> BackendError:
    several = list(driver.wheels())
    if len(several) > 1:
        what_to_do = (
            f"{' and '.join(several)} are installed together and overwrite each other's files. First uninstall all of "
            f"them (pip uninstall {' '.join(several)}) and install one. If it is not that: {what_to_do}"
        )
    return BackendError(f"No GPU is usable: {why}. {what_to_do}.")
