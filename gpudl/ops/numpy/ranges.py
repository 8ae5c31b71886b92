"""Sequences of numbers: evenly spaced ones, windows, grids; with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from operator import index

import numpy as np
from numpy.typing import DTypeLike

from gpudl.engine.convert import as_tensor, operand
from gpudl.engine.default_float import float_dtype
from gpudl.engine.spec import Shape, ShapeError, is_floating, promote
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import expand_dims, moveaxis
from gpudl.ops.numpy.creation import fixed
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.primitives import elementwise, exponential, reduce
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "arange",
    "bartlett",
    "blackman",
    "geomspace",
    "hamming",
    "hanning",
    "kaiser",
    "linspace",
    "logspace",
    "meshgrid",
    "vander",
]


def arange(
    start: TensorLike, stop: TensorLike | None = None, step: TensorLike | None = None, dtype: DTypeLike | None = None
) -> Tensor:
    """Return start, start + step, ... before `stop`; with one argument 0, 1, ... before that.

    Args:
        start: the first number, or with one argument the end.
        stop: the end, which is not included.
        step: the difference of neighbours, 1 by default.
        dtype: by default that of the arguments: int32 for Python integers, float32 for Python floats.

    Raises:
        TracingError: a tensor computed in a recorded step, whose results have fixed shapes.

    Example:
        >>> arange(3).numpy(), arange(1, 2, 0.5).numpy()
        (array([0, 1, 2], dtype=int32), array([1. , 1.5], dtype=float32))
    """
    given = [each for each in (start, stop, step) if each is not None]
    kind = promote(*(operand(each).dtype for each in given)) if dtype is None else np.dtype(dtype)
    numbers = [each if isinstance(each, int | float) else operand(each).item() for each in given]
    first, end, by = (0, numbers[0], 1) if stop is None else (*numbers[:2], numbers[2] if step is not None else 1)
    if isinstance(first, int) and isinstance(end, int) and isinstance(by, int):
        count = builtins.max(0, -((first - end) // by))
        return fixed(lambda: np.arange(first, end, by), (count,), kind)
    return as_tensor(np.arange(first, end, by).astype(kind))


def linspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: DTypeLike | None = None,
    axis: int = 0,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return `num` evenly spaced numbers from `start` to `stop`, along a new `axis` if these are arrays.

    Args:
        start: the first number, or an array of first numbers.
        stop: the last.
        num: how many.
        endpoint: whether `stop` is the last one; otherwise it would be the next.
        retstep: return the difference of neighbours too.
        dtype: by default a float; integers are rounded down.
        axis: where the numbers lie.

    Example:
        >>> linspace(0, 1, 5).numpy()
        array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    first, last = operand(start), operand(stop)
    count = index(num)
    kind = _floating(first, last)
    first, last = cast(first, kind), cast(last, kind)
    gaps = count - 1 if endpoint else count
    step = (last - first) / float(gaps) if gaps > 0 else (last - first) * float("nan")
    if numbers := _numbers(start, stop):
        values = as_tensor(np.linspace(numbers[0], numbers[1], count, endpoint).astype(kind))
    else:
        values = _between(first, last, count, gaps, lambda a, b, t: a * (1 - t) + b * t)
    if dtype is not None:
        integers = not is_floating(np.dtype(dtype))
        values = cast(elementwise.floor_divide(values, 1.0) if integers else values, dtype)
    values = moveaxis(values, 0, axis)
    return (values, step) if retstep else values


def _numbers(*values: object) -> list[float]:
    """Return the values if all are numbers of Python, with which NumPy computes more exactly, in float64; else none."""
    numbers = [each for each in values if isinstance(each, int | float)]
    return numbers if len(numbers) == len(values) else []


def _floating(*xs: Tensor) -> np.dtype:
    kind = promote(*(x.dtype for x in xs))
    return kind if is_floating(kind) else float_dtype()


def _between(
    first: Tensor, last: Tensor, count: int, gaps: int, at: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    """Return `at(first, last, t)` for `count` values t = 0, 1 / gaps, ... along a new first axis."""
    shape = (count, *[1] * builtins.max(first.ndim, last.ndim))
    t = fixed(lambda: np.arange(count).reshape(shape) / builtins.max(gaps, 1), shape, first.dtype)
    return at(expand_dims(first, 0) if first.ndim else first, expand_dims(last, 0) if last.ndim else last, t)


def logspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    base: TensorLike = 10,
    dtype: DTypeLike | None = None,
    axis: int = 0,
) -> Tensor:
    """Return the powers of `base` whose exponents are those of `linspace`.

    Example:
        >>> logspace(0, 2, 3).numpy()
        array([  1.,  10., 100.], dtype=float32)
    """
    if numbers := _numbers(start, stop, base):
        made = np.logspace(numbers[0], numbers[1], index(num), endpoint, numbers[2])
        return as_tensor(made.astype(float_dtype() if dtype is None else np.dtype(dtype)))
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    assert isinstance(exponents, Tensor)
    values = exponential.power(cast(base, exponents.dtype), exponents)
    return values if dtype is None else cast(values, dtype)


def geomspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    dtype: DTypeLike | None = None,
    axis: int = 0,
) -> Tensor:
    """Return `num` numbers from `start` to `stop`, each the same multiple of the one before.

    Example:
        >>> geomspace(1, 8, 4).numpy()
        array([1., 2., 4., 8.], dtype=float32)
    """
    count = index(num)
    if numbers := _numbers(start, stop):
        made = np.geomspace(numbers[0], numbers[1], count, endpoint)
        return as_tensor(made.astype(float_dtype() if dtype is None else np.dtype(dtype)))
    first, last = operand(start), operand(stop)
    kind = _floating(first, last)
    gaps = count - 1 if endpoint else count
    values = _between(cast(first, kind), cast(last, kind), count, gaps, lambda a, b, t: a * (b / a) ** t)
    return moveaxis(values if dtype is None else cast(values, dtype), 0, axis)


def meshgrid(*x: TensorLike, indexing: str = "xy") -> list[Tensor]:
    """Return for each of several vectors its coordinate at each point of the grid that they span.

    Args:
        *x: the coordinates along each axis of the grid.
        indexing: ``"ij"`` for axes in the order of the vectors; ``"xy"`` for the first two exchanged.

    Raises:
        ShapeError: a vector has more than one axis, or none.
        ValueError: an unknown `indexing`.

    Example:
        >>> [each.numpy().tolist() for each in meshgrid([1, 2, 3], [4, 5])]
        [[[1, 2, 3], [1, 2, 3]], [[4, 4, 4], [5, 5, 5]]]
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}.")
    vectors = [operand(each) for each in x]
    if builtins.any(vector.ndim != 1 for vector in vectors):
        raise ShapeError(f"meshgrid takes vectors, got shapes {', '.join(str(vector.shape) for vector in vectors)}.")
    axes = list(range(len(vectors)))
    if indexing == "xy":
        axes[:2] = axes[:2][::-1]
    shape: Shape = tuple(vectors[axis].shape[0] for axis in axes)
    places = [tuple(-1 if axis == number else 1 for axis in axes) for number in range(len(vectors))]
    return [
        reduce.broadcast_to(reshape(vector, place), shape=shape) for vector, place in zip(vectors, places, strict=True)
    ]


