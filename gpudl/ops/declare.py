"""Declare elementwise ops by one expression each, of which the reference is made here and the kernels elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

import numpy as np

from gpudl.backend import Array
from gpudl.engine.op import Op, op, rounded
from gpudl.kernels.expression import ARITHMETIC, Body, Declared, Expression, declare
from gpudl.ops.erf import erf


def elementwise(infer: Callable[..., Any], **options: Any) -> Callable[[Body], Op]:
    """Make an op of ``body(*inputs, **static)``, the expression of its result.

    The name of an update ends in ``_``: its body returns what becomes of the target, or of each of the first inputs.

    Args:
        infer: the rule for shape and dtype, as of `op`.
        options: those of `op`.

    Example:
        >>> from gpudl.ops.elementwise import floating
        >>> @elementwise(floating)
        ... def halved_square(x):
        ...     return x * x / 2
        >>> halved_square(3.0).numpy()
        array(4.5, dtype=float32)
    """

    def enter(body: Body) -> Op:
        return op(infer, **options)(_forward(declare(body)))

    return enter


def _forward(it: Declared) -> Callable[..., None]:
    """Return the reference ``forward(xp, out, *inputs, **static)`` of a declared op; an update has no out."""

    def forward(xp: Any, out: Array, *inputs: Array, **static: Any) -> None:
        _Reference(xp, inputs, out.dtype).write(out, it.expressions(static)[0])

    def update(xp: Any, *inputs: Array, **static: Any) -> None:
        expressions = it.expressions(static)
        if len(expressions) == 1 and expressions[0].name in ARITHMETIC:
            _Reference(xp, inputs, inputs[0].dtype).write(inputs[0], expressions[0])
            return
        references = [_Reference(xp, inputs, target.dtype) for target in inputs[: len(expressions)]]
        with np.errstate(over="ignore", invalid="ignore"):
            values = [reference.of(x) for reference, x in zip(references, expressions, strict=True)]
            for target, value in zip(inputs, values, strict=False):
                xp.copyto(target, value, casting="unsafe")

    made: Any = update if it.update else _plain(it) or forward
    before = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("xp", *([] if it.update else ["out"]))]
    made.__name__, made.__doc__ = it.name, it.body.__doc__
    made.__signature__ = signature(it.body).replace(parameters=[*before, *signature(it.body).parameters.values()])
    return made  # type: ignore[no-any-return]


def _plain(it: Declared) -> Callable[..., None] | None:
    """Return the reference of an op that is one function of NumPy's and CuPy's, without a detour; else None."""
    if len(signature(it.body).parameters) > len(it.inputs):
        return None
    x = it.expressions({})[0]
    name, places = x.name, [int(o.value) for o in x.operands if o.name == "input"]
    if name in ("erf", "gate", "where", "input", "number") or len(places) < len(x.operands):
        return None

    def compute(xp: Any, out: Array, *inputs: Array) -> None:
        getattr(xp, name)(*[inputs[place] for place in places], out=out, dtype=out.dtype)

    def compare(xp: Any, out: Array, *inputs: Array) -> None:
        getattr(xp, name)(*[inputs[place] for place in places], out=out)

    return compute if name in ARITHMETIC else compare


class _Reference:
    """Computes expressions by the functions of `xp`, NumPy or CuPy."""

    def __init__(self, xp: Any, inputs: tuple[Array, ...], dtype: np.dtype[Any]) -> None:
        self._xp, self._inputs, self._dtype = xp, inputs, dtype
        self._known: dict[Expression, Any] = {}  # what several parts share is computed once

    def write(self, out: Array, x: Expression) -> None:
        """Write what `x` computes to `out`, whose dtype it has."""
        if x.name == "number":
            out[...] = x.value
        elif x.name == "input":
            rounded(self._xp, out, self.of(x))
        elif x.name == "where":
            condition, chosen = (self._xp.broadcast_to(self.of(o), out.shape) for o in x.operands[:2])
            out[...] = self.of(x.operands[2])
            self._xp.copyto(out, chosen, where=condition)
        else:
            self._compute(x, out=out)

    def of(self, x: Expression) -> Any:
        """Return what `x` computes, of an input as it is."""
        if x.name == "input":
            return self._inputs[int(x.value)]
        if x.name == "number":
            return self._dtype.type(x.value)
        if x not in self._known:
            self._known[x] = self._compute(x)
        return self._known[x]

    def _compute(self, x: Expression, **out: Array) -> Any:
        xp, dtype = self._xp, self._dtype
        if x.name == "promoted":
            common = xp.result_type(*(self._inputs[place] for place in x.inputs()))
            return _Reference(xp, self._inputs, common).of(x.operands[0])
        if x.name not in ARITHMETIC:  # numbers have no dtype of their own here
            if x.name == "where":
                return xp.where(*map(self.of, x.operands))
            operands = [o.value if o.name == "number" else self.of(o) for o in x.operands]
            return getattr(xp, {"is_finite": "isfinite"}.get(x.name, x.name))(*operands, **out)
        if x.name == "erf":
            value = erf(xp, self.of(x.operands[0]).astype(dtype))
            return xp.add(value, 0, **out) if out else value
        if x.name == "gate":
            passed = xp.greater(self.of(x.operands[1]), 0)
            return xp.multiply(self.of(x.operands[0]), passed, dtype=dtype, **out)
        return getattr(xp, x.name)(*map(self.of, x.operands), dtype=dtype, **out)
