"""Elementwise ops in CUDA C++, generated from their expressions: one op per kernel, or several fused.

The source of both is written by `program`, so fusion changes no bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import SimpleNamespace

import numpy as np

from ..expression import Declared, Expression, Typed, declared, follow, typed
from ..registry import Call, Static, accelerates, composes
from .launch import Array, contiguous
from .program import Program, Shape, Value, Writer, compile_run, spread
from .scalar import Scalar, scalar

_LARGE = 1 << 20
"""Elements from which on keeping a value longer costs more memory than a saved launch is worth."""


def _floats(scalar: Scalar) -> bool:
    return scalar.floating


def _whole(scalar: Scalar) -> bool:
    return scalar.whole


def _numbers(scalar: Scalar) -> bool:
    return scalar.floating or scalar.whole


def _signed(scalar: Scalar) -> bool:
    return scalar.floating or scalar.dtype.kind == "i"


def _bits(scalar: Scalar) -> bool:
    return not scalar.floating


def _any(scalar: Scalar) -> bool:
    return True


_OPERATORS: dict[str, tuple[Callable[[Scalar], bool], str]] = {
    **{name: (_numbers, f"{name}_of({{}}, {{}})") for name in ("add", "subtract", "multiply")},
    **{name: (_any, f"{name}_of({{}}, {{}})") for name in ("maximum", "minimum")},
    **{name: (_floats, f"{name}_of({{}})") for name in ("sqrt", "exp", "expm1", "log", "log1p")},
    **{name: (_floats, f"{name}_of({{}})") for name in ("sin", "cos", "tanh", "erf")},
    **{name: (_signed, f"{name}_of({{}})") for name in ("sign", "absolute")},
    **{name: (_numbers, f"{name}_of({{}}, {{}})") for name in ("floor_divide", "remainder")},
    **{name: (_bits, f"{name}_of({{}}, {{}})") for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    **{name: (_whole, f"{name}_of({{}}, {{}})") for name in ("left_shift", "right_shift")},
    "invert": (_whole, "invert_of({})"),
    "divide": (_floats, "({} / {})"),
    "power": (_floats, "power_of({}, {})"),
    "negative": (_numbers, "negative_of({})"),
    "gate": (_floats, "gate_of({}, {})"),
    "is_finite": (_floats, "is_finite({})"),
    "equal": (_any, "({} == {})"),
    "not_equal": (_any, "({} != {})"),
    "greater": (_any, "({} > {})"),
    "greater_equal": (_any, "({} >= {})"),
}
"""The dtypes that the operands of each operator may have, and its source text."""


class _Texts:
    """Writes the source of one op's expressions.

    Args:
        writer: the writer of the kernel.
        ins: the values that the op reads.
    """

    def __init__(self, writer: Writer, ins: Sequence[Value]) -> None:
        self._writer, self._ins = writer, ins
        self._known: dict[int, str] = {}  # by the identity of a subexpression

    def of(self, x: Typed, parts: Counter[int]) -> str:
        """Return the text of a subexpression, a variable if it is used more than once."""
        if id(x) not in self._known:
            text = self._text(x, parts)
            shared = parts[id(x)] > 1 and x.operands
            self._known[id(x)] = self._writer.keep(_scalar(x), text) if shared else text
        return self._known[id(x)]

    def _text(self, x: Typed, parts: Counter[int]) -> str:
        to = _scalar(x)
        if x.name == "input":
            return self._ins[int(x.value)].text
        if x.name == "number":
            return to.literal(x.value)
        operands = [self.of(o, parts) for o in x.operands]
        if x.name == "cast":
            return to.cast(operands[0], _scalar(x.operands[0]))
        if x.name == "where":
            return "({} ? {} : {})".format(*operands)
        return _OPERATORS[x.name][1].format(*operands)


def _scalar(x: Typed) -> Scalar:
    found = scalar(x.dtype)
    assert found is not None
    return found


def _can(x: Typed) -> bool:
    """Return whether a typed expression can be written in CUDA C++."""
    if scalar(x.dtype) is None or not all(map(_can, x.operands)):
        return False
    if x.name in ("input", "number", "cast", "where"):
        return True
    return x.name in _OPERATORS and _OPERATORS[x.name][0](_scalar(x.operands[0]))


def _expressions(op: str, dtypes: tuple[np.dtype, ...], static: Static) -> tuple[Typed, ...] | None:
    """Return the expressions of an op if they can be written in CUDA C++ for these dtypes, else None."""
    found = declared(op)
    return None if found is None else _compiled(found, dtypes, found.expressions(static))


@lru_cache(maxsize=4096)
def _compiled(op: Declared, dtypes: tuple[np.dtype, ...], given: tuple[Expression, ...]) -> tuple[Typed, ...] | None:
    expressions = typed(op, dtypes, given)
    return expressions if expressions is not None and all(map(_can, expressions)) else None


def _counted(expressions: Sequence[Typed]) -> Counter[int]:
    """Return how often each subexpression is used, by its identity."""
    parts: Counter[int] = Counter()
    left = list(expressions)
    while left:
        x = left.pop()
        parts[id(x)] += 1
        left += x.operands if parts[id(x)] == 1 else ()
    return parts


def joins(op: str, arrays: tuple[Array, ...], static: Static) -> bool:
    """Return whether there is a kernel for an op with these outs and inputs, each broadcast to the first."""
    scalars = [scalar(a.dtype) for a in arrays]
    if declared(op) is None or None in scalars or not contiguous(*arrays):
        return False
    broadcast = all(_broadcasts(a.shape, arrays[0].shape) for a in arrays)
    known = broadcast and _expressions(op, tuple(a.dtype for a in arrays), static) is not None
    return known and _works(*filter(None, scalars))


def _broadcasts(shape: Shape, out: Shape) -> bool:
    return len(shape) <= len(out) and all(
        n in (1, wanted) for n, wanted in zip(reversed(shape), reversed(out), strict=False)
    )


def _works(*scalars: Scalar) -> bool:
    """Return whether generated kernels with these dtypes compile for the current device, by compiling a small one."""
    probes = {s.header: s for s in scalars}
    plain = np.dtype(np.float32)
    return all(
        compile_run(_cast(s.dtype if s.header else plain, plain, (1,)).text) is not None for s in probes.values()
    )


def compose(calls: Sequence[Call], values: Sequence[tuple[np.dtype, int]], arrays: Sequence[int]) -> Program:
    """Return one kernel for all calls; without shapes, an operand has as many elements as the out, or one."""
    scalars = [scalar(dtype) for dtype, _ in values]
    writer = Writer(scalars, {value: place for place, value in enumerate(arrays)})  # type: ignore[arg-type]
    for call in calls:
        target = (call.outs or call.ins)[0]
        size = values[target][1]
        shapes = call.shapes[len(call.outs) :] or [(values[x][1],) for x in call.ins]
        out = call.shapes[0] if call.shapes else (size,)
        ins = [writer.read(x, spread(shape, out)) for x, shape in zip(call.ins, shapes, strict=True)]
        expressions = _expressions(call.op, tuple(values[x][0] for x in (*call.outs, *call.ins)), call.static)
        assert expressions is not None, f"{call.op} does not join"
        texts, parts = _Texts(writer, ins), _counted(expressions)
        results = [texts.of(x, parts) for x in expressions]
        for value, text in zip(call.outs or call.ins, results, strict=False):
            writer.write(value, text)
    return writer.finish(", ".join(call.op for call in calls), size)


composes("cuda", SimpleNamespace(joins=joins, compose=compose, large=_LARGE))


@lru_cache(maxsize=1024)
def _alone(
    op: str, specs: tuple[tuple[np.dtype, Shape], ...], static: tuple[tuple[str, object], ...], text: str
) -> Program:
    """Return a kernel for one op; `text` distinguishes 0.0 from -0.0 in its static arguments."""
    numbers = tuple(range(len(specs)))
    outs = 0 if op.endswith("_") else 1
    call = Call(op, numbers[:outs], numbers[outs:], dict(static), tuple(shape for _, shape in specs))
    return compose([call], [(dtype, int(np.prod(shape))) for dtype, shape in specs], numbers)


def _cast(to: np.dtype, source: np.dtype, shape: Shape) -> Program:
    return _alone("cast", ((to, shape), (source, shape)), (("dtype", to),), "")


def _kernel(op: str) -> None:
    def run(*arrays: Array, **static: object) -> None:
        items = tuple(static.items())
        program = _alone(op, tuple((a.dtype, a.shape) for a in arrays), items, repr(items))
        program.bind(_apart(arrays))()

    accelerates(op, device="cuda", supports=lambda *arrays, **static: joins(op, arrays, static))(run)


def _apart(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return the arrays, with a copy of each one-element array inside the first, larger one, which is written."""
    target, *others = arrays
    first = target.data.ptr
    return (target, *(_copy(a) if _inside(a, first, first + target.nbytes, target.size) else a for a in others))


def _inside(array: Array, first: int, end: int, size: int) -> bool:
    return bool(array.size == 1 < size and first <= array.data.ptr < end)


def _copy(array: Array) -> Array:
    import cupy

    copy: Array = cupy.empty(array.shape, array.dtype)
    _cast(array.dtype, array.dtype, ()).bind((copy, array))()
    return copy


follow(_kernel)
