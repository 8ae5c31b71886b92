"""The table of what each op is in ONNX, and one application of an op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gpudl.backend import Static
from gpudl.engine.spec import Shape, Spec
from gpudl.engine.symbol import Pair
from gpudl.export.graph import UNKNOWN, Attribute, Graph, NotExpressibleError, Size


@dataclass
class Edge:
    """A value in a graph.

    Attributes:
        pair: its specs in both records.
        named: its name, or a function that adds it to the graph when it is first read.
        constant: what it is always, where that is known.
        fill: the number that all its elements are, where that is known.
        maker: the call that made it.
    """

    pair: Pair
    named: str | Callable[[], str]
    constant: np.ndarray | None = None
    fill: float | None = None
    maker: Call | None = None

    @property
    def name(self) -> str:
        """Its name in the graph."""
        if not isinstance(self.named, str):
            self.named = self.named()
        if not self.named:
            raise NotExpressibleError("one of the results that it reads is no result of an operator of ONNX")
        return self.named

    @property
    def spec(self) -> Spec:
        """Its spec in the first record."""
        return self.pair.first


@dataclass
class Call:
    """One application of an op, to be said in ONNX.

    Attributes:
        graph: where to.
        op: the name of the op.
        ins: its inputs.
        outs: the specs of its results.
        static, other: its static arguments in both records.
        read: for each result whether it is read.
    """

    graph: Graph
    op: str
    ins: list[Edge]
    outs: list[Pair]
    static: Static = field(default_factory=dict)
    other: Static = field(default_factory=dict)
    read: list[bool] = field(default_factory=list)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the first result."""
        return self.outs[0].first.dtype

    def node(self, kind: str, *ins: str, **attributes: Attribute) -> str:
        """Add an operator, and return the name of its result."""
        return self.graph.node(kind, *ins, **attributes)

    def typed(self, position: int = 0) -> str:
        """Return an input cast to the dtype of the first result."""
        edge = self.ins[position]
        return edge.name if edge.spec.dtype == self.dtype else self.graph.cast(edge.name, self.dtype)

    def fixed(self, *axes: int, position: int = 0) -> Shape:
        """Return sizes of an input that must be known; `axes` are those wanted.

        Raises:
            NotExpressibleError: one of them is unknown.
        """
        sizes = self.ins[position].pair.sizes
        if any(sizes[axis][0] != sizes[axis][1] for axis in axes):
            raise NotExpressibleError(f"it needs a size that is {UNKNOWN}")
        return tuple(sizes[axis][0] for axis in axes)

    def transposed(self, x: str, axes: Sequence[int]) -> str:
        """Return x with its axes in another order; two turns that undo each other are none, a constant is turned."""
        order = tuple(axes)
        if order == tuple(range(len(order))):
            return x
        if x in self.graph.constants:
            return self.graph.constant(np.ascontiguousarray(self.graph.constants[x].transpose(order)), f"{x}/turned")
        before = self.graph.made_by(x)
        if before is not None and before.kind == "Transpose":
            first = before.attributes["perm"]
            assert isinstance(first, tuple)
            return self.transposed(before.ins[0], tuple(first[axis] for axis in order))
        return self.node("Transpose", x, perm=order)

    def sizes(self, out: int = 0) -> list[Size]:
        """Return the sizes of a result in both records."""
        return self.outs[out].sizes


Translator = Callable[..., "str | Sequence[str]"]
TABLE: dict[str, Translator] = {}
"""For each op a function ``(call, *names of the inputs, **static)`` that returns the names of the results."""


def translates(*names: str) -> Callable[[Translator], Translator]:
    """Enter a function in the table as what the ops of these names are in ONNX."""

    def enter(function: Translator) -> Translator:
        TABLE.update(dict.fromkeys(names, function))
        return function

    return enter
