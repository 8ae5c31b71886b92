"""The arguments of `apply`: gradients, and their variables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable


def by_variable(
    grads: Sequence[ArrayLike | None], variables: Sequence[Variable]
) -> tuple[dict[int, Tensor], list[Variable]]:
    """Return the gradients that are there, by the identity of their variables, and the variables that have none.

    Raises:
        ValueError: no gradient at all, or another number of gradients than variables.
        ShapeError: a gradient whose shape is not its variable's.
    """
    if len(grads) != len(variables):
        raise ValueError(f"got {len(grads)} gradients for {len(variables)} variables: one each is needed.")
    present: dict[int, Tensor] = {}
    for g, variable in zip(grads, variables, strict=True):
        if g is None:
            continue
        tensor = as_tensor(g, like=variable)
        if tensor.shape != variable.shape:
            raise ShapeError(
                f"the gradient of {variable.path!r} has shape {tensor.shape}, expected the variable's "
                f"{variable.shape}. Are gradients and variables in the same order?"
            )
        present[id(variable)] = ops.cast_like(tensor, variable)
    if not present:
        raise ValueError(
            f"none of the {len(variables)} variables has a gradient. Does the loss depend on them, and "
            "was it computed inside the tape?"
        )
    return present, [v for v in variables if id(v) not in present]


def pairs_of(grads_and_vars: Iterable[object]) -> tuple[list[ArrayLike | None], list[Variable]]:
    """Return the gradients and the variables of pairs; raise ValueError for what is no pair."""
    gradients, variables = [], []
    for pair in grads_and_vars:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"apply_gradients takes pairs (gradient, variable), got {pair!r}. Use zip(grads, vars).")
        gradients.append(pair[0])
        variables.append(pair[1])
    return gradients, variables
