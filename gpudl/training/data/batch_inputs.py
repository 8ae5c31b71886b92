"""The inputs of a loop's steps: buffers for a batch, which feeds fill with the current rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from gpudl import backend
from gpudl.backend import Array
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import Spec
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import flatten
from gpudl.ops.primitives.gather import take, take_batch
from gpudl.training.data.arrays import Data, fed_dtype
from gpudl.training.data.sparse import SparseRows

_MANY = 1 << 19  # bytes below which NumPy's own call is faster than starting a kernel on all threads
_INT64 = np.dtype(np.int64)

Copy = Callable[[], None]


class Cursor:
    """The rows of the current batch, which all its feeds read; the loop advances it after a step.

    Attributes:
        count: number of rows of a batch.
        stays: whether its position is in the device's memory, advanced by launches that a graph may contain.
    """

    stays = False

    def __init__(self, count: int) -> None:
        self.count = count

    def begin(self, start: int) -> None:
        """Move to row `start`."""
        raise NotImplementedError

    def advance(self) -> None:
        """Advance to the next rows."""
        raise NotImplementedError

    def copy(self, out: Array, source: Array) -> Copy:
        """Return a call that copies the current rows of `source` to `out`."""
        raise NotImplementedError


class HostCursor(Cursor):
    """A cursor whose position is on the host.

    Args:
        count: number of rows of a batch.
        order: the row indices in order, in memory that is not moved; None for consecutive rows.
    """

    def __init__(self, count: int, order: Array) -> None:
        super().__init__(count)
        self._start = 0
        self._order = order
        self._numbers: Array = None if order is None else order[:count].copy()

    def begin(self, start: int) -> None:
        """Move to row `start`."""
        self._start = start
        if self._order is not None:
            following = self._order[start : start + self.count]
            self._numbers[: len(following)] = following  # fewer for the last batch

    def advance(self) -> None:
        """Advance to the next rows."""
        self.begin(self._start + self.count)

    def copy(self, out: Array, source: Array) -> Copy:
        """Return a call that copies the current rows of `source` to `out`."""
        if self._order is None:
            return partial(self._follow, out, source)
        if out.dtype == source.dtype:
            return _gather(out, source, self._numbers)
        rows = backend.of(out).empty(out.shape, source.dtype)
        gather = _gather(rows, source, self._numbers)

        def copy() -> None:
            gather()
            out[...] = rows

        return copy

    def _follow(self, out: Array, source: Array) -> None:
        out[...] = source[self._start : self._start + self.count]


class DeviceCursor(Cursor):
    """A cursor on the device: the order of all rows and the position in it are in its memory.

    Args:
        count: number of rows of a batch.
        order: the row indices in order, in memory that is not moved.
    """

    stays = True

    def __init__(self, count: int, order: Array) -> None:
        super().__init__(count)
        self._on = backend.of(order)
        self._order = order
        self._start = self._on.empty((), _INT64)
        self.begin(0)

    def begin(self, start: int) -> None:
        """Move to row `start`."""
        self._start.fill(start)

    def advance(self) -> None:
        """Advance to the next rows."""
        self._on.xp.add(self._start, self.count, out=self._start)

    def copy(self, out: Array, source: Array) -> Copy:
        """Return a call that copies the current rows of `source` to `out`, cast on the way."""
        static = {"count": self.count, "dtype": out.dtype}
        arrays = (out, source, self._order, self._start)
        return take_batch.bind(self._on, take_batch.kernel(self._on, arrays, static), arrays, static, None)


class StreamedCursor(HostCursor):
    """A cursor over data that are too large for the device: each batch is copied while the previous one is used."""

    def __init__(self, count: int, order: Array, samples: int) -> None:
        super().__init__(count, order)
        self._samples = samples
        self._passes = 0

    def begin(self, start: int) -> None:
        """Move to row `start`; the order may have changed."""
        self._passes += 1
        super().begin(start)

    def advance(self) -> None:
        """Advance to the next rows."""
        super().begin(self._start + self.count)

    def copy(self, out: Array, source: Array) -> Copy:
        """Return a call that copies the current rows of `source` to `out`, and begins to copy the next ones."""
        upload = backend.of(out).upload(out.shape, out.dtype)
        sent: tuple[int, int] | None = None

        def send(start: int) -> None:
            nonlocal sent
            rows = slice(start, start + self.count)
            upload.buffer()[...] = source[rows if self._order is None else self._order[rows]]
            upload.send()
            sent = self._passes, start

        def copy() -> None:
            if sent != (self._passes, self._start):
                send(self._start)
            upload.receive(out)
            following = self._start + self.count
            if following + self.count <= self._samples:
                send(following)

        return copy


def cursor_of(count: int, order: Array, samples: int) -> Cursor:
    """Return a cursor over batches of `count` of `samples` rows, in `order` or, for None, consecutive."""
    if not backend.current().captures:
        return HostCursor(count, order)
    if order is not None and backend.of(order).captures:
        return DeviceCursor(count, order)
    return StreamedCursor(count, order, samples)


def advance(data: Data) -> None:
    """Advance the feeds of a nest to their next rows."""
    for cursor in {id(feed.cursor): feed.cursor for feed in flatten(data)[0] if isinstance(feed, Rows)}.values():
        cursor.advance()


class Rows:
    """The rows under a cursor: the feed of one input of a step.

    The array may have any strides, alignment and byte order; a batch of float64 is cast to `config.floatx`, any
    other to its dtype in this machine's byte order.

    Args:
        source: the array, on the device.
        cursor: the current rows; shared by the feeds of a batch.
    """

    __slots__ = ("cursor", "source", "spec")

    def __init__(self, source: Array, cursor: Cursor) -> None:
        self.source = source
        self.spec = Spec((cursor.count, *source.shape[1:]), fed_dtype(source.dtype))
        self.cursor = cursor

    def bound(self, out: Array) -> Copy:
        """Return a call that copies the rows into `out`, to be made batch after batch."""
        return self.cursor.copy(out, self.source)

    def write(self, out: Array) -> None:
        """Copy the rows into `out`."""
        self.bound(out)()


def materialized(leaf: Array) -> Tensor | None:
    """Return an array, or the rows of a feed, as a tensor."""
    if not hasattr(leaf, "write"):
        return leaf if leaf is None else as_tensor(leaf)
    out = backend.current().empty(leaf.spec.shape, leaf.spec.dtype)
    leaf.write(out)
    return Tensor(out)


def _gather(out: Array, source: Array, indices: Array) -> Copy:
    if isinstance(source, SparseRows):
        return partial(_densely, out, source, indices)
    # NumPy would copy the whole source if it is not C-contiguous.
    plain = source.flags.c_contiguous and source.flags.aligned and source.dtype.isnative
    if plain and out.nbytes < _MANY:
        return partial(source.take, indices, 0, out, "clip")
    on, arrays = backend.of(out), (out, source, indices)
    return take.bind(on, take.kernel(on, arrays, {}), arrays, {}, None)


def _densely(out: Array, source: SparseRows, rows: Array) -> None:
    out[...] = source[rows]
