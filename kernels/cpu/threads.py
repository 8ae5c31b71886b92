"""How the kernels of this folder are compiled, and how their threads live beside those of BLAS."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

Body = Callable[..., None]
F = TypeVar("F", bound=Callable[..., Any])

PARALLEL_FROM = 1 << 17
"""Elements of light work from which all threads run: waking them costs between 5 and 50 microseconds."""

BLOCK = 4096
"""Elements of a flat array that one thread takes at a time, whatever the number of threads."""

INNER: Any = {"nogil": True, "error_model": "numpy", "forceinline": True}
"""Options for Numba under which a function becomes part of the kernel that calls it."""

# prange is the only parallelism asked for; the searches for more of it only cost compile time.
_PRANGE_ONLY = dict.fromkeys(("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil"), False)
_PRANGE_ONLY |= {"prange": True, "fusion": False}

# A thread looks for new work for some 20 microseconds, so that one kernel right after another starts at
# once, and then sleeps, so that BLAS has the cores. The count is GNU's own, the policy the standard's.
_WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}


def settle() -> None:
    """Load the OpenMP runtime so that its idle threads sleep instead of spinning.

    A kernel's threads that spin after their work keep the cores from the threads of BLAS, which wait for
    the same cores, and each product then takes many times as long. The runtime reads its waiting policy
    once, from the environment, when it is loaded; so it is loaded here, with the policy set for just that
    moment. A policy that the user has set stays. Without an OpenMP layer Numba takes another one, and
    there is nothing to do.
    """
    if any(name in os.environ for name in _WAITING):
        return
    os.environ.update(_WAITING)
    try:
        import_module("numba.np.ufunc.omppool")
    except ImportError:
        pass
    finally:
        for name in _WAITING:
            del os.environ[name]


class Kernel:
    """One body, compiled on first use for one thread (`serial`) and for all of them (`parallel`).

    Both give the same bits: a body divides its work into pieces that do not depend on the number of
    threads, and is compiled without licence to reorder arithmetic.
    """

    def __init__(self, body: Body) -> None:
        """Prepare `body`, which shares its work out with `prange`; it is compiled when it is first called."""
        self.serial = _jit(_named(body, "serial"), parallel=False)
        self.parallel = _jit(_named(body, "parallel"), parallel=_PRANGE_ONLY)

    def __call__(self, work: int, *args: Any) -> None:
        """Run on `args`, with all threads if `work`, in elements, is worth waking them."""
        (self.parallel if work >= PARALLEL_FROM else self.serial)(*args)


def inner(function: F) -> F:
    """Compile a helper that kernels call; it is inlined into them, which lets LLVM see whole loops.

    Numba does not notice when a helper of another module changes: remove `__pycache__` after editing one.
    """
    compiled: Any = njit(**INNER)(function)
    return cast(F, compiled)


def _named(body: Body, variant: str) -> FunctionType:
    # Numba files its cache by qualified name and not by options: two variants of a name would mix.
    assert isinstance(body, FunctionType)
    copy = FunctionType(body.__code__, body.__globals__, body.__name__, body.__defaults__, body.__closure__)
    copy.__qualname__ = f"{body.__qualname__}.{variant}"
    return copy


def _jit(body: FunctionType, **options: Any) -> Body:
    try:
        compiled: Body = njit(cache=True, nogil=True, error_model="numpy", **options)(body)
    except RuntimeError:  # no folder to keep compiled code in, as in a read-only container
        compiled = njit(nogil=True, error_model="numpy", **options)(body)
    return compiled


@inner
def piece(block: Any, size: int) -> Any:
    """Return where block number `block` of a flat array of `size` elements begins and ends.

    The two are unsigned: no test for negative indices then stands in the way of vector instructions.
    """
    return np.uintp(block * BLOCK), np.uintp(min((block + 1) * BLOCK, size))


@inner
def pieces(size: int) -> int:
    """Return how many blocks a flat array of `size` elements has."""
    return (size + BLOCK - 1) // BLOCK
