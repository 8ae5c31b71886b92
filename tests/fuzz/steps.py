"""Random ops on tensors of every dtype, each with what NumPy says about the very numbers that it was given."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from fuzz.programs import Program
from gpudl import Tensor, convert_to_tensor, ops

HALVES = ("float16", "bfloat16")
FLOATS = ("float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


@dataclass
class Step:
    """One op.

    Attributes:
        text: as a program would have it; ``{0}`` is the first tensor that it takes.
        takes: the tensors, by their numbers in the program.
        apply: the op itself.
        expected: what comes out, by NumPy: float64 for floats.
        dtype: the dtype that comes out.
        size: of what is added up, where it is more than what comes out.
    """

    text: str
    takes: tuple[int, ...]
    apply: Callable[..., Tensor]
    expected: np.ndarray
    dtype: str
    size: np.ndarray | None = None

    def check(self, result: Tensor) -> None:
        """Assert that the op has given that, floats within a few roundings."""
        assert str(result.dtype) == self.dtype, f"dtype {result.dtype}, expected {self.dtype}"
        assert result.shape == self.expected.shape, f"shape {result.shape}, expected {self.expected.shape}"
        if self.dtype not in EPSILON:
            np.testing.assert_array_equal(result.numpy(), self.expected.astype(self.dtype))
            return
        with np.errstate(over="ignore", invalid="ignore"):
            exact = self.expected.astype(self.dtype).astype(np.float64)  # what is too large is infinite
        size = np.abs(exact) if self.size is None else np.maximum(np.abs(exact), self.size)
        bound = 16 * EPSILON[self.dtype] * np.where(np.isfinite(size), size, 0) + np.float64(1e-37)
        ours = result.numpy().astype(np.float64)
        with np.errstate(invalid="ignore"):
            good = (np.abs(ours - exact) <= bound) | (ours == exact) | (np.isnan(ours) & np.isnan(exact))
        assert good.all(), f"{ours[~good]}, expected {exact[~good]}"


def wide(x: np.ndarray) -> np.ndarray:
    """Return floats in float64, anything else as it is."""
    return x if x.dtype.kind in "biu" else x.astype(np.float64)


def promoted(*dtypes: str) -> str:
    """Return the dtype of what is computed of these, as Keras has it: any float wins against any integer."""
    floats = {d for d in dtypes if d in EPSILON}
    if not floats:
        return str(np.result_type(*dtypes))
    if floats == set(HALVES):
        return "float32"
    return max(floats, key=lambda d: np.dtype(d).itemsize)


def floating(dtype: str) -> str:
    """Return the dtype of what is a float even where it is computed of integers."""
    return dtype if dtype in EPSILON else "float32"


def random_leaf(program: Program, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return an array of numbers that fit the dtype, large and special ones among them."""
    p = program
    if dtype == "bool":
        return np.asarray(p.rng.random(shape) < 0.5)
    if dtype in INTEGERS:
        info = np.iinfo(dtype)
        low, high = (info.min, info.max) if p.chance(0.3) else (max(info.min, -5), 9)
        return np.asarray(p.rng.integers(low, high, shape, dtype=dtype, endpoint=True))
    x = np.asarray(p.rng.standard_normal(shape) * p.one_of((1.0, 1.0, 30.0)))
    if p.chance(0.15):
        x = np.where(p.rng.random(shape) < 0.2, p.rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan], shape), x)
    return x.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


