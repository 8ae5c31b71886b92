"""Whether a GPU can be used: every way in which it cannot, on the strict double, and the sentence that says so."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from strict_cupy import Meter, cuda, installed, machine, namespace
from strict_cupy import blas as cublas
from strict_cupy.raw import card

import gpudl
from gpudl import backend
from gpudl.backend import BackendError, detect, driver

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")
Patch = pytest.MonkeyPatch


@pytest.fixture
def meter(monkeypatch: Patch) -> Iterator[Meter]:
    monkeypatch.setattr(driver, "version", lambda: 13000)
    monkeypatch.setattr(driver, "wheels", lambda: {"cupy-cuda13x": "14.2.0"})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with installed() as meter:
        yield meter


def failing(text: str, kind: type[Exception] = cuda.runtime.CUDARuntimeError) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise kind(text)

    return fail


def no_cupy(patch: Patch) -> None:
    patch.setitem(sys.modules, "cupy", None)


def no_cupy_for_an_old_driver(patch: Patch) -> None:
    no_cupy(patch)
    patch.setattr(driver, "version", lambda: 12040)


def no_cupy_and_no_driver(patch: Patch) -> None:
    no_cupy(patch)
    patch.setattr(driver, "version", lambda: 0)


class Broken:
    """An import that fails as CuPy's does where a library is missing."""

    def find_spec(self, name: str, *rest: Any) -> Any:
        if name == "cupy":
            frame = "=" * 64
            raise ImportError(
                f"\n{frame}\nFailed to import CuPy.\n\nOriginal error:\n  ImportError: libX.so.1: cannot "
                f"open\n{frame}\n"
            )


def broken_cupy(patch: Patch) -> None:
    patch.delitem(sys.modules, "cupy")
    patch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])


def counting_fails(patch: Patch, text: str, driver_runs: int) -> None:
    patch.setattr(cuda.runtime, "getDeviceCount", failing(text))
    patch.setattr(cuda.runtime, "driverGetVersion", lambda: driver_runs)


def no_driver(patch: Patch) -> None:
    counting_fails(patch, "cudaErrorInsufficientDriver: CUDA driver version is insufficient", 0)


def old_driver(patch: Patch) -> None:
    counting_fails(patch, "cudaErrorInsufficientDriver: CUDA driver version is insufficient", 12040)


def ancient_driver(patch: Patch) -> None:
    counting_fails(patch, "cudaErrorInsufficientDriver: CUDA driver version is insufficient", 11020)


def mute_driver(patch: Patch) -> None:
    counting_fails(patch, "cudaErrorUnknown: unknown error\nand more", 13000)


def no_card(patch: Patch) -> None:
    counting_fails(patch, "cudaErrorNoDevice: no CUDA-capable device is detected", 13000)


def hidden_card(patch: Patch) -> None:
    patch.setattr(cuda.runtime, "getDeviceCount", lambda: 0)
    patch.setenv("CUDA_VISIBLE_DEVICES", "")


def old_card(patch: Patch) -> None:
    patch.setattr(card, "capability", (6, 1))


def card_too_old_for_cuda_13(patch: Patch) -> None:
    patch.setattr(card, "capability", (7, 0))


def busy_card(patch: Patch) -> None:
    patch.setattr(namespace, "zeros", failing("cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy"), False)


def full_card(patch: Patch) -> None:
    machine.room = 8


def full_card_before_anything(patch: Patch) -> None:
    patch.setattr(namespace, "zeros", failing("cudaErrorMemoryAllocation: out of memory"), raising=False)
    patch.setattr(cuda.runtime, "memGetInfo", failing("cudaErrorMemoryAllocation: out of memory"))


def no_nvrtc(patch: Patch) -> None:
    patch.setattr(namespace, "RawModule", failing("CuPy failed to load libnvrtc.so.13: OSError: no", RuntimeError))


def no_image(patch: Patch) -> None:
    patch.setattr(namespace, "RawModule", failing("cudaErrorNoKernelImageForDevice: no kernel image is available"))


def bad_compiler(patch: Patch) -> None:
    patch.setattr(namespace, "RawModule", failing("a.cu(1): error: what?\nmore", cuda.compiler.CompileException))


def wrong_kernel(patch: Patch) -> None:
    patch.setattr(detect, "_KERNEL", 'extern "C" __global__ void add_one(int* x) { x[threadIdx.x] += 7; }')


def no_cublas(patch: Patch) -> None:
    patch.setattr(cuda, "__getattr__", failing('Failure finding "libcublas.so": no such file', ImportError))
    patch.setattr(
        namespace, "matmul", failing('Failure finding "libcublas.so": no such file', ImportError), raising=False
    )


def broken_cublas(patch: Patch) -> None:
    cublas.fails["cublasGemmEx"] = 14
    patch.setattr(namespace, "matmul", failing("CUBLAS_STATUS_INTERNAL_ERROR"), raising=False)


