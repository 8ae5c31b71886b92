"""The calls of a graph, and references to what they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpudl.engine.tree import map_leaves
from gpudl.models.given_inputs import sorted_leaves


@dataclass(frozen=True)
class Place:
    """A reference in a nest to a value of the graph.

    Attributes:
        step: the number of the call that computes it.
        position: its position among the flattened results of the call.
    """

    step: int
    position: int


@dataclass(frozen=True)
class Step:
    """A call of the graph, as `Call`, with a `Place` for each symbol; that of an input has no arguments."""

    operation: Any
    args: tuple[object, ...]
    kwargs: dict[str, object]
    results: Any
    index: int

    @property
    def places(self) -> list[Place]:
        """The places of the values among the arguments, those in a dict in the order of its keys."""
        return [leaf for leaf in sorted_leaves((self.args, self.kwargs)) if isinstance(leaf, Place)]


def filled(nest: object, values: Sequence[Sequence[object]]) -> Any:
    """Return `nest` with the value of each `Place` in it."""
    return map_leaves(lambda v: values[v.step][v.position] if type(v) is Place else v, nest)
