"""The inputs of a recorded step, and a plan with its input buffers and results."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Protocol, TypeAlias

from gpudl.backend import Array
from gpudl.engine.plan.ir import members
from gpudl.engine.plan.plan import Plan
from gpudl.engine.plan.record import SHARE, Record, budget
from gpudl.engine.spec import Spec
from gpudl.engine.state import seen
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import map_leaves
from gpudl.engine.variable import Variable

_INSTRUCTION = 4096  # approximate bytes of an instruction on the host, recorded and bound


class Cursor(Protocol):
    """The position in a data set at which feeds read, which a step advances.

    Attributes:
        stays: whether it is in the device's memory, so that reading and advancing can be parts of a CUDA graph.
    """

    stays: bool

    def advance(self) -> None:
        """Advance to the position of the next step."""


class Feed(Protocol):
    """An input that writes itself into a buffer, such as rows gathered from a data set.

    Attributes:
        spec: spec of the array that it writes.
    """

    spec: Spec

    def write(self, out: Array) -> None:
        """Fill `out`, an array of `spec`."""


class ReadingFeed(Feed, Protocol):
    """A feed whose position the step advances.

    Attributes:
        cursor: the position at which it reads.
    """

    cursor: Cursor

    def bound(self, out: Array) -> Callable[[], None]:
        """Return a call without arguments that fills `out`."""


Leaf: TypeAlias = "bool | float | str | Tensor | Feed | None"
"""An argument of a step: a constant, a tensor or a feed."""


class Entry:
    """A plan with its arguments, the buffers of its inputs and the nest of its results.

    Attributes:
        plan: what is replayed.
        record: the record it was made from.
        buffers: the arrays that hold the inputs.
        results: the nest that the step returns, in the plan's own arrays.
        nbytes: approximate memory of all this, in bytes.
        used: the number of the last look-up that found it.
    """

    used = 0

    def __init__(self, plan: Plan, record: Record, leaves: list[Leaf], buffers: list[Array], results: object) -> None:
        self.plan = plan
        self.record = record
        self.confirmed(record)
        # Kept alive, so that no other variable can get the identity of one of them.
        self.variables = [leaf for leaf in leaves if isinstance(leaf, Variable)]
        self.buffers = buffers
        returned = iter(plan.returned)
        self.results = map_leaves(lambda t: None if t is None else Tensor(next(returned)), results)
        fed = sum(int(buffer.nbytes) for buffer in buffers)
        count = sum(1 for step in record.instructions for _ in members(step))
        self.nbytes = plan.nbytes + fed + _INSTRUCTION * (1 + count)

    def confirmed(self, by: Record) -> None:
        """Record that `by`, a newer record, is equal, so that this entry is valid as of then."""
        self.seen, self._due = by.seen, by.at + by.took / SHARE

    def is_doubtful(self) -> bool:
        """Return whether it is time to check that the step would still be recorded in the same way."""
        return self.seen != seen[0] or (perf_counter() > self._due and budget.is_ample())
