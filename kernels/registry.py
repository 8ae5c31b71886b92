"""The table of twins: which kernel may stand in for which op, on which device, for which arrays.

A twin has the signature of the op's reference without `xp`: `(*outs, *inputs, **static)`. It fills every
element of its outs (of its first inputs, for an update) and never allocates one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

Kernel = Callable[..., None]
Takes = Callable[..., bool]


@dataclass(frozen=True)
class Twin:
    """A kernel `run` for the op named `op`, used where `takes` returns true for the same arguments."""

    op: str
    run: Kernel
    takes: Takes


_twins: dict[str, dict[str, list[Twin]]] = {}


def floats(*arrays: Any, **static: Any) -> bool:
    """Accept C-contiguous arrays whose floating-point members share one dtype, float32 or float64."""
    if not all(a.flags.c_contiguous for a in arrays):
        return False
    kinds = {a.dtype.char for a in arrays if a.dtype.kind == "f"}
    return kinds in ({"f"}, {"d"})


def accelerates(op: str, *, device: str, takes: Takes = floats) -> Callable[[Kernel], Kernel]:
    """Enter the decorated kernel as a twin of `op` on `device` ("cpu" or "cuda")."""

    def enter(run: Kernel) -> Kernel:
        _twins.setdefault(device, {}).setdefault(op, []).append(Twin(op, run, takes))
        return run

    return enter


def twins(device: str) -> dict[str, list[Twin]]:
    """Return the twins on `device` by op name; the first call imports the kernels."""
    import_module(f"{__package__}.{device}")
    return _twins.setdefault(device, {})


def find(op: str, device: str, arrays: tuple[Any, ...], static: dict[str, Any]) -> Kernel | None:
    """Return the first twin of `op` on `device` that takes these arguments, or None."""
    for twin in twins(device).get(op, ()):
        if twin.takes(*arrays, **static):
            return twin.run
    return None
