"""Where gradients stop, and functions with gradients of their own; with Keras's arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps

from gpudl.engine.calls import remember, takes_symbols
from gpudl.engine.convert import operand
from gpudl.engine.grad import next_order
from gpudl.engine.spec import is_floating
from gpudl.engine.state import gradients, state
from gpudl.engine.symbol import any_symbol
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.engine.tree import flatten, map_leaves
from gpudl.ops.loops import Values
from gpudl.ops.primitives import elementwise
from gpudl.ops.primitives.shape import copy

__all__ = [
    "custom_gradient",
    "stop_gradient",
]


def stop_gradient(variable: TensorLike) -> Tensor:
    """Return a copy through which no gradient flows.

    Example:
        >>> x = gpudl.Variable(3.0)
        >>> gpudl.grad(x * stop_gradient(x), [x])[0].numpy()
        array(3., dtype=float32)
    """
    with gradients(False):
        return copy(variable)


@takes_symbols
def custom_gradient(f: Callable[..., tuple[Values, Callable[..., Values]]]) -> Callable[..., Values]:
    """Decorate a function that returns, with its result, a function for its gradient.

    Args:
        f: a function of tensors. It returns a nest of tensors, and a function that gets the gradient with respect to
            them, of the same structure, and returns that with respect to the argument of `f`, or a tuple or a list for
            several. What it computes with may be differentiated in turn.

    Example:
        >>> @custom_gradient
        ... def clipped(x):
        ...     return x * 2, lambda upstream: gpudl.ops.clip(upstream * 2, -1, 1)
        >>> x = gpudl.Variable(3.0)
        >>> gpudl.grad(clipped(x), [x])[0].numpy()
        array(1., dtype=float32)
    """

    def computed(*args: Values) -> Values:
        inputs: Values = map_leaves(operand, args)
        made, rule = f(*inputs)
        leaves = flatten(inputs)[0]
        if not (state.gradients and any(leaf.requires_grad for leaf in leaves)):
            return made
        return _Custom(tuple(leaves), made, rule).outs

    @wraps(f)
    def called(*args: Values) -> Values:
        return remember(computed, args, {}) if any_symbol(args) else computed(*args)

    computed.__name__ = getattr(f, "__name__", "custom_gradient")
    return called


class _Custom:
    """An application of a function with a gradient of its own, as a node of the graph; see `Node`."""

    def __init__(self, inputs: tuple[Tensor, ...], made: Values, rule: Callable[..., Values]) -> None:
        self.inputs = inputs
        self.order = next_order()
        self.scope = state.scope
        self._rule = rule
        self._specs = [out.spec for out in flatten(made)[0]]
        self.results = tuple(out.data for out in flatten(made)[0])
        self._made = map_leaves(lambda out: None, made)
        numbers = iter(range(len(self.results)))
        self.outs = map_leaves(lambda out: self._out(out, next(numbers)), made)

    def _out(self, made: Tensor, number: int) -> Tensor:
        out = Tensor(made.data, made.spec)
        if is_floating(out.dtype):
            out.node, out.out_number, out.requires_grad = self, number, True
        return out

    def gradients(
        self, wanted: Sequence[int], g: Sequence[Tensor | None], taken: Callable[[int], Tensor | None]
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield the position and the gradient of each input among `wanted`."""
        given = iter(zip(g, self.results, strict=True))
        upstream = map_leaves(lambda _: _or_zeros(*next(given)), self._made)
        found = flatten(self._rule(upstream))[0]
        if len(found) != len(self.inputs):
            raise TypeError(
                f"custom_gradient: the function for the gradient must return one for each of the {len(self.inputs)} "
                f"arguments, but returned {len(found)}."
            )
        for position in wanted:
            if found[position] is not None:
                yield position, operand(found[position], self.inputs[position])


def _or_zeros(g: Tensor | None, result: Values) -> Tensor:
    return elementwise.zeros_like(Tensor(result)) if g is None else g
