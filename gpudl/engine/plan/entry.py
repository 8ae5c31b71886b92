"""What a recorded step is called with, and a plan that is ready for such a call."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Protocol, TypeAlias

from gpudl.backend import Array
from gpudl.engine.plan.ir import members
from gpudl.engine.plan.plan import Plan
from gpudl.engine.plan.record import SHARE, Record, budget
from gpudl.engine.spec import Spec
from gpudl.engine.state import seen
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import map_leaves
from gpudl.engine.variable import Variable

_INSTRUCTION = 4096  # bytes that an instruction takes on the host, about: what was recorded, and the bound call


class Cursor(Protocol):
    """The place in a data set at which feeds read, which a step moves on.

    Attributes:
        stays: whether it lies in the device's memory, so that reading and moving on can be parts of a graph.
    """

    stays: bool

    def advance(self) -> None:
        """Go on to what the next step reads."""


class Feed(Protocol):
    """An input that writes itself into a buffer, such as rows gathered from a data set.

    Attributes:
        spec: what it writes.
        cursor: where it reads; None if that is not for a step to move.
    """

    spec: Spec
    cursor: Cursor | None

    def write(self, out: Array) -> None:
        """Fill `out`, an array of `spec`."""


Leaf: TypeAlias = "bool | float | str | Tensor | Feed | None"
"""What is made of it: what is no constant is a tensor or a feed."""


class Entry:
    """A plan with its arguments, the buffers of its inputs and the nest of its results.

    Attributes:
        plan: what is replayed.
        record: what it was made of.
        buffers: the arrays that hold the inputs.
        results: what the step returns, in the plan's own arrays.
        nbytes: the memory that all of this takes, about.
        used: when it was looked up last, counted in look-ups.
    """

    used = 0

    def __init__(self, plan: Plan, record: Record, leaves: list[Leaf], buffers: list[Array], results: Any) -> None:
        self.plan = plan
        self.record = record
        self.confirmed(record)
        # Kept alive, so that no other variable gets the identity of one of them.
        self.variables = [leaf for leaf in leaves if isinstance(leaf, Variable)]
        self.buffers = buffers
        returned = iter(plan.returned)
        self.results = map_leaves(lambda t: None if t is None else Tensor(next(returned)), results)
        fed = sum(int(buffer.nbytes) for buffer in buffers)
        count = sum(1 for step in record.instructions for _ in members(step))
        self.nbytes = plan.nbytes + plan.kept + fed + _INSTRUCTION * (1 + count)

    def confirmed(self, by: Record) -> None:
        """Note a record that is the same, so that this one holds as from then."""
        self.seen, self._due = by.seen, by.at + by.took / SHARE

    def is_doubtful(self) -> bool:
        """Tell whether it is time to look whether the step computes something else now than when it was recorded."""
        return self.seen != seen[0] or (perf_counter() > self._due and budget.is_ample())
