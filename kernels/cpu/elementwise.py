"""Runs of elementwise ops as one call: which ops can take part, and what each does in the interpreter's instructions.

Only ops whose result arithmetic determines take part, so that a run gives the bits that its ops give one by one. Where
NumPy leaves open which of two zeros is the larger, the op has a twin here that runs the same program by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..registry import Call, accelerates, composes
from .machine.program import Assembler, Program, kind_of

_PATHS = {"Bd": "Bld", "Bi": "Bli", "if": "ilf", "id": "ild"} | {
    pair: pair for pair in ("Bf", "Bl", "il", "li", "lf", "ld", "fd", "df")
}
_COMPUTED_AS = {"f": "f", "d": "d", "l": "l", "i": "l", "B": "l"}
_REAL = frozenset("fd")
_NUMBERS = frozenset("fdli")
_ALL = frozenset("fdliB")


class _Run:
    """The calls of a run while their instructions are written."""

    def __init__(self, calls: Sequence[Call], values: Sequence[tuple[Any, int]], arrays: Sequence[int]) -> None:
        size = max(values[(*call.outs, *call.ins)[0]][1] for call in calls)
        self.to = Assembler(size)
        self.values = values
        self.place = {value: position for position, value in enumerate(arrays)}
        self.written = {call.ins[0] for call in calls if call.op.endswith("_")}
        self.at: dict[int, int] = {}  # operand by value
        self.casts: dict[tuple[int, str], int] = {}

    def kind(self, value: int) -> str:
        """Return the kind of the numbers of a value."""
        return kind_of(self.values[value][0])

    def memory(self, value: int) -> int:
        """Return the array of a value as an operand."""
        return self.to.array(self.place[value], self.kind(value), self.values[value][1])

    def read(self, value: int, kind: str = "") -> int:
        """Return the operand that holds a value now, as numbers of `kind`."""
        if value not in self.at:
            self.at[value] = self.memory(value)
        return self.cast(self.at[value], kind or self.kind(value))

    def cast(self, x: int, kind: str) -> int:
        """Return operand `x` as numbers of `kind`."""
        for source, nearer in pairwise(_PATHS.get(self.to.operands[x].kind + kind, "")):
            if (x, nearer) not in self.casts:
                self.casts[x, nearer] = self.to.emit(f"cast {source}{nearer}", nearer, x)
            x = self.casts[x, nearer]
        return x

    def define(self, value: int, x: int) -> None:
        """Let operand `x` be the result `value`."""
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


@dataclass(frozen=True)
class _Rule:
    """For which dtypes of outs and inputs an op can take part, and how its result is computed (None: an update)."""

    takes: Callable[..., bool]
    emit: Callable[..., int | None]


_rules: dict[str, _Rule] = {}


def _castable(source: Any, target: Any) -> bool:
    pair = kind_of(source) + kind_of(target)
    return bool(source == target or pair in _PATHS or (source == np.bool_ and pair == "BB"))


def _into(kinds: frozenset[str]) -> Callable[..., bool]:
    """Accept results of these kinds, and inputs that are cast to them without loss of meaning."""
    return lambda out, *ins, **_: kind_of(out) in kinds and all(_castable(x, out) for x in ins)


def _comparable(out: Any, a: Any, b: Any) -> bool:
    return bool(kind_of(a) and kind_of(b) and kind_of(np.result_type(a, b)))


def _rule(name: str, takes: Callable[..., bool]) -> Callable[..., Any]:
    def enter(emit: Callable[..., int | None]) -> Callable[..., int | None]:
        _rules[name] = _Rule(takes, emit)
        return emit

    return enter


def _arithmetic(name: str) -> Callable[..., int]:
    def emit(run: _Run, out: int, *ins: int) -> int:
        kind = _COMPUTED_AS[run.kind(out)]
        return run.cast(run.to.emit(f"{name} {kind}", kind, *(run.read(x, kind) for x in ins)), run.kind(out))

    return emit


for _name, _kinds in {
    **dict.fromkeys(("add", "subtract", "multiply"), _NUMBERS),
    **dict.fromkeys(("divide", "maximum", "minimum", "negative", "absolute", "sign", "sqrt"), _REAL),
}.items():
    _rules[_name] = _Rule(_into(_kinds), _arithmetic(_name))


def _comparison(name: str, turned: bool) -> Callable[..., int]:
    def emit(run: _Run, out: int, *ins: int) -> int:
        kind = _COMPUTED_AS[kind_of(np.result_type(*(run.values[x][0] for x in ins)))]
        return run.to.emit(f"{name} {kind}", "B", *(run.read(x, kind) for x in (ins[::-1] if turned else ins)))

    return emit


for _name, _same, _turned in (
    *(("equal", "equal", False), ("not_equal", "not_equal", False)),
    *(("greater", "greater", False), ("greater_equal", "greater_equal", False)),
    *(("less", "greater", True), ("less_equal", "greater_equal", True)),
):
    _rules[_name] = _Rule(_comparable, _comparison(_same, _turned))


@_rule("square", _into(_NUMBERS))
def _square(run: _Run, out: int, x: int) -> int:
    return _arithmetic("multiply")(run, out, x, x)


@_rule("relu", _into(_REAL))
def _relu(run: _Run, out: int, x: int) -> int:
    kind = run.kind(out)
    return run.to.emit(f"maximum {kind}", kind, run.read(x, kind), run.to.constant(0, kind))


@_rule("clip", _into(_REAL))
def _clip(run: _Run, out: int, x: int, *, low: float, high: float) -> int:
    kind = run.kind(out)
    above = run.to.emit(f"maximum {kind}", kind, run.read(x, kind), run.to.constant(low, kind))
    return run.to.emit(f"minimum {kind}", kind, above, run.to.constant(high, kind))


def _has_plain_slope(out: Any, g: Any, y: Any, *, activation: str) -> bool:
    return activation in ("relu", "linear") and kind_of(out) in _REAL and out == g == y


@_rule("activation_grad", _has_plain_slope)
def _activation_grad(run: _Run, out: int, g: int, y: int, *, activation: str) -> int:
    if activation == "linear":
        return run.read(g)
    kind = run.kind(out)
    return run.to.emit(f"gate {kind}", kind, run.read(g), run.read(y))


@_rule("where", lambda out, condition, a, b: condition == np.bool_ and _into(_ALL)(out, a, b))
def _where(run: _Run, out: int, condition: int, a: int, b: int) -> int:
    return run.to.select(run.read(condition), *(run.read(x, run.kind(out)) for x in (a, b)))


@_rule("cast", _into(_ALL))
@_rule("broadcast_to", _into(_ALL))
def _moved(run: _Run, out: int, x: int, **_: Any) -> int:
    return run.read(x, run.kind(out))


@_rule("ones_like", lambda out, _: bool(kind_of(out)))
def _ones_like(run: _Run, out: int, _: int) -> int:
    return run.to.constant(1, run.kind(out))


@_rule("zeros_like", lambda out, _: bool(kind_of(out)))
def _zeros_like(run: _Run, out: int, _: int) -> int:
    return run.to.constant(0, run.kind(out))


@_rule("assign_", _into(_ALL))
def _assign(run: _Run, target: int, value: int) -> None:
    run.assign(target, run.read(value, run.kind(target)))


@_rule("assign_add_", lambda target, value: kind_of(target) in _NUMBERS and target == value)
def _assign_add(run: _Run, target: int, value: int) -> None:
    run.assign(target, _arithmetic("add")(run, target, target, value))


@_rule("increment_", lambda step: kind_of(step) == "l")
def _increment(run: _Run, step: int) -> None:
    run.assign(step, run.to.emit("add l", "l", run.read(step), run.to.constant(1, "l")))


@_rule("note_nonfinite_", lambda first, value, step: kind_of(value) in _REAL)
def _note_nonfinite(run: _Run, first: int, value: int, step: int) -> None:
    kind, x, noted = run.kind(value), run.read(value), run.read(first)
    nothing = run.to.emit(f"subtract {kind}", kind, x, x)  # 0, or NaN where x is not finite
    finite = run.to.emit(f"equal {kind}", "B", nothing, nothing)
    new = run.to.select(finite, noted, run.read(step))
    negative = run.to.emit("greater l", "B", run.to.constant(0, "l"), noted)
    run.assign(first, run.to.select(negative, new, noted))


def joins(op: str, arrays: tuple[Any, ...], static: dict[str, Any]) -> bool:
    """Tell whether an op with these outs and inputs can be part of a run: each has as many elements, or one."""
    rule = _rules.get(op)
    if rule is None or not rule.takes(*(a.dtype for a in arrays), **static):
        return False
    sizes = {a.size for a in arrays} - {1}
    plain = all(a.flags.c_contiguous and getattr(a.flags, "aligned", True) for a in arrays)
    return plain and sizes <= {arrays[0].size}


def compose(calls: Sequence[Call], values: Sequence[tuple[Any, int]], arrays: Sequence[int]) -> Program:
    """Return one program for all the calls.

    Example:
        >>> square = [Call("add", (2,), (0, 1)), Call("square", (3,), (2,))]
        >>> one, real = np.ones(3, np.float32), np.dtype("float32")
        >>> program = compose(square, [(real, 3)] * 4, arrays=[0, 1, 3])
        >>> y = np.empty(3, np.float32)
        >>> program.bind([one, one, y], np.empty(program.work, np.uint8))()
        >>> y
        array([4., 4., 4.], dtype=float32)
    """
    run = _Run(calls, values, arrays)
    for call in calls:
        result = _rules[call.op].emit(run, *call.outs, *call.ins, **call.static)
        if result is not None:
            run.define(call.outs[0], result)
    return run.to.finish()


composes("cpu", SimpleNamespace(joins=joins, compose=compose, large=1 << 14))


@lru_cache(maxsize=256)
def _alone(op: str, values: tuple[tuple[Any, int], ...], low: float, high: float, signs: str) -> Program:
    numbers = tuple(range(len(values)))
    static = {"low": low, "high": high} if op == "clip" else {}
    return compose([Call(op, numbers[:1], numbers[1:], static)], values, numbers)


def _twin(op: str) -> Callable[..., None]:
    def run(*arrays: Any, low: float = 0.0, high: float = 0.0) -> None:
        values = tuple((a.dtype, a.size) for a in arrays)
        program = _alone(op, values, low, high, f"{low} {high}")  # 0.0 and -0.0 are one key, but two texts
        program.bind(arrays, np.empty(program.work, np.uint8))()

    return accelerates(op, device="cpu", takes=lambda *arrays, **static: joins(op, arrays, static))(run)


maximum, minimum, relu, clip = map(_twin, ("maximum", "minimum", "relu", "clip"))
