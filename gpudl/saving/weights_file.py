"""Weights in Keras's HDF5 files, ``*.weights.h5``: written whole or not at all, and read as data only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpudl.engine.state import warn_user
from gpudl.layers import Layer
from gpudl.metrics import Metric
from gpudl.optimizers import Optimizer
from gpudl.saving.hdf5 import dataset_in, group_at, leave_or_refuse
from gpudl.saving.parts import parts_of
from gpudl.utils.files import replacing

if TYPE_CHECKING:
    import h5py

ENDING = ".weights.h5"
PathLike = str | os.PathLike[str]


class _Stored(NamedTuple):
    """What a file has for a part of a model.

    Attributes:
        path: where in the file.
        part: the layer, metric or optimizer.
        datasets: arrays in the file, by number, as text; they are not read yet.
    """

    path: str
    part: Layer | Metric | Optimizer
    datasets: dict[str, h5py.Dataset]

    def load(self) -> None:
        """Read the arrays, and set the weights of the part."""
        arrays = {number: np.asarray(dataset[()]) for number, dataset in self.datasets.items()}
        if isinstance(self.part, Layer):
            self.part.load_own_variables(arrays)
        else:
            for number, variable in enumerate(self.part.variables):
                variable.assign(arrays[str(number)])


def write_file(model: Layer, filepath: PathLike, overwrite: bool = True) -> None:
    """Write the weights of a model and the state of its optimizer to one file; see `saving.save_weights`."""
    import h5py

    target = checked_name(filepath)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} is there already. Choose another name, or allow overwrite=True.")
    require_built(model, "save_weights")
    with replacing(target) as unfinished, h5py.File(unfinished, "w") as file:
        write_weights(model, file)


def write_weights(model: Layer, file: h5py.File) -> None:
    """Write the weights of a model and the state of its optimizer to an open file."""
    for path, name, arrays in stored_parts(model):
        group = file.create_group(path)
        group.attrs["name"] = name
        for number, array in arrays.items():
            group.create_dataset(number, data=array)


def stored_parts(model: Layer) -> Iterator[tuple[str, str, dict[str, np.ndarray]]]:
    """Yield the path in a file, the name and the arrays of each part of a model, and of its optimizer."""
    for path, part in (*parts_of(model), *_optimizer_of(model)):
        yield f"{path}/vars".lstrip("/"), part.name, _own(part)


def read_weights(model: Layer, files: Sequence[h5py.File], source: Path, skip_mismatch: bool = False) -> None:
    """Set the weights of a model and the state of its optimizer from open files; see `saving.load_weights`."""
    fitting = []
    for path, part in parts_of(model):
        stored = _Stored(path, part, _datasets(files, f"{path}/vars", source))
        problem = _problem(stored)
        if problem is None:
            fitting.append(stored)
        else:
            leave_or_refuse(source, part.name, problem, skip_mismatch)
    for name, optimizer in _optimizer_of(model):
        stored = _Stored(name, optimizer, _datasets(files, f"{name}/vars", source))
        if stored.datasets:
            if len(stored.datasets) > len(optimizer.variables):  # it has been applied, and has slots
                optimizer.build(model.trainable_variables)
            problem = _problem(stored)
            if problem is None:
                fitting.append(stored)
            else:
                warn_user(f"load_weights leaves the optimizer as it is: {problem}")
    for stored in fitting:
        stored.load()


def checked_name(filepath: PathLike) -> Path:
    """Return the path of a file of weights; raise ValueError for another ending."""
    if not os.fspath(filepath).endswith(ENDING):
        raise ValueError(f"The filename must end in `{ENDING}`, got {os.fspath(filepath)!r}.")
    return Path(filepath)


def require_built(model: Layer, method: str) -> None:
    """Raise ValueError for a model without weights."""
    if not model.built:
        raise ValueError(
            f"{method}: {type(model).__name__} {model.name!r} has no weights yet. Call it on a batch "
            "first, or build() it."
        )


def _optimizer_of(model: Layer) -> Iterator[tuple[str, Optimizer]]:
    """Yield the optimizer that a model is compiled with, and its path."""
    optimizer = getattr(model, "optimizer", None)
    if isinstance(optimizer, Optimizer):
        yield "optimizer", optimizer


def _own(part: Layer | Metric | Optimizer) -> dict[str, np.ndarray]:
    """Return what a part saves, without what is inside it."""
    arrays: dict[str, np.ndarray] = {}
    if isinstance(part, Layer):
        part.save_own_variables(arrays)
    else:
        arrays.update({str(number): variable.numpy() for number, variable in enumerate(part.variables)})
    return arrays


def _datasets(files: Sequence[h5py.File], path: str, source: Path) -> dict[str, h5py.Dataset]:
    """Return the datasets in a group by name, of all files; none where it is not there."""
    groups = (group_at(file, path, source) for file in files)
    return {name: dataset_in(group, name, source) for group in groups if group is not None for name in group}


def _problem(stored: _Stored) -> str | None:
    """Return why the arrays of a file do not fit a part, in a sentence; None where they do."""
    _, part, datasets = stored
    custom = isinstance(part, Layer) and type(part).load_own_variables is not Layer.load_own_variables
    expected = _own(part)
    if custom or {k: a.shape for k, a in expected.items()} == {k: d.shape for k, d in datasets.items()}:
        return None
    return (
        f"{type(part).__name__} {part.name!r} has weights of shapes {_shapes(expected)}, and the file has "
        f"{_shapes(datasets)} at {stored.path or 'its root'}."
    )


def _shapes(arrays: Mapping[str, np.ndarray | h5py.Dataset]) -> str:
    return ", ".join(str(arrays[number].shape) for number in sorted(arrays, key=_rank)) or "none"


def _rank(number: str) -> tuple[int, str]:
    return (int(number) if number.isdecimal() else -1, number)
