"""Associative scans, and functions of numbers or small arrays as functions of larger ones; with Keras's arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import wraps

import numpy as np

from gpudl.engine.calls import takes_symbols
from gpudl.engine.convert import operand
from gpudl.engine.spec import Shape, ShapeError, broadcast
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import flatten, map_leaves
from gpudl.ops.loops import Values
from gpudl.ops.numpy.arrangement import broadcast_to, concatenate, expand_dims
from gpudl.ops.numpy.repetition import flip
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import Key, reshape, take_slice
from gpudl.ops.repeating import map

__all__ = [
    "associative_scan",
    "vectorize",
]

Leaves = list[Tensor]


def associative_scan(
    f: Callable[[Values, Values], Values], elems: Values, reverse: bool = False, axis: int = 0
) -> Values:
    """Return what an associative function makes of the elements up to each, along `axis`.

    The function is called for many elements at once, about twice the logarithm of their number times.

    Args:
        f: a function of two nests like `elems`, of the same size along the axis, that returns one; ``f(f(a, b), c)``
            must be equal to ``f(a, f(b, c))``.
        elems: a tensor, or a nest of tensors of the same size along the axis.
        reverse: begin with the last element.
        axis: the axis.

    Raises:
        ShapeError: sizes that differ along the axis.
        TypeError: `f` is not a function.

    Example:
        >>> associative_scan(lambda a, b: a + b, np.float32([1, 2, 3])).numpy()
        array([1., 3., 6.], dtype=float32)
    """
    if not callable(f):
        raise TypeError(f"associative_scan: f must be a function of two nests, got {type(f).__name__}.")
    nest: Values = map_leaves(operand, elems)
    leaves = flatten(nest)[0]
    (along,) = axes_of(min(leaf.ndim for leaf in leaves), axis) if axis >= 0 else (axis,)
    if len({leaf.shape[along] for leaf in leaves}) != 1:
        raise ShapeError(
            f"associative_scan: elems must have the same size along axis {axis}, got shapes "
            f"{', '.join(str(leaf.shape) for leaf in leaves)}."
        )

    def filled(values: Leaves) -> Values:
        given = iter(values)
        return map_leaves(lambda _: next(given), nest)

    def joined(left: Leaves, right: Leaves) -> Leaves:
        made: Values = map_leaves(operand, f(filled(left), filled(right)))
        return flatten(made)[0]

    turned = [flip(leaf, along) for leaf in leaves] if reverse else leaves
    sums = _sums(joined, turned, along)
    return filled([flip(leaf, along) for leaf in sums] if reverse else sums)


def _part(xs: Leaves, axis: int, start: int | None, stop: int | None, step: int | None = None) -> Leaves:
    def key(x: Tensor) -> Key:
        return (*((None, None, None),) * axes_of(x.ndim, axis)[0], (start, stop, step))

    return [take_slice(x, key=key(x)) for x in xs]


def _sums(joined: Callable[[Leaves, Leaves], Leaves], xs: Leaves, axis: int) -> Leaves:
    """Return the results up to each element: up to the odd ones from pairs, and from these up to the even ones."""
    count = xs[0].shape[axis]
    if count < 2:
        return xs
    odd = _sums(joined, joined(_part(xs, axis, 0, -1, 2), _part(xs, axis, 1, None, 2)), axis)
    before = odd if count % 2 else _part(odd, axis, 0, -1)
    first = _part(xs, axis, 0, 1)
    even = first
    if count > 2:
        later = joined(before, _part(xs, axis, 2, None, 2))
        even = [concatenate([a, b], axis) for a, b in zip(first, later, strict=True)]
    return [_alternating(a, b, axis) for a, b in zip(even, odd, strict=True)]


def _alternating(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """Return the elements of both in turn."""
    (along,) = axes_of(even.ndim, axis)
    count = odd.shape[along]
    pairs = [expand_dims(x, along + 1) for x in (_part([even], along, 0, count)[0], odd)]
    shape = (*odd.shape[:along], 2 * count, *odd.shape[along + 1 :])
    mixed = reshape(concatenate(pairs, along + 1), shape)
    last = _part([even], along, count, None)[0]
    return concatenate([mixed, last], along) if last.shape[along] else mixed


@takes_symbols
def vectorize(
    pyfunc: Callable[..., Values], *, excluded: Collection[int | str] | None = None, signature: str | None = None
) -> Callable[..., Values]:
    """Return a function of arrays that applies `pyfunc` to their elements, broadcast, and stacks the results.

    Args:
        pyfunc: a function of numbers, 0-d tensors, that returns one or a tuple of them.
        excluded: positions and names of arguments that are passed on as they are.
        signature: the last axes that the function takes and returns, such as ``"(n),(n)->()"`` for a product of
            vectors; by default none.

    Raises:
        TypeError: `pyfunc` is not a function.
        ValueError: a signature that cannot be read, or for another number of arguments.

    Example:
        >>> vectorize(lambda a, b: a * b)([1.0, 2.0], 3.0).numpy()
        array([3., 6.], dtype=float32)
    """
    if not callable(pyfunc):
        raise TypeError(f"vectorize: pyfunc must be a function, got {type(pyfunc).__name__}.")
    kept = set(excluded or ())
    inner = None if signature is None else _axes(signature)

    @wraps(pyfunc)
    def called(*args: Values, **kwargs: Values) -> Values:
        places = [at for at in range(len(args)) if at not in kept]
        xs = [operand(args[at]) for at in places]
        if inner is not None and len(inner) != len(xs):
            raise ValueError(
                f"vectorize: the signature {signature!r} has {len(inner)} arguments, but there are {len(xs)}."
            )
        splits = [x.ndim - axes for x, axes in zip(xs, inner or [0] * len(xs), strict=True)]
        outer = broadcast(*(x.shape[:at] for x, at in zip(xs, splits, strict=True)))
        rows = [_rows(x, at, outer) for x, at in zip(xs, splits, strict=True)]

        def of_row(row: tuple[Tensor, ...]) -> Values:
            given = list(args)
            for at, value in zip(places, row, strict=True):
                given[at] = value
            return pyfunc(*given, **kwargs)

        return map_leaves(lambda y: reshape(y, (*outer, *y.shape[1:])), map(of_row, tuple(rows)))

    return called


def _axes(signature: str) -> list[int]:
    """Return the number of axes of each argument."""
    if not re.fullmatch(r"(\([\w,]*\),)*\([\w,]*\)->(\([\w,]*\),)*\([\w,]*\)", signature.replace(" ", "")):
        raise ValueError(f"vectorize: a signature is like '(n),(n)->()', got {signature!r}.")
    groups: Sequence[str] = re.findall(r"\(([^)]*)\)", signature.split("->")[0])
    return [len([name for name in group.split(",") if name.strip()]) for group in groups]


def _rows(x: Tensor, split: int, outer: Shape) -> Tensor:
    """Return x as rows, one for each element of the `outer` axes that all arguments are broadcast to."""
    inner = x.shape[split:]
    return reshape(
        broadcast_to(reshape(x, (*(1,) * (len(outer) - split), *x.shape)), (*outer, *inner)),
        (int(np.prod(outer)), *inner),
    )
