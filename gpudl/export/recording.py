"""What a function computes for any size of a batch: its record, made for two sets of sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gpudl import backend
from gpudl.backend import Static
from gpudl.engine.plan.ir import Applied, Instruction
from gpudl.engine.plan.loop import Loop
from gpudl.engine.plan.passes import without_dead_code
from gpudl.engine.plan.recorder import Recorder
from gpudl.engine.spec import Spec
from gpudl.engine.state import gradients, recording
from gpudl.engine.symbol import OpenShape, Pair
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten
from gpudl.engine.value import Value

_BATCH = 5, 7
_PRIMES = 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47
Function = Callable[[list[Tensor]], Nest[Tensor | None]]


@dataclass(frozen=True, slots=True)
class Twin:
    """A value of the first record, and its counterpart in the second."""

    value: Value
    other: Value

    @property
    def pair(self) -> Pair:
        """The specs for both sets of sizes."""
        return Pair(self.value.spec, self.other.spec)


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction in both records.

    Attributes:
        instruction: the one of the first.
        ins, outs: its values.
        other: the one of the second.
    """

    instruction: Instruction
    other: Instruction
    ins: tuple[Twin, ...]
    outs: tuple[Twin, ...]

    @property
    def statics(self) -> tuple[Static, Static]:
        """The static arguments in both."""
        assert isinstance(self.instruction, Applied)
        assert isinstance(self.other, Applied)
        return self.instruction.static, self.other.static

    def inside(self) -> tuple[list[Twin], list[Step], list[Twin]]:
        """Return the slots of a loop, the steps of its body, and the results of an iteration."""
        one, two = self.instruction, self.other
        assert isinstance(one, Loop)
        assert isinstance(two, Loop)
        bodies = (without_dead_code(loop.members, loop.results) for loop in (one, two))
        return _twins(one.slots, two.slots), list(steps(*bodies)), _twins(one.results, two.results)


@dataclass(frozen=True)
class Recorded:
    """A function in two records.

    Attributes:
        inputs: the values of its inputs.
        steps: what it computes.
        results: the values that it returns.
        nest: the tensors that it returned, in their nest.
    """

    inputs: list[Twin]
    steps: list[Step]
    results: list[Twin]
    nest: Nest[Tensor | None]


class RecordsDifferError(ValueError):
    """A function computes something else for other sizes, or other sizes do not fit."""


def pairs_of(entries: Sequence[tuple[OpenShape, Spec]], even: bool) -> list[Pair]:
    """Return two specs for each shape, in which unknown sizes, except that of the batch, are all different.

    The second size is divisible by neither 2 nor 3, so that a size that is rounded up is not taken for one that is
    rounded down.

    Args:
        entries: shapes, and specs of which the dtype counts.
        even: whether the sizes can be divided by 2 and 3 many times, and are the same along the same axis, for models
            that take no others.
    """
    found, count = [], 0
    for shape, spec in entries:
        sizes = []
        for axis, size in enumerate(shape):
            if size is None and axis:
                prime = _PRIMES[(axis if even else count) % len(_PRIMES)]
                count += 1
                sizes.append((192 * prime, 288 * prime) if even else (48 * prime, 72 * prime + 1))
            else:
                sizes.append(_BATCH if size is None else (size, size))
        found.append(Pair(*(spec.with_shape(tuple(each[at] for each in sizes)) for at in (0, 1))))
    return found


def recorded(function: Function, pairs: Sequence[Pair]) -> Recorded:
    """Return the records of a function of tensors; nothing is computed.

    Raises:
        RecordsDifferError: it does not compute the same for both.
    """
    (one, first, nest), (two, second, other) = (_record(function, [getattr(p, at) for p in pairs]) for at in _SETS)
    results, others = flatten(nest)[0], flatten(other)[0]
    kept = [(a, b) for a, b in zip(results, others, strict=True) if a is not None and b is not None]
    values = [one.value(a) for a, _ in kept], [two.value(b) for _, b in kept]
    bodies = (without_dead_code(r.instructions, ends) for r, ends in zip((one, two), values, strict=True))
    return Recorded(_twins(first, second), list(steps(*bodies)), _twins(*values), nest)


_SETS = ("first", "second")


def _record(function: Function, specs: list[Spec]) -> tuple[Recorder, list[Value], Nest[Tensor | None]]:
    recorder = Recorder(backend.current())
    values = [Value(spec, recorder.recording) for spec in specs]
    try:
        with gradients(False), recording(recorder):
            return recorder, values, function([Tensor(value) for value in values])
    finally:
        recorder.release()


def _twins(one: Sequence[Value], two: Sequence[Value]) -> list[Twin]:
    return [Twin(a, b) for a, b in zip(one, two, strict=True)]


def steps(one: Sequence[Instruction], two: Sequence[Instruction]) -> Iterator[Step]:
    """Yield the instructions of two records in pairs."""
    if [i.name for i in one] != [i.name for i in two]:
        raise RecordsDifferError("the model computes something else for other sizes of its inputs")
    for a, b in zip(one, two, strict=True):
        yield Step(a, b, tuple(_twins(a.ins, b.ins)), tuple(_twins(a.outs, b.outs)))
