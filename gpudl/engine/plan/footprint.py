"""What a step needs of a device's memory, and the largest batch for which there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from gpudl.backend import Array, Backend, OutOfMemoryError, in_words
from gpudl.engine.plan.ir import Instruction
from gpudl.engine.plan.plan import Plan
from gpudl.engine.spec import Spec
from gpudl.engine.value import Value

_USABLE = 0.9  # of what is free: kernels keep partial sums of which a plan knows nothing
_BEYOND = "more than kernels can lay out in this memory"
_EXACT = 16  # the answer is at most this part of itself too small
Recorded = Callable[[list[Array]], tuple[list[Instruction], Any, list[Value]]]


@dataclass(frozen=True)
class Need:
    """What a plan needs, in bytes.

    Attributes:
        batch: for so many samples.
        inputs: the buffers that hold them.
        arena: what is computed on the way.
        results: what the step returns.
        scratch: what kernels may need for themselves, one after another.
        held: the weights, the optimizer's state and other arrays that are there already.
    """

    batch: int
    inputs: int
    arena: int
    results: int
    scratch: int
    held: int

    @classmethod
    def of(cls, plan: Plan, batch: int, inputs: Iterable[Array]) -> Need:
        """Return what `plan` needs; `inputs` are the arrays that it was recorded with."""
        given = {id(array): int(array.nbytes) for array in inputs}
        there: dict[int, int] = {}
        for value in (value for step in plan.steps for value in step.ins):
            array = value.root.external
            if array is not None and id(array) not in given:
                owner = array if array.base is None else array.base
                there[id(owner)] = int(owner.nbytes)
        arena = int(plan.arena.nbytes)
        return cls(batch, sum(given.values()), arena, plan.nbytes - arena, plan.scratch, sum(there.values()))

    @property
    def total(self) -> int:
        """What has to be found beside what is there."""
        return self.inputs + self.arena + self.results + self.scratch


def largest(fits: Callable[[int], bool], batch: int) -> int:
    """Return about how many samples fit, less than `batch`, which does not; 0 if not even one does."""
    low, high = 0, batch
    while high - low > max(1, low // _EXACT):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def sentence(on: Backend, inputs: Sequence[Spec], recorded: Recorded) -> str | None:
    """Say what a step needs for which there is no room, what is free, and what would fit.

    Args:
        on: the device.
        inputs: what the step was called with.
        recorded: records the step with such arrays as its inputs.

    Returns:
        The text, or None where the inputs are no batch, or where there is no room for even the weights.
    """
    batches = {spec.shape[:1] for spec in inputs}
    if len(batches) != 1 or () in batches:
        return None
    ((batch,),) = batches
    free = on.free_bytes()

    def total(samples: int) -> float:
        try:
            return _needed(on, inputs, recorded, samples).total
        except OutOfMemoryError:
            raise
        except MemoryError:  # not even the tables of the kernels can be made
            return inf

    try:
        fits = largest(lambda samples: total(samples) <= _USABLE * free, batch)
        needs = _in_words(_needed(on, inputs, recorded, batch)) if total(batch) < inf else _BEYOND
    except OutOfMemoryError:
        return None
    hint = (
        f"A batch of about {fits} would fit."
        if fits
        else "Not even one sample would fit: use a smaller model, or free what is no longer needed (del, gc.collect())."
    )
    return (
        f"a step does not fit into the memory of {on.describe()}. With a batch of {batch} it needs {needs}, and "
        f"{in_words(free)} are free. {hint}"
    )


def _in_words(need: Need) -> str:
    return (
        f"{in_words(need.total)} ({in_words(need.arena)} for what is computed on the way, {in_words(need.inputs)} "
        f"for inputs, {in_words(need.results)} for results, {in_words(need.scratch)} that kernels may need for "
        f"themselves) beside the {in_words(need.held)} of weights and optimizer state that are there"
    )


def _needed(on: Backend, inputs: Sequence[Spec], recorded: Recorded, batch: int) -> Need:
    """Return what the step needs with `batch` samples, by a plan that is never run."""
    nowhere = on.measuring()
    arrays = [nowhere.empty((batch, *spec.shape[1:]), spec.dtype) for spec in inputs]
    instructions, _, values = recorded(arrays)
    return Need.of(Plan(nowhere, instructions, values), batch, arrays)
