"""Weights in Keras's HDF5 files, ``*.weights.h5``: written whole or not at all, and read as data only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpudl.engine.state import warn_user
from gpudl.layers import Layer
from gpudl.metrics import Metric
from gpudl.optimizers import Optimizer
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
        arrays: by number, as text.
    """

    path: str
    part: Layer | Metric | Optimizer
    arrays: dict[str, np.ndarray]


def save_weights(model: Layer, filepath: PathLike, overwrite: bool = True) -> None:
    """Write the weights of `model`, and the state of its optimizer, to a file that Keras 3 reads too.

    The file is written beside its place and renamed, so that whatever happens the old file or the new one is there,
    whole.

    Args:
        model: a built model.
        filepath: must end in ``.weights.h5``.
        overwrite: whether a file that is there may be replaced.

    Raises:
        ValueError: another ending, or a model that is not built.
        FileExistsError: a file is there and `overwrite` is false.
        OSError: the file cannot be written.
    """
    import h5py

    target = _checked(filepath)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} is there already. Choose another name, or allow overwrite=True.")
    _require_built(model, "save_weights")
    with replacing(target) as unfinished, h5py.File(unfinished, "w") as file:
        for path, part in (*parts_of(model), *_optimizer_of(model)):
            group = file.create_group(f"{path}/vars")
            group.attrs["name"] = part.name
            for number, array in _own(part).items():
                group.create_dataset(number, data=array)


def load_weights(model: Layer, filepath: PathLike, skip_mismatch: bool = False) -> None:
    """Set the weights of `model` from a file of gpudl's or Keras 3's.

    All of the file is read and compared with the model before the first weight is set.

    Args:
        model: a built model with the same layers in the same order as the one that was saved.
        filepath: must end in ``.weights.h5``.
        skip_mismatch: leave layers as they are, with a warning, that the file does not fit. That is done with an
            optimizer anyway.

    Raises:
        ValueError: another ending, a model that is not built, or a file that does not fit; the text names the layer and
            both shapes. No weight has changed then.
        OSError: there is no such file, or it is not HDF5.
    """
    import h5py

    source = _checked(filepath)
    _require_built(model, "load_weights")
    fitting = []
    with h5py.File(source, "r") as file:
        for path, part in parts_of(model):
            stored = _Stored(path, part, _read(file, f"{path}/vars", source))
            problem = _problem(stored)
            if problem is None:
                fitting.append(stored)
            elif skip_mismatch:
                warn_user(f"load_weights leaves {part.name!r} as it is: {problem}")
            else:
                raise ValueError(
                    f"{source} does not fit the model: {problem} No weight was changed. "
                    "skip_mismatch=True leaves such layers as they are."
                )
        for name, optimizer in _optimizer_of(model):
            stored = _Stored(name, optimizer, _read(file, f"{name}/vars", source))
            if stored.arrays:
                optimizer.build(model.trainable_variables)
                problem = _problem(stored)
                if problem is None:
                    fitting.append(stored)
                else:
                    warn_user(f"load_weights leaves the optimizer as it is: {problem}")
    for stored in fitting:
        if isinstance(stored.part, Layer):
            stored.part.load_own_variables(stored.arrays)
        else:
            for number, variable in enumerate(stored.part.variables):
                variable.assign(stored.arrays[str(number)])


def _checked(filepath: PathLike) -> Path:
    if not os.fspath(filepath).endswith(ENDING):
        raise ValueError(f"The filename must end in `{ENDING}`, got {os.fspath(filepath)!r}.")
    return Path(filepath)


def _require_built(model: Layer, method: str) -> None:
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


def _read(file: h5py.File, path: str, source: Path) -> dict[str, np.ndarray]:
    """Return the arrays in a group, none where it is not there; nothing outside the file is followed."""
    import h5py

    group: h5py.Group = file
    for name in path.strip("/").split("/"):
        kind = group.get(name, getlink=True)
        if kind is None:
            return {}
        if not isinstance(kind, h5py.HardLink) or not isinstance(group[name], h5py.Group):
            raise ValueError(
                f"{source}: {group.name.rstrip('/')}/{name} is a link or no group. This file is not loaded."
            )
        group = group[name]
    arrays = {}
    for name in group:
        kind = group.get(name, getlink=True)
        item = group[name] if isinstance(kind, h5py.HardLink) else None
        if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual or item.dtype.kind not in "biufV":
            raise ValueError(
                f"{source}: {group.name}/{name} is not an array of numbers within the file. This file is not loaded."
            )
        arrays[name] = np.asarray(item[()])
    return arrays


def _problem(stored: _Stored) -> str | None:
    """Return why the arrays of a file do not fit a part, in a sentence; None where they do."""
    _, part, arrays = stored
    custom = isinstance(part, Layer) and type(part).load_own_variables is not Layer.load_own_variables
    expected = _own(part)
    if custom or {k: a.shape for k, a in expected.items()} == {k: a.shape for k, a in arrays.items()}:
        return None
    return (
        f"{type(part).__name__} {part.name!r} has weights of shapes {_shapes(expected)}, and the file has "
        f"{_shapes(arrays)} at {stored.path or 'its root'}."
    )


def _shapes(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(str(arrays[number].shape) for number in sorted(arrays, key=_rank)) or "none"


def _rank(number: str) -> tuple[int, str]:
    return (int(number) if number.isdecimal() else -1, number)
