"""Norms of vectors and matrices, and derivatives along directions, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gpudl.engine.calls import takes_symbols
from gpudl.engine.convert import as_tensor
from gpudl.engine.grad import grad
from gpudl.engine.state import gradients
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.axes import Axis, plain
from gpudl.ops.numpy.reductions import max as largest
from gpudl.ops.numpy.reductions import min as smallest
from gpudl.ops.numpy.reductions import sum as total
from gpudl.ops.numpy.statistics import floats
from gpudl.ops.primitives import singular
from gpudl.ops.primitives.elementwise import absolute, cast_like, square, zeros_like
from gpudl.ops.primitives.exponential import power, sqrt
from gpudl.ops.primitives.logic import not_equal
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import copy, in_order, reshape

__all__ = [
    "jvp",
    "norm",
]

Order = int | float | str | None


def norm(x: TensorLike, ord: Order = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return a norm of vectors or matrices.

    Args:
        x: a tensor.
        ord: None for the root of the sum of squares. Of vectors, p for (sum |x|**p)**(1 / p), 0 for how many numbers
            are not 0, ``inf`` and ``-inf`` for the largest and the smallest. Of matrices, ``"fro"`` as None, ``"nuc"``
            for the sum of the singular values, 2 and -2 for the largest and the smallest of these, 1 and -1, ``inf``
            and ``-inf`` for the largest and the smallest sum of a column or a row.
        axis: the axis of vectors, or the two axes of matrices; None for x as a whole.
        keepdims: whether the axes remain, with size 1.

    Raises:
        ValueError: an order that vectors or matrices do not have, or more than two axes with an order.

    Example:
        >>> norm([[3.0, 4.0]]).item(), norm([[3.0, -4.0]], ord=1, axis=1).numpy()
        (5.0, array([7.], dtype=float32))
    """
    x = floats(x)
    axes = axes_of(x.ndim, plain(axis))
    if axis is not None and len(axes) == 2 and isinstance(axis, Sequence):
        axes = tuple(a % x.ndim for a in axis)
    if ord is None and (axis is None or len(axes) <= 2):
        return sqrt(total(square(x), axes, keepdims))
    if len(axes) not in (1, 2):
        raise ValueError(f"norm: the order {ord!r} is of vectors or matrices, one or two axes, got {len(axes)}.")
    return _of_vectors(x, ord, axes, keepdims) if len(axes) == 1 else _of_matrices(x, ord, axes, keepdims)


def _of_vectors(x: Tensor, ord: Order, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    size = absolute(x)
    if isinstance(ord, str) or ord is None:
        raise ValueError(f"norm: vectors have no norm of order {ord!r}.")
    if math.isinf(ord):
        return (largest if ord > 0 else smallest)(size, axes, keepdims)
    if ord == 0:
        return cast_like(total(not_equal(x, 0), axes, keepdims), x)
    if ord == 1:
        return total(size, axes, keepdims)
    if ord == 2:
        return sqrt(total(square(x), axes, keepdims))
    return power(total(power(size, float(ord)), axes, keepdims), 1.0 / ord)


def _of_matrices(x: Tensor, ord: Order, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if ord in ("fro", "f"):
        return sqrt(total(square(x), axes, keepdims))
    rest = [a for a in range(x.ndim) if a not in axes]
    rows = in_order(x, (*rest, *axes))
    extreme = largest if ord == "nuc" or (isinstance(ord, int | float) and ord > 0) else smallest
    if ord in ("nuc", 2, -2):
        values = singular.singular_values(rows)
        found = total(values, -1) if ord == "nuc" else extreme(values, -1)
    elif ord in (1, -1, math.inf, -math.inf):
        found = extreme(total(absolute(rows), -2 if ord in (1, -1) else -1), -1)
    else:
        raise ValueError(f"norm: matrices have no norm of order {ord!r}.")
    return reshape(found, [1 if a in axes else n for a, n in enumerate(x.shape)]) if keepdims else found


@takes_symbols
def jvp(
    fun: Callable[..., object], primals: Sequence[TensorLike], tangents: Sequence[TensorLike], has_aux: bool = False
) -> tuple[object, ...]:
    """Return what a function returns, and its derivative along a direction.

    It is the gradient, with respect to the gradient of the results, of the gradient of the arguments.

    Args:
        fun: a function of tensors that returns a tensor or several in a tuple or list; of ops that have gradients.
        primals: its arguments.
        tangents: the direction, a tensor for each argument, in its shape.
        has_aux: whether it returns a pair of this and of something else, which is returned too.

    Returns:
        The results, their derivatives, and with `has_aux` what else it returned.

    Raises:
        ValueError: as many tangents as primals are needed.

    Example:
        >>> out, along = jvp(lambda x: x * x, (3.0,), (1.0,))
        >>> float(out), float(along)
        (9.0, 6.0)
    """
    if len(primals) != len(tangents):
        raise ValueError(f"jvp needs a tangent for each of the {len(primals)} primals, got {len(tangents)}.")
    inputs = [copy(as_tensor(x)) for x in primals]
    for x in inputs:
        x.requires_grad = True
    with gradients(True):
        returned = fun(*inputs)
        made, *aux = returned if has_aux and isinstance(returned, tuple) else (returned,)
        outs = [as_tensor(y) for y in (made if isinstance(made, tuple | list) else (made,))]
        seeds = [zeros_like(y) for y in outs]
        for seed in seeds:
            seed.requires_grad = True
        weighed = [total(y * seed) for y, seed in zip(outs, seeds, strict=True)]
        slopes = grad(sum(weighed[1:], weighed[0]), inputs, create_graph=True)
        terms = [total(g * as_tensor(t, g)) for g, t in zip(slopes, tangents, strict=True) if g is not None]
        along = grad(sum(terms[1:], terms[0]), seeds, create_graph=True) if terms else [None] * len(seeds)
    found = [zeros_like(y) if d is None else d for d, y in zip(along, outs, strict=True)]
    if isinstance(made, tuple | list):
        return (made, type(made)(found), *aux)
    return (outs[0], found[0], *aux)
