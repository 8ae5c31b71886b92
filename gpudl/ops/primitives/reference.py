"""The reference of an elementwise op, generated from its expression, with functions that NumPy and CuPy share.

It is a Python function of a few lines, as one would write it by hand, so that a call has no further overhead.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from gpudl.engine.rounding import rounded
from gpudl.kernels.expression import ARITHMETIC, COMPARISONS, Declared, Expression
from gpudl.ops.primitives.erf import erf

_SIGNS = {
    **{"add": "+", "subtract": "-", "multiply": "*", "divide": "/"},
    **{"equal": "==", "not_equal": "!=", "greater": ">", "greater_equal": ">="},
}


_KNOWN = {
    **{"inf": math.inf, "nan": math.nan, "rounded": rounded, "error_function": erf},
    "quiet": partial(np.errstate, over="ignore", invalid="ignore"),
}
"""The globals of the generated functions."""


@lru_cache(maxsize=1024)
def reference(it: Declared, expressions: tuple[Expression, ...]) -> Callable[..., None]:
    """Return ``reference(xp, out, *inputs)`` for the expressions of an op, or ``reference(xp, *inputs)`` for an update.

    The docstring of the function is its source.
    """
    text = _Writer(it, expressions).text
    known: dict[str, Any] = dict(_KNOWN)
    exec(compile(text, f"<reference of {it.name}>", "exec"), known)
    found: Callable[..., None] = known[it.name]
    found.__doc__ = text
    return found


class _Writer:
    """Generates the source of a reference.

    Args:
        it: the op.
        expressions: the expressions of its results.
    """

    def __init__(self, it: Declared, expressions: Sequence[Expression]) -> None:
        self._inputs = it.inputs
        self._uses: Counter[Expression] = Counter()
        self._known: dict[tuple[Expression, str], str] = {}  # variables by expression and result whose dtype they have
        self._lines: list[str] = []
        self._count(expressions)
        targets = it.inputs[: len(expressions)] if it.update else ("out",)
        if len(targets) == 1:
            self._write(targets[0], expressions[0])
        else:  # all inputs are read before the first is written
            values = [self.value(x, target) for x, target in zip(expressions, targets, strict=True)]
            self._lines += [f"{', '.join(f'new_{t}' for t in targets)} = {', '.join(values)}"]
            self._lines += [f'xp.copyto({t}, new_{t}, casting="unsafe")' for t in targets]
            self._lines = ["with quiet():", *(f"    {line}" for line in self._lines)]
        head = f"def {it.name}({', '.join(('xp', *(() if it.update else targets), *it.inputs))}):\n"
        self.text = head + "".join(f"    {line}\n" for line in self._lines)

    def _count(self, expressions: Sequence[Expression]) -> None:
        for x in expressions:
            self._uses[x] += 1
            if self._uses[x] == 1:
                self._count(x.operands)

    def _write(self, out: str, x: Expression) -> None:
        operands = x.operands
        if x.name == "number":
            self._lines.append(f"{out}[...] = {x.value!r}")
        elif x.name == "input":
            self._lines.append(f"rounded(xp, {out}, {self.raw(x)})")
        elif x.name == "where" and self.raw(operands[1]) == out:
            where, other = self.either(operands[0], out), self.either(operands[2], out)
            self._lines.append(f"xp.copyto({out}, {other}, where=~{where})")
        elif x.name == "where":
            if self.raw(operands[2]) != out:
                self._lines.append(f"{out}[...] = {self.either(operands[2], out)}")
            where, chosen = (f"xp.broadcast_to({self.either(o, out)}, {out}.shape)" for o in operands[:2])
            self._lines.append(f"xp.copyto({out}, {chosen}, where={where})")
        elif x.name == "promoted":
            given = ", ".join(self.raw(o) for o in operands[0].operands)
            self._lines.append(f'xp.{operands[0].name}({given}, out={out}, casting="unsafe")')
        elif x.name == "gate":
            g, y = (self.either(o, out) for o in operands)
            self._lines.append(f"xp.multiply({g}, {y} > 0, out={out}, dtype={out}.dtype)")
        elif x.name == "erf":
            self._lines.append(f"{out}[...] = {self.value(x, out)}")
        else:
            given = ", ".join(self.either(o, out) for o in operands)
            dtype = f", dtype={out}.dtype" if x.name in ARITHMETIC else ""
            self._lines.append(f"xp.{x.name}({given}, out={out}{dtype})")

    def raw(self, x: Expression) -> str:
        """Return the name of the input that an expression is; an empty string for any other expression."""
        return self._inputs[int(x.value)] if x.name == "input" else ""

    def either(self, x: Expression, out: str) -> str:
        """Return an input unchanged, or the text of any other expression in the dtype of `out`."""
        return self.raw(x) or self.value(x, out)

    def value(self, x: Expression, out: str) -> str:
        """Return the text of an expression in the dtype of `out`."""
        if (x, out) not in self._known:
            text = out if self.raw(x) == out else self._text(x, out)
            if text != out and (x.name == "input" or (self._uses[x] > 1 and x.operands)):
                self._lines.append(f"v{len(self._lines)} = {text}")
                text = f"v{len(self._lines) - 1}"
            self._known[x, out] = text
        return self._known[x, out]

    def _text(self, x: Expression, out: str) -> str:
        if x.name == "number":
            return f"{out}.dtype.type({x.value!r})"
        if x.name == "input":
            name = self.raw(x)
            return f"{name} if {name}.dtype == {out}.dtype else {name}.astype({out}.dtype)"
        if x.name in COMPARISONS or x.name == "is_finite":  # in the dtype of the operands
            given = [repr(o.value) if o.name == "number" else self.either(o, out) for o in x.operands]
            return f"xp.isfinite({given[0]})" if x.name == "is_finite" else f"({f' {_SIGNS[x.name]} '.join(given)})"
        if x.name == "where":
            chosen = ", ".join(self.value(o, out) for o in x.operands[1:])
            return f"xp.where({self.either(x.operands[0], out)}, {chosen})"
        given = [self.value(o, out) for o in x.operands]
        if x.name in _SIGNS:
            return f"({f' {_SIGNS[x.name]} '.join(given)})"
        if x.name == "gate":
            return f"({given[0]} * ({given[1]} > 0))"
        if x.name == "negative":
            return f"(-{given[0]})"
        if x.name == "erf":
            return f"error_function(xp, {given[0]})"
        return f"xp.{x.name}({', '.join(given)})"
