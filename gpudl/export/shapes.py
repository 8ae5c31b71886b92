"""Ops that move elements: shapes, axes, parts."""

from __future__ import annotations

from types import EllipsisType

import numpy as np

from gpudl.export.call import Call, translates
from gpudl.export.graph import UNKNOWN, NotExpressibleError, Size
from gpudl.ops.primitives.shape import Key

Part = int | tuple[int | None, int | None, int | None] | None
_MOST = 2**62


@translates("reshape_view")
def reshape(call: Call, x: str, *, shape: tuple[int, ...]) -> str:
    """A reshaping: unknown sizes are those of the input at the same place, one other is computed by ONNX."""
    given, wanted = call.ins[0].pair.sizes, call.sizes()
    if given == wanted:
        return x
    open_axes = [axis for axis, size in enumerate(wanted) if size[0] != size[1]]
    same = [axis for axis in open_axes if axis < len(given) and given[axis] == wanted[axis]]
    rest = [axis for axis in open_axes if axis not in same]
    if len(rest) <= 1 and not any(size == (0, 0) for size in wanted):
        numbers = [0 if axis in same else -1 if axis in rest else size[0] for axis, size in enumerate(wanted)]
        return call.node("Reshape", x, call.graph.ints(*numbers))
    return call.node("Reshape", x, call.graph.shape(wanted), allowzero=int((0, 0) in wanted))


@translates("transpose")
def transpose(call: Call, x: str, *, axes: tuple[int, ...]) -> str:
    """A transposition."""
    return call.transposed(x, axes)


@translates("concatenate")
def concatenate(call: Call, *xs: str, axis: int) -> str:
    """A concatenation."""
    return call.node("Concat", *(call.typed(place) for place in range(len(xs))), axis=axis)


@translates("pack")
def pack(call: Call, *xs: str) -> str:
    """All elements in a row."""
    return call.node("Concat", *(call.node("Reshape", x, call.graph.ints(-1)) for x in xs), axis=0)


def _by_axis(key: Key, ndim: int) -> tuple[list[Part], list[int]]:
    """Return the part of a key for each axis, and the places of new axes in the result."""
    used = sum(part is not None and not isinstance(part, EllipsisType) for part in key)
    parts: list[Part] = []
    new: list[int] = []
    place = 0
    for part in key if any(isinstance(part, EllipsisType) for part in key) else (*key, ...):
        if part is None:
            new.append(place)
            place += 1
        elif isinstance(part, EllipsisType):
            parts += [(None, None, None)] * (ndim - used)
            place += ndim - used
        else:
            parts.append(part)
            place += not isinstance(part, int)
    return parts, new


def _from_either_end(numbers: tuple[int | None, int | None], size: Size) -> int | None:
    """Return a position that is the same in both records, counted from the begin or from the end of an axis."""
    one, two = numbers
    if one is None or two is None or one == two:
        return one
    if one - size[0] == two - size[1]:
        return one - size[0] if one < size[0] else _MOST
    raise NotExpressibleError(f"it takes a part whose place depends on a size that is {UNKNOWN}")


@translates("take_slice")
def take_slice(call: Call, x: str, *, key: Key) -> str:
    """A part of x."""
    sizes = call.ins[0].pair.sizes
    (parts, new), (others, _) = (_by_axis(static["key"], len(sizes)) for static in (call.static, call.other))
    rows: list[tuple[int, int, int, int]] = []  # of start, end, axis and step
    dropped = []
    for axis, (part, other, size) in enumerate(zip(parts, others, sizes, strict=True)):
        if isinstance(part, int) and isinstance(other, int):
            start = _from_either_end((part, other), size)
            assert start is not None
            rows.append((start, start + 1 or _MOST, axis, 1))
            dropped.append(axis)
        else:
            assert isinstance(part, tuple)
            assert isinstance(other, tuple)
            step = part[2] or 1
            first, last = (_from_either_end((part[at], other[at]), size) for at in (0, 1))
            if (first, last, step) == (None, None, 1):
                continue
            ends_at = _MOST if step > 0 else -_MOST
            begin = (0 if step > 0 else _MOST) if first is None else first
            rows.append((begin, ends_at if last is None else last, axis, step))
    ints = call.graph.ints
    if rows:
        x = call.node("Slice", x, *(ints(*column) for column in zip(*rows, strict=True)))
    if dropped:
        x = call.node("Squeeze", x, ints(*dropped))
    return call.node("Unsqueeze", x, ints(*new)) if new else x


@translates("slice_grad")
def slice_grad(call: Call, *gs: str, keys: tuple[Key, ...], shape: tuple[int, ...]) -> str:
    """Parts, each at its place among zeros."""
    placed = [_padded(call, number) for number in range(len(gs))]
    while len(placed) > 1:
        placed = [call.node("Add", *placed[:2]), *placed[2:]]
    return placed[0]


def _padded(call: Call, number: int) -> str:
    sizes = call.sizes()
    keys = [static["keys"][number] for static in (call.static, call.other)]
    (parts, new), (others, _) = (_by_axis(key, len(sizes)) for key in keys)
    before, after = [], []
    for part, other, size in zip(parts, others, sizes, strict=True):
        if not isinstance(part, tuple) or not isinstance(other, tuple) or (part[2] or 1) != 1:
            raise NotExpressibleError("it puts elements apart from one another")
        spans = [range(n)[slice(*p)] for p, n in zip((part, other), size, strict=True)]
        if len({s.start for s in spans}) > 1 or len({n - s.stop for s, n in zip(spans, size, strict=True)}) > 1:
            raise NotExpressibleError(f"where it puts elements depends on a size that is {UNKNOWN}")
        before.append(spans[0].start)
        after.append(size[0] - spans[0].stop)
    g = call.typed(number)
    if new:
        g = call.node("Squeeze", g, call.graph.ints(*new))
    return call.node("Pad", g, call.graph.ints(*before, *after)) if any(before + after) else g


@translates("triangle")
def triangle(call: Call, x: str, *, part: str) -> str:
    """Ones in a part of a matrix of the size of x."""
    rows, columns = (np.arange(n) for n in call.fixed(-2, -1))
    below = rows[:, None] - columns
    kept = {"lower": below >= 0, "upper": below <= 0, "diagonal": below == 0}[part]
    return call.graph.constant(kept.astype(call.dtype))
