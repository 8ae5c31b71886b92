"""The layers of a graph that work on the host, and are called on data before the step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gpudl import backend
from gpudl.engine.spec import TEXT
from gpudl.engine.state import TracingError, state
from gpudl.engine.symbol import Pair
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten
from gpudl.layers.preprocessing.host import array_of
from gpudl.models.given_inputs import fitting
from gpudl.models.steps import Place, Step, filled


class HostPart:
    """The calls of a graph that the host makes: of its layers, and all that these depend on.

    Args:
        steps: the calls of the graph, those of its inputs first.
        entries: the number of inputs.
        host: the numbers of the calls of the host, and of the inputs that they need.
        outs: the places of the outputs.
    """

    def __init__(self, steps: Sequence[Step], entries: int, host: set[int], outs: list[Place]) -> None:
        self._steps, self._entries = steps, entries
        self._host = sorted(host - set(range(entries)))
        self._device = [number for number in range(entries, len(steps)) if number not in host]
        wanted = [*(place for number in self._device for place in steps[number].places), *outs]
        places = {place for place in wanted if place.step in host or place.step < entries}
        self._places = {self._name(place): place for place in sorted(places, key=lambda p: (p.step, p.position))}

    @classmethod
    def of(cls, steps: Sequence[Step], entries: int, outs: list[Place]) -> HostPart | None:
        """Return the part of a graph on the host; None where it has no layer that works there."""
        found = {number for number, step in enumerate(steps) if getattr(step.operation, "on_host", False)}
        for number in reversed(range(len(steps))):
            if number in found:
                found.update(place.step for place in steps[number].places)
        return cls(steps, entries, found, outs) if found else None

    def _name(self, place: Place) -> str:
        step = self._steps[place.step]
        return f"{step.operation.name}[{step.index}][{place.position}]"

    def has_prepared(self, inputs: object) -> bool:
        """Return whether `inputs` are what `prepared` returns, and not data."""
        return isinstance(inputs, dict) and inputs.keys() == self._places.keys()

    def prepared(self, inputs: Sequence[np.ndarray], who: str) -> dict[str, object]:
        """Return what the calls on the device take, by name, from an array for each input.

        Raises:
            ValueError: a layer on the host returns text for the device.
        """
        entries = zip(inputs, self._steps, strict=False)
        values: list[list[object]] = [[_fitted(array, step.results)] for array, step in entries]
        values += [[] for _ in self._steps[self._entries :]]
        for number in self._host:
            step = self._steps[number]
            values[number] = _computed(step.operation, *filled((step.args, step.kwargs), values))
        found = {name: values[place.step][place.position] for name, place in self._places.items()}
        for name, value in found.items():
            if getattr(value, "dtype", TEXT).kind in "OSU" and value is not None:
                raise ValueError(
                    f"{who}: {name} is text, which no step computes with. Call the layers that return text on the "
                    "predictions, outside the model."
                )
        return found

    def known(self, inputs: Any, who: str) -> tuple[list[list[object]], Sequence[int]]:
        """Return the values of the graph that `prepared` has returned, and the numbers of the calls that remain."""
        values: list[list[object]] = [[] for _ in self._steps]
        for name, place in self._places.items():
            step = self._steps[place.step]
            value = inputs[name]
            if place.step < self._entries:
                value = fitting(value, step.operation, step.results, who)
            row = values[place.step]
            row += [None] * (place.position + 1 - len(row))
            row[place.position] = value
        return values, self._device


def host_arrays(given: Nest[object], who: str) -> Nest[np.ndarray]:
    """Return a nest of data as arrays on the host; lists without an array in them are one.

    Raises:
        TracingError: they have no values, or none that the host knows.
    """
    leaves = flatten(given)[0]
    if state.recorder is not None or any(isinstance(leaf, Tensor) and leaf.data is None for leaf in leaves):
        raise TracingError(
            f"{who} begins with layers that work on the host, which a recorded step cannot, nor a model inside another "
            "one. Call these layers on the Input of the outer model, and the rest on what they return."
        )
    if isinstance(given, Mapping):
        return {name: host_arrays(value, who) for name, value in given.items()}
    if isinstance(given, list | tuple) and any(hasattr(leaf, "shape") or hasattr(leaf, "to_numpy") for leaf in leaves):
        return [host_arrays(value, who) for value in given]
    return array_of(given, who)


def _fitted(array: np.ndarray, pair: Pair) -> np.ndarray:
    """Return an array in the shape and dtype of its input; an axis of size 1 at the end may be missing."""
    if array.ndim == len(pair.shape) - 1 and pair.shape[-1] == 1:
        array = array[..., None]
    return array if pair.first.dtype == TEXT else array.astype(pair.first.dtype, copy=False)


def _computed(function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> list[object]:
    """Return the results of a call on the host, arrays in place of tensors."""
    with backend.device("cpu"):
        results = flatten(function(*args, **kwargs))[0]
    return [leaf.numpy() if isinstance(leaf, Tensor) else leaf for leaf in results]
