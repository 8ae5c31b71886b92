"""The memory footprint of a step on a device, and the largest batch that fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

from gpudl.backend import Array, Backend, OutOfMemoryError, in_words
from gpudl.engine.plan.plan import Plan
from gpudl.engine.plan.record import Record
from gpudl.engine.spec import Spec

_USABLE = 0.9  # of the free memory: kernels keep partial sums that a plan does not account for
_BEYOND = "more than kernels can address"
_EXACT = 16  # the answer is too small by at most one part in this many
Recorded = Callable[[list[Array]], tuple[Record, object]]


@dataclass(frozen=True)
class Need:
    """The memory of a plan, in bytes.

    Attributes:
        batch: the number of samples.
        inputs: the input buffers.
        arena: intermediate values.
        results: the values that the step returns.
        scratch: the most scratch memory that a kernel may allocate.
        held: the weights, the optimizer's state and other arrays that are allocated already.
    """

    batch: int
    inputs: int
    arena: int
    results: int
    scratch: int
    held: int

    @classmethod
    def of(cls, plan: Plan, batch: int, inputs: Iterable[Array]) -> Need:
        """Return the memory of `plan`; `inputs` are the arrays that it was recorded with."""
        given = {id(array): int(array.nbytes) for array in inputs}
        there: dict[int, int] = {}
        for value in (value for instruction in plan.instructions for value in instruction.ins):
            array = value.root.external
            if array is not None and id(array) not in given:
                owner = array if array.base is None else array.base
                there[id(owner)] = int(owner.nbytes)
        arena = int(plan.arena.nbytes)
        return cls(batch, sum(given.values()), arena, plan.nbytes - arena, plan.scratch, sum(there.values()))

    @property
    def total(self) -> int:
        """The memory to be allocated."""
        return self.inputs + self.arena + self.results + self.scratch


def largest(fits: Callable[[int], bool], batch: int) -> int:
    """Return approximately how many samples fit, fewer than `batch`, which does not; 0 if not even one does."""
    low, high = 0, batch
    while high - low > max(1, low // _EXACT):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def sentence(on: Backend, inputs: Sequence[Spec], recorded: Recorded) -> str | None:
    """Describe the memory of a step that does not fit, the free memory, and a batch size that would fit.

    Args:
        on: the device.
        inputs: the specs of the step's inputs.
        recorded: records the step with such inputs.

    Returns:
        The text, or None if the inputs are not a batch, or if not even the weights fit.
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
        except MemoryError:  # not even the tables of the kernels can be allocated
            return inf

    try:
        fits = largest(lambda samples: total(samples) <= _USABLE * free, batch)
        needs = _in_words(_needed(on, inputs, recorded, batch)) if total(batch) < inf else _BEYOND
    except OutOfMemoryError:
        return None
    hint = (
        f"A batch of about {fits} would fit."
        if fits
        else "Not even one sample would fit: use a smaller model, or free unneeded objects (del, gc.collect())."
    )
    return (
        f"a step does not fit into the memory of {on.describe()}. With a batch of {batch} it needs {needs}, and "
        f"{in_words(free)} are free. {hint}"
    )


def _in_words(need: Need) -> str:
    return (
        f"{in_words(need.total)} ({in_words(need.arena)} for intermediate values, {in_words(need.inputs)} "
        f"for inputs, {in_words(need.results)} for results, {in_words(need.scratch)} of scratch "
        f"memory) in addition to {in_words(need.held)} of weights and optimizer state"
    )


def _needed(on: Backend, inputs: Sequence[Spec], recorded: Recorded, batch: int) -> Need:
    """Return the memory of the step with `batch` samples, from a plan that is never run."""
    nowhere = on.measuring()
    arrays = [nowhere.empty((batch, *spec.shape[1:]), spec.dtype) for spec in inputs]
    record, _ = recorded(arrays)
    return Need.of(Plan(nowhere, record.instructions, record.results), batch, arrays)
