"""An ONNX graph that grows: nodes, constants, and sizes that are known only when it is run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from gpudl.engine.spec import BFLOAT16, FLOAT32
from gpudl.engine.symbol import Pair

Size = tuple[int, int]
"""A size in both records; it is known where the two are equal."""
Attribute: TypeAlias = "int | float | str | Sequence[int] | Sequence[str] | np.dtype | Graph"

_MOST = 2**62  # beyond the end of any axis
_SMALL = 256  # bytes
_NEAR = 1e-6
UNKNOWN = "not known before the model is run. Give Input, or input_signature, a fixed size in place of None"


class NotExpressibleError(ValueError):
    """What the graph cannot say; the text is the end of a sentence."""


@dataclass(frozen=True)
class Node:
    """One operator.

    Attributes:
        kind: its name in ONNX.
        ins, outs: the names of what it reads, "" for what is left out, and of what it returns.
        attributes: its attributes; a dtype is one of ONNX's numbers for types, a graph is a body.
    """

    kind: str
    ins: tuple[str, ...]
    outs: tuple[str, ...]
    attributes: dict[str, Attribute]


@dataclass(frozen=True)
class Port:
    """An input or an output of a graph: its name, its dtype and its shape, with a name for each unknown size."""

    name: str
    dtype: np.dtype
    shape: tuple[int | str, ...] | None


def kept_in(dtype: np.dtype) -> np.dtype:
    """Return the dtype that values have in a file: float32 for bfloat16, with which hardly any operator computes."""
    return FLOAT32 if dtype == BFLOAT16 else dtype


@dataclass
class Graph:
    """Nodes in order, with the constants that they read.

    Args:
        outer: the graph around the body of a loop, whose values a body reads by name.

    Attributes:
        scope: the layer that nodes are made for, the beginning of their names.
        inputs, outputs: what it takes and returns.
        constants: arrays by name; those of bodies are in the outermost graph.
    """

    outer: Graph | None = None
    scope: str = ""
    nodes: list[Node] = field(default_factory=list)
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    _taken: dict[str, int] = field(default_factory=dict)
    _same: dict[object, str] = field(default_factory=dict)
    _places: dict[Size, tuple[str, int]] = field(default_factory=dict)
    _sizes: dict[Size, str] = field(default_factory=dict)
    _makers: dict[str, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Share names and constants with the graph around."""
        if self.outer is not None:
            self.constants, self._taken, self._same = self.outer.constants, self.outer._taken, self.outer._same

    def name(self, wanted: str) -> str:
        """Return a name that nothing else has."""
        count = self._taken[wanted] = self._taken.get(wanted, -1) + 1
        return self.name(f"{wanted}_{count}") if count else wanted

    def node(self, kind: str, *ins: str, **attributes: Attribute) -> str:
        """Add an operator, and return the name of its result."""
        return self.nodes_of(1, kind, *ins, **attributes)[0]

    def made_by(self, name: str) -> Node | None:
        """Return the node of this graph that returns `name`, None for inputs, constants and what is outside."""
        return self._makers.get(name)

    def rename(self, name: str, to: str) -> None:
        """Return the value `name` as the output `to`."""
        self.nodes.append(Node("Identity", (name,), (to,), {}))

    def nodes_of(self, count: int, kind: str, *ins: str, **attributes: Attribute) -> tuple[str, ...]:
        """Add an operator with so many results, and return their names."""
        made = tuple(self.name(f"{self.scope}/{kind}" if self.scope else kind) for _ in range(count))
        self.nodes.append(Node(kind, ins, made, attributes))
        self._makers.update(dict.fromkeys(made, self.nodes[-1]))
        return made

    def constant(self, array: np.ndarray | np.generic, name: str = "constant") -> str:
        """Return the name of a constant; equal small ones are one."""
        held = np.asarray(array, kept_in(array.dtype))
        key = (held.dtype.str, held.shape, held.tobytes()) if held.nbytes <= _SMALL else object()
        if key not in self._same:
            self._same[key] = self.name(name)
            self.constants[self._same[key]] = held
        return self._same[key]

    def ints(self, *numbers: int) -> str:
        """Return the name of a vector of integers."""
        return self.constant(np.array(numbers, np.int64))

    def number(self, value: float, dtype: np.dtype) -> str:
        """Return the name of a number."""
        return self.constant(np.array(value, kept_in(dtype)))

    def cast(self, x: str, to: np.dtype) -> str:
        """Return x in another dtype; in bfloat16 it is rounded, but kept in float32."""
        if to == BFLOAT16:
            return self.node("Cast", self.node("Cast", x, to=to), to=FLOAT32)
        return self.node("Cast", x, to=to)

    def know(self, name: str, pair: Pair) -> None:
        """Remember the value `name`, from which unknown sizes can be read when the graph is run."""
        for axis, size in enumerate(pair.sizes):
            if size[0] != size[1]:
                self._places.setdefault(size, (name, axis))

    def shape(self, sizes: Iterable[Size]) -> str:
        """Return the name of a vector of sizes."""
        parts: list[list[int] | str] = [[]]
        for size in sizes:
            if size[0] != size[1]:
                parts += [self.size(size), []]
            else:
                parts[-1].append(size[0])  # type: ignore[union-attr]
        names = [part if isinstance(part, str) else self.ints(*part) for part in parts if part]
        return self.ints() if not names else names[0] if len(names) == 1 else self.node("Concat", *names, axis=0)

    def size(self, size: Size) -> str:
        """Return the name of a vector of one size.

        Raises:
            NotExpressibleError: it is unknown, and no value has it, nor one that it can be computed from.
        """
        if size[0] == size[1]:
            return self.ints(size[0])
        if size not in self._sizes:
            self._sizes[size] = self._computed(size)
        return self._sizes[size]

    def _known(self) -> dict[Size, tuple[str, int]]:
        return self._places if self.outer is None else {**self.outer._known(), **self._places}

    def _read(self, size: Size) -> str:
        name, axis = self._known()[size]
        return self.node("Shape", name, start=axis, end=axis + 1)

    def _computed(self, size: Size) -> str:
        known = self._known()
        if size in known:
            return self._read(size)
        for one in known:
            if size[0] % one[0] == 0 and size[0] // one[0] * one[1] == size[1]:
                return self.node("Mul", self.size(one), self.ints(size[0] // one[0]))
        for one in known:
            for two in known:
                both = one[0] * two[0], one[1] * two[1]
                if size[0] % both[0] == 0 and size[0] // both[0] * both[1] == size[1]:
                    product = self.node("Mul", self.size(one), self.size(two))
                    return self.node("Mul", product, self.ints(size[0] // both[0]))
        for one in known:
            if size[0] - one[0] == size[1] - one[1]:
                return self.node("Add", self.size(one), self.ints(size[0] - one[0]))
        raise NotExpressibleError(f"it needs a size that no value has, and that is {UNKNOWN}")

    def value(self, first: np.ndarray, second: np.ndarray) -> str:
        """Return the name of a constant that differs between the records: of a size, or of numbers in a row.

        Raises:
            NotExpressibleError: how it depends on sizes is not clear.
        """
        if not first.shape and first and second:
            found = self._of_a_size(float(first), float(second))
            if found is not None:
                size, factor, inverse = found
                held = self.cast(self.node("Squeeze", size, self.ints(0)), first.dtype)
                scale = self.number(factor, first.dtype)
                return self.node("Div", scale, held) if inverse else self.node("Mul", held, scale)
        if first.ndim == second.ndim and first.size > 1 and second.size > 1:
            sizes = list(zip(first.shape, second.shape, strict=True))
            start, step = first.flat[0], first.flat[1] - first.flat[0]
            if (first == start).all() and (second == start).all():
                return self.node("Expand", self.constant(start), self.shape(sizes))
            rows = (np.array_equal(a.ravel(), start + step * np.arange(a.size, dtype=a.dtype)) for a in (first, second))
            if max(first.shape) == first.size and all(rows):
                return self._row(sizes, (first.size, second.size), start, step)
        raise NotExpressibleError(f"it reads numbers that depend on a size that is {UNKNOWN}")

    def _of_a_size(self, first: float, second: float) -> tuple[str, float, bool] | None:
        """Return a size, a factor, and whether a number is the factor divided by the size, not times it."""
        for inverse in (False, True):
            a, b = (1 / first, 1 / second) if inverse else (first, second)
            if abs(a - round(a)) < _NEAR * abs(a) and abs(b - round(b)) < _NEAR * abs(b):
                try:
                    return self.size((round(a), round(b))), 1.0, inverse
                except NotExpressibleError:
                    pass
            for one in self._known():
                if abs(a / one[0] - b / one[1]) < _NEAR * abs(a / one[0]):
                    return self.size(one), one[0] / a if inverse else a / one[0], inverse
        return None

    def numbers(self, count: Size) -> str:
        """Return 0, 1, ... up to a size."""
        if count[0] == count[1]:
            return self.ints(*range(count[0]))
        zero, one = (self.number(n, np.dtype(np.int64)) for n in (0, 1))
        return self.node("Range", zero, self.node("Squeeze", self.size(count), self.ints(0)), one)

    def _row(self, sizes: list[Size], count: Size, start: np.generic, step: np.generic) -> str:
        scaled = self.node("Mul", self.cast(self.numbers(count), start.dtype), self.constant(step))
        return self.node("Reshape", self.node("Add", scaled, self.constant(start)), self.shape(sizes))

    def slice(self, x: str, axis: int, start: int | str, end: int | str | None = None, step: int = 1) -> str:
        """Return the part of x along an axis."""
        ends = self.ints(_MOST) if end is None else self.ints(end) if isinstance(end, int) else end
        starts = self.ints(start) if isinstance(start, int) else start
        return self.node("Slice", x, starts, ends, self.ints(axis), self.ints(step))