def wrong_product(patch: Patch) -> None:
    patch.setattr(cublas, "_tf32", None)
    patch.setattr(cublas.np, "matmul", lambda a, b: a @ b + 1)


SMI = "See what the command nvidia-smi says"
SENTENCES: list[tuple[Callable[[Patch], None], str]] = [
    (no_cupy, 'CuPy is not installed, so no GPU is used. For an NVIDIA GPU install gpudl with the extra "cuda13".'),
    (
        no_cupy_for_an_old_driver,
        'CuPy is not installed, so no GPU is used. For an NVIDIA GPU install gpudl with the extra "cuda12".',
    ),
    (
        no_cupy_and_no_driver,
        "CuPy is not installed, so no GPU is used. For an NVIDIA GPU install gpudl with the extra "
        '"cuda12" or "cuda13", whichever fits the driver.',
    ),
    (
        broken_cupy,
        "No GPU is usable: CuPy is installed but cannot be imported: ImportError: libX.so.1: cannot open. Reinstall "
        "it: "
        'uninstall CuPy, then install gpudl with the extra "cuda13".',
    ),
    (
        no_driver,
        "No GPU is usable: no NVIDIA driver was found. Install the driver of the GPU; in a container, start it with "
        "the GPU (docker run --gpus all).",
    ),
    (
        old_driver,
        "No GPU is usable: the driver runs CUDA 12.4, and this CuPy needs CUDA 13. Update the driver, or uninstall "
        "CuPy "
        'and install gpudl with the extra "cuda12".',
    ),
    (
        ancient_driver,
        "No GPU is usable: the driver runs CUDA 11.2, and this CuPy needs CUDA 13. Update the driver.",
    ),
    (mute_driver, f"No GPU is usable: the driver does not answer: cudaErrorUnknown: unknown error. {SMI}."),
    (no_card, "No GPU is usable: the driver shows no GPU. See whether the command nvidia-smi lists one."),
    (
        hidden_card,
        "No GPU is usable: the driver shows no GPU, and the environment variable CUDA_VISIBLE_DEVICES is ''. Unset it, "
        "or give it the number of a GPU that the command nvidia-smi lists.",
    ),
    (
        old_card,
        "No GPU is usable: GPU 0 has compute capability 6.1, and gpudl needs 7.0 or newer. Use a newer GPU.",
    ),
    (
        card_too_old_for_cuda_13,
        "No GPU is usable: GPU 0 has compute capability 7.0, which CUDA 13 does not support. Uninstall CuPy and "
        "install "
        'gpudl with the extra "cuda12".',
    ),
    (
        busy_card,
        "No GPU is usable: GPU 0 is in use by another program in exclusive mode. Wait for that "
        'program or choose another GPU, as in gpudl.device("gpu:1").',
    ),
    (
        full_card,
        "No GPU is usable: GPU 0 has no memory left (0.00 of 0.00 GiB are free). End other programs that use it (the "
        "command nvidia-smi lists them), or choose another GPU.",
    ),
    (
        full_card_before_anything,
        "No GPU is usable: GPU 0 has no memory left (not even enough to ask how much). End other programs that use it "
        "(the command nvidia-smi lists them), or choose another GPU.",
    ),
    (
        no_nvrtc,
        "No GPU is usable: CUDA's library nvrtc is not installed (CuPy failed to load libnvrtc.so.13: OSError: no). "
        'Install gpudl with the extra "cuda13", which brings it as cupy-cuda13x[ctk] does.',
    ),
    (
        no_image,
        "No GPU is usable: CuPy for CUDA 13 has no code for the compute capability of GPU 0. Install gpudl with the "
        'other extra ("cuda12" for an older GPU, "cuda13" for a newer one).',
    ),
    (
        bad_compiler,
        "No GPU is usable: GPU 0 could not compile and run a kernel: a.cu(1): error: what?. `gpudl doctor` shows more.",
    ),
    (
        wrong_kernel,
        "No GPU is usable: a kernel on GPU 0 gave [7, 7, 7, 7] instead of [1, 1, 1, 1]. The GPU or its driver is "
        "faulty.",
    ),
    (
        no_cublas,
        'No GPU is usable: CUDA\'s library cublas is not installed (Failure finding "libcublas.so": no such file). '
        'Install gpudl with the extra "cuda13", which brings it as cupy-cuda13x[ctk] does.',
    ),
    (
        broken_cublas,
        "No GPU is usable: GPU 0 could not multiply matrices: CUBLAS_STATUS_INTERNAL_ERROR. `gpudl doctor` shows more.",
    ),
    (
        wrong_product,
        "No GPU is usable: a matrix product on GPU 0 gave [3.0, 3.0, 3.0, 3.0] instead of [2, 2, 2, 2]. The GPU or "
        "its driver is faulty.",
    ),
]
every_fault = pytest.mark.parametrize(("break_it", "sentence"), SENTENCES, ids=[b.__name__ for b, _ in SENTENCES])


