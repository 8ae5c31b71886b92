"""Comparing records of a step: whether a plan is what would be recorded now, and when to check that."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from gpudl import backend
from gpudl.backend import Array
from gpudl.engine.plan.ir import Instruction
from gpudl.engine.plan.loop import Loop
from gpudl.engine.plan.recorder import Recorder
from gpudl.engine.state import seen, warn_user
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten
from gpudl.engine.value import Value

SHARE = 0.005
"""The fraction of time that may be spent on recording steps again that turn out to be unchanged."""
_MOST = 0.1  # seconds of budget that can accumulate while nothing is compared
_PAUSE = 1.0  # seconds; of shorter gaps between steps only the time of this process counts
_FIRST = 0.02  # seconds of budget at the start of the program
_KEPT_BACK = 0.01  # seconds of the budget that are reserved for the beginnings of passes


class Record:
    """The record of one call of a step; the tensors that the step created have no memory any more.

    Args:
        recorder: the recorder of the call.
        inputs: the input buffers that it was called with.
        returned: the nest of tensors, or None, that the step returned.

    Attributes:
        instructions: the instructions, in order.
        results: the values that it returned.
        seen: the value of `state.seen` when it began.
        at: the time at which it ended, by `time.perf_counter`.
        took: the duration of the recording in seconds.
    """

    def __init__(self, recorder: Recorder, inputs: Sequence[Array], returned: Nest[Tensor | None]) -> None:
        tensors, structure = flatten(returned)
        self.instructions = recorder.instructions
        self.results = [recorder.value(t) for t in tensors if t is not None]
        self._structure = structure, tuple(t is None for t in tensors)
        self._inputs = [recorder.value(Tensor(array)) for array in inputs]
        written = {value.root for step in recorder.instructions for value in step.targets}
        self._fixed = recorder.variables | written
        self._born = {recorder.value(variable) for variable in recorder.born}
        self.seen, self.at = recorder.seen, time.perf_counter()
        self.took = self.at - recorder.begun

    def difference(self, other: Record) -> tuple[str, str] | None:
        """Return the line of the user's code of the first instruction that differs in `other`, and what differs.

        The result is None for equal records, in which the same ops have the same values and static arguments: results
        of the same instructions, the same variables and inputs, and constants with the same bytes. Variables that the
        step itself creates each time are equal. Loops are equal if their bodies are.
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
        """Warn of a step whose records differ although one was made right after the other; return whether they do."""
        found = self.difference(other)
        if found is None:
            return False
        place, what = found
        warn_user(
            f"{place}: this step differs each time that it is recorded, here in {what}. Does it use random numbers of "
            "NumPy, or count or collect something in Python? Replayed steps repeat the last recording, which is made "
            "again only now and then. Use gpudl.random with a SeedGenerator, and keep changing state in a Variable.",
        )
        return True

    def _holds_same(self, mine: Value, other: Record, theirs: Value) -> bool:
        """Return whether two arrays that no instruction computes are the same, or constants of equal value."""
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
    """The time that may be spent on recording steps again: a fraction of the time in which the program computes.

    A longer pause, in which the user may have changed something, counts too.
    """

    def __init__(self) -> None:
        self._seconds = _FIRST
        self._at = time.perf_counter(), time.process_time()

    def left(self) -> float:
        """Return the seconds that are left; negative after a recording that took longer."""
        now = time.perf_counter(), time.process_time()
        passed, computed = now[0] - self._at[0], now[1] - self._at[1]
        self._seconds = min(_MOST, self._seconds + SHARE * (passed if passed > _PAUSE else min(passed, computed)))
        self._at = now
        return self._seconds

    @contextmanager
    def spent(self, unless: bool) -> Iterator[None]:
        """Subtract the time of a ``with`` block, `unless` it has to be spent anyway."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            if not unless:
                self._seconds -= time.perf_counter() - begun

    def is_ample(self) -> bool:
        """Return whether there is more left than is reserved."""
        return self.left() > _KEPT_BACK


budget = Budget()


def begin_pass() -> None:
    """Have steps compared before a pass over data, unless passes are so short that this would take too much time."""
    if budget.left() > 0:
        changes, passes = seen[0]
        seen[0] = changes, passes + 1


def draws() -> tuple[Any, Any]:
    """Return the states of Python's and NumPy's random number generators."""
    return random.getstate(), np.random.get_state()


def undraw(before: tuple[Any, Any]) -> None:
    """Restore the states of Python's and NumPy's random number generators."""
    random.setstate(before[0])
    np.random.set_state(before[1])
