"""Gradients of parts of tensors, and the sum of all gradients of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor, faces


@dataclass(frozen=True)
class Part:
    """The gradient of a part of a tensor, which is 0 elsewhere; a rule may return it in place of a gradient.

    Attributes:
        g: the gradient of the part, in the part's shape.
        at: which part it is, as `lay` understands it; a tensor of the numbers of rows, where the part is rows.
        lay: makes the gradient of a tensor of parts, ``lay(parts, shape, whole)``; `whole` is a gradient that they are
            added to, or None.
    """

    g: Tensor
    at: Any
    lay: Callable[[list[Part], Shape, Tensor | None], Tensor | None]


def total(*terms: Tensor | None) -> Tensor | None:
    """Return the sum of the gradients that there are."""
    whole: Tensor | None = None
    for term in terms:
        if term is not None:
            whole = term if whole is None else faces["add"](whole, term)
    return whole


class Sum:
    """The gradient of a tensor as it comes together.

    The terms are added in the order in which they come. Parts wait for each other, so that they are laid into one
    array. They wait no longer when they have more elements than the tensor: so neither what waits nor what is moved is
    ever much more than the parts themselves. Rows wait for the end, for their sum is rounded once: a loop, whose rows
    come at once, has the same sum as its steps one by one.

    Attributes:
        rows: the rows that wait.
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
        """Return the sum of all but the rows, None of nothing."""
        parts, self._parts, self._waiting = self._parts, [], 0
        return self._lay(parts)

    def value(self) -> Tensor | None:
        """Return the sum, None of nothing."""
        self.without_rows()
        rows, self.rows = self.rows, []
        return self._lay(rows)

    def taken(self) -> Tensor | None:
        """Return the sum of all but the rows, and begin again with nothing."""
        whole, self._whole = self.without_rows(), None
        return whole
