"""Fused elementwise ops: one program for the interpreter, derived from the ops' expressions.

Only ops whose result is determined by IEEE arithmetic are fused, so that fusion changes no bit. Where NumPy leaves open
which of two zeros is the larger, the op has a kernel here that runs the same program for the op alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
from numpy import dtype, ndarray

from ..expression import Declared, Expression, Typed, declared, typed
from ..registry import Call, Static, accelerates, composes
from .machine.interpreter import CODES
from .machine.prebound import start
from .machine.program import Assembler, Program, kind_of
from .machine.scratch import scratch

_PATHS = {"Bd": "Bld", "Bi": "Bli", "if": "ilf", "id": "ild"} | {
    pair: pair for pair in ("Bf", "Bl", "il", "li", "lf", "ld", "fd", "df")
}
_COMPUTED_AS = {"f": "f", "d": "d", "l": "l", "i": "l", "B": "l"}
_ELSEWHERE = {("activation_grad", activation) for activation in ("sigmoid", "tanh")} | {
    *(("bias_activation", activation) for activation in ("linear", "relu", "sigmoid", "tanh")),
    *(("scale_shift", ""), ("restore_", "")),
}
"""Ops, by name and activation, that are not fused: they have kernels of their own, which multiply in another order or
broadcast, or a reference that in most cases moves no data."""


def _computed(name: str, kind: str) -> str:
    """Return the kind in which an operator is computed for `kind`: `kind` itself, if there is an instruction for it."""
    return kind if f"{name} {kind}" in CODES else _COMPUTED_AS[kind]


class _Run:
    """The calls of a fused program while their instructions are emitted."""

    def __init__(
        self, size: int, values: Sequence[tuple[dtype, int]], arrays: Sequence[int], written: set[int]
    ) -> None:
        self.to = Assembler(size)
        self.values = values
        self.place = {value: position for position, value in enumerate(arrays)}
        self.written = written
        self.at: dict[int, int] = {}  # operand by value
        self.casts: dict[tuple[int, str], int] = {}
        self.made: dict[int, int] = {}  # operand by the identity of a subexpression of the current call

    def kind(self, value: int) -> str:
        """Return the kind (see `interpreter`) of a value's elements."""
        return kind_of(self.values[value][0])

    def memory(self, value: int) -> int:
        """Return the array of a value as an operand."""
        return self.to.array(self.place[value], self.kind(value), self.values[value][1])

    def read(self, value: int, kind: str = "") -> int:
        """Return the operand that currently holds a value, cast to `kind`."""
        if value not in self.at:
            self.at[value] = self.memory(value)
        return self.cast(self.at[value], kind or self.kind(value))

    def cast(self, x: int, kind: str) -> int:
        """Return operand `x` cast to `kind`."""
        for source, nearer in pairwise(_PATHS.get(self.to.operands[x].kind + kind, "")):
            if (x, nearer) not in self.casts:
                self.casts[x, nearer] = self.to.emit(f"cast {source}{nearer}", nearer, x)
            x = self.casts[x, nearer]
        return x

    def define(self, value: int, x: int) -> None:
        """Make operand `x` the result `value`."""
        if any(self.at.get(target) == x for target in self.written):
            x = self.to.copy(x)  # the target may change while this result is still read
        if value in self.place:
            self.to.keep(x, self.memory(value))
        self.at[value] = x

    def assign(self, target: int, x: int) -> None:
        """Write operand `x` to the target of an update."""
        into = self.read(target)
        self.to.store(self.cast(x, self.kind(target)), into)
        self.casts = {key: cast for key, cast in self.casts.items() if key[0] != into}

    def compute(self, call: Call, expressions: tuple[Typed, ...]) -> None:
        """Emit the instructions of a call."""
        self.made = {}
        results = [self.operand(x, call.ins) for x in expressions]
        if call.outs:
            self.define(call.outs[0], results[0])
            return
        if len(results) > 1:  # the first result may overwrite what the next one reads
            results = [self.to.copy(x) if x in self.at.values() else x for x in results]
        for target, x in zip(call.ins, results, strict=False):
            self.assign(target, x)

    def operand(self, x: Typed, ins: tuple[int, ...]) -> int:
        """Return the operand that holds the result of a typed expression of the values `ins`."""
        if id(x) not in self.made:
            self.made[id(x)] = self._emitted(x, ins)
        return self.made[id(x)]

    def _emitted(self, x: Typed, ins: tuple[int, ...]) -> int:
        kind = kind_of(x.dtype)
        if x.name == "input":
            return self.read(ins[int(x.value)])
        if x.name == "number":
            return self.to.constant(x.value, kind)
        operands = [self.operand(o, ins) for o in x.operands]
        if x.name == "cast":
            return self.cast(operands[0], kind)
        if x.name == "where":
            return self.to.select(*operands)
        computed = _computed(x.name, kind_of(x.operands[0].dtype))
        operands = [self.cast(operand, computed) for operand in operands]
        if x.name == "is_finite":
            nothing = self.to.emit(f"subtract {computed}", computed, operands[0], operands[0])  # 0, or NaN
            return self.to.emit(f"equal {computed}", "B", nothing, nothing)
        if x.dtype == np.bool_:
            return self.to.emit(f"{x.name} {computed}", "B", *operands)
        return self.cast(self.to.emit(f"{x.name} {computed}", computed, *operands), kind)


