"""Elementwise ops: their expressions, operator by operator."""

from __future__ import annotations

import numpy as np

from gpudl.engine.spec import is_floating, is_half
from gpudl.export.call import Call, translates
from gpudl.export.graph import Graph, NotExpressibleError, kept_in
from gpudl.kernels.expression import Typed, declared, typed

_BOOL, _INT32, _INT64 = np.dtype(bool), np.dtype(np.int32), np.dtype(np.int64)
_SINGLE = np.dtype(np.float32)
_DIRECT = {
    **{"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow", "negative": "Neg"},
    **{"absolute": "Abs", "sign": "Sign", "sqrt": "Sqrt", "exp": "Exp", "log": "Log", "sin": "Sin", "cos": "Cos"},
    **{"tanh": "Tanh", "erf": "Erf", "maximum": "Max", "minimum": "Min"},
    **{"bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr", "bitwise_xor": "BitwiseXor", "invert": "BitwiseNot"},
    **{"equal": "Equal", "greater": "Greater", "greater_equal": "GreaterOrEqual"},
}
_OF_TRUTHS = {
    **{"multiply": "And", "minimum": "And", "bitwise_and": "And", "add": "Or", "maximum": "Or", "bitwise_or": "Or"},
    **{"bitwise_xor": "Xor"},
}
_OWN = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def computed_in(dtype: np.dtype) -> np.dtype:
    """Return the dtype that operators get: of 16-bit floats and of short integers, which few support, a longer one."""
    if is_half(dtype):
        return _SINGLE
    if dtype.kind in "iu" and dtype not in (_INT32, _INT64):
        return _INT32 if dtype.itemsize < _INT32.itemsize else _INT64
    return dtype


def elementwise(call: Call) -> str | None:
    """Return the result of an elementwise op; None where the op is another one."""
    known = declared(call.op)
    if known is None or known.update:
        return None
    dtypes = tuple(spec.dtype for spec in (call.outs[0].first, *(edge.spec for edge in call.ins)))
    found = typed(known, dtypes, known.expressions(call.static))
    if found is None:
        raise NotExpressibleError("its dtypes have no common one")
    y = _Said(call).result(found[0])
    return y if _reaches(call, found[0]) else call.node("Expand", y, call.graph.shape(call.sizes()))


def _reaches(call: Call, expression: Typed) -> bool:
    """Return whether the inputs that an expression reads have the shape of the result when they are broadcast."""
    read: set[int] = set()
    stack = [expression]
    while stack:
        each = stack.pop()
        read |= {int(each.value)} if each.name == "input" else set()
        stack.extend(each.operands)
    for spec in ("first", "second"):
        shapes = [getattr(call.ins[place].pair, spec).shape for place in read]
        if np.broadcast_shapes(*shapes) != getattr(call.outs[0], spec).shape:
            return False
    return True


class _Said:
    """Expressions in nodes; one that is used twice is computed once."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._graph: Graph = call.graph
        self._made: dict[int, str] = {}

    def of(self, x: Typed) -> str:
        """Return the name of an expression."""
        if id(x) not in self._made:
            self._made[id(x)] = self._node(x)
        return self._made[id(x)]

    def result(self, x: Typed) -> str:
        """Return an expression in the dtype of the op's result."""
        to = self._call.dtype
        return self.of(x) if computed_in(x.dtype) == kept_in(to) else self._graph.cast(self.of(x), to)

    def _node(self, x: Typed) -> str:
        node, kind = self._graph.node, computed_in(x.dtype)
        if x.name == "input":
            name = self._call.ins[int(x.value)].name
            return name if kind == kept_in(x.dtype) else node("Cast", name, to=kind)
        if x.name == "number":
            return self._graph.number(x.value, kind)
        ins = [self.of(operand) for operand in x.operands]
        if x.name == "cast":
            return self._changed(ins[0], x.operands[0].dtype, x.dtype)
        if x.name != "where":
            return self._operator(x, ins, x.operands[0].dtype)
        if x.dtype != _BOOL:
            return node("Where", *ins)
        return node("Or", node("And", ins[0], ins[1]), node("And", node("Not", ins[0]), ins[2]))

    def _changed(self, x: str, given: np.dtype, to: np.dtype) -> str:
        """Return a cast of x, rounded to what the dtype can hold."""
        kind = computed_in(to)
        if kind != kept_in(to) and given != _BOOL:
            x, given = self._graph.cast(x, to), to
            return self._graph.node("Cast", x, to=kind)
        return x if computed_in(given) == kind else self._graph.node("Cast", x, to=kind)

    def _operator(self, x: Typed, ins: list[str], dtype: np.dtype) -> str:
        node, kind = self._graph.node, computed_in(dtype)
        if x.name in ("equal", "not_equal", "greater", "greater_equal", "is_finite"):
            return self._compared(x.name, ins, dtype)
        if dtype == _BOOL:
            return node(_OF_TRUTHS[x.name], *ins)
        if x.name in ("expm1", "log1p"):
            one = self._graph.number(1, kind)
            return node("Sub", node("Exp", *ins), one) if x.name == "expm1" else node("Log", node("Add", *ins, one))
        if x.name == "gate":
            zero = self._graph.number(0, kind)
            return node("Where", node("Greater", ins[1], zero), ins[0], node("Mul", ins[0], zero))
        if x.name in ("left_shift", "right_shift"):
            raise NotExpressibleError("ONNX shifts the bits of unsigned integers only")
        if x.name in ("floor_divide", "remainder"):
            return self._divided(x.name, ins[0], ins[1], kind)
        y = node(_DIRECT[x.name], *ins)
        if kind.kind in "iu" and kind != kept_in(dtype):  # sums of short integers wrap around
            return node("Cast", node("Cast", y, to=dtype), to=kind)
        return y

    def _compared(self, name: str, ins: list[str], dtype: np.dtype) -> str:
        node = self._graph.node
        if name == "is_finite":
            return node("Not", node("Or", node("IsNaN", *ins), node("IsInf", *ins)))
        if name == "not_equal":
            return node("Not", node("Equal", *ins))
        if dtype == _BOOL and name != "equal":
            ins = [node("Cast", each, to=_INT32) for each in ins]
        return node(_DIRECT[name], *ins)

    def _divided(self, name: str, a: str, b: str, kind: np.dtype) -> str:
        """Return a quotient that is rounded down, or the remainder; for integers a divisor of 0 gives 0."""
        node = self._graph.node
        if is_floating(kind):
            floor = node("Floor", node("Div", a, b))
            return node("Sub", a, node("Mul", floor, b)) if name == "remainder" else floor
        zero = self._graph.number(0, kind)
        none = node("Equal", b, zero)
        divisor = node("Where", none, self._graph.number(1, kind), b)
        rest = node("Mod", a, divisor)
        y = rest if name == "remainder" else node("Div", node("Sub", a, rest), divisor)
        return node("Where", none, zero, y)


@translates(*_OWN)
def own(call: Call, x: str) -> str:
    """An activation that is an operator of ONNX."""
    return call.node(_OWN[call.op], call.typed())


@translates("bias_activation")
def bias_activation(call: Call, x: str, bias: str, *, activation: str) -> str:
    """A sum, and an activation."""
    y = call.node("Add", call.typed(), call.typed(1))
    return y if activation == "linear" else call.node(_OWN[activation], y)
