"""Axes taken apart, put in order and joined by a pattern of names, with Keras's arguments."""

from __future__ import annotations

import re
from math import prod

from gpudl.engine.convert import operand
from gpudl.engine.spec import Shape, ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import transpose
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "rearrange",
]

_TOKEN = re.compile(r"\s*(\(|\)|\.\.\.|[A-Za-z_]\w*|1)\s*")


def rearrange(tensor: TensorLike, pattern: str, **axes_lengths: int) -> Tensor:
    """Return an array with its axes in another order, some taken apart or joined.

    Args:
        tensor: an array.
        pattern: names of the axes of the array, ``->``, and names of those of the result. Names in parentheses are of
            one axis: the last one runs fastest. ``1`` stands for an axis of size 1, ``...`` for all axes that are not
            named.
        axes_lengths: sizes by name, needed where an axis is taken apart, except for one of its names.

    Raises:
        ShapeError: the array does not fit the pattern.
        ValueError: the pattern cannot be read, or both sides do not have the same names.

    Example:
        >>> rearrange([[1, 2, 3], [4, 5, 6]], "rows columns -> (columns rows)").numpy()
        array([1, 4, 2, 5, 3, 6], dtype=int32)
        >>> rearrange([1, 2, 3, 4], "(a b) -> a b", a=2).shape
        (2, 2)
    """
    x = operand(tensor)
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError(f"rearrange: the pattern needs one '->' between two lists of names, got {pattern!r}.")
    left, right = (_groups(side, pattern) for side in sides)
    left, right = _spelled_out(left, right, x.ndim, pattern)
    if sorted(n for group in left for n in group) != sorted(n for group in right for n in group):
        raise ValueError(f"rearrange: both sides of {pattern!r} must have the same names, each of them once.")
    if len(left) != x.ndim:
        raise ShapeError(f"rearrange: the pattern {pattern!r} has {len(left)} axes, but the array has shape {x.shape}.")
    lengths = dict(axes_lengths)
    for group, size in zip(left, x.shape, strict=True):
        _solve(group, size, lengths, pattern, x.shape)
    names = [name for group in left for name in group]
    apart = reshape(x, [lengths[name] for name in names])
    ordered = transpose(apart, [names.index(name) for group in right for name in group])
    return reshape(ordered, [prod(lengths[name] for name in group) for group in right])


def _groups(side: str, pattern: str) -> list[list[str]]:
    """Return the names of each axis."""
    tokens = _TOKEN.findall(side)
    groups: list[list[str]] = []
    inside = False
    for token in tokens:
        if token in "()":
            if inside == (token == "("):
                break
            inside = token == "("
            groups += [[]] * inside
        elif inside:
            groups[-1] = [*groups[-1], token]
        else:
            groups.append([token])
    if inside or "".join(tokens) != "".join(side.split()):
        raise ValueError(f"rearrange: {side.strip()!r} in {pattern!r} is no list of names, with pairs of parentheses.")
    return [[name for name in group if name != "1"] for group in groups]


def _spelled_out(
    left: list[list[str]], right: list[list[str]], ndim: int, pattern: str
) -> tuple[list[list[str]], list[list[str]]]:
    """Return both sides with names in the place of an ellipsis."""
    if ["..."] not in left:
        return left, right
    rest = [f"...{number}" for number in range(ndim - len(left) + 1)]
    at = left.index(["..."])
    names = [
        [*group[: group.index("...")], *rest, *group[group.index("...") + 1 :]] if "..." in group else group
        for group in right
    ]
    at_right = right.index(["..."]) if ["..."] in right else None
    if at_right is not None:
        names = [*right[:at_right], *([name] for name in rest), *right[at_right + 1 :]]
    return [*left[:at], *([name] for name in rest), *left[at + 1 :]], names


def _solve(group: list[str], size: int, lengths: dict[str, int], pattern: str, shape: Shape) -> None:
    """Enter the sizes of the names of one axis into `lengths`."""
    unknown = [name for name in group if name not in lengths]
    known = prod(lengths[name] for name in group if name in lengths)
    if len(unknown) == 1 and known and size % known == 0:
        lengths[unknown[0]] = size // known
    elif unknown:
        raise ShapeError(
            f"rearrange: an axis of size {size} of {shape} cannot be divided into ({' '.join(group)}) of {pattern!r}: "
            "say the sizes of all of these names but one, which divide it."
        )
    elif known != size:
        raise ShapeError(
            f"rearrange: ({' '.join(group)}) of {pattern!r} has size {known}, but the axis of {shape} has {size}."
        )
