"""Elementwise ops as expressions: what each computes, declared once.

An op is declared by a function of its inputs, written in the operators of this file. The reference of the op, the
interpreter's instructions on the CPU and the source of CUDA kernels are derived from the expression that it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from inspect import Parameter, signature
from typing import Any, NamedTuple

import numpy as np

ARITHMETIC = (
    *("add", "subtract", "multiply", "divide", "power", "negative", "absolute", "sign", "sqrt"),
    *("exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf", "maximum", "minimum", "gate"),
    *("floor_divide", "remainder"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"),
)
"""Operators that compute in the dtype of the op's result, to which their operands are cast."""

COMPARISONS = ("equal", "not_equal", "greater", "greater_equal")
"""Operators whose result is a bool; two operands are compared in their common dtype."""

_BOOL = np.dtype(bool)


class Expression:
    """What is computed for each element: an operator applied to operands, an input by its index, or a constant.

    Attributes:
        name: name of the operator, or "input", "number".
        operands: expressions of the operands.
        value: index of the input, or the value of the constant.
    """

    __slots__ = ("name", "operands", "value")

    def __init__(self, name: str, *operands: Expression | float, value: float = 0) -> None:
        self.name = name
        self.operands = tuple(o if isinstance(o, Expression) else number(o) for o in operands)
        self.value = value

    def __add__(self, other: Expression | float) -> Expression:
        return Expression("add", self, other)

    def __radd__(self, other: float) -> Expression:
        return Expression("add", other, self)

    def __sub__(self, other: Expression | float) -> Expression:
        return Expression("subtract", self, other)

    def __rsub__(self, other: float) -> Expression:
        return Expression("subtract", other, self)

    def __mul__(self, other: Expression | float) -> Expression:
        return Expression("multiply", self, other)

    def __rmul__(self, other: float) -> Expression:
        return Expression("multiply", other, self)

    def __truediv__(self, other: Expression | float) -> Expression:
        return Expression("divide", self, other)

    def __rtruediv__(self, other: float) -> Expression:
        return Expression("divide", other, self)

    def __pow__(self, other: Expression | float) -> Expression:
        return Expression("power", self, other)

    def __neg__(self) -> Expression:
        return Expression("negative", self)

    def __eq__(self, other: object) -> Any:
        return Expression("equal", self, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> Any:
        return Expression("not_equal", self, other)  # type: ignore[arg-type]

    def __gt__(self, other: Expression | float) -> Expression:
        return Expression("greater", self, other)

    def __ge__(self, other: Expression | float) -> Expression:
        return Expression("greater_equal", self, other)

    def __lt__(self, other: Expression | float) -> Expression:
        return Expression("greater", other, self)

    def __le__(self, other: Expression | float) -> Expression:
        return Expression("greater_equal", other, self)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError("an expression has no truth value: use `where` instead of `if`, `and` or `or`.")

    def inputs(self) -> Iterator[int]:
        """Yield the index of each input that the expression reads."""
        if self.name == "input":
            yield int(self.value)
        for operand in self.operands:
            yield from operand.inputs()


def number(value: float) -> Expression:
    """Return a constant, in the dtype of the expression that uses it."""
    return Expression("number", value=value.item() if isinstance(value, np.generic) else value)


def _function(name: str) -> Callable[..., Expression]:
    def make(*operands: Expression | float) -> Expression:
        return Expression(name, *operands)

    return make


absolute, sign, sqrt, exp, expm1, log, log1p, sin, cos, tanh, erf = map(
    _function, ("absolute", "sign", "sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf")
)
maximum, minimum = _function("maximum"), _function("minimum")  # a NaN wins
floor_divide, remainder = _function("floor_divide"), _function("remainder")  # an integer by 0 is 0
bitwise_and, bitwise_or, bitwise_xor, invert, left_shift, right_shift = map(
    _function, ("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift")
)
gate, is_finite = _function("gate"), _function("is_finite")  # x where y > 0, else 0 * x; neither infinite nor NaN


def where(condition: Expression, x: Expression | float, y: Expression | float) -> Expression:
    """Return x where the condition, a bool, holds, and y elsewhere."""
    return Expression("where", condition, x, y)


def promoted(x: Expression) -> Expression:
    """Return x computed in the common dtype of its inputs, and then cast."""
    return Expression("promoted", x)


def of(name: str, *operands: Expression) -> Expression:
    """Return what another declared op computes from `operands`."""
    found = _declared[name].body(*operands)
    return found[0] if isinstance(found, tuple) else found


Body = Callable[..., Expression | tuple[Expression, ...]]


@dataclass(frozen=True, eq=False)
class Declared:
    """An elementwise op.

    Attributes:
        name: name of the op; that of an update, which writes its first inputs, ends in ``_``.
        body: ``body(*inputs, **static)`` returns the expression of the result, or one for each input that an update
            writes.
        inputs: names of the inputs.
    """

    name: str
    body: Body
    inputs: tuple[str, ...]

    @property
    def update(self) -> bool:
        """Whether it writes its first inputs."""
        return self.name.endswith("_")

    def expressions(self, static: Mapping[str, object]) -> tuple[Expression, ...]:
        """Return the expressions of its results."""
        return _traced(self, tuple(static.items()), repr(static) if static else "")


@lru_cache(maxsize=4096)
def _traced(op: Declared, items: tuple[tuple[str, object], ...], text: str) -> tuple[Expression, ...]:
    # `text` tells 0.0 from -0.0.
    found = op.body(*(Expression("input", value=place) for place in range(len(op.inputs))), **dict(items))
    return found if isinstance(found, tuple) else (found,)


_declared: dict[str, Declared] = {}
_followers: list[Callable[[str], None]] = []


def declare(body: Body) -> Declared:
    """Register the elementwise op that is named like `body`, and return it."""
    parameters = signature(body).parameters.values()
    inputs = tuple(p.name for p in parameters if p.kind is not Parameter.KEYWORD_ONLY)
    made = _declared[body.__name__] = Declared(body.__name__, body, inputs)
    for follow in _followers:
        follow(made.name)
    return made


def names() -> tuple[str, ...]:
    """Return the names of the declared ops."""
    return tuple(_declared)


def declared(name: str) -> Declared | None:
    """Return the elementwise op named `name`, or None if there is none."""
    return _declared.get(name)


def follow(enter: Callable[[str], None]) -> None:
    """Call `enter` with the name of each declared op, and of each that is declared later."""
    _followers.append(enter)
    for name in list(_declared):
        enter(name)


class Typed(NamedTuple):
    """A subexpression for given dtypes, in which every cast is explicit.

    Attributes:
        name: name of the operator, or "input", "number", "cast".
        dtype: dtype of the result.
        operands: typed expressions of the operands.
        value: index of the input, or the value of the constant.
    """

    name: str
    dtype: np.dtype
    operands: tuple[Typed, ...] = ()
    value: float = 0


def typed(op: Declared, dtypes: tuple[np.dtype, ...], given: tuple[Expression, ...]) -> tuple[Typed, ...] | None:
    """Return the expressions `given` of an op for dtypes of its outs and inputs; None where these are not supported.

    A subexpression that is used twice is one object, so that it can be computed once.
    """
    ins = dtypes if op.update else dtypes[1:]
    try:
        return tuple(_Typing(ins, dtype).cast(x, dtype) for x, dtype in zip(given, dtypes, strict=False))
    except _Unfit:
        return None


class _Unfit(Exception):  # noqa: N818 (not an error: the op is computed otherwise)
    pass


class _Typing:
    def __init__(self, ins: tuple[np.dtype, ...], computed: np.dtype) -> None:
        self._ins, self._computed = ins, computed
        self._made: dict[tuple[int, np.dtype], Typed] = {}

    def cast(self, x: Expression, to: np.dtype) -> Typed:
        """Return `x` cast to a dtype."""
        key = id(x), to
        if key not in self._made:
            made = self._made_of(x, to)
            # Half precision is computed in float32 and rounded at the end of each op.
            alike = made.dtype == to or (to.name in ("float16", "bfloat16") and made.dtype == np.float32)
            self._made[key] = made if alike else Typed("cast", to, (made,))
        return self._made[key]

    def _made_of(self, x: Expression, to: np.dtype) -> Typed:
        if x.name == "input":
            return Typed("input", self._ins[int(x.value)], (), int(x.value))
        if x.name == "number":
            return Typed("number", to, (), x.value)
        if x.name == "invert" and to == _BOOL:
            return Typed("equal", to, (self.cast(x.operands[0], to), Typed("number", to)))
        if x.name in ARITHMETIC:
            return Typed(x.name, to, tuple(self.cast(o, to) for o in x.operands))
        if x.name == "where":
            return Typed("where", to, (self._condition(x.operands[0]), *(self.cast(o, to) for o in x.operands[1:])))
        if x.name == "promoted":
            common = _common([self._ins[place] for place in x.inputs()])
            return self.cast(x.operands[0], common)
        known = [dtype for dtype in map(self._own, x.operands) if dtype is not None]
        common = _common(known or [self._computed])
        return Typed(x.name, _BOOL, tuple(self.cast(o, common) for o in x.operands))

    def _condition(self, x: Expression) -> Typed:
        if self._own(x) != _BOOL:
            raise _Unfit
        return self.cast(x, _BOOL)

    def _own(self, x: Expression) -> np.dtype | None:
        """Return the dtype that an expression has by itself; None for a constant."""
        if x.name == "input":
            return self._ins[int(x.value)]
        if x.name == "number":
            return None
        return _BOOL if x.name in COMPARISONS or x.name == "is_finite" else self._computed


def _common(dtypes: list[np.dtype]) -> np.dtype:
    if len(set(dtypes)) == 1:
        return dtypes[0]
    try:
        return np.result_type(*dtypes)
    except TypeError:  # NumPy has no common dtype of bfloat16 and integers
        raise _Unfit from None
