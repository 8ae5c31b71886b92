"""A strict double of CuPy, to test on a machine with no GPU what would go wrong on one.

Its arrays and NumPy's never mix, copies between host and device and synchronisations are counted, and a
capture refuses what a capture of a CUDA stream refuses.

>>> with installed() as meter:
...     import cupy
...     x = cupy.asarray(np.ones(3))
...     assert meter.host_to_device == 1
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from strict_cupy import blas, cuda, namespace
from strict_cupy.array import DevArray
from strict_cupy.pinned import cupyx
from strict_cupy.work import Graph, Meter, machine, meter

__all__ = ["DevArray", "Graph", "Meter", "blas", "capture", "installed", "is_installed", "machine"]

_MODULES = {
    "cupy": namespace,
    "cupy.cuda": cuda,
    "cupy.cuda.runtime": cuda.runtime,
    "cupy.cuda.compiler": cuda.compiler,
    "cupyx": cupyx,
}


@contextmanager
def installed() -> Iterator[Meter]:
    """Let ``import cupy`` find the double inside a ``with`` block, and gpudl forget it afterwards."""
    before = _take_out()
    sys.modules.update(_MODULES)
    meter.reset()
    blas.reset()
    machine.reset()
    cuda.Stream.null.use()
    try:
        yield meter
    finally:
        _take_out()
        sys.modules.update(before)


def is_installed() -> bool:
    """Tell whether ``import cupy`` finds the double now."""
    return sys.modules.get("cupy") is namespace


def _take_out() -> dict[str, object]:
    """Remove CuPy, whichever it is, and what gpudl keeps of it; return its modules."""
    for name in ("launch", "blas"):
        if module := sys.modules.get(f"gpudl.kernels.cuda.{name}"):
            module.forget()
    if backend := sys.modules.get("gpudl.backend"):
        backend.forget()
    names = [name for name in sys.modules if name.split(".")[0] in ("cupy", "cupyx")]
    return {name: sys.modules.pop(name) for name in names}


@contextmanager
def capture() -> Iterator[Graph]:
    """Capture what the ``with`` block launches: nothing is computed until the graph is launched."""
    pool = cuda.MemoryPool()
    with cuda.using_allocator(pool.malloc), cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        graph = meter.graph
        assert graph is not None
        graph.kept = pool
        try:
            yield graph
        finally:
            stream.end_capture()
