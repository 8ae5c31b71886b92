"""The registry of kernels: which kernel computes which op, on which device, for which arrays.

A kernel has the signature of the op's reference without `xp`: `(*outs, *inputs, **static)`. It fills every
element of its outs (of its first inputs, for an update) and never allocates one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

import numpy as np

KernelFunction = Callable[..., None]
Supports = Callable[..., bool]
Static = dict[str, Any]
"""The static arguments of an op, those that are not arrays, such as an axis or a rate."""
Stages = tuple[Static, ...]
"""The static arguments of each op of a chain."""


class Flags(Protocol):
    """What is known of the layout of an array."""

    @property
    def c_contiguous(self) -> bool: ...  # noqa: D102


class Array(Protocol):
    """What is asked of an array before it is computed with, be it NumPy's or CuPy's."""

    @property
    def dtype(self) -> np.dtype: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def itemsize(self) -> int: ...  # noqa: D102
    @property
    def nbytes(self) -> int: ...  # noqa: D102
    @property
    def flags(self) -> Flags: ...  # noqa: D102


@dataclass(frozen=True)
class Kernel:
    """A function `run` that computes the op named `op`, used where `supports` returns true for the same arguments."""

    op: str
    run: KernelFunction
    supports: Supports


_registered: dict[str, dict[str, list[Kernel]]] = {}
_absent: set[str] = set()


def is_floating(dtype: np.dtype) -> bool:
    """Return whether `dtype` is a floating-point type; NumPy's own `kind` does not say so of bfloat16."""
    return bool(dtype.kind == "f" or dtype.name == "bfloat16")


def floats(*arrays: Array, **static: object) -> bool:
    """Support C-contiguous arrays whose floating-point members share one dtype, float32 or float64."""
    if not all(a.flags.c_contiguous for a in arrays):
        return False
    kinds = {a.dtype.char for a in arrays if is_floating(a.dtype)}
    return kinds in ({"f"}, {"d"})


def accelerates(
    op: str, *, device: str, supports: Supports = floats, first: bool = False
) -> Callable[[KernelFunction], KernelFunction]:
    """Register the decorated function as a kernel of `op` on `device` ("cpu" or "cuda").

    The kernels of an op are tried in the order in which they were registered, one marked `first` before all others.
    """

    def register(run: KernelFunction) -> KernelFunction:
        kernels = _registered.setdefault(device, {}).setdefault(op, [])
        kernels.insert(0 if first else len(kernels), Kernel(op, run, supports))
        return run

    return register


def registered(device: str) -> dict[str, list[Kernel]]:
    """Return the kernels on `device` by op name; the first call imports them."""
    return _registered.setdefault(device, {}) if _imported(device) else {}


def _imported(device: str) -> bool:
    """Import the kernels for a device and return True; if those for the CPU fail to import, warn once, return False."""
    if device in _absent:
        return False
    try:
        import_module(f"{__package__}.{device}")
    except ImportError as error:
        if device == "cuda":
            raise
        _absent.add(device)
        warnings.warn(
            f"gpudl computes without its kernels for the CPU, with NumPy alone, which is much slower: {error}",
            RuntimeWarning,
            stacklevel=3,
        )
        return False
    return True


def find(op: str, device: str, arrays: tuple[Array, ...], static: Static) -> KernelFunction | None:
    """Return the first kernel of `op` on `device` that supports these arguments, or None."""
    for kernel in registered(device).get(op, ()):
        if kernel.supports(*arrays, **static):
            return kernel.run
    return None


@dataclass(frozen=True)
class Call:
    """One of several ops that are fused into one kernel; its outs and inputs are indices of values.

    Equal indices mean the same memory: an update writes its first input.

    Attributes:
        shapes: shapes of the outs and the inputs, each input broadcast to the first shape; where empty, each has
            as many elements as the first out, or one.
    """

    op: str
    outs: tuple[int, ...]
    ins: tuple[int, ...]
    static: Static = field(default_factory=dict)
    shapes: tuple[tuple[int, ...], ...] = ()


class Composed(Protocol):
    """A kernel that computes several ops.

    Attributes:
        work: scratch memory of a call, in bytes.
    """

    @property
    def work(self) -> int: ...  # noqa: D102 (described above)

    def bind(self, arrays: Sequence[object], work: object) -> Callable[[], None]:
        """Return a call without arguments on these arrays, with a scratch array of bytes."""


class Composer(Protocol):
    """Fuses several elementwise ops into one kernel.

    Attributes:
        large: number of elements from which the memory of a value counts: a value of this size or more is not computed
            much earlier, or kept much longer, than in the recorded order only to fuse two kernels.
    """

    @property
    def large(self) -> int: ...  # noqa: D102 (described above)

    def joins(self, op: str, arrays: tuple[Array, ...], static: Static) -> bool:
        """Return whether an op with these outs and inputs can be fused."""

    def compose(self, calls: Sequence[Call], values: Sequence[tuple[np.dtype, int]], arrays: Sequence[int]) -> Composed:
        """Return a kernel for `calls`, in their order.

        Args:
            calls: ops that `joins` accepts; all outs, or targets of updates, have the same number of elements.
            values: the dtype and the number of elements of each value.
            arrays: indices of the values that are in memory, in the order in which `bind` takes their arrays; the
                others exist inside the kernel only.
        """


_composers: dict[str, Composer] = {}


def composes(device: str, composer: Composer) -> None:
    """Register `composer` as what fuses elementwise ops on `device`."""
    _composers[device] = composer


def composer(device: str) -> Composer | None:
    """Return what fuses elementwise ops into one kernel on `device`, or None."""
    return _composers.get(device) if _imported(device) else None
