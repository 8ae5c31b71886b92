"""Cutting tensors into parts along an axis, with Keras's arguments and defaults."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import index
from typing import TypeAlias

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.symbol import Unknown
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.axes import integers
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import Key, take_slice

__all__ = [
    "array_split",
    "dsplit",
    "hsplit",
    "split",
    "unstack",
    "vsplit",
]

Sections: TypeAlias = "int | Sequence[int] | TensorLike"


def split(x: TensorLike, indices_or_sections: Sections, axis: int = 0) -> list[Tensor]:
    """Return the parts of x along `axis`: so many of equal size, or those that begin at the given indices.

    Raises:
        ShapeError: the axis cannot be divided into parts of equal size; indices that decrease.
        TracingError: the indices are computed in a recorded step, whose results have fixed shapes.

    Example:
        >>> [part.numpy().tolist() for part in split([1, 2, 3, 4], 2)]
        [[1, 2], [3, 4]]
        >>> [part.numpy().tolist() for part in split([1, 2, 3, 4], [1, 3])]
        [[1], [2, 3], [4]]
    """
    x = operand(x)
    (along,) = axes_of(x.ndim, index(axis))
    count = x.shape[along]
    if isinstance(indices_or_sections, int):
        if count % indices_or_sections:
            raise ShapeError(
                f"split: {count} elements along axis {axis} of {x.shape} cannot be divided into {indices_or_sections} "
                "parts of equal size. Use array_split, or give the indices at which parts begin."
            )
        return _evenly(x, along, indices_or_sections)
    inner = integers(indices_or_sections).tolist()
    bounds = [0, *(min(max(at + count * (at < 0), 0), count) for at in inner), count]
    if bounds != sorted(bounds):
        raise ShapeError(f"split: indices must not decrease, got {inner}.")
    return _cut(x, along, bounds)


def _cut(x: Tensor, axis: int, bounds: Sequence[int]) -> list[Tensor]:
    """Return the parts between neighbouring bounds."""
    before: Key = ((None, None, None),) * axis
    return [take_slice(x, key=(*before, (start, stop, None))) for start, stop in pairwise(bounds)]


def _evenly(x: Tensor, axis: int, sections: int) -> list[Tensor]:
    """Return so many parts, of which the first may be longer by one."""
    least, longer = divmod(x.shape[axis], sections)
    return _cut(x, axis, [0, *accumulate(least + (number < longer) for number in range(sections))])


def array_split(x: TensorLike, indices_or_sections: int, axis: int = 0) -> list[Tensor]:
    """Return so many parts of x along `axis`; if they cannot have equal sizes, the first ones are longer by one.

    Example:
        >>> [part.numpy().tolist() for part in array_split([1, 2, 3], 2)]
        [[1, 2], [3]]
    """
    x = operand(x)
    return _evenly(x, axes_of(x.ndim, index(axis))[0], index(indices_or_sections))


def hsplit(x: TensorLike, indices_or_sections: Sections) -> list[Tensor]:
    """Return the parts of x along the second axis, those of a vector along the only one, see `split`.

    Example:
        >>> [part.numpy().tolist() for part in hsplit([[1, 2], [3, 4]], 2)]
        [[[1], [3]], [[2], [4]]]
    """
    x = operand(x)
    return split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


def vsplit(x: TensorLike, indices_or_sections: Sections) -> list[Tensor]:
    """Return the parts of x along the first axis, see `split`.

    Example:
        >>> [part.numpy().tolist() for part in vsplit([[1, 2], [3, 4]], 2)]
        [[[1, 2]], [[3, 4]]]
    """
    return split(x, indices_or_sections, 0)


def dsplit(x: TensorLike, indices_or_sections: Sections) -> list[Tensor]:
    """Return the parts of x along the third axis, see `split`.

    Example:
        >>> [part.numpy().tolist() for part in dsplit([[[1, 2]]], 2)]
        [[[[1]]], [[[2]]]]
    """
    return split(x, indices_or_sections, 2)


def unstack(x: TensorLike, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """Return the elements of x along `axis`, each without that axis.

    Args:
        x: an array.
        num: how many there are, if the size of the axis is unknown.
        axis: the axis.

    Raises:
        ValueError: the size of the axis of a symbol is unknown, and `num` is not given.

    Example:
        >>> [part.numpy().tolist() for part in unstack([[1, 2], [3, 4]])]
        [[1, 2], [3, 4]]
    """
    x = operand(x)
    (along,) = axes_of(x.ndim, index(axis))
    count = x.shape[along]
    if type(count) is Unknown:
        if num is None:
            raise ValueError(f"unstack: the size of axis {axis} is unknown. Say by num how many parts there are.")
        count = index(num)
    before: Key = ((None, None, None),) * along
    return [take_slice(x, key=(*before, number)) for number in range(count)]
