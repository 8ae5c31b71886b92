"""Loops over the first axis: a function of a carry and a row, applied to the rows in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import index
from typing import Any, TypeAlias

from gpudl import backend
from gpudl.engine.convert import operand
from gpudl.engine.plan.loop_gradient import LoopNode
from gpudl.engine.plan.recorder import at_work
from gpudl.engine.spec import Spec
from gpudl.engine.state import state, symbolic
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.engine.tree import Nest, flatten, map_leaves
from gpudl.ops.numpy.arrangement import stack

__all__ = ["scan"]

Values: TypeAlias = Any
"""A nest of tensors that only the user's functions know the structure of."""
Body = Callable[[Values, Values], Values]
Tree: TypeAlias = Nest[Tensor | None]


def scan(
    f: Body,
    init: Nest[TensorLike | None],
    xs: Nest[TensorLike | None] = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Values, Values]:
    """Apply `f` to the rows of `xs` in turn, passing a carry from each iteration to the next.

    The result, gradients included, is bitwise equal to that of this loop (except for the order of sums of gradients of
    carries that `f` returns unchanged, and for the gradient of an outer 16-bit tensor of which `f` reads slices, which
    is rounded less often)::

        carry, ys = init, []
        for x in xs:
            carry, y = f(carry, x)
            ys.append(y)
        return carry, ops.stack(ys)

    In a recorded step, such as those of `fit`, `f` is called once, however many rows there are; the iteration is
    planned once and replayed for each row, forwards and backwards. The values of each iteration that the gradient needs
    are kept. Computations that are the same in every iteration are done once, before the loop.

    Args:
        f: a function of the carry and a row of `xs` (a nest of rows; None without `xs`) that returns a pair: the next
            carry, of the structure, shapes and dtypes of `init`, and a nest of results, or None. It may read outer
            tensors and variables, draw random numbers and update variables, as in a loop. Values that it assigns to
            Python variables are not passed on.
        init: the initial carry: a tensor, or a nest of tuples, lists and dicts of them.
        xs: a tensor of rows, or a nest of such tensors, whose first axes have the same size, the number of iterations.
        length: the number of iterations; required if there are no `xs`.
        reverse: begin with the last row. The results are in the order of the rows.
        unroll: how many iterations a compiler may unroll, at least 1, or a bool for all or none; without effect here.

    Returns:
        The last carry, and the nest of results, each with those of all iterations stacked along a new first axis.

    Raises:
        TypeError: `f` is not a function, or does not return a pair, or returns a carry that differs from `init`.
        ValueError: `xs` have different sizes, or no first axis; `length` does not match them, or is missing.

    Source: the recurrence is `lax.scan` of JAX (Bradbury et al., 2018), whose signature Keras has.

    Example:
        >>> last, sums = gpudl.ops.scan(lambda total, x: (total + x, total + x), 0.0, np.float32([1, 2, 3]))
        >>> last.numpy(), sums.numpy()
        (array(6., dtype=float32), array([1., 3., 6.], dtype=float32))
    """
    if not callable(f):
        raise TypeError(f"scan: f must be a function of a carry and a row, got {type(f).__name__}.")
    if not isinstance(unroll, int) or (unroll < 1 and unroll is not False):
        raise ValueError(f"scan: unroll must be a positive integer, or a bool, got {unroll!r}.")
    first, rows = _tensors(init), _tensors(xs)
    steps = _length(_leaves(rows), length)
    if steps == 0 or any(t.data is None for t in (*_leaves(first), *_leaves(rows))):
        return _inferred(f, first, rows, steps)
    run = _looped if state.recorder is None else _recorded
    return run(f, first, rows, steps, bool(reverse))


def _tensors(tree: Nest[TensorLike | None]) -> Tree:
    return map_leaves(lambda leaf: None if leaf is None else operand(leaf), tree)


def _leaves(tree: Tree) -> list[Tensor]:
    return [leaf for leaf in flatten(tree)[0] if leaf is not None]


def _filled(tree: Tree, leaves: Iterable[Tensor]) -> Tree:
    """Return `tree` with `leaves`, in order, in place of its tensors."""
    given = iter(leaves)
    return map_leaves(lambda leaf: None if leaf is None else next(given), tree)