@every_fault
def test_why_a_gpu_is_not_usable(
    break_it: Callable[[Patch], None], sentence: str, meter: Meter, monkeypatch: Patch
) -> None:
    whole = f"^{re.escape(sentence)}$"
    with monkeypatch.context() as patch:
        break_it(patch)
        with pytest.raises(BackendError, match=whole):
            backend.use("cupy")
        assert backend.why_not_cupy() == sentence
        with pytest.raises(BackendError, match=whole):
            gpudl.config.set_backend("cupy")
        with pytest.raises(BackendError, match=whole), gpudl.device("gpu:0"):
            pytest.fail("there is no such device")
        assert backend.get("auto") is backend.get("numpy")
        patch.setenv("GPUDL_BACKEND", "cupy")
        with pytest.raises(BackendError, match=whole):
            backend.current()
        patch.setenv("GPUDL_BACKEND", "auto")
        assert gpudl.config.backend() == "numpy"
        assert float(gpudl.convert_to_tensor(1.5)) == 1.5, "the CPU does the work"
    machine.reset()
    cublas.reset()
    assert backend.why_not_cupy() is None, "a GPU that answers later is used"


def test_a_card_that_needs_cupys_own_products_is_usable(meter: Meter) -> None:
    cublas.fails["cublasCreate_v2"] = 1
    assert backend.why_not_cupy() is None


def test_cuda_12_supports_volta(meter: Meter, monkeypatch: Patch) -> None:
    monkeypatch.setattr(card, "capability", (7, 0))
    monkeypatch.setattr(cuda.runtime, "runtimeGetVersion", lambda: 12090)
    assert backend.why_not_cupy() is None


def test_two_packages_of_cupy_are_the_first_thing_to_mend(meter: Meter, monkeypatch: Patch) -> None:
    monkeypatch.setattr(driver, "wheels", lambda: {"cupy-cuda12x": "14.1.0", "cupy-cuda13x": "14.2.0"})
    assert backend.why_not_cupy() is None, "they may still work"
    backend.forget()
    old_card(monkeypatch)
    assert backend.why_not_cupy() == (
        "No GPU is usable: GPU 0 has compute capability 6.1, and gpudl needs 7.0 or newer. cupy-cuda12x and "
        "cupy-cuda13x are installed together and overwrite each other's files. First uninstall all of them (pip "
        "uninstall cupy-cuda12x cupy-cuda13x) and install one. If it is not that: Use a newer GPU."
    )


def test_the_packages_of_cupy(monkeypatch: Patch) -> None:
    def version(name: str) -> str:
        if name == "cupy-cuda12x":
            return "14.2.0"
        raise driver.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(driver.metadata, "version", version)
    assert driver.wheels() == {"cupy-cuda12x": "14.2.0"}


class Cuda:
    """A driver's library."""

    def __init__(self, version: int, cards: int, starts: int = 0) -> None:
        self._version, self._cards, self._starts = version, cards, starts

    def cuDriverGetVersion(self, out: Any) -> int:  # noqa: N802 (NVIDIA's name)
        out._obj.value = self._version
        return 0

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self._starts

    def cuDeviceGetCount(self, out: Any) -> int:  # noqa: N802
        out._obj.value = self._cards
        return 0


@pytest.mark.parametrize(
    ("library", "version", "cards", "extra"),
    [
        (None, 0, 0, None),
        (Cuda(11020, 1), 11020, 1, None),
        (Cuda(12040, 2), 12040, 2, "cuda12"),
        (Cuda(13010, 1), 13010, 1, "cuda13"),
        (Cuda(14000, 1), 14000, 1, "cuda13"),
        (Cuda(13000, 3, starts=100), 13000, 0, "cuda13"),
    ],
)
def test_the_driver_is_asked_without_cupy(
    library: Any, version: int, cards: int, extra: str | None, monkeypatch: Patch
) -> None:
    def load(name: str) -> Any:
        assert name == "libcuda.so.1"
        if library is None:
            raise OSError(name)
        return library

    monkeypatch.setattr(driver, "ctypes", SimpleNamespace(**vars(driver.ctypes) | {"CDLL": load}))
    monkeypatch.setattr(driver.sys, "platform", "linux")
    assert (driver.version(), driver.cards(), driver.extra(version)) == (version, cards, extra)
    assert driver.spelled(12040) == "12.4"


def test_values_that_a_gpu_computes_are_read_back(meter: Meter) -> None:
    backend.use("cupy")
    assert meter.device_to_host == 2, "of a kernel and of a product"
    np.testing.assert_array_equal(gpudl.convert_to_tensor([1.0]).numpy(), [1])
