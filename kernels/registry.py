"""The table of twins: which kernel may stand in for which op, on which device, for which arrays.

A twin has the signature of the op's reference without `xp`: `(*outs, *inputs, **static)`. It fills every
element of its outs (of its first inputs, for an update) and never allocates one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

import numpy as np

Kernel = Callable[..., None]
Takes = Callable[..., bool]
Static = dict[str, Any]
"""The static arguments of an op: what is no array, such as an axis or a rate."""
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
class Twin:
    """A kernel `run` for the op named `op`, used where `takes` returns true for the same arguments."""

    op: str
    run: Kernel
    takes: Takes


_twins: dict[str, dict[str, list[Twin]]] = {}
_absent: set[str] = set()


def is_floating(dtype: np.dtype) -> bool:
    """Tell whether `dtype` is a real float; NumPy's own kind of bfloat16, which it got from outside, is another."""
    return bool(dtype.kind == "f" or dtype.name == "bfloat16")


def floats(*arrays: Array, **static: object) -> bool:
    """Accept C-contiguous arrays whose floating-point members share one dtype, float32 or float64."""
    if not all(a.flags.c_contiguous for a in arrays):
        return False
    kinds = {a.dtype.char for a in arrays if is_floating(a.dtype)}
    return kinds in ({"f"}, {"d"})


def accelerates(op: str, *, device: str, takes: Takes = floats, first: bool = False) -> Callable[[Kernel], Kernel]:
    """Enter the decorated kernel as a twin of `op` on `device` ("cpu" or "cuda").

    Twins are asked in the order in which they were entered; one that is to be `first` is asked before all others.
    """

    def enter(run: Kernel) -> Kernel:
        entered = _twins.setdefault(device, {}).setdefault(op, [])
        entered.insert(0 if first else len(entered), Twin(op, run, takes))
        return run

    return enter


def twins(device: str) -> dict[str, list[Twin]]:
    """Return the twins on `device` by op name; the first call imports the kernels."""
    return _twins.setdefault(device, {}) if _imported(device) else {}


def _imported(device: str) -> bool:
    """Import the kernels for a device and return True; where those for the CPU cannot be, say once what takes over."""
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


def find(op: str, device: str, arrays: tuple[Array, ...], static: Static) -> Kernel | None:
    """Return the first twin of `op` on `device` that takes these arguments, or None."""
    for twin in twins(device).get(op, ()):
        if twin.takes(*arrays, **static):
            return twin.run
    return None


@dataclass(frozen=True)
class Call:
    """One op of several that become one kernel, its outs and inputs by the numbers of values.

    Values of a number lie in the same memory: an update writes its first input.

    Attributes:
        shapes: of the outs and the inputs, each input broadcast to the first of all; where nothing is said each has
            as many elements, or one.
    """

    op: str
    outs: tuple[int, ...]
    ins: tuple[int, ...]
    static: Static = field(default_factory=dict)
    shapes: tuple[tuple[int, ...], ...] = ()


class Composed(Protocol):
    """A kernel made of several ops.

    Attributes:
        work: bytes of scratch memory that a call needs.
    """

    @property
    def work(self) -> int: ...  # noqa: D102 (described above)

    def bind(self, arrays: Sequence[Any], work: Any) -> Callable[[], None]:
        """Return a call without arguments on these arrays, with a scratch array of bytes."""


class Composer(Protocol):
    """What makes one kernel of several ops, element by element.

    Attributes:
        large: elements from which a value costs memory: none is made much earlier, or kept much longer, than the step
            asked for, only to join two kernels.
    """

    @property
    def large(self) -> int: ...  # noqa: D102 (described above)

    def joins(self, op: str, arrays: tuple[Array, ...], static: Static) -> bool:
        """Tell whether an op with these outs and inputs can be a part of such a kernel."""

    def compose(self, calls: Sequence[Call], values: Sequence[tuple[np.dtype, int]], arrays: Sequence[int]) -> Composed:
        """Return a kernel for `calls`, in their order.

        Args:
            calls: ops that `joins` accepts; all outs, or targets of updates, have the same number of elements.
            values: the dtype and the number of elements of each value.
            arrays: which values lie in memory, in the order in which `bind` is given their arrays; the others exist
                inside of the kernel only.
        """


_composers: dict[str, Composer] = {}


def composes(device: str, composer: Composer) -> None:
    """Enter what makes one kernel of several ops on `device`."""
    _composers[device] = composer


def composer(device: str) -> Composer | None:
    """Return what makes one kernel of several elementwise ops on `device`, or None."""
    return _composers.get(device) if _imported(device) else None
