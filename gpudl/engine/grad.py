"""Reverse-mode differentiation: the rules of the ops, walked backwards, computing with ops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, Protocol

from gpudl.backend import Array
from gpudl.engine.spec import is_floating
from gpudl.engine.state import gradients, scope, state
from gpudl.engine.tensor import Node, Tensor, faces

_order = count()


class Differentiable(Protocol):
    """An op with gradient rules by the names of its inputs; a variadic op's last name stands for all further ones."""

    inputs: list[str]
    variadic: bool
    rules: dict[str, Callable[..., Tensor | None]]


class Application:
    """One application of an op, kept for its gradient.

    Holds the arrays or recorded values of the outs, not their tensors, so that a tensor and its node are no cycle.
    """

    __slots__ = ("inputs", "op", "order", "results", "scope", "static")

    def __init__(
        self, op: Differentiable, inputs: tuple[Tensor, ...], results: tuple[Array, ...], static: dict[str, Any]
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.results = results
        self.static = static
        self.order = next(_order)
        self.scope = state.scope

    def outs(self) -> Any:
        """Return the outs as tensors, the first of them again part of the graph."""
        outs = tuple(Tensor(data) for data in self.results)
        outs[0].node, outs[0].requires_grad = self, True
        return outs if len(outs) > 1 else outs[0]

    def gradient(self, position: int, g: Tensor) -> Tensor | None:
        """Return the gradient with respect to input `position`, or None where there is no rule."""
        names = self.op.inputs
        if self.op.variadic and position >= len(names) - 1:
            rule = self.op.rules.get(names[-1])
            extra: tuple[Any, ...] = (position - len(names) + 1,)
        else:
            rule, extra = self.op.rules.get(names[position]), ()
        if rule is None:
            return None
        result = rule(*extra, g, self.outs(), *self.inputs, **self.static)
        if result is None:
            return None
        return _fitted(result, self.inputs[position])


def _fitted(g: Tensor, x: Tensor) -> Tensor:
    """Undo broadcasting and promotion: return `g` in the shape and dtype of `x`."""
    if g.shape != x.shape:
        g = faces["sum_to"](g, shape=x.shape)
    if g.dtype != x.dtype:
        g = faces["cast"](g, dtype=x.dtype)
    return g


def _key(tensor: Tensor) -> int:
    return id(tensor.node) if tensor.node is not None else id(tensor)


def _between(loss: Tensor, wanted: set[int]) -> tuple[list[Node], set[int]]:
    """Return the nodes on a path from a wanted tensor to the loss, last first, and the keys on it."""
    found: dict[int, Node] = {}
    stack = [loss.node] if loss.node is not None else []
    while stack:
        node = stack.pop()
        if id(node) not in found:
            found[id(node)] = node
            stack.extend(t.node for t in node.inputs if t.node is not None)
    keys = set(wanted)
    path = []
    for node in sorted(found.values(), key=lambda n: n.order):
        if any(_key(t) in keys for t in node.inputs):
            keys.add(id(node))
            path.append(node)
    return path[::-1], keys


def _gradient_of(node: Node | None) -> str:
    """Return whose computation it is to go back through `node`."""
    return f"{state.scope if node is None else node.scope} gradient".lstrip()


def grad(
    loss: Tensor, wrt: Sequence[Tensor], *, seed: Tensor | None = None, create_graph: bool = False
) -> list[Tensor | None]:
    """Return the gradients of `loss` with respect to each tensor of `wrt`.

    Args:
        loss: a tensor; the elements of one that is not a scalar are summed.
        wrt: tensors, usually variables; each must have been part of the computation with gradients on.
        seed: the gradient of some final quantity with respect to `loss`; ones by default.
        create_graph: make the gradients differentiable again.

    Returns:
        One gradient per tensor, in its shape and dtype; None where the loss does not depend on it.

    Example:
        >>> x = gpudl.Variable([1.0, 2.0, 3.0])
        >>> gpudl.grad(gpudl.ops.sum(x * x), [x])[0].numpy()
        array([2., 4., 6.], dtype=float32)
    """
    wanted = {_key(t) for t in wrt}
    with gradients(create_graph or state.open_tapes > 0), scope(_gradient_of(loss.node)):
        first = seed if seed is not None else faces["ones_like"](loss)
        pending: dict[int, Tensor] = {_key(loss): first}
        path, keys = _between(loss, wanted)
        for node in path:
            g = pending.get(id(node)) if id(node) in wanted else pending.pop(id(node), None)
            if g is None:
                continue
            state.scope = _gradient_of(node)
            for position, tensor in enumerate(node.inputs):
                key = _key(tensor)
                part = node.gradient(position, g) if key in keys else None
                if part is not None:
                    pending[key] = faces["add"](pending[key], part) if key in pending else part
    return [pending.get(_key(t)) for t in wrt]


class GradientTape:
    """Differentiate what is computed in a ``with`` block, in TensorFlow's words; `grad` does the work.

    Variables are watched by themselves; other tensors are after `watch`. A tape inside another one makes
    its gradients differentiable.

    Example:
        >>> x = gpudl.Variable(3.0)
        >>> with gpudl.GradientTape() as tape:
        ...     y = x * x
        >>> float(tape.gradient(y, x))
        6.0
    """

    def __init__(self, persistent: bool = False) -> None:
        self.persistent = persistent

    def __enter__(self) -> GradientTape:
        state.open_tapes += 1
        return self

    def __exit__(self, *exception: object) -> None:
        state.open_tapes -= 1

    def watch(self, tensor: Tensor | Iterable[Tensor]) -> None:
        """Make gradients with respect to `tensor` possible."""
        for t in [tensor] if isinstance(tensor, Tensor) else tensor:
            t.requires_grad = is_floating(t.dtype)

    def gradient(self, target: Tensor, sources: Any) -> Any:
        """Return d target / d sources: one gradient, or a list for a list."""
        if isinstance(sources, Tensor):
            return grad(target, [sources])[0]
        return grad(target, list(sources))
