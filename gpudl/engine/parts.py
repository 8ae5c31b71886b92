"""Gradients of parts of tensors, and the accumulation of all gradients of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor, faces


@dataclass(frozen=True)
class Part:
    """The gradient of a part of a tensor, zero elsewhere; a rule may return it instead of a full gradient.

    Attributes:
        g: the gradient of the part, in the part's shape.
        at: the position of the part, as `lay` expects it; a tensor of row indices, if the part is rows.
        lay: assembles the gradient of a tensor from parts, ``lay(parts, shape, whole)``; `whole` is a gradient that
            they are added to, or None.
    """

    g: Tensor
    at: Any
    lay: Callable[[list[Part], Shape, Tensor | None], Tensor | None]


def total(*terms: Tensor | None) -> Tensor | None:
    """Return the sum of the gradients that are not None."""
    whole: Tensor | None = None
    for term in terms:
        if term is not None:
            whole = term if whole is None else faces["add"](whole, term)
    return whole


class Sum:
    """The accumulator of a tensor's gradient.

    The terms are added in order. Parts are collected, so that they can be assembled in one array, until they have more
    elements than the tensor: so neither the memory nor the writes are ever much more than the parts themselves. Rows
    are collected until the end, since their sum is rounded once: a loop, which adds the rows of all steps at once,
    gives the same sum as its steps one by one.

    Attributes:
        rows: the collected rows.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._whole: Tensor | None = None
        self._parts: list[Part] = []
        self._waiting = 0
        self.rows: list[Part] = []

    def add(self, term: Tensor | Part | None) -> None:
        """Add the gradient of one use of the tensor."""
        if not isinstance(term, Part):
            self._whole = total(self.without_rows(), term)
        elif isinstance(term.at, Tensor):
            self.rows.append(term)
        else:
            self._parts.append(term)
            self._waiting += term.g.size
            if self._waiting > prod(self._shape):
                self.without_rows()

    def _lay(self, parts: list[Part]) -> Tensor | None:
        for lay in dict.fromkeys(part.lay for part in parts):
            self._whole = lay([part for part in parts if part.lay == lay], self._shape, self._whole)
        return self._whole

    def without_rows(self) -> Tensor | None:
        """Return the sum of all but the rows, None if there are no terms."""
        parts, self._parts, self._waiting = self._parts, [], 0
        return self._lay(parts)

    def value(self) -> Tensor | None:
        """Return the sum, None if there are no terms."""
        self.without_rows()
        rows, self.rows = self.rows, []
        return self._lay(rows)

    def taken(self) -> Tensor | None:
        """Return the sum of all but the rows, and reset it."""
        whole, self._whole = self.without_rows(), None
        return whole
