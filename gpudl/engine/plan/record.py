"""Records of a step, compared: whether what is replayed is what would be recorded now, and when to look."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from gpudl import backend
from gpudl.backend import Array
from gpudl.engine.plan.ir import Instruction
from gpudl.engine.plan.loop import Loop
from gpudl.engine.plan.recorder import Recorder
from gpudl.engine.state import seen
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten
from gpudl.engine.value import Value

SHARE = 0.005
"""How much of the time may be spent on recording steps again that turn out to be the same."""
_MOST = 0.1  # seconds that may be saved up while nothing is compared
_PAUSE = 1.0  # seconds; in shorter gaps the time that others have the processor does not count
_KEPT_BACK = 0.05  # seconds of them that are there for the beginnings of passes alone


class Record:
    """What a step did when it was called once; the tensors that it made have no memory any more.

    Args:
        recorder: what noted it.
        inputs: the buffers that it was given.
        returned: the nest of tensors, or None, that the step returned.

    Attributes:
        instructions: what it did, in order.
        results: the values that it returned.
        seen: what had been changed when it was begun, by `state.seen`.
        at: the time at which it was finished, by `time.perf_counter`.
        took: how many seconds it took.
    """

    def __init__(self, recorder: Recorder, inputs: Sequence[Array], returned: Nest[Tensor | None]) -> None:
        tensors, structure = flatten(returned)
        self.instructions = recorder.instructions
        self.results = [recorder.value(t) for t in tensors if t is not None]
        self._structure = structure, tuple(t is None for t in tensors)
        self._inputs = [recorder.value(Tensor(array)) for array in inputs]
        written = {value.root for step in recorder.instructions for value in step.ins[: step.writes]}
        self._fixed = recorder.variables | written
        self._born = {recorder.value(variable) for variable in recorder.born}
        self.seen, self.at = recorder.seen, time.perf_counter()
        self.took = self.at - recorder.begun

    def difference(self, other: Record) -> tuple[str, str] | None:
        """Return where in the user's code the first instruction is that differs in `other`, and what differs.

        Two records are the same, which is None, when the same ops get the same values and static arguments: results of
        the same instructions, the same variables and inputs, and constants with the same bytes. Variables that the
        step itself makes each time are the same. Loops are the same when their bodies are.
        """
        known = dict(zip(self._inputs, other._inputs, strict=True))

        def same(mine: Value, theirs: Value) -> bool:
            if mine not in known and mine.external is not None and theirs.external is not None:
                known[mine] = theirs if self._holds_same(mine, other, theirs) else mine
            return known.get(mine) is theirs

        def differing(mine: Sequence[Instruction], theirs: Sequence[Instruction]) -> Instruction | None:
            for one, two in zip(mine, theirs, strict=False):
                if not one.is_like(two):
                    return one
                if isinstance(one, Loop) and isinstance(two, Loop):
                    for slot, fed in zip(one.slots, two.slots, strict=True):
                        if slot.external is None:
                            known.setdefault(slot, fed)
                    inside = differing(one.members, two.members)
                    if inside is not None:
                        return inside
                    if len(one.members) != len(two.members) or not all(map(same, one.results, two.results)):
                        return one
                if not all(map(same, one.ins, two.ins)):
                    return one
                known.update(zip(one.outs, two.outs, strict=True))
            return mine[len(theirs)] if len(mine) > len(theirs) else None

        first = differing(self.instructions, other.instructions)
        if first is not None:
            return first.line or "a step", f"{first.name!r} with other values"
        alike = len(self.instructions) == len(other.instructions) and self._structure == other._structure
        if alike and all(map(same, self.results, other.results)):
            return None
        return "a step", "another nest of results"

    def warn_unless_same(self, other: Record) -> bool:
        """Warn of a step whose records, made one right after the other, differ; return whether they do."""
        found = self.difference(other)
        if found is None:
            return False
        place, what = found
        warnings.warn(
            f"{place}: each time that this step is recorded it does something else, here {what}. Random numbers of "
            "NumPy, or something that is counted or collected while the step is recorded? The steps that are replayed "
            "take what was recorded last, and it is recorded again now and then. Draw with gpudl.random and a "
            "SeedGenerator, and keep what changes in a Variable.",
            stacklevel=2,
        )
        return True

    def _holds_same(self, mine: Value, other: Record, theirs: Value) -> bool:
        """Tell whether two arrays that no instruction makes are one, or constants with one value."""
        a, b = mine.external, theirs.external
        assert a is not None
        assert b is not None
        if a is b:
            return True
        on = backend.of(a)
        if mine.spec != theirs.spec or not on.owns(b):
            return False
        if a.strides == b.strides and on.address(a) == on.address(b):
            return True
        if mine in self._fixed or theirs in other._fixed:
            return mine in self._born and theirs in other._born
        return _bytes(on, a) == _bytes(on, b)


def _bytes(on: backend.Backend, array: Array) -> bytes:
    return on.to_host(array).tobytes()


class Budget:
    """The time that may be spent on recording steps again: a share of the time in which the program computes.

    A longer pause, in which somebody may have changed something, counts too.
    """

    def __init__(self) -> None:
        self._seconds = _MOST
        self._at = time.perf_counter(), time.process_time()

    def left(self) -> float:
        """Return how many seconds there are; less than none after a step that took longer."""
        now = time.perf_counter(), time.process_time()
        passed, computed = now[0] - self._at[0], now[1] - self._at[1]
        self._seconds = min(_MOST, self._seconds + SHARE * (passed if passed > _PAUSE else min(passed, computed)))
        self._at = now
        return self._seconds

    @contextmanager
    def spent(self, unless: bool) -> Iterator[None]:
        """Take off the time that a ``with`` block takes, `unless` it has to be spent anyway."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            if not unless:
                self._seconds -= time.perf_counter() - begun

    def is_ample(self) -> bool:
        """Tell whether there is more than what is kept back."""
        return self.left() > _KEPT_BACK


budget = Budget()


def begin_pass() -> None:
    """Have steps compared before a pass over data, unless passes are so short that it would take too much time."""
    if budget.left() > 0:
        changes, passes = seen[0]
        seen[0] = changes, passes + 1


def draws() -> tuple[Any, Any]:
    """Return where Python's and NumPy's random numbers are."""
    return random.getstate(), np.random.get_state()


def undraw(before: tuple[Any, Any]) -> None:
    """Let Python's and NumPy's random numbers be where they were."""
    random.setstate(before[0])
    np.random.set_state(before[1])
