"""Batches that stay where they are while the rows in them change: what a loop feeds its steps with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gpudl import backend
from gpudl.backend import Array, Backend
from gpudl.engine.spec import Spec
from gpudl.models.arrays import fed_dtype
from gpudl.ops import take

_MANY = 1 << 19  # bytes; below, NumPy's own call is done before a kernel for all threads has begun


class Cursor:
    """The rows of the present batch, which all its feeds read and a loop moves on.

    Args:
        count: rows of a batch.
        shuffled: whether they are given by number; else they follow one another.
    """

    __slots__ = ("count", "indices", "rows")

    def __init__(self, count: int, shuffled: bool) -> None:
        self.count = count
        self.rows = slice(0, count)
        self.indices: Array = backend.current().xp.arange(count) if shuffled else None

    def move(self, start: int, order: Array) -> None:
        """Begin at `start`, among all rows or in `order`, their numbers as they are to come."""
        if order is None:
            self.rows = slice(start, start + self.count)
        else:
            self.indices[...] = order[start : start + self.count]


class Rows:
    """The rows under a cursor: the feed of one input of a step.

    The array may have any strides, alignment and byte order; a batch of float64 is cast to `config.floatx`, any
    other to its dtype in this machine's byte order.

    Args:
        source: the array, on the device.
        cursor: which rows; shared by the feeds of a batch.
    """

    __slots__ = ("_cursor", "_gather", "_out", "source", "spec")

    def __init__(self, source: Array, cursor: Cursor) -> None:
        self.source = source
        self.spec = Spec((cursor.count, *source.shape[1:]), fed_dtype(source.dtype))
        self._cursor = cursor
        self._out: Array = None
        self._gather: Callable[[], None] | None = None

    def write(self, out: Array) -> None:
        """Copy the rows into `out`."""
        if self._cursor.indices is None:
            out[...] = self.source[self._cursor.rows]
            return
        # Batch after batch goes to the same buffer: which kernel can do that is asked once.
        if self._gather is None or out is not self._out:
            self._gather, self._out = self._onto(out), out
        self._gather()

    def _onto(self, out: Array) -> Callable[[], None]:
        """Return a call that copies the numbered rows into `out`."""
        on = backend.of(out)
        indices = self._cursor.indices
        if out.dtype == self.source.dtype:
            return _gather(on, out, self.source, indices)
        rows = on.empty(out.shape, self.source.dtype)
        gather = _gather(on, rows, self.source, indices)

        def write() -> None:
            gather()
            out[...] = rows

        return write


def _gather(on: Backend, out: Array, source: Array, indices: Array) -> Callable[[], None]:
    # NumPy would copy the whole of a source that is not plain memory.
    plain = on.device == "cpu" and source.flags.c_contiguous and source.flags.aligned and source.dtype.isnative
    if plain and out.nbytes < _MANY:
        return partial(source.take, indices, 0, out, "clip")
    return take.bind(on, (out, source, indices), {}, None)
