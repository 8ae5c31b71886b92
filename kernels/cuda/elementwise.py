"""Elementwise ops in CUDA C++: what each computes, one by one as twins, and several as one generated kernel.

Both are written by `program`, so a run gives the bits that its ops give one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..registry import Call, accelerates, composes
from .launch import contiguous
from .program import Program, Shape, Value, Writer, compile_run, spread
from .scalar import Scalar, scalar

_LARGE = 1 << 20
"""Elements from which keeping a value longer costs more memory than a launch is worth."""


@dataclass(frozen=True)
class _Rule:
    """For which dtypes there is a kernel, and what it computes.

    Attributes:
        takes: `takes(out, *ins, **static)` with a `Scalar` each; an update has its target for `out` and among `ins`.
        text: `text(out, *values, **static)` is the expression of the result, in `out.computed`, or one for each input
            that an update writes.
    """

    takes: Callable[..., bool]
    text: Callable[..., str | tuple[str, ...]]


_rules: dict[str, _Rule] = {}


def _floats(out: Scalar, *ins: Scalar, **static: Any) -> bool:
    return out.floating


def _numbers(out: Scalar, *ins: Scalar, **static: Any) -> bool:
    return out.floating or out.whole


def _signed(out: Scalar, *ins: Scalar, **static: Any) -> bool:
    return out.floating or out.dtype.kind == "i"


def _any(out: Scalar, *ins: Scalar, **static: Any) -> bool:
    return True


def _alike(out: Scalar, *ins: Scalar, **static: Any) -> bool:
    return out.floating and all(x == out for x in ins)


def _common(*scalars: Scalar) -> Scalar | None:
    """Return what NumPy compares or adds these dtypes as; None where it is something that kernels do not know."""
    if len(set(scalars)) == 1:
        return scalars[0]
    try:
        return scalar(np.result_type(*(s.dtype for s in scalars)))
    except TypeError:  # bfloat16 has nothing in common with integers
        return None


def _rule(name: str, takes: Callable[..., bool]) -> Callable[..., Any]:
    def enter(text: Callable[..., Any]) -> Callable[..., Any]:
        _rules[name] = _Rule(takes, text)
        return text

    return enter


def _function(name: str) -> Callable[..., str]:
    """Return the text of a call of a function, whose arguments are cast to the dtype of the result."""
    return lambda out, *ins, **_: f"{name}({', '.join(x.to(out) for x in ins)})"


for _takes, _names in (
    (_numbers, ("add", "subtract", "multiply")),
    (_floats, ("power", "sqrt", "exp", "log", "log1p", "expm1", "erf", "tanh", "sigmoid")),
    (_signed, ("sign", "absolute")),
    (_any, ("maximum", "minimum")),
    (_numbers, ("relu",)),
):
    for _name in _names:
        _rules[_name] = _Rule(_takes, _function(f"{_name}_of"))

_rules["sigmoid_cross_entropy"] = _Rule(_floats, _function("sigmoid_loss"))
for _name in ("cast", "broadcast_to", "copy", "draw_key"):
    _rules[_name] = _Rule(_any, lambda out, x, **_: x.to(out))
_rules["ones_like"] = _Rule(_any, lambda out, _: out.literal(1))
_rules["zeros_like"] = _Rule(_any, lambda out, _: out.literal(0))
_rules["assign_"] = _Rule(_any, lambda out, _, value: value.to(out))


@_rule("divide", _floats)
def _divide(out: Scalar, a: Value, b: Value) -> str:
    return f"{a.to(out)} / {b.to(out)}"


@_rule("negative", _numbers)
def _negative(out: Scalar, x: Value) -> str:
    return f"-{x.to(out)}" if out.floating else f"subtract_of({out.literal(0)}, {x.to(out)})"


@_rule("square", _numbers)
def _square(out: Scalar, x: Value) -> str:
    return f"multiply_of({x.to(out)}, {x.to(out)})"


@_rule("clip", _numbers)
def _clip(out: Scalar, x: Value, *, low: float, high: float) -> str:
    return f"minimum_of(maximum_of({x.to(out)}, {out.literal(low)}), {out.literal(high)})"


@_rule("where", lambda out, condition, a, b: bool(condition.dtype == np.bool_))
def _where(out: Scalar, condition: Value, a: Value, b: Value) -> str:
    return f"{condition.text} ? {a.to(out)} : {b.to(out)}"


def _comparison(sign: str) -> Callable[..., str]:
    def text(out: Scalar, a: Value, b: Value) -> str:
        common = _common(a.scalar, b.scalar)
        assert common is not None
        return f"{a.to(common)} {sign} {b.to(common)}"

    return text


for _name, _sign in {
    **{"equal": "==", "not_equal": "!="},
    **{"greater": ">", "greater_equal": ">=", "less": "<", "less_equal": "<="},
}.items():
    _rules[_name] = _Rule(lambda out, a, b: _common(a, b) is not None, _comparison(_sign))


@_rule("activation_grad", _alike)
def _activation_grad(out: Scalar, g: Value, y: Value, *, activation: str) -> str:
    return f"{activation}_grad({g.text}, {y.text})"


@_rule("bias_activation", _floats)
def _bias_activation(out: Scalar, x: Value, b: Value, *, activation: str) -> str:
    return f"{activation}_of({x.to(out)} + {b.to(out)})"


@_rule("scale_shift", _floats)
def _scale_shift(out: Scalar, x: Value, center: Value, scale: Value, shift: Value) -> str:
    return f"({x.to(out)} - {center.to(out)}) * {scale.to(out)} + {shift.to(out)}"


@_rule("assign_add_", lambda out, target, value: _numbers(out) and _common(target, value) is not None)
def _assign_add(out: Scalar, target: Value, value: Value) -> str:
    common = _common(target.scalar, value.scalar)
    assert common is not None
    return out.cast(f"add_of({target.to(common)}, {value.to(common)})", common)


@_rule("increment_", lambda out, step: out.whole)
def _increment(out: Scalar, step: Value) -> str:
    return f"add_of({step.text}, {out.literal(1)})"


@_rule("note_nonfinite_", lambda out, first, value, step: out == step and value.floating)
def _note_nonfinite(out: Scalar, first: Value, value: Value, step: Value) -> str:
    return f"{first.text} < {out.literal(0)} && !is_finite({value.text}) ? {step.text} : {first.text}"


@_rule("restore_", lambda out, target, before, keep: target == before and bool(keep.dtype == np.bool_))
def _restore(out: Scalar, target: Value, before: Value, keep: Value) -> str:
    return f"{keep.text} ? {target.text} : {before.text}"


@_rule("rescale_", lambda out, scale, good, finite, *, growth_steps: scale.floating and good.whole)
def _rescale(out: Scalar, scale: Value, good: Value, finite: Value, *, growth_steps: int) -> tuple[str, str]:
    grown = f"{good.text} == {good.scalar.literal(growth_steps - 1)}"
    doubled, halved = f"{scale.text} * {out.literal(2)}", f"{scale.text} * {out.literal(0.5)}"
    lowest = out.literal(2.0**-24)
    better = f"({grown}) && is_finite({doubled}) ? {doubled} : {scale.text}"
    worse = f"{halved} < {lowest} ? {lowest} : {halved}"
    more = f"add_of({good.text}, {good.scalar.literal(1)})"
    return f"{finite.text} ? {better} : {worse}", f"{finite.text} && !({grown}) ? {more} : {good.scalar.literal(0)}"


@_rule("decay_", lambda out, w, lr, *, rate: out.floating and lr.floating and out.computed == lr.computed)
def _decay(out: Scalar, w: Value, lr: Value, *, rate: float) -> str:
    return f"{w.text} - {w.text} * {out.literal(rate)} * {lr.text}"


def joins(op: str, arrays: tuple[Any, ...], static: dict[str, Any]) -> bool:
    """Tell whether there is a kernel for an op with these outs and inputs, each broadcast to the first."""
    rule = _rules.get(op)
    scalars = [scalar(a.dtype) for a in arrays]
    if rule is None or None in scalars or not contiguous(*arrays):
        return False
    ins = scalars if op.endswith("_") else scalars[1:]
    broadcast = all(_broadcasts(a.shape, arrays[0].shape) for a in arrays)
    return broadcast and rule.takes(scalars[0], *ins, **static) and _works(*scalars)


def _broadcasts(shape: Shape, out: Shape) -> bool:
    return len(shape) <= len(out) and all(
        n in (1, wanted) for n, wanted in zip(reversed(shape), reversed(out), strict=False)
    )


def _works(*scalars: Any) -> bool:
    """Tell whether generated kernels with these dtypes compile for the current device, by making a small one."""
    probes = {s.header: s for s in scalars}
    plain = np.dtype(np.float32)
    return all(
        compile_run(_alone("cast", ((s.dtype if s.header else plain, (1,)), (plain, (1,))), (), "").text) is not None
        for s in probes.values()
    )


def compose(calls: Sequence[Call], values: Sequence[tuple[Any, int]], arrays: Sequence[int]) -> Program:
    """Return one kernel for all the calls; a call that says no shapes has operands of as many elements, or of one."""
    scalars = [scalar(dtype) for dtype, _ in values]
    writer = Writer(scalars, {value: place for place, value in enumerate(arrays)})  # type: ignore[arg-type]
    for call in calls:
        target = (call.outs or call.ins)[0]
        size = values[target][1]
        shapes = call.shapes[len(call.outs) :] or [(values[x][1],) for x in call.ins]
        out = call.shapes[0] if call.shapes else (size,)
        ins = [writer.read(x, spread(shape, out)) for x, shape in zip(call.ins, shapes, strict=True)]
        text = _rules[call.op].text(writer.scalars[target], *ins, **call.static)
        for value, each in zip(call.outs or call.ins, text if isinstance(text, tuple) else (text,), strict=False):
            writer.write(value, each)
    return writer.finish(", ".join(call.op for call in calls), size)


composes("cuda", SimpleNamespace(joins=joins, compose=compose, large=_LARGE))


@lru_cache(maxsize=1024)
def _alone(op: str, specs: tuple[tuple[Any, Shape], ...], static: tuple[tuple[str, Any], ...], text: str) -> Program:
    """Return a kernel for one op; `text` tells 0.0 from -0.0 in its static arguments."""
    numbers = tuple(range(len(specs)))
    outs = 0 if op.endswith("_") else 1
    call = Call(op, numbers[:outs], numbers[outs:], dict(static), tuple(shape for _, shape in specs))
    return compose([call], [(dtype, int(np.prod(shape))) for dtype, shape in specs], numbers)


def _twin(op: str) -> None:
    def run(*arrays: Any, **static: Any) -> None:
        items = tuple(static.items())
        program = _alone(op, tuple((a.dtype, a.shape) for a in arrays), items, repr(items))
        program.bind(_apart(arrays))()

    accelerates(op, device="cuda", takes=lambda *arrays, **static: joins(op, arrays, static))(run)


def _apart(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arrays with a copy of each single element that lies inside of a larger first one, which is written."""
    target, *others = arrays
    first = target.data.ptr
    return (target, *(_copy(a) if _inside(a, first, first + target.nbytes, target.size) else a for a in others))


def _inside(array: Any, first: int, end: int, size: int) -> bool:
    return bool(array.size == 1 < size and first <= array.data.ptr < end)


def _copy(array: Any) -> Any:
    import cupy

    copy = cupy.empty(array.shape, array.dtype)
    _alone("cast", ((array.dtype, ()), (array.dtype, ())), (), "").bind((copy, array))()
    return copy


for _name in _rules:
    _twin(_name)
