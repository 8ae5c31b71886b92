"""Functions of each element that are operators of ONNX, or a few of them."""

from __future__ import annotations

from math import log, pi

import numpy as np

from gpudl.export.call import Call, translates
from gpudl.export.elementwise import computed_in
from gpudl.export.graph import kept_in

_DIRECT = {
    **{"tan": "Tan", "arcsin": "Asin", "arccos": "Acos", "arctan": "Atan", "sinh": "Sinh", "cosh": "Cosh"},
    **{"arcsinh": "Asinh", "arccosh": "Acosh", "arctanh": "Atanh", "floor": "Floor", "ceil": "Ceil"},
}


def _wide(call: Call, position: int = 0) -> str:
    """Return an input in the dtype that is computed in."""
    edge, kind = call.ins[position], computed_in(call.dtype)
    return edge.name if kept_in(edge.spec.dtype) == kind else call.node("Cast", edge.name, to=kind)


def _narrow(call: Call, y: str) -> str:
    return y if kept_in(call.dtype) == computed_in(call.dtype) else call.graph.cast(y, call.dtype)


@translates(*_DIRECT)
def direct(call: Call, x: str) -> str:
    """A function that is an operator."""
    return _narrow(call, call.node(_DIRECT[call.op], _wide(call)))


@translates("log2", "log10")
def logarithm(call: Call, x: str) -> str:
    """A logarithm to another base."""
    base = call.graph.number(1 / log(2 if call.op == "log2" else 10), computed_in(call.dtype))
    return _narrow(call, call.node("Mul", call.node("Log", _wide(call)), base))


@translates("round")
def rounded(call: Call, x: str, *, decimals: int = 0) -> str:
    """A number with so many decimals."""
    scale = call.graph.number(10.0**decimals, computed_in(call.dtype))
    y = call.node("Round", call.node("Mul", _wide(call), scale) if decimals else _wide(call))
    return _narrow(call, call.node("Div", y, scale) if decimals else y)


@translates("trunc")
def truncated(call: Call, x: str) -> str:
    """A number without the digits after the point."""
    x = _wide(call)
    return _narrow(call, call.node("Mul", call.node("Sign", x), call.node("Floor", call.node("Abs", x))))


@translates("cbrt")
def cube_root(call: Call, x: str) -> str:
    """A cube root, of a negative number too."""
    x = _wide(call)
    third = call.graph.number(1 / 3, computed_in(call.dtype))
    return _narrow(call, call.node("Mul", call.node("Sign", x), call.node("Pow", call.node("Abs", x), third)))


@translates("hypot")
def hypotenuse(call: Call, a: str, b: str) -> str:
    """The length of a vector of two numbers."""
    squares = (call.node("Mul", x, x) for x in (_wide(call), _wide(call, 1)))
    return _narrow(call, call.node("Sqrt", call.node("Add", *squares)))


@translates("fmod")
def remainder(call: Call, a: str, b: str) -> str:
    """A remainder with the sign of the first."""
    return _narrow(call, call.node("Mod", _wide(call), _wide(call, 1), fmod=1))


@translates("signbit")
def is_negative(call: Call, x: str) -> str:
    """Whether a number is negative, or -0."""
    single = np.dtype(np.float32)
    x, zero = call.node("Cast", x, to=single), call.graph.number(0, single)
    inverse = call.node("Reciprocal", x)  # of -0 it is -inf
    return call.node("Or", call.node("Less", x, zero), call.node("Less", inverse, zero))


@translates("erfc")
def complement(call: Call, x: str) -> str:
    """1 - erf(x)."""
    one = call.graph.number(1, computed_in(call.dtype))
    return _narrow(call, call.node("Sub", one, call.node("Erf", _wide(call))))


@translates("ldexp")
def scaled(call: Call, x: str, exponent: str) -> str:
    """A number times a power of 2."""
    kind = computed_in(call.dtype)
    power = call.node("Pow", call.graph.number(2, kind), call.node("Cast", exponent, to=kind))
    return _narrow(call, call.node("Mul", _wide(call), power))


@translates("arctan2")
def angle(call: Call, y: str, x: str) -> str:
    """The angle of a point: that of the quotient, half a turn further where x is negative."""
    node, kind = call.node, computed_in(call.dtype)
    y, x = _wide(call), _wide(call, 1)
    zero, straight, half = (call.graph.number(n, kind) for n in (0, pi, pi / 2))
    turned = node("Where", node("Less", y, zero), node("Neg", straight), straight)
    quotient = node("Atan", node("Div", y, x))
    beside = node("Where", node("Less", x, zero), node("Add", quotient, turned), quotient)
    return _narrow(call, node("Where", node("Equal", x, zero), node("Mul", node("Sign", y), half), beside))
