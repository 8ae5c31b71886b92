"""CuPy: an NVIDIA GPU, or the reason why there is none to use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpudl.backend.base import Backend, BackendError, CaptureError, Upload

_SHARE_OF_DATA = 0.5


def _probe(cupy: Any) -> None:
    """Run something real on the GPU: importing CuPy and counting devices succeed without its libraries."""
    steps = (
        ("no NVIDIA driver or GPU was found", cupy.cuda.runtime.getDeviceCount),
        (
            "the GPU refused to compile and run a kernel (are CUDA's toolkit libraries there? "
            'install gpudl with the extra "cuda12" or "cuda13")',
            lambda: int((cupy.arange(4, dtype=np.int32) + 1).sum().get()),
        ),
        (
            "the GPU refused a matrix product (is cuBLAS there?)",
            lambda: float(cupy.ones((2, 2), np.float32).dot(cupy.ones((2, 2), np.float32))[0, 0].get()),
        ),
    )
    for sentence, step in steps:
        try:
            result = step()
        except Exception as error:
            raise BackendError(f"No GPU is usable: {sentence}: {_first_line(error)}") from error
        if not result:
            raise BackendError(f"No GPU is usable: {sentence}.")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class CupyBackend(Backend):
    """CuPy arrays in the memory of the current GPU.

    Raises:
        BackendError: CuPy is missing, or no GPU answers; the text says which and what to do.
    """

    name = "cupy"
    device = "cuda"
    captures = True

    def __init__(self) -> None:
        try:
            import cupy
        except ImportError as error:
            raise BackendError(
                "CuPy is not installed, so no GPU is used. For an NVIDIA GPU install gpudl with the extra "
                f'"cuda12" or "cuda13", whichever fits the driver ({error}).'
            ) from error
        _probe(cupy)
        self.xp: Any = cupy

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Return an uninitialised array on the GPU; CuPy's pool aligns to 512 bytes."""
        return self.xp.empty(shape, dtype)

    def owns(self, value: object) -> bool:
        """Tell whether `value` is a CuPy array."""
        return isinstance(value, self.xp.ndarray)

    def asarray(self, value: Any) -> Any:
        """Copy a host array to the GPU; a CuPy array is returned as it is."""
        return value if self.owns(value) else self.xp.asarray(np.asarray(value))

    def to_host(self, array: Any) -> np.ndarray:
        """Return a copy in host memory."""
        host: np.ndarray = array.get()
        return host

    def synchronize(self) -> None:
        """Wait for the current stream."""
        self.xp.cuda.get_current_stream().synchronize()

    def capture(self, calls: Sequence[Callable[[], None]]) -> Callable[[], None]:
        """Return the launch of a CUDA graph of `calls`, on whatever stream is the current one by then.

        CuPy's pools know nothing of graphs, so memory that the calls take for themselves comes from a pool of this
        graph's own, and stays there as long as the graph can be launched.
        """
        cuda = self.xp.cuda
        pool, stream = cuda.MemoryPool(), cuda.Stream(non_blocking=True)
        with cuda.using_allocator(pool.malloc), stream:
            stream.begin_capture(cuda.runtime.streamCaptureModeRelaxed)  # the pool may have to ask for memory
            try:
                for call in calls:
                    call()
            except Exception as error:  # whatever it was, the calls can still be made one by one
                try:
                    stream.end_capture()
                except Exception:  # what went wrong before has ended the capture
                    error.add_note("The capture was ended by it.")
                raise CaptureError(_first_line(error)) from error
            graph = stream.end_capture()

        def launch(kept: Any = (pool, stream)) -> None:
            graph.launch()

        return launch

    def holds(self, nbytes: int) -> bool:
        """Tell whether `nbytes` take at most half of what is free: the rest is for weights and what steps compute."""
        free, _ = self.xp.cuda.runtime.memGetInfo()
        return bool(nbytes <= _SHARE_OF_DATA * (free + self.xp.get_default_memory_pool().free_bytes()))

    def upload(self, shape: tuple[int, ...], dtype: np.dtype) -> Upload:
        """Return what sends arrays of one shape from pinned memory, by a stream of its own, one ahead."""
        from gpudl.backend.upload import PinnedUpload

        return PinnedUpload(self.xp, shape, dtype)

    def describe(self) -> str:
        """Return the GPU's name and the CuPy version."""
        device = self.xp.cuda.Device().id
        name = self.xp.cuda.runtime.getDeviceProperties(device)["name"].decode()
        return f"GPU {device} ({name}), CuPy {self.xp.__version__}"