def _length(xs: list[Tensor], length: int | None) -> int:
    """Return the number of iterations; raise ValueError if it is missing, wrong or ambiguous."""
    sizes = list(dict.fromkeys(x.shape[:1] for x in xs))
    if () in sizes:
        raise ValueError(
            "scan: xs need a first axis to iterate over, got a number. A list is a nest of several xs: "
            "stack its elements with ops.stack."
        )
    if len(sizes) > 1:
        listed = ", ".join(str(size) for (size,) in sizes)
        raise ValueError(f"scan: all xs must have equally many rows, got {listed} along their first axes.")
    if length is None:
        if not sizes:
            raise ValueError("scan: without xs, length, the number of iterations, is required.")
        return sizes[0][0]
    try:
        steps = index(length)
    except TypeError:
        steps = -1
    if steps < 0:
        raise ValueError(f"scan: length must be a non-negative integer, got {length!r}.")
    if sizes and sizes[0][0] != steps:
        raise ValueError(f"scan: length is {steps}, but xs have {sizes[0][0]} rows.")
    return steps


def _stepped(f: Body, carry: Tree, x: Tree) -> tuple[Tree, Tree]:
    """Return f(carry, x); raise TypeError unless it is a pair with a carry of the same kind."""
    made = f(carry, x)
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise TypeError(f"scan: f must return a pair of the next carry and a result, got {described(_tensors(made))}.")
    after, y = map(_tensors, made)
    if kind_of(after) != kind_of(carry):
        raise TypeError(
            f"scan: f must return a carry of the structure, shapes and dtypes of init, {described(carry)}, but "
            f"returned {described(after)}. Cast or reshape one of them."
        )
    return after, y


def kind_of(tree: Tree) -> object:
    """Return the structure of a nest, and the dtypes and shapes in it."""
    leaves, structure = flatten(tree)
    return structure, [leaf if leaf is None else leaf.spec for leaf in leaves]


def described(tree: Tree) -> str:
    """Return a description of a nest, with the dtype and the shape of each tensor."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key!r}: {described(tree[key])}" for key in tree) + "}"
    if isinstance(tree, list):
        return f"[{', '.join(map(described, tree))}]"
    if isinstance(tree, tuple):
        return f"({', '.join(map(described, tree))}{',' * (len(tree) == 1)})"
    return f"{tree.dtype}{list(tree.shape)}" if isinstance(tree, Tensor) else "None"


def _looped(f: Body, carry: Tree, xs: Tree, length: int, reverse: bool) -> tuple[Tree, Tree]:
    """Return the results of a loop that is computed eagerly."""
    leaves = _leaves(xs)
    rows: list[Tree] = []
    for t in range(length)[:: -1 if reverse else 1]:
        carry, y = _stepped(f, carry, _filled(xs, [x[t] for x in leaves]))
        if rows and kind_of(y) != kind_of(rows[0]):
            raise TypeError(
                f"scan: f must return results of the same structure, shapes and dtypes in each iteration, but returned "
                f"{described(rows[0])} and later {described(y)}."
            )
        rows.append(y)
    ordered = rows[::-1] if reverse else rows
    return carry, _filled(rows[0], map(stack, zip(*map(_leaves, ordered), strict=True)))


def _recorded(f: Body, init: Tree, xs: Tree, length: int, reverse: bool) -> tuple[Tree, Tree]:
    """Return the results of a loop that becomes one instruction of the step that is being recorded."""
    results: Tree = None

    def step(carries: list[Tensor], rows: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        nonlocal results
        carry, results = _stepped(f, _filled(init, carries), _filled(xs, rows))
        return _leaves(carry), _leaves(results)

    first = _leaves(init)
    outs = LoopNode(at_work(), first, _leaves(xs), step, length, reverse).outs
    return _filled(init, outs), _filled(results, outs[len(first) :])


def _inferred(f: Body, init: Tree, xs: Tree, length: int) -> tuple[Tree, Tree]:
    """Return results without values: for symbolic tensors, or for no iterations, where the carry is unchanged."""

    def without_value(spec: Spec) -> Tensor:
        return Tensor(None, spec)

    with symbolic():
        carry = map_leaves(lambda t: None if t is None else without_value(t.spec), init)
        row = map_leaves(lambda t: None if t is None else without_value(t.spec.with_shape(t.shape[1:])), xs)
        carry, y = _stepped(f, carry, row)
    on = backend.current()
    stacked = [y.spec.with_shape((length, *y.shape)) for y in _leaves(y)]
    if length:
        return carry, _filled(y, map(without_value, stacked))
    return init, _filled(y, (Tensor(on.empty(spec.shape, spec.dtype)) for spec in stacked))