def _can(x: Typed) -> bool:
    """Return whether the interpreter has the instructions for a typed expression."""
    kind, kinds = kind_of(x.dtype), [kind_of(o.dtype) for o in x.operands]
    if not kind or not all(map(_can, x.operands)):
        return False
    if x.name in ("input", "number"):
        return True
    if x.name == "cast":
        return kinds[0] + kind in _PATHS or (x.operands[0].dtype == np.bool_ and kind == "B")
    if x.name == "where":
        return set(kinds[1:]) == {kind}
    computed = _computed(x.name, kinds[0])
    names = ("subtract", "equal") if x.name == "is_finite" else (x.name,)
    back = x.dtype == np.bool_ or computed == kind or computed + kind in _PATHS
    return back and all(f"{name} {computed}" in CODES for name in names)


def _expressions(op: str, dtypes: tuple[dtype, ...], static: Static) -> tuple[Typed, ...] | None:
    """Return the expressions of an op if the interpreter can compute them for these dtypes, else None."""
    found = declared(op)
    if found is None or (op, static.get("activation", "")) in _ELSEWHERE:
        return None
    return _interpreted(found, dtypes, found.expressions(static))


@lru_cache(maxsize=4096)
def _interpreted(op: Declared, dtypes: tuple[dtype, ...], given: tuple[Expression, ...]) -> tuple[Typed, ...] | None:
    expressions = typed(op, dtypes, given) if all(map(kind_of, dtypes)) else None
    return expressions if expressions is not None and all(map(_can, expressions)) else None


def joins(op: str, arrays: tuple[ndarray, ...], static: Static) -> bool:
    """Return whether an op with these outs and inputs can be fused: all have equally many elements, or one."""
    if _expressions(op, tuple(a.dtype for a in arrays), static) is None:
        return False
    sizes = {a.size for a in arrays} - {1}
    plain = all(a.flags.c_contiguous and getattr(a.flags, "aligned", True) for a in arrays)
    return plain and sizes <= {arrays[0].size}


def compose(calls: Sequence[Call], values: Sequence[tuple[dtype, int]], arrays: Sequence[int]) -> Program:
    """Return one program for all calls.

    Example:
        >>> square = [Call("add", (2,), (0, 1)), Call("square", (3,), (2,))]
        >>> one, real = np.ones(3, np.float32), np.dtype("float32")
        >>> program = compose(square, [(real, 3)] * 4, arrays=[0, 1, 3])
        >>> y = np.empty(3, np.float32)
        >>> program.bind([one, one, y], np.empty(program.work, np.uint8))()
        >>> y
        array([4., 4., 4.], dtype=float32)
    """
    computed = []
    for call in calls:
        expressions = _expressions(call.op, tuple(values[x][0] for x in (*call.outs, *call.ins)), call.static)
        assert expressions is not None, f"{call.op} does not join"
        computed.append((call, expressions))
    written = {x for call, expressions in computed if not call.outs for x in call.ins[: len(expressions)]}
    size = max(values[(*call.outs, *call.ins)[0]][1] for call in calls)
    run = _Run(size, values, arrays, written)
    for call, expressions in computed:
        run.compute(call, expressions)
    return run.to.finish()


composes("cpu", SimpleNamespace(joins=joins, compose=compose, large=1 << 14))


@lru_cache(maxsize=256)
def _alone(op: str, values: tuple[tuple[dtype, int], ...], low: float, high: float, signs: str) -> Program:
    numbers = tuple(range(len(values)))
    static = {"low": low, "high": high} if op == "clip" else {}
    return compose([Call(op, numbers[:1], numbers[1:], static)], values, numbers)


def _kernel(op: str) -> Callable[..., None]:
    def run(*arrays: ndarray, low: float = 0.0, high: float = 0.0) -> None:
        values = tuple((a.dtype, a.size) for a in arrays)
        program = _alone(op, values, low, high, f"{low} {high}")  # 0.0 and -0.0 are one key, but two texts
        start(partial(program.bind, arrays, scratch(program.work, dtype=np.uint8)))

    return accelerates(op, device="cpu", supports=lambda *arrays, **static: joins(op, arrays, static))(run)


maximum, minimum, relu, clip = map(_kernel, ("maximum", "minimum", "relu", "clip"))
