"""The body of a loop, recorded once, in a record of its own within that of the enclosing step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gpudl.engine.grad import Key, key_of
from gpudl.engine.plan.ir import Applied
from gpudl.engine.plan.recorder import Recorder
from gpudl.engine.spec import Spec, is_floating
from gpudl.engine.state import state
from gpudl.engine.tensor import Tensor
from gpudl.engine.value import Value


@dataclass(frozen=True, slots=True)
class Fed:
    """An input of a body that differs in each iteration.

    Attributes:
        source: its value in the enclosing record: the initial value of a carry, or the rows of all iterations.
        leaf: the tensor that the body computes with.
        slot: the value of the leaf in the record of the body.
    """

    source: Tensor
    leaf: Tensor
    slot: Value


class Forward(Protocol):
    """A loop whose values another loop, which computes its gradient, reads in each iteration.

    Attributes:
        body: the body of the loop.
    """

    body: Body

    def rows(self, tensor: Tensor) -> Tensor:
        """Return the values of a tensor of the body in all iterations, as rows."""


class Body(Recorder):
    """Records one iteration of a loop.

    Args:
        outer: the recorder of the enclosing step.
        forward: the loop whose gradient this one computes.

    Attributes:
        carries: the values that are passed from each iteration to the next.
        streams: the values that have a row for each iteration.
        captured: the values of the enclosing record that it reads, by their values there; variables are the same in
            both.
        tensors: the tensors of the enclosing record that it reads, by their keys in the graph.
    """

    def __init__(self, outer: Recorder, forward: Forward | None = None) -> None:
        super().__init__(outer.recording.on, outer.lines)
        self.outer = outer
        self.variables, self.born, self.fed = outer.variables, outer.born, outer.fed
        self.carries: list[Fed] = []
        self.streams: list[Fed] = []
        self.captured: dict[Value, Value] = {}
        self.tensors: dict[Key, Tensor] = {}
        self._forward = forward
        self._rows: dict[Value, Value] = {}  # the slots of the values that are read from the forward loop

    def carry(self, init: Tensor) -> Tensor:
        """Return the tensor of the body for a carry with the initial value `init`."""
        return self._feed(self.carries, init, init.spec)

    def stream(self, rows: Tensor) -> Tensor:
        """Return the tensor of the body for a row of `rows`."""
        return self._feed(self.streams, rows, rows.spec.with_shape(rows.shape[1:]))

    def _feed(self, fed: list[Fed], source: Tensor, spec: Spec) -> Tensor:
        slot = Value(spec, self.recording)
        fed.append(Fed(source, Tensor(slot), slot))
        # A carry may require gradients in a later iteration even if its initial value does not.
        wanted = source.requires_grad or fed is self.carries
        fed[-1].leaf.requires_grad = state.gradients and wanted and is_floating(spec.dtype)
        return fed[-1].leaf

    def knows(self, value: Value) -> bool:
        """Return whether a value is of this body, or of the forward loop: whether it may differ between iterations."""
        return value.recording is self.recording or value in self._rows

    def value(self, tensor: Tensor) -> Value:
        """Return the value of `tensor` in this record, also if it is of the enclosing record or of the forward loop."""
        data = tensor.data
        if isinstance(data, Value):
            if data.recording is self.recording:
                return data
            if data in self._rows:
                return self._rows[data]
            if self._forward is not None and self._forward.body.knows(data):
                rows = self._forward.rows(tensor)
                slot = self._rows[data] = Value(tensor.spec, self.recording)
                self.streams.append(Fed(rows, tensor, slot))
                return slot
        outside = self.outer.value(tensor)
        self.tensors.setdefault(key_of(tensor), tensor)
        if outside not in self.captured:
            inside = outside
            if outside.external is None:
                inside = Value(outside.spec, self.recording)
                inside.memory = outside.memory
            self.captured[outside] = inside
        return self.captured[outside]

    def hoist(self) -> None:
        """Move instructions whose results are the same in each iteration out of the loop."""
        written = {value.memory for step in self.instructions for value in step.targets}
        outside = {inner: outer for outer, inner in self.captured.items() if outer.memory not in written}
        moved: dict[Value, Value] = {}  # values that are now computed outside, and their values in the body
        remaining = []
        for step in self.instructions:
            if not moved.keys().isdisjoint(step.ins):
                step.read_instead(moved)
            fixed = isinstance(step, Applied) and step.ins and not step.writes and outside.keys() >= {*step.ins}
            if not fixed:
                remaining.append(step)
                continue
            step.read_instead(outside)
            self.outer.instructions.append(step)
            for value in step.outs:
                value.recording = self.outer.recording
                moved[value] = self.captured[value] = slot = Value(value.spec, self.recording)
                slot.memory = value.memory
                outside[slot] = value
        self.instructions = remaining
