"""NumPy's reductions: sums, means and extremes along axes, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from operator import index

from gpudl.engine.convert import operand
from gpudl.engine.op import Op
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.axes import Axis, plain
from gpudl.ops.primitives import elementwise, logic, reduce
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "all",
    "any",
    "argmax",
    "max",
    "mean",
    "min",
    "sum",
]


def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the sum along `axis`, by default of all elements; small integers are summed in 32 bits.

    Example:
        >>> sum(np.full(1000, 200, np.uint8)).numpy()
        array(200000, dtype=uint32)
    """
    return reduce.sum(x, axis=plain(axis), keepdims=bool(keepdims))


def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the mean along `axis`, by default of all elements; that of integers is float32, that of no elements NaN.

    Example:
        >>> mean([[1, 2], [3, 5]], axis=0).numpy()
        array([2. , 3.5], dtype=float32)
    """
    return reduce.mean(operand(x), plain(axis), bool(keepdims))


def max(x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """Return the maximum along `axis`, by default of all elements, and of `initial` if it is given.

    Raises:
        ShapeError: no elements, and no `initial`.

    Example:
        >>> max([[1.0, 5.0], [3.0, 4.0]], axis=1, initial=4.5).numpy()
        array([5. , 4.5], dtype=float32)
    """
    return _extreme(reduce.max, elementwise.maximum, x, axis, keepdims, initial)


def min(x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """Return the minimum along `axis`, by default of all elements, and of `initial` if it is given.

    Raises:
        ShapeError: no elements, and no `initial`.

    Example:
        >>> min([[1.0, 5.0], [3.0, 4.0]], axis=1).numpy()
        array([1., 3.], dtype=float32)
    """
    return _extreme(reduce.min, elementwise.minimum, x, axis, keepdims, initial)


def _extreme(
    of_all: Op[Tensor], of_two: Op[Tensor], x: TensorLike, axis: Axis, keepdims: bool, initial: float | None
) -> Tensor:
    x = operand(x)
    if initial is not None and x.size == 0:  # `initial`, in the shape of the maximum
        result = reduce.sum(x, axis=plain(axis), keepdims=bool(keepdims))
        return elementwise.cast_like(result + operand(initial), x)
    result = of_all(x, axis=plain(axis), keepdims=bool(keepdims))
    return result if initial is None else of_two(result, elementwise.cast_like(operand(initial), result))


def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return, as bool, whether any element along `axis` is not 0.

    Example:
        >>> any([[0.0, 0.0], [0.0, 3.0]], axis=1).numpy()
        array([False,  True])
    """
    return logic.greater(sum(logic.not_equal(x, 0), axis, keepdims), 0)


def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return, as bool, whether no element along `axis` is 0.

    Example:
        >>> all([[1.0, 0.0], [2.0, 3.0]], axis=1).numpy()
        array([False,  True])
    """
    return logic.equal(sum(logic.equal(x, 0), axis, keepdims), 0)


def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the first maximum along `axis`, by default in the flattened x, as int32.

    Raises:
        ShapeError: no elements.

    Example:
        >>> argmax([[1.0, 5.0], [7.0, 2.0]]).numpy(), argmax([[1.0, 5.0], [7.0, 2.0]], axis=-1).numpy()
        (array(2, dtype=int32), array([1, 0], dtype=int32))
    """
    x = operand(x)
    at = reduce.argmax(reshape(x, -1), axis=0) if axis is None else reduce.argmax(x, axis=index(axis))
    if not keepdims:
        return at
    gone = axes_of(x.ndim, axis)
    return reshape(at, [1 if a in gone else n for a, n in enumerate(x.shape)])
