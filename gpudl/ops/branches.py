"""Branches: functions of which one is chosen by a value; with Keras's arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gpudl.engine.calls import takes_symbols
from gpudl.engine.convert import as_tensor, operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.engine.tree import flatten, map_leaves
from gpudl.ops.loops import Values, described
from gpudl.ops.primitives import logic
from gpudl.ops.selecting import apart, assign_selected, is_unknown, select

__all__ = [
    "cond",
    "switch",
]


@takes_symbols
def cond(pred: TensorLike, true_fn: Callable[[], Values], false_fn: Callable[[], Values]) -> Values:
    """Return what `true_fn` returns if `pred` is not 0, and what `false_fn` returns if it is.

    Where the value of `pred` is not known yet, in a recorded step and on symbols, both functions are called, and their
    results are selected element by element; and so are the values that they give to variables. So the function that is
    not chosen must not fail, and a gradient that is infinite in it makes the whole gradient NaN: limit its input.

    Args:
        pred: a bool or a number, or a tensor with one element.
        true_fn: a function without arguments that returns a nest of tensors.
        false_fn: likewise, of the same structure, shapes and dtypes.

    Raises:
        ShapeError: `pred` has several elements.
        TypeError: something that cannot be called; results that differ in structure, shape or dtype.

    Example:
        >>> x = gpudl.convert_to_tensor(3.0)
        >>> cond(x > 2, lambda: x * 10, lambda: x).numpy()
        array(30., dtype=float32)
    """
    if not callable(true_fn) or not callable(false_fn):
        raise TypeError(f"cond: true_fn and false_fn must be functions, got {true_fn!r} and {false_fn!r}.")
    chosen = _number("cond: pred", pred)
    if not isinstance(chosen, Tensor):
        return _results(true_fn() if chosen else false_fn())
    return _chosen("cond", logic.not_equal(chosen, 0), [false_fn, true_fn])


@takes_symbols
def switch(index: TensorLike, branches: Sequence[Callable[..., Values]], *operands: object) -> Values:
    """Return what the function of number `index` returns; an index out of range means the first or the last function.

    Where the value of `index` is not known yet all functions are called, see `cond`.

    Args:
        index: an integer, or a tensor with one element.
        branches: functions of the `operands`, which return nests of the same structure, shapes and dtypes.
        *operands: their arguments.

    Raises:
        ShapeError: `index` has several elements.
        TypeError: `branches` are not functions; results that differ in structure, shape or dtype.

    Example:
        >>> switch(1, [lambda x: x + 1, lambda x: x * 10], gpudl.convert_to_tensor(3.0)).numpy()
        array(30., dtype=float32)
    """
    if not branches or not all(map(callable, branches)):
        raise TypeError(f"switch: branches must be functions, at least one, got {branches!r}.")
    chosen = _number("switch: index", index)
    functions = [lambda branch=branch: branch(*operands) for branch in branches]
    if not isinstance(chosen, Tensor):
        return _results(functions[max(0, min(int(chosen), len(branches) - 1))]())
    return _chosen("switch", chosen, functions)


def _number(what: str, value: TensorLike) -> float | Tensor:
    """Return the value of a number, or the tensor if the host cannot read it now."""
    tensor = operand(value)
    if any(n != 1 for n in tensor.shape):
        raise ShapeError(f"{what} must be one number, got shape {tensor.shape}.")
    if not isinstance(value, Tensor):
        return float(np.asarray(value).item())
    if is_unknown(tensor):
        return tensor[(0,) * tensor.ndim] if tensor.ndim else tensor
    return float(tensor.item())


def _results(made: Values) -> Values:
    """Return a nest of results as tensors."""
    return map_leaves(lambda leaf: None if leaf is None else as_tensor(leaf), made)


def _chosen(name: str, chosen: Tensor, functions: Sequence[Callable[[], Values]]) -> Values:
    """Return the result of the function of number `chosen`, after a call of each, and assign variables likewise."""
    scopes, made = [], []
    for function in functions:
        result, scope = apart(function)
        scopes.append(scope)
        made.append(_results(result))
    if any(_kind(each) != _kind(made[0]) for each in made):
        raise TypeError(
            f"{name}: all functions must return the same structure, shapes and dtypes, got "
            f"{' and '.join(map(described, made))}. Cast or reshape their results."
        )
    leaves = zip(*(flatten(each)[0] for each in made), strict=True)
    selected = iter([None if each[0] is None else select(chosen, each) for each in leaves])
    assign_selected(chosen, scopes)
    return map_leaves(lambda _: next(selected), made[0])


def _kind(made: Values) -> object:
    leaves, structure = flatten(made)
    return structure, [leaf if leaf is None else (leaf.dtype, leaf.shape) for leaf in leaves]
