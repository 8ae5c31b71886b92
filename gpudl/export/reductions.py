"""Ops along axes: sums, extremes, orders, and what is taken by its index."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from gpudl.export.call import Call, translates
from gpudl.export.elementwise import computed_in
from gpudl.export.graph import kept_in
from gpudl.ops.primitives.reduce import Axis, axes_of

_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)
_REDUCTIONS = {"sum": "ReduceSum", "prod": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin"}


@translates(*_REDUCTIONS)
def reduction(call: Call, x: str, *, axis: Axis = None, keepdims: bool = False) -> str:
    """A sum, a product, a maximum or a minimum along axes."""
    axes = axes_of(call.ins[0].spec.ndim, axis)
    wide = computed_in(call.dtype)
    if wide.kind == "b":
        wide = _INT32
    held = call.graph.node("Cast", x, to=wide) if wide != kept_in(call.ins[0].spec.dtype) else x
    y = call.node(_REDUCTIONS[call.op], held, call.graph.ints(*axes), keepdims=int(keepdims)) if axes else held
    return y if wide == kept_in(call.dtype) else call.graph.cast(y, call.dtype)


@translates("sum_to")
def sum_to(call: Call, x: str, *, shape: tuple[int, ...]) -> str:
    """The sums over what an array of `shape` would be broadcast along."""
    given, wanted = call.ins[0].pair.sizes, call.sizes()
    lead = len(given) - len(wanted)
    axes = [lead + axis for axis, size in enumerate(wanted) if size == (1, 1) != given[lead + axis]]
    y = call.node("ReduceSum", x, call.graph.ints(*range(lead), *axes), keepdims=1) if lead or axes else x
    return call.node("Squeeze", y, call.graph.ints(*range(lead))) if lead else y


@translates("argmax")
def argmax(call: Call, x: str, *, axis: int) -> str:
    """The index of the first maximum."""
    held = call.graph.node("Cast", x, to=_INT32) if call.ins[0].spec.dtype.kind in "biu" else x
    return call.graph.cast(call.node("ArgMax", held, axis=axis, keepdims=0), call.dtype)


@translates("cumsum")
def cumsum(call: Call, x: str, *, axis: int, reverse: bool = False) -> str:
    """The sums up to each element."""
    wide = computed_in(call.dtype)
    held = call.graph.node("Cast", x, to=wide) if wide != kept_in(call.ins[0].spec.dtype) else x
    y = call.node("CumSum", held, call.graph.number(axis, _INT64), reverse=int(reverse))
    return y if wide == kept_in(call.dtype) else call.graph.cast(y, call.dtype)


@translates("argsort")
def argsort(call: Call, x: str, *, axis: int) -> str:
    """The order of the elements."""
    if call.ins[0].spec.dtype.kind in "biu":
        x = call.node("Cast", x, to=_INT64)
    count = call.graph.size(call.ins[0].pair.sizes[axis])
    _, order = call.graph.nodes_of(2, "TopK", x, count, axis=axis, largest=0, sorted=1)
    return call.graph.cast(order, call.dtype)


@translates("search")
def search(call: Call, row: str, values: str, *, side: str) -> str:
    """How many elements of a sorted row come before each value."""
    kind = np.result_type(*(computed_in(edge.spec.dtype) for edge in call.ins))
    cast = [call.node("Cast", x, to=kind) for x in (row, values)]
    each = call.node("Unsqueeze", cast[1], call.graph.ints(-1))
    before = call.node("Less" if side == "left" else "LessOrEqual", cast[0], each)
    return call.node("ReduceSum", call.node("Cast", before, to=call.dtype), call.graph.ints(-1), keepdims=0)


@translates("take")
def take(call: Call, x: str, indices: str) -> str:
    """Rows by their numbers."""
    return call.node("Gather", x, indices, axis=0)


@translates("one_hot")
def one_hot(call: Call, labels: str, *, classes: int, dtype: DTypeLike) -> str:
    """Rows of zeros, with a 1 at the label."""
    at = call.node("Unsqueeze", call.node("Cast", labels, to=_INT64), call.graph.ints(-1))
    return call.graph.cast(call.node("Equal", at, call.graph.ints(*range(classes))), call.dtype)
