"""Reverse-mode differentiation: the gradient rules of the ops, applied backwards; they compute with ops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, Protocol

from gpudl.backend import Array, Static
from gpudl.engine.parts import Part, Sum
from gpudl.engine.spec import is_floating
from gpudl.engine.state import gradients, scope, state
from gpudl.engine.tensor import Node, Tensor, faces

Gradients = tuple[Tensor | None, ...]
"""The gradients of several tensors, None for those that have none."""


next_order = partial(next, count())
"""Returns the number of a node of the graph; later nodes have higher numbers."""


class Differentiable(Protocol):
    """An op with gradient rules by the names of its inputs; a variadic op's last name is that of all further ones.

    Attributes:
        joint: for the name of an input, the names of all inputs whose gradients are computed by the same rule.
    """

    inputs: list[str]
    variadic: bool
    rules: dict[str, Callable[..., Any]]
    joint: dict[str, tuple[str, ...]]


class Application:
    """One application of an op, recorded for its gradient.

    Holds the arrays or recorded values of the outs, not their tensors, so that a tensor and its node form no cycle.
    """

    __slots__ = ("inputs", "op", "order", "results", "scope", "static")

    def __init__(
        self, op: Differentiable, inputs: tuple[Tensor, ...], results: tuple[Array, ...], static: Static
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.results = results
        self.static = static
        self.order = next_order()
        self.scope = state.scope

    def joined(self, outs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the outs, with the floating-point and the complex ones attached to the graph."""
        for number, out in enumerate(outs):
            if is_floating(out.dtype) or out.dtype.kind == "c":
                out.node, out.out_number, out.requires_grad = self, number, True
        return outs

    def gradients(
        self, wanted: Sequence[int], g: Sequence[Tensor | None], taken: Callable[[int], Tensor | None]
    ) -> Iterator[tuple[int, Tensor | Part | None]]:
        """Yield the position and the gradient of each input among `wanted` that has a rule.

        Args:
            wanted: positions of inputs.
            g: the gradients of the outs; None for an out that the loss does not depend on.
            taken: not used.
        """
        op, y = self.op, self.joined(tuple(map(Tensor, self.results)))
        given: tuple[object, ...] = (tuple(g), y) if len(y) > 1 else (g[0], y[0])
        last = len(op.inputs) - 1
        asked = {position: op.inputs[min(position, last)] for position in wanted}
        together: dict[str, Tensor | Part | None] = {}
        for position, name in asked.items():
            rule = op.rules.get(name)
            if rule is None:
                continue
            if name in op.joint:
                if name not in together:
                    made = rule(set(asked.values()), *given, *self.inputs, **self.static)
                    together.update(zip(op.joint[name], made, strict=True))
                part = together[name]
            elif op.variadic and name == op.inputs[last]:
                part = rule(position - last, *given, *self.inputs, **self.static)
            else:
                part = rule(*given, *self.inputs, **self.static)
            yield position, None if part is None else _fitted(part, self.inputs[position])


def _fitted(g: Tensor | Part, x: Tensor) -> Tensor | Part:
    """Undo broadcasting and promotion: return `g` in the shape and dtype of `x`."""
    if isinstance(g, Part):
        return g if g.g.dtype == x.dtype else replace(g, g=faces["cast"](g.g, dtype=x.dtype))
    if g.shape != x.shape:
        g = faces["sum_to"](g, shape=x.shape)
    if g.dtype != x.dtype:
        g = faces["cast"](g, dtype=x.dtype)
    return g


Key = tuple[int, int]


def key_of(tensor: Tensor) -> Key:
    """Return the key that identifies a tensor in the graph."""
    return id(tensor) if tensor.node is None else id(tensor.node), tensor.out_number


def _keys(node: Node) -> list[Key]:
    return [(id(node), number) for number in range(len(node.results))]


