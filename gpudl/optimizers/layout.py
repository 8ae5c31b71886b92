"""The memory layout of an optimizer's variables and slots: contiguous, so that one call updates many of them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from gpudl import backend
from gpudl.engine.flat import FlatGroup, place_of
from gpudl.engine.spec import is_floating
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable


@dataclass
class Block:
    """Contiguous variables in a flat buffer that an optimizer has got together, and their slots, in buffers like it.

    Attributes:
        group: the group of the values.
        start: their offset in the group; the slots begin with them.
        decayed: whether weight decay applies to them.
        slots: flat buffers by name.
    """

    group: FlatGroup
    start: int
    decayed: bool
    slots: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Kept:
    """The state of an optimizer for a variable: its slots, and their block, None until it is packed."""

    variable: weakref.ref[Variable]
    slots: dict[str, Variable]
    block: Block | None = None


@dataclass
class Segment:
    """Contiguous variables that are updated by one call: their values, and their slots by name, as flat tensors.

    Attributes:
        members: the identities of the variables, in the order of the values.
    """

    members: list[int]
    flat: Tensor
    decayed: bool
    slots: dict[str, Tensor]


class Layout:
    """The slots of every variable that an optimizer has seen, for as long as the variable lives.

    A variable in a flat buffer stays there: several sets of variables, and several optimizers, can alternate, and no
    recorded step becomes stale.

    Args:
        names: names of the slots.
        start: initial value of the slots.
    """

    def __init__(self, names: Sequence[str], start: float) -> None:
        self.names = list(names)
        self._start = start
        self._kept: dict[int, Kept] = {}  # by the identity of the variable, in the order in which they were added
        self._latest: tuple[list[int], list[Segment]] = ([], [])

    @property
    def variables(self) -> list[Variable]:
        """The known variables that are alive, in the order in which they were added."""
        return [v for kept in list(self._kept.values()) if (v := kept.variable()) is not None]

    def knows(self, variable: Variable) -> bool:
        """Return whether there are slots for `variable`."""
        return id(variable) in self._kept

    def slots_of(self, variable: Variable) -> dict[str, Variable]:
        """Return the slots of a variable by name."""
        return self._kept[id(variable)].slots

    def lay(self, variables: Iterable[Variable], decayed: Callable[[Variable], bool]) -> None:
        """Pack `variables` that are not in a group, and create slots for those that have none.

        Args:
            variables: distinct float variables.
            decayed: returns whether weight decay applies to a variable.

        Raises:
            LayoutError: a step is being recorded, in which variables cannot be moved.
        """
        new = [v for v in variables if not self._is_laid(v)]
        kinds: dict[Any, list[Variable]] = {}
        for v in new:
            kinds.setdefault((backend.of(v.data), v.dtype, decayed(v)), []).append(v)
        for (*_, lose), members in kinds.items():
            alone = [v for v in members if place_of(v) is None]
            if alone:
                FlatGroup(alone)
            for neighbours in _neighbours(members):
                self._add(neighbours, lose)

    def _is_laid(self, variable: Variable) -> bool:
        kept, place = self._kept.get(id(variable)), place_of(variable)
        return kept is not None and kept.block is not None and place is not None and kept.block.group is place.group

    def _add(self, neighbours: list[Variable], decayed: bool) -> None:
        """Create the slots of contiguous variables of a group; existing slots are moved, with their values."""
        first = place_of(neighbours[0])
        assert first is not None
        block = Block(first.group, first.start, decayed)
        size = sum(v.size for v in neighbours)
        for name in self.names:
            flat = Tensor(first.group.on.empty((size,), neighbours[0].dtype))
            flat.data[...] = self._start
            block.slots[name] = flat
        at = 0
        for v in neighbours:
            kept = self._kept.get(id(v)) or Kept(weakref.ref(v, self._forgetting(id(v))), {})
            for name, flat in block.slots.items():
                part = flat.data[at : at + v.size].reshape(v.shape)
                if name in kept.slots:
                    kept.slots[name].rebind(part)
                else:
                    kept.slots[name] = Variable.over(part, trainable=False, name=f"{v.name}_{name}")
            kept.block = block
            self._kept[id(v)] = kept
            at += v.size
        self._latest = ([], [])

    def _forgetting(self, key: int) -> Callable[[object], None]:
        """Return the callback for the end of a variable, which does not keep the layout alive."""
        layout = weakref.ref(self)

        def forget(_: object) -> None:
            there = layout()
            if there is not None:
                there._kept.pop(key, None)
                there._latest = ([], [])

        return forget

    def segments(self, variables: Sequence[Variable]) -> list[Segment]:
        """Return `variables`, all of them packed, in as few contiguous segments as possible."""
        keys = list(map(id, variables))
        if self._latest[0] != keys:
            blocks: dict[int, list[Variable]] = {}
            for v in variables:
                blocks.setdefault(id(self._kept[id(v)].block), []).append(v)
            self._latest = keys, [self._segment(each) for block in blocks.values() for each in _neighbours(block)]
        return self._latest[1]

    def _segment(self, neighbours: list[Variable]) -> Segment:
        block, first = self._kept[id(neighbours[0])].block, place_of(neighbours[0])
        assert block is not None
        assert first is not None
        size = sum(v.size for v in neighbours)
        at = first.start - block.start
        slots = {name: _part(flat, at, size) for name, flat in block.slots.items()}
        flat = _part(block.group.flat, first.start, size)
        return Segment([id(v) for v in neighbours], flat, block.decayed, slots)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy: the variables with their slots, which are packed when they are next used."""
        pairs = [(v, self.slots_of(v)) for v in self.variables]
        return {"names": self.names, "start": self._start, "pairs": pairs}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the state of a copy."""
        self.__init__(state["names"], state["start"])  # type: ignore[misc]
        for v, slots in state["pairs"]:
            self._kept[id(v)] = Kept(weakref.ref(v, self._forgetting(id(v))), slots)


def _neighbours(variables: Iterable[Variable]) -> list[list[Variable]]:
    """Return variables of groups as lists of contiguous ones."""
    groups: dict[int, list[tuple[int, Variable]]] = {}
    for v in variables:
        place = place_of(v)
        assert place is not None
        groups.setdefault(id(place.group), []).append((place.start, v))
    runs = []
    for members in groups.values():
        members.sort(key=lambda pair: pair[0])
        before = 0

        def gap(pair: tuple[int, Variable]) -> int:
            nonlocal before
            skipped, before = pair[0] - before, before + pair[1].size
            return skipped

        runs += [[v for _, v in same] for _, same in groupby(members, gap)]
    return runs


def _part(flat: Tensor, start: int, size: int) -> Tensor:
    return flat if size == flat.size else Tensor(flat.data[start : start + size])


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
