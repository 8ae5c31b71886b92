"""Data whose inputs a function prepares on the host: arrays as a whole, others batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gpudl.training.data.sources import is_stream
from gpudl.utils.batch_parts import pack_x_y_sample_weight, unpack_x_y_sample_weight
from gpudl.utils.py_dataset import PyDataset, taken

Prepare = Callable[[object], object]
"""Returns what a step takes for the inputs of data."""


def mapped(data: object, prepare: Prepare | None) -> object:
    """Return what `fit` is given as its inputs with `prepare` applied to them, if there is something to do."""
    if data is None or prepare is None:
        return data
    if not is_stream(data):
        return prepare(data)
    if isinstance(data, PyDataset):
        return _MappedPyDataset(data, prepare)
    if isinstance(data, Iterator):
        return (_item(item, prepare) for item in data)
    return _Mapped(data, prepare)  # type: ignore[arg-type]


def mapped_validation(data: object, prepare: Prepare | None) -> object:
    """Return what `fit` is given as ``validation_data`` with `prepare` applied to the inputs in it."""
    if isinstance(data, tuple | list) and data and prepare is not None:
        return (prepare(data[0]), *data[1:])
    return mapped(data, prepare)


def _item(item: object, prepare: Prepare) -> object:
    item = tuple(item) if isinstance(item, list) else item
    x, y, sample_weight = unpack_x_y_sample_weight(item)
    if isinstance(item, tuple) and y is None:
        return (prepare(x),)
    return pack_x_y_sample_weight(prepare(x), y, sample_weight)


class _Mapped:
    """An iterable that can be iterated over again."""

    def __init__(self, source: Iterable[object], prepare: Prepare) -> None:
        self.given, self._prepare = source, prepare

    def __iter__(self) -> Iterator[object]:
        numbered = hasattr(self.given, "__getitem__") and hasattr(self.given, "__len__")
        items = taken(self.given, range(len(self))) if numbered else self.given  # type: ignore[arg-type]
        return (_item(item, self._prepare) for item in items)

    def __len__(self) -> int:
        return len(self.given)  # type: ignore[arg-type]

    def on_epoch_begin(self) -> None:
        getattr(self.given, "on_epoch_begin", lambda: None)()

    def on_epoch_end(self) -> None:
        getattr(self.given, "on_epoch_end", lambda: None)()


class _MappedPyDataset(PyDataset):
    def __init__(self, source: PyDataset, prepare: Prepare) -> None:
        super().__init__(source.workers, source.use_multiprocessing, source.max_queue_size)
        self.given, self._prepare = source, prepare

    def __getitem__(self, index: int) -> object:
        return _item(self.given[index], self._prepare)

    @property
    def num_batches(self) -> int | None:
        return self.given.num_batches

    def on_epoch_begin(self) -> None:
        self.given.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.given.on_epoch_end()