def between(ends: Iterable[Tensor], wanted: set[Key], after: int = -1) -> tuple[list[Node], set[Key]]:
    """Return the nodes on a path from a wanted tensor to one of `ends`, last first, and the keys on it.

    Args:
        ends: where the paths end.
        wanted: the keys of the tensors where they begin.
        after: only nodes with a higher order are considered.
    """
    found: dict[int, Node] = {}
    stack = [t.node for t in ends]
    while stack:
        node = stack.pop()
        if node is not None and node.order > after and id(node) not in found:
            found[id(node)] = node
            stack.extend(t.node for t in node.inputs)
    keys = set(wanted)
    path = []
    for node in sorted(found.values(), key=lambda n: n.order):
        if any(key_of(t) in keys for t in node.inputs):
            keys.update(_keys(node))
            path.append(node)
    return path[::-1], keys


def _gradient_of(node: Node | None) -> str:
    """Return the scope, for reports, of the backward computation of `node`."""
    return f"{state.scope if node is None else node.scope} gradient".lstrip()


def grad(
    loss: Tensor, wrt: Sequence[Tensor], *, seed: Tensor | None = None, create_graph: bool = False
) -> list[Tensor | None]:
    """Return the gradients of `loss` with respect to each tensor of `wrt`.

    Args:
        loss: a tensor; the elements of one that is not a scalar are summed.
        wrt: tensors, usually variables; each must have required gradients when the loss was computed.
        seed: the gradient of some final quantity with respect to `loss`; ones by default.
        create_graph: make the gradients differentiable in turn.

    Returns:
        One gradient per tensor, in its shape and dtype; None where the loss does not depend on it.

    Example:
        >>> x = gpudl.Variable([1.0, 2.0, 3.0])
        >>> gpudl.grad(gpudl.ops.sum(x * x), [x])[0].numpy()
        array([2., 4., 6.], dtype=float32)
    """
    with gradients(create_graph or state.open_tapes > 0), scope(_gradient_of(loss.node)):
        first = seed if seed is not None else faces["ones_like"](loss)
        return [each.value() for each in carried_back([(loss, first)], wrt)]


def carried_back(
    ends: Sequence[tuple[Tensor, Tensor]], wrt: Sequence[Tensor], so_far: Gradients = (), after: int = -1
) -> list[Sum]:
    """Propagate the gradients with respect to `ends` back, and return those with respect to `wrt`.

    Args:
        ends: tensors, each with its gradient.
        wrt: tensors.
        so_far: the gradients that the first tensors of `wrt` have already, to which the new ones are added.
        after: only nodes with a higher order are visited.
    """
    wanted = {key_of(t) for t in wrt}
    pending: dict[Key, Sum] = {}

    def sum_of(tensor: Tensor) -> Sum:
        return pending.setdefault(key_of(tensor), Sum(tensor.shape))

    def taken(inputs: Sequence[Tensor], position: int) -> Tensor | None:
        return sum_of(inputs[position]).taken()

    for tensor, g in (*zip(wrt, so_far, strict=False), *ends):
        sum_of(tensor).add(g)
    path, keys = between((end for end, _ in ends), wanted, after)
    for node in path:
        sums = [pending.get(key) if key in wanted else pending.pop(key, None) for key in _keys(node)]
        state.scope = _gradient_of(node)
        whole = [None if each is None else each.value() for each in sums]
        if all(each is None for each in whole):
            continue
        inputs = node.inputs
        positions = [position for position, tensor in enumerate(inputs) if key_of(tensor) in keys]
        for position, part in node.gradients(positions, whole, partial(taken, inputs)):
            sum_of(inputs[position]).add(part)
    return [sum_of(t) for t in wrt]


class GradientTape:
    """Differentiate the computation in a ``with`` block, with TensorFlow's interface to `grad`.

    Variables are watched automatically, other tensors after `watch`. The gradients of a tape inside another one are
    differentiable.

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
        """Allow gradients with respect to `tensor`."""
        for t in [tensor] if isinstance(tensor, Tensor) else tensor:
            t.requires_grad = is_floating(t.dtype)

    def gradient(self, target: Tensor, sources: Any) -> Any:
        """Return d target / d sources: one gradient, or a list for a list."""
        if isinstance(sources, Tensor):
            return grad(target, [sources])[0]
        return grad(target, list(sources))
