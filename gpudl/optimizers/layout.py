"""Where an optimizer's variables and slots lie: side by side, in one buffer for each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpudl import backend
from gpudl.engine.flat import FlatGroup
from gpudl.engine.spec import is_floating
from gpudl.engine.tensor import Tensor, Variable


@dataclass
class Group:
    """Variables that are updated together: one dtype, all with weight decay or all without."""

    variables: list[Variable]
    flat: Tensor
    decayed: bool
    slots: dict[str, Tensor] = field(default_factory=dict)


class Layout:
    """Variables moved into flat buffers, with the slots that belong to them.

    Args:
        variables: distinct float variables, at least one.
        decayed: tells which of them lose weight at each update.
        names: names of the slots.
        start: what new slots are filled with.
        before: the layout up to now; its variables keep their slots, which move.

    Raises:
        TypeError, ValueError: no float variables, or one of them twice.
        TracingError: a step is being recorded, in which no variable can move.
    """

    def __init__(
        self,
        variables: Sequence[Variable],
        decayed: Callable[[Variable], bool],
        names: Sequence[str],
        start: float,
        before: Layout | None,
    ) -> None:
        check(variables)
        self.variables = list(variables)
        self.slots: dict[int, dict[str, Variable]] = {id(v): {} for v in variables}
        kinds: dict[Any, list[Variable]] = {}
        for v in variables:
            kinds.setdefault((backend.of(v.data), v.dtype, decayed(v)), []).append(v)
        kept = {} if before is None else before.slots
        self.groups = [self._group(members, kind[-1], names, start, kept) for kind, members in kinds.items()]
        self._places = [v.data for v in variables]

    def _group(
        self,
        members: list[Variable],
        decayed: bool,
        names: Sequence[str],
        start: float,
        kept: dict[int, dict[str, Variable]],
    ) -> Group:
        buffers = FlatGroup(members)
        group = Group(members, buffers.flat, decayed)
        for name in names:
            flat, parts = buffers.slot(name)
            flat.data[...] = start
            group.slots[name] = flat
            for variable, part in zip(members, parts, strict=True):
                slot = kept.get(id(variable), {}).get(name, part)
                if slot is not part:
                    slot.rebind(part.data)
                self.slots[id(variable)][name] = slot
        return group

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle is made of: its variables lie apart, until they are laid side by side anew."""
        return {"variables": self.variables, "slots": [self.slots[id(v)] for v in self.variables]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.variables = state["variables"]
        self.slots = {id(v): slots for v, slots in zip(self.variables, state["slots"], strict=True)}
        self.groups = []
        self._places = [None] * len(self.variables)

    def holds(self, variables: Sequence[Variable]) -> bool:
        """Tell whether it was made for these variables, and none has been moved since."""
        return len(variables) == len(self.variables) and all(
            new is old and new.data is place
            for new, old, place in zip(variables, self.variables, self._places, strict=True)
        )


def check(variables: Sequence[object]) -> None:
    """Raise unless `variables` are distinct float variables, at least one."""
    if not variables:
        raise ValueError("there are no variables to optimize. Build the model first, or unfreeze some layers.")
    for v in variables:
        if not isinstance(v, Variable):
            raise TypeError(f"an optimizer changes gpudl.Variable objects, got {type(v).__name__}.")
        if not is_floating(v.dtype):
            raise TypeError(f"variable {v.path!r} is {v.dtype}, and only floats can be optimized.")
    if len({id(v) for v in variables}) != len(variables):
        raise ValueError("a variable is given twice. List each one once.")
