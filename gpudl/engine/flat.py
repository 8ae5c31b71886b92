"""Many variables packed into one buffer, so that one kernel updates them all."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from gpudl import backend
from gpudl.backend import Array
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable


class FlatGroup:
    """Variables of one dtype whose values are contiguous in `flat`; the group does not keep the variables alive.

    Args:
        variables: variables that are moved to the group's buffer, in this order; their values stay the same.
    """

    def __init__(self, variables: Sequence[Variable]) -> None:
        self._members = [(v.name, v.shape, v.size) for v in variables]
        self._dtype = variables[0].dtype
        self.on = backend.of(variables[0].data)
        self.flat = self._buffer()
        start = 0
        for variable, part in zip(variables, self.parts(self.flat), strict=True):
            variable.rebind(part)
            forget = partial(_forget, _places, id(variable))
            _places[id(variable)] = Place(self, start, part, weakref.ref(variable, forget))
            start += variable.size

    def _buffer(self) -> Tensor:
        return Tensor(self.on.empty((sum(size for *_, size in self._members),), self._dtype))

    def parts(self, flat: Tensor) -> list[Array]:
        """Return the variables' views of a buffer like `flat`, in their shapes."""
        views, start = [], 0
        for _, shape, size in self._members:
            views.append(flat.data[start : start + size].reshape(shape))
            start += size
        return views

    def slot(self, name: str) -> tuple[Tensor, list[Variable]]:
        """Return a buffer of zeros like `flat`, and its parts as variables named after those of the group."""
        flat = self._buffer()
        flat.data[...] = 0
        named = zip(self._members, self.parts(flat), strict=True)
        return flat, [Variable.over(part, trainable=False, name=f"{own}_{name}") for (own, *_), part in named]


@dataclass(frozen=True)
class Place:
    """The position of a variable: in `group`, from element `start` on; `part` is its memory."""

    group: FlatGroup
    start: int
    part: Array
    variable: weakref.ref[Variable]


_places: dict[int, Place] = {}  # by the identity of the variable; removed when the variable is freed


def _forget(places: dict[int, Place], key: int, _: object) -> None:
    places.pop(key, None)


def place_of(variable: Variable) -> Place | None:
    """Return the place of `variable`, or None if its memory is not part of a flat buffer.

    Example:
        >>> a, b = gpudl.Variable([1.0, 2.0]), gpudl.Variable([3.0])
        >>> place_of(b) is None
        True
        >>> group = FlatGroup([a, b])
        >>> place_of(b).group is group, place_of(b).start, group.flat.numpy()
        (True, 2, array([1., 2., 3.], dtype=float32))
    """
    place = _places.get(id(variable))
    return place if place is not None and place.part is variable.data else None