class Steps:
    """Makes the next random step of a program, from the tensors that there are."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.values: list[Tensor] = []

    def leaf(self) -> np.ndarray:
        """Return an array, which becomes a tensor of the program."""
        p = self.program
        shape = tuple(p.integer(0 if p.chance(0.05) else 1, 4) for _ in range(p.integer(0, 3)))
        dtype = p.one_of(("bool", *INTEGERS, *HALVES, *FLOATS, *FLOATS, *FLOATS))
        array = random_leaf(p, shape, dtype)
        self.values.append(convert_to_tensor(array))
        return array

    def next(self) -> Step | None:
        """Return a step; None where what was chosen does not fit."""
        kinds = (self._unary, self._binary, self._binary, self._reduction, self._shape, self._index, self._choice)
        with np.errstate(all="ignore"):
            return self.program.one_of(kinds)()

    def _any(self) -> tuple[int, np.ndarray, str]:
        """Return one of the tensors: its number, its values and its dtype."""
        number = self.program.integer(0, len(self.values) - 1)
        if self.program.chance(0.5):  # rather a late one
            number = max(number, self.program.integer(0, len(self.values) - 1))
        value = self.values[number]
        return number, value.numpy(), str(value.dtype)

    def _unary(self) -> Step | None:
        number, x, dtype = self._any()
        keeps: dict[str, Any] = {"negative": np.negative, "absolute": np.abs, "sign": np.sign}
        widens: dict[str, Any] = {
            "exp": np.exp,
            "expm1": np.expm1,
            "log": np.log,
            "log1p": np.log1p,
            "sqrt": np.sqrt,
            "tanh": np.tanh,
        }
        if dtype == "bool":
            return Step("~{0}", (number,), operator.invert, ~x, dtype)
        if dtype in INTEGERS and self.program.chance(0.3):
            return Step("~{0}", (number,), operator.invert, ~x, dtype)
        name = self.program.one_of((*keeps, *widens, "square"))
        function = getattr(ops, name)
        if name == "square":
            return Step("ops.square({0})", (number,), function, wide(x) * wide(x), dtype)
        if name in keeps:
            return Step(f"ops.{name}({{0}})", (number,), function, keeps[name](wide(x)), dtype)
        return Step(f"ops.{name}({{0}})", (number,), function, widens[name](x.astype(np.float64)), floating(dtype))

    def _binary(self) -> Step | None:
        p = self.program
        number, a, left = self._any()
        if p.chance(0.3):
            scalar: Any = p.one_of((2, 3, 1, 0.5, -1.5) if left in EPSILON else (1, 2, 3))
            right = "int32" if left == "bool" else left
            other, b, takes = repr(scalar), np.asarray(scalar), (number,)
        else:
            second, b, right = self._any()
            other, scalar, takes = "{1}", None, (number, second)
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            return None
        dtype = promoted(left, right)
        symbol = p.one_of((*_ARITHMETIC, *_COMPARISONS, *_BITS))
        if dtype == "bool" and symbol in ("-", "/", "//", "%", "+", "*"):
            return None
        if symbol in _BITS and dtype in EPSILON:
            return None
        text, apply = f"{{0}} {symbol} {other}", (_ARITHMETIC | _COMPARISONS | _BITS)[symbol]
        function = apply if scalar is None else (lambda x: apply(x, scalar))
        if symbol in _COMPARISONS:
            common = np.float64 if dtype in EPSILON else dtype
            return Step(text, takes, function, apply(a.astype(common), b.astype(common)), "bool")
        if symbol in ("//", "%") and dtype not in EPSILON and (b == 0).any():
            return None
        if symbol == "/":
            dtype, common = floating(dtype), np.float64
            return Step(text, takes, function, a.astype(common) / b.astype(common), dtype)
        if dtype in EPSILON:
            # Computed in the dtype itself: what is rounded to a whole number or a rest must not be rounded otherwise.
            exact = np.float64 if symbol not in ("//", "%") else "float32" if dtype in HALVES else dtype
            narrow = [v.astype(dtype).astype(exact) for v in (a, b)]
            size = np.abs(narrow[0].astype(float)) + np.abs(narrow[1].astype(float)) if symbol in "+-%" else None
            return Step(text, takes, function, wide(apply(*narrow)), dtype, size)
        return Step(text, takes, function, apply(a.astype(dtype), b.astype(dtype)), dtype)

    def _reduction(self) -> Step | None:
        p = self.program
        number, x, dtype = self._any()
        name = p.one_of(("sum", "mean", "max", "argmax"))
        axes = x.ndim
        axis: Any = None if p.chance(0.4) or not axes else p.integer(-axes, axes - 1)
        if axis is not None and name in ("sum", "mean", "max") and p.chance(0.3):
            axis = tuple(int(a) for a in p.rng.permutation(axes)[: p.integer(1, axes)])
        keep = p.chance(0.3)
        if x.size == 0 and name != "sum":
            return None
        text = f"ops.{name}({{0}}, {axis}, keepdims={keep})"
        results = {"max": dtype, "mean": floating(dtype), "sum": _summed(dtype), "argmax": "int32"}
        exact = wide(x)
        if name == "sum" and dtype not in EPSILON:
            exact = exact.astype(_summed(dtype))
        function = getattr(np, name)
        given: dict[str, Any] = {"axis": axis, "keepdims": keep}
        if name == "sum" and dtype not in EPSILON:
            given["dtype"] = _summed(dtype)
        expected = np.asarray(function(exact, **given))
        size = None
        if name in ("sum", "mean"):
            size = np.asarray(
                function(np.abs(np.where(np.isfinite(exact), exact, 0).astype(float)), axis=axis, keepdims=keep)
            )

        def apply(t: Tensor) -> Tensor:
            return getattr(ops, name)(t, axis, keepdims=keep)

        return Step(text, (number,), apply, expected, results[name], size)

    def _shape(self) -> Step | None:
        p = self.program
        number, x, dtype = self._any()
        kind = p.one_of(("reshape", "transpose", "broadcast_to", "concatenate", "cast", "zeros_like"))
        if kind == "reshape":
            shape: tuple[int, ...] = p.one_of(((-1,), x.shape[::-1], (1, *x.shape), (*x.shape, 1)))
            if x.size == 0:
                return None
            return Step(
                f"ops.reshape({{0}}, {shape})", (number,), lambda t: ops.reshape(t, shape), x.reshape(shape), dtype
            )
        if kind == "transpose":
            axes = tuple(int(a) for a in p.rng.permutation(x.ndim))
            if p.chance(0.4):
                return Step("ops.transpose({0})", (number,), ops.transpose, x.transpose(), dtype)
            text = f"ops.transpose({{0}}, {axes})"
            return Step(text, (number,), lambda t: ops.transpose(t, axes), x.transpose(axes), dtype)
        if kind == "broadcast_to":
            shape = (p.integer(1, 3), *(p.integer(1, 3) if n == 1 else n for n in x.shape))
            text = f"ops.broadcast_to({{0}}, {shape})"
            return Step(text, (number,), lambda t: ops.broadcast_to(t, shape), np.broadcast_to(x, shape), dtype)
        if kind == "zeros_like":
            return Step("ops.zeros_like({0})", (number,), ops.zeros_like, np.zeros_like(x), dtype)
        if kind == "cast":
            wanted = p.one_of(("bool", *INTEGERS, *HALVES, *FLOATS))
            if dtype in EPSILON and wanted in INTEGERS:
                return None
            with np.errstate(all="ignore"):
                cast = (
                    x.astype(bool) if wanted == "bool" else x.astype(float) if wanted in EPSILON else x.astype(wanted)
                )
            return Step(f"ops.cast({{0}}, {wanted!r})", (number,), lambda t: ops.cast(t, wanted), cast, wanted)
        if not x.ndim:
            return None
        alike = [i for i, v in enumerate(self.values) if v.shape == x.shape]
        second = p.one_of(alike)
        axis = p.integer(-x.ndim, x.ndim - 1)
        common = promoted(dtype, str(self.values[second].dtype))
        parts = [wide(v.astype(common)) for v in (x, self.values[second].numpy())]
        text = f"ops.concatenate([{{0}}, {{1}}], {axis})"
        joined = np.concatenate(parts, axis)
        return Step(text, (number, second), lambda a, b: ops.concatenate([a, b], axis), joined, common)

    def _index(self) -> Step | None:
        p = self.program
        number, x, dtype = self._any()
        if not x.ndim or not x.size:
            return None
        if p.chance(0.5):
            key = random_key(p, x.shape)
            return Step(f"{{0}}[{key}]", (number,), lambda t: t[key], x[key], dtype)
        axis = p.integer(-x.ndim, x.ndim - 1)
        n = x.shape[axis]
        shape = tuple(p.integer(1, 3) for _ in range(p.integer(0, 2)))
        rows = p.rng.integers(-n, n, shape).astype(p.one_of(("int8", "int16", "int32", "int64")))
        given: Any = p.one_of((rows, rows.tolist()))
        if p.chance(0.3):
            return (
                Step(f"{{0}}[{rows!r}]", (number,), lambda t: t[rows], x[rows % len(x) if axis else rows], dtype)
                if (axis in (0, -x.ndim))
                else None
            )
        text = f"ops.take({{0}}, {given!r}, axis={axis})"
        return Step(text, (number,), lambda t: ops.take(t, given, axis=axis), np.take(x, rows, axis=axis), dtype)

    def _choice(self) -> Step | None:
        p = self.program
        conditions = [i for i, v in enumerate(self.values) if v.dtype == bool]
        first, a, left = self._any()
        second, b, right = self._any()
        if p.chance(0.4) and left in EPSILON:
            low, high = -0.5, 1.25
            clipped = np.clip(wide(a), low, high)
            return Step(f"ops.clip({{0}}, {low}, {high})", (first,), lambda t: ops.clip(t, low, high), clipped, left)
        dtype = promoted(left, right)
        if p.chance(0.4) and dtype != "bool":
            name = p.one_of(("maximum", "minimum"))
            try:
                expected = getattr(np, name)(wide(a.astype(dtype)), wide(b.astype(dtype)))
            except ValueError:
                return None
            return Step(f"ops.{name}({{0}}, {{1}})", (first, second), getattr(ops, name), expected, dtype)
        if not conditions:
            return None
        condition = p.one_of(conditions)
        try:
            expected = np.where(self.values[condition].numpy(), wide(a.astype(dtype)), wide(b.astype(dtype)))
        except ValueError:
            return None
        return Step("ops.where({0}, {1}, {2})", (condition, first, second), ops.where, expected, dtype)


def random_key(program: Program, shape: tuple[int, ...]) -> Any:
    """Return integers, slices, None and an ellipsis that index an array of `shape`."""
    p = program
    key: list[Any] = []
    for n in shape[: p.integer(1, len(shape))]:
        if p.chance(0.35):
            key.append(p.integer(-n, n - 1))
        else:
            start, stop = (None if p.chance(0.4) else p.integer(-n - 1, n + 1) for _ in range(2))
            key.append(slice(start, stop, p.one_of((None, 1, 2, -1, -2))))
    if p.chance(0.2):
        key.insert(p.integer(0, len(key)), None)
    if p.chance(0.2) and len(key) < len(shape):
        key.append(...)
    return key[0] if len(key) == 1 else tuple(key)


def _summed(dtype: str) -> str:
    """Return the dtype in which Keras adds up: small integers widen."""
    return {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}.get(dtype, dtype)


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_BITS: dict[str, Callable[[Any, Any], Any]] = {"&": operator.and_, "|": operator.or_, "^": operator.xor}
