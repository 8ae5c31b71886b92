"""Recording the ops of a step while it is called once."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from gpudl.backend import Array, Backend, Static
from gpudl.engine.common_backend import apart
from gpudl.engine.op import AnyOp
from gpudl.engine.plan.ir import Applied, Instruction
from gpudl.engine.spec import Spec
from gpudl.engine.state import TracingError, seen, state, user_line
from gpudl.engine.tensor import Tensor
from gpudl.engine.value import Recording, Value
from gpudl.engine.variable import Variable


class Recorder:
    """Records every op that is applied, and its values; nothing is computed, the plan will do that.

    Args:
        on: the backend of the plan.
        lines: whether to record the line of the user's code of each instruction, too.

    Attributes:
        instructions: the recorded instructions.
        recording: the recording that its values belong to.
        variables: the values of variables that instructions read or update.
        born: variables that the step itself creates, each time that it is recorded.
        fed: the input buffers, whose values differ from step to step.
        seen: the value of `state.seen` when the recording began.
        begun: the time when the recording began, by `time.perf_counter`.
    """

    def __init__(self, on: Backend, lines: bool = False) -> None:
        self.seen = seen[0]
        self.begun = perf_counter()
        self.lines = lines
        self.instructions: list[Instruction] = []
        self.variables: set[Value] = set()
        self.born: list[Tensor] = []
        self.fed: Sequence[Array] = ()
        self.recording = Recording(on)
        self._external: dict[int, Value] = {}  # by the identity of their arrays, which they keep alive

    def value(self, tensor: Tensor) -> Value:
        """Return the value of `tensor` in this record; one that no recorded op computed is external."""
        data = tensor.data
        if isinstance(data, Value) and data.recording is self.recording:
            return data
        array: Array = tensor.array()
        if id(array) not in self._external:
            self._external[id(array)] = Value(tensor.spec, self.recording, external=array)
        return self._external[id(array)]

    def is_constant(self, tensor: Tensor) -> bool:
        """Return whether a tensor has the same value in each step: neither computed, nor an input, nor a variable."""
        varies = isinstance(tensor, Variable) or isinstance(tensor.data, Value)
        return not varies and not any(tensor.data is array for array in self.fed)

    def add(self, op: AnyOp, specs: tuple[Spec, ...], inputs: tuple[Tensor, ...], static: Static) -> tuple[Tensor, ...]:
        """Record one application of `op`, and return its results.

        Raises:
            TracingError: it would update something other than a variable.
            TypeError: an input is on another device.
        """
        ins = tuple(map(self.value, inputs))
        if any(value.root.external is None for value in ins[: op.writes]):
            raise TracingError(f"{op.name} would overwrite a value computed in the step; it can update only variables.")
        for value in ins:
            if value.external is not None and not self.recording.on.owns(value.external):
                raise apart(op.name, self.recording.on, value.external)
        self.variables.update(value for t, value in zip(inputs, ins, strict=True) if isinstance(t, Variable))
        base = ins[0] if op.alias else None
        outs = tuple(Value(spec, self.recording, base=base) for spec in specs)
        self.note(Applied(op, outs, ins, static, state.scope))
        return tuple(map(Tensor, outs, specs))

    def note(self, instruction: Instruction) -> None:
        """Append an instruction."""
        if self.lines:
            instruction.line = user_line()
        self.instructions.append(instruction)

    def release(self) -> None:
        """End the recording: using a tensor that outlives the step raises an error from now on."""
        self.recording.over = True


def at_work() -> Recorder:
    """Return the recorder of the step that is being recorded."""
    assert isinstance(state.recorder, Recorder)
    return state.recorder
