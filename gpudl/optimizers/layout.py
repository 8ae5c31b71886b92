"""The memory layout of an optimizer's variables and slots: contiguous, so that one call updates many of them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypedDict

import numpy as np

from gpudl import backend
from gpudl.backend import Backend
from gpudl.engine.flat import FlatGroup, place_of
from gpudl.engine.spec import is_floating
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable


@dataclass
class Block:
    """Neighbours in a flat buffer that one optimizer came to know together, and their slots, in buffers alike.

    Attributes:
        group: has the values.
        start: where they begin there; the slots begin with them.
        decay: the attribute of the optimizer that says how much weight they lose at each update; "" for none.
        slots: flat buffers by name.
    """

    group: FlatGroup
    start: int
    decay: str
    slots: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Kept:
    """What an optimizer keeps for a variable: its slots, and the block that they lie in; None until it is laid.

    Attributes:
        number: how many variables came before.
    """

    variable: weakref.ref[Variable]
    slots: dict[str, Variable]
    number: int
    block: Block | None = None


@dataclass
class Run:
    """Neighbours that are updated by one call: their values, and their slots by name, as flat tensors.

    Attributes:
        members: the identities of the variables, in the order of the values.
    """

    members: list[int]
    flat: Tensor
    decay: str
    slots: dict[str, Tensor]


class _State(TypedDict):
    """The state of a layout for a copy: its arguments, and the variables with their slots and numbers."""

    names: list[str]
    starts: dict[str, float | None]
    came: list[tuple[Variable, dict[str, Variable], int]]


class Layout:
    """The slots of every variable that an optimizer has seen, for as long as the variable lives.

    A variable in a flat buffer stays there: several sets of variables, and several optimizers, can alternate, and no
    recorded step becomes stale.

    Args:
        names: names of the slots.
        starts: the initial values of slots, by name: a number, or None for the values of the variable; by default 0.
    """

    def __init__(self, names: Sequence[str], starts: Mapping[str, float | None] | None = None) -> None:
        self.names = list(names)
        self._starts = dict(starts or {})
        self._kept: dict[int, Kept] = {}  # by the identity of the variable, in the order in which they were added
        self._latest: tuple[list[int], list[Run]] = ([], [])

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

    def number_of(self, variable: Variable) -> int:
        """Return how many variables came before this one."""
        return self._kept[id(variable)].number

    def lay(self, variables: Sequence[Variable], decay: Callable[[Variable], str]) -> None:
        """Pack `variables` that are not in a group, and create slots for those that have none.

        Args:
            variables: distinct float variables.
            decay: names the attribute that says how much weight one loses at each update; "" for none.

        Raises:
            LayoutError: a step is being recorded, in which no variable can move.
        """
        new = [v for v in variables if not self._is_laid(v)]
        kinds: dict[tuple[Backend, np.dtype, str], list[Variable]] = {}
        for v in new:
            kinds.setdefault((backend.of(v.data), v.dtype, decay(v)), []).append(v)
        for members in kinds.values():
            alone = [v for v in members if place_of(v) is None]
            if alone:
                FlatGroup(alone)
        came = 1 + max((kept.number for kept in self._kept.values()), default=-1)
        strangers = [v for v in variables if id(v) not in self._kept]
        for number, v in enumerate(strangers, came):
            self._kept[id(v)] = Kept(weakref.ref(v, self._forgetting(id(v))), {}, number)
        for (*_, rate), members in kinds.items():
            for neighbours in _neighbours(members):
                self._add(neighbours, rate)

    def _is_laid(self, variable: Variable) -> bool:
        kept, place = self._kept.get(id(variable)), place_of(variable)
        return kept is not None and kept.block is not None and place is not None and kept.block.group is place.group

    def _add(self, neighbours: list[Variable], decay: str) -> None:
        """Make the slots of variables that follow one another in a group; those that there are move, with values."""
        first = place_of(neighbours[0])
        assert first is not None
        block = Block(first.group, first.start, decay)
        size = sum(v.size for v in neighbours)
        for name in self.names:
            flat = Tensor(first.group.on.empty((size,), neighbours[0].dtype))
            start = self._starts.get(name, 0.0)
            flat.data[...] = first.group.flat.data[first.start : first.start + size] if start is None else start
            block.slots[name] = flat
        at = 0
        for v in neighbours:
            kept = self._kept[id(v)]
            for name, flat in block.slots.items():
                part = flat.data[at : at + v.size].reshape(v.shape)
                if name in kept.slots:
                    kept.slots[name].rebind(part)
                else:
                    of = v.path.replace("/", "_")
                    kept.slots[name] = Variable.over(part, trainable=False, name=f"{of}_{name}")
            kept.block = block
            at += v.size
        self._latest = ([], [])

    def _forgetting(self, key: int) -> Callable[[object], None]:
        """Return what is called when a variable is gone; it does not keep the layout alive."""
        layout = weakref.ref(self)

        def forget(_: object) -> None:
            there = layout()
            if there is not None:
                there._kept.pop(key, None)
                there._latest = ([], [])

        return forget

    def runs(self, variables: Sequence[Variable]) -> list[Run]:
        """Return `variables`, all of them laid, in as few runs of neighbours as there are."""
        keys = list(map(id, variables))
        if self._latest[0] != keys:
            blocks: dict[int, list[Variable]] = {}
            for v in variables:
                blocks.setdefault(id(self._kept[id(v)].block), []).append(v)
            self._latest = keys, [self._run(each) for block in blocks.values() for each in _neighbours(block)]
        return self._latest[1]

    def _run(self, neighbours: list[Variable]) -> Run:
        block, first = self._kept[id(neighbours[0])].block, place_of(neighbours[0])
        assert block is not None
        assert first is not None
        size = sum(v.size for v in neighbours)
        at = first.start - block.start
        slots = {name: _part(flat, at, size) for name, flat in block.slots.items()}
        flat = _part(block.group.flat, first.start, size)
        return Run([id(v) for v in neighbours], flat, block.decay, slots)

    def __getstate__(self) -> _State:
        """Return what a copy needs: the variables with their slots. Its variables are laid when they are next used."""
        came = [(v, self.slots_of(v), self.number_of(v)) for v in self.variables]
        return {"names": self.names, "starts": self._starts, "came": came}

    def __setstate__(self, state: _State) -> None:
        """Become the copy."""
        Layout.__init__(self, state["names"], state["starts"])
        for v, slots, number in state["came"]:
            self._kept[id(v)] = Kept(weakref.ref(v, self._forgetting(id(v))), slots, number)


def _neighbours(variables: Iterable[Variable]) -> list[list[Variable]]:
    """Return variables that lie in groups, as lists of those that follow one another without a gap."""
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
