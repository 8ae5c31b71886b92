"""Weights of a model and of its optimizer as arrays by path, whatever file they go to or come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gpudl.engine.state import warn_user
from gpudl.engine.variable import Variable
from gpudl.layers import Layer
from gpudl.metrics import Metric
from gpudl.optimizers import Optimizer
from gpudl.saving.parts import parts_of
from gpudl.saving.stored import (
    OnHost,
    Pair,
    Saved,
    StoredArray,
    StoredWeights,
    fill,
    fits,
    leave_or_refuse,
    read_array,
)


class _Found(NamedTuple):
    """What a file has for a part of a model.

    Attributes:
        path: where in the file.
        part: the layer, metric or optimizer.
        arrays: arrays in the file, by number, as text; they are not read yet.
    """

    path: str
    part: Layer | Metric | Optimizer
    arrays: Mapping[str, StoredArray]


def saved_parts(model: Layer) -> Iterator[Saved]:
    """Yield what each part of a model saves, and its optimizer."""
    values = OnHost()
    for path, part in (*parts_of(model), *_optimizer_of(model)):
        arrays: dict[str, np.ndarray] = {}
        if isinstance(part, Layer) and _has_own(part, "save_own_variables"):
            part.save_own_variables(arrays)
        else:
            arrays = {number: values.array(variable) for number, variable in _variables(part).items()}
        yield Saved(f"{path}/vars".lstrip("/"), part.name, arrays)


def read_weights(model: Layer, weights: StoredWeights, source: Path, skip_mismatch: bool = False) -> None:
    """Set the weights of a model and the state of its optimizer from an open file; see `saving.load_weights`."""
    fitting = []
    for path, part in parts_of(model):
        found = _Found(path, part, weights.arrays(path))
        problem = _problem(found)
        if problem is None:
            fitting.append(found)
        else:
            leave_or_refuse(source, part.name, problem, skip_mismatch)
    for name, optimizer in _optimizer_of(model):
        found = _Found(name, optimizer, weights.arrays(name))
        if found.arrays:
            if len(found.arrays) > len(optimizer.variables):  # it has been applied, and has slots
                optimizer.build(model.trainable_variables)
            problem = _problem(found)
            if problem is None:
                fitting.append(found)
            else:
                warn_user(f"load_weights leaves the optimizer as it is: {problem}")
    plain = [found for found in fitting if not _loads_itself(found.part)]
    fill(Pair(own, found.arrays[key]) for found in plain for key, own in _variables(found.part).items())
    for found in fitting:
        if isinstance(found.part, Layer) and _loads_itself(found.part):
            found.part.load_own_variables({name: read_array(stored) for name, stored in found.arrays.items()})


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


def _loads_itself(part: Layer | Metric | Optimizer) -> bool:
    return isinstance(part, Layer) and _has_own(part, "load_own_variables")


def _has_own(part: Layer, method: str) -> bool:
    return not part._saved_as_they_are or getattr(type(part), method) is not getattr(Layer, method)


def _variables(part: Layer | Metric | Optimizer) -> dict[str, Variable]:
    """Return the variables that a part saves, without what is inside it."""
    own = part._stored() if isinstance(part, Layer) else part.variables
    return {str(number): variable for number, variable in enumerate(own)}


def _problem(found: _Found) -> str | None:
    """Return why the arrays of a file do not fit a part, in a sentence; None where they do."""
    _, part, arrays = found
    own = _variables(part)
    if _loads_itself(part):
        return None
    if {k: v.shape for k, v in own.items()} != {k: a.shape for k, a in arrays.items()}:
        return (
            f"{type(part).__name__} {part.name!r} has weights of shapes {_shapes(own)}, and the file has "
            f"{_shapes(arrays)} at {found.path or 'its root'}."
        )
    for number, variable in own.items():
        if not fits(variable.dtype, arrays[number].dtype, also_whole=isinstance(part, Optimizer)):
            return (
                f"the weight {variable.name!r} of {type(part).__name__} {part.name!r} is {variable.dtype}, and the "
                f"file has {arrays[number].dtype} at {found.path or 'its root'}, which are numbers of another kind."
            )
    return None


def _shapes(arrays: Mapping[str, Variable | StoredArray]) -> str:
    return ", ".join(str(arrays[number].shape) for number in sorted(arrays, key=_rank)) or "none"


def _rank(number: str) -> tuple[int, str]:
    return (int(number) if number.isdecimal() else -1, number)
