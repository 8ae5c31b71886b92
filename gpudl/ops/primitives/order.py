"""The order of elements, and the places of elements in sorted arrays."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.spec import ShapeError, Spec, promote
from gpudl.ops.primitives.declare import op
from gpudl.ops.primitives.reduce import axes_of

__all__: list[str] = []

_INDEX = np.dtype(np.int32)


def _ordered(x: Spec, *, axis: int) -> Spec:
    axes_of(x.ndim, axis)
    return x.with_dtype(_INDEX)


@op(_ordered, flops=cost.per_input(1))
def argsort(xp: ModuleType, out: Array, x: Array, *, axis: int) -> None:
    """Return, as int32, the indices that sort x along `axis`: equal elements stay in order, NaN comes last."""
    out[...] = xp.argsort(x, axis=axis, kind="stable")


def _placed(sorted_sequence: Spec, values: Spec, *, side: str) -> Spec:
    if sorted_sequence.ndim != 1:
        raise ShapeError(f"values are searched in a vector, got shape {sorted_sequence.shape}.")
    return values.with_dtype(_INDEX)


@op(_placed, flops=cost.per_output(1))
def search(xp: ModuleType, out: Array, sorted_sequence: Array, values: Array, *, side: str) -> None:
    """Return, as int32, how many elements of a sorted vector are less than each value, or with `side` "right" equal."""
    kind = promote(sorted_sequence.dtype, values.dtype)
    out[...] = xp.searchsorted(sorted_sequence.astype(kind), values.astype(kind), side=side)