def vander(x: TensorLike, N: int | None = None, increasing: bool = False) -> Tensor:  # noqa: N803 (Keras's)
    """Return the powers of a vector as columns, from x**(N - 1) to x**0, or `increasing`; N is its length by default.

    Raises:
        ShapeError: x is no vector.

    Example:
        >>> vander([1.0, 2.0, 3.0], 2).numpy()
        array([[1., 1.],
               [2., 1.],
               [3., 1.]], dtype=float32)
    """
    x = operand(x)
    if x.ndim != 1:
        raise ShapeError(f"vander takes a vector, got shape {x.shape}.")
    count = x.shape[0] if N is None else index(N)
    exponents = fixed(lambda: np.arange(count)[:: 1 if increasing else -1], (count,), x.dtype)
    return exponential.power(expand_dims(x, -1), exponents)


def _window(values: Callable[[int], np.ndarray], x: TensorLike) -> Tensor:
    count = int(x) if isinstance(x, int | float) else int(operand(x).item())
    return fixed(lambda: values(count), (count,), float_dtype())


def bartlett(x: TensorLike) -> Tensor:
    """Return the Bartlett window of `x` points: a triangle from 0 to 1 to 0.

    Example:
        >>> bartlett(5).numpy()
        array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    return _window(np.bartlett, x)


def blackman(x: TensorLike) -> Tensor:
    """Return the Blackman window of `x` points: a sum of two cosines.

    Example:
        >>> blackman(3).numpy().round(4) + 0
        array([0., 1., 0.], dtype=float32)
    """
    return _window(np.blackman, x)


def hamming(x: TensorLike) -> Tensor:
    """Return the Hamming window of `x` points: a raised cosine whose ends are 0.08.

    Example:
        >>> hamming(3).numpy().round(2)
        array([0.08, 1.  , 0.08], dtype=float32)
    """
    return _window(np.hamming, x)


def hanning(x: TensorLike) -> Tensor:
    """Return the Hann window of `x` points: a raised cosine whose ends are 0.

    Example:
        >>> hanning(5).numpy()
        array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    return _window(np.hanning, x)


def kaiser(x: TensorLike, beta: TensorLike) -> Tensor:
    """Return the Kaiser window of `x` points; a larger `beta` makes it narrower.

    Example:
        >>> kaiser(3, 2.0).numpy().round(3)
        array([0.439, 1.   , 0.439], dtype=float32)
    """
    shape = beta if isinstance(beta, int | float) else operand(beta).item()
    return _window(lambda count: np.kaiser(count, shape), x)
