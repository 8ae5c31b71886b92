"""Loops with Keras's arguments: while a condition holds, over numbers, over rows."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import TypeAlias, TypeVar

from gpudl.engine.convert import as_tensor, operand
from gpudl.engine.plan.recorder import Recorder, at_work
from gpudl.engine.spec import ShapeError
from gpudl.engine.state import Computing, TracingError, gradients, recording, state, symbolic, user_line
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.engine.tree import Nest, flatten, map_leaves
from gpudl.engine.variable import Variable
from gpudl.ops.loops import Values, described, kind_of, scan
from gpudl.ops.numpy.ranges import arange
from gpudl.ops.primitives import logic
from gpudl.ops.primitives.shape import reshape
from gpudl.ops.selecting import apart, assign_selected, select

__all__ = [
    "fori_loop",
    "map",
    "vectorized_map",
    "while_loop",
]

R = TypeVar("R")
Tree: TypeAlias = Nest[Tensor | None]


def while_loop(
    cond: Callable[..., TensorLike],
    body: Callable[..., Values],
    loop_vars: Values,
    maximum_iterations: int | None = None,
) -> Values:
    """Apply `body` to the variables of a loop as long as `cond` holds for them, and return the last ones.

    In a recorded step the loop is one instruction, as `scan` is, if the condition depends on constants only, such as a
    counter. If it depends on values that are computed in the step, `maximum_iterations` is needed: so many iterations
    are computed, and those after the last one change nothing. Gradients flow through the loop either way.

    Args:
        cond: a function of the loop variables that returns a bool or a tensor with one element.
        body: a function of them that returns their next values, of the same structure, shapes and dtypes.
        loop_vars: a tuple or a list of the first values, nests of tensors; or one of them.
        maximum_iterations: the greatest number of iterations; by default any number.

    Returns:
        The last values: a tuple, or one value for one.

    Raises:
        TracingError: in a recorded step the condition depends on computed values, and `maximum_iterations` is None.
        TypeError: `body` returns something else than the next values.

    Example:
        >>> [int(each) for each in while_loop(lambda i, total: i < 4, lambda i, total: (i + 1, total + i), (0, 0))]
        [4, 6]
    """
    several = isinstance(loop_vars, tuple | list)
    first = _tensors(tuple(loop_vars) if several else (loop_vars,))
    loop = _While(cond, body, None if maximum_iterations is None else index(maximum_iterations))
    last = loop.run(first) if state.recorder is None else loop.recorded(first)
    return last if several else last[0]


def _tensors(tree: Values) -> Values:
    return map_leaves(lambda leaf: None if leaf is None else operand(leaf), tree)


def _kept(name: str, before: Tree, after: Tree) -> Tree:
    """Return the next values of loop variables; raise TypeError if they are of another kind."""
    if kind_of(after) != kind_of(before):
        raise TypeError(
            f"{name} must return values of the structure, shapes and dtypes of those that it gets, "
            f"{described(before)}, but returned {described(after)}. Cast or reshape them."
        )
    return after


class _While:
    """A loop while a condition holds."""

    def __init__(self, cond: Callable[..., TensorLike], body: Callable[..., Values], most: int | None) -> None:
        self._cond, self._body, self._most = cond, body, most

    def _holds(self, now: Values) -> Tensor:
        made = as_tensor(self._cond(*now))
        if any(n != 1 for n in made.shape):
            raise ShapeError(f"while_loop: cond must return one bool, got shape {made.shape}.")
        return reshape(made, ()) if made.ndim else made

    def _next(self, now: Values) -> Values:
        made = self._body(*now)
        after = tuple(made) if isinstance(made, tuple | list) else (made,)
        return _kept("while_loop: body", now, _tensors(after))

    def run(self, now: Values) -> Values:
        """Return the last values, computed one iteration after another; without values only their kind."""
        count = 0
        while self._most is None or count < self._most:
            holds = self._holds(now)
            if holds.data is None:
                return map_leaves(lambda leaf: None if leaf is None else Tensor(None, leaf.spec), self._next(now))
            if not holds.item():
                break
            now, count = self._next(now), count + 1
        return now

    def recorded(self, first: Values) -> Values:
        """Return the last values in a recorded step."""
        count = self._count(first)
        if count is not None:
            return scan(lambda now, _: (self._next(now), None), first, length=count)[0] if count else first
        if self._most is None:
            raise TracingError(
                f"{user_line()}: how often while_loop repeats its body depends on values that are computed in a "
                "recorded step, whose instructions are fixed. Say maximum_iterations, or compile(run_eagerly=True)."
            )
        return scan(self._step, (as_tensor(True), first), length=self._most)[0][1]

    def _step(self, carry: Values, _: None) -> tuple[Values, None]:
        """Do one iteration that changes nothing once the condition has not held."""
        before, now = carry
        holds = logic.logical_and(before, self._holds(now))
        after, scope = apart(lambda: self._next(now))
        pairs = zip(flatten(now)[0], flatten(after)[0], strict=True)
        chosen = iter([None if old is None else select(holds, (old, new)) for old, new in pairs])
        assign_selected(holds, (apart(lambda: None)[1], scope))
        return (holds, map_leaves(lambda _: next(chosen), now)), None

    def _count(self, first: Values) -> int | None:
        """Return the number of iterations; None if it depends on values that are computed in the step."""
        constants = _Constants(at_work())
        now, count = map_leaves(constants.known, first), 0
        outer, state.stateless = state.stateless, constants
        try:
            with recording(None), gradients(False), symbolic():
                while self._most is None or count < self._most:
                    holds = self._holds(now)
                    if holds.data is None:
                        return None
                    if not holds.item():
                        break
                    now, count = self._next(now), count + 1
        except TracingError:  # something else reads a value that is computed in the step
            return None
        finally:
            state.stateless = outer
        return count


class _Constants:
    """Has ops compute with the constants of a recorded step only; results that depend on others have no values."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def known(self, leaf: Values) -> Values:
        """Return a constant, or what is no tensor, as it is, and of other tensors the shape and the dtype."""
        unknown = isinstance(leaf, Tensor) and not self._recorder.is_constant(leaf)
        return Tensor(None, leaf.spec) if unknown else leaf

    def run(self, op: Computing[R], inputs: tuple[Values, ...], static: dict[str, Values]) -> R:
        """Return the result of `op`."""
        state.stateless = None
        try:
            return op(*[self.known(leaf) for leaf in inputs], **static)
        finally:
            state.stateless = self

    def assign(self, variable: Variable, value: Tensor, *, add: bool = False) -> None:
        """Do nothing: what variables hold is not known."""


def fori_loop(
    lower: TensorLike, upper: TensorLike, body_fun: Callable[[Tensor, Values], Values], init_val: Values
) -> Values:
    """Apply `body_fun` to each number from `lower` to `upper`, exclusive, and a value, and return the last value.

    Args:
        lower: the first number.
        upper: the end of the numbers, which is not included.
        body_fun: a function of the number, an int32 tensor, and of the value, a nest of tensors; it returns the next
            value, of the same structure, shapes and dtypes.
        init_val: the first value.

    Raises:
        TracingError: a bound is computed in a recorded step, whose instructions are fixed.
        TypeError: `body_fun` returns something else than the next value.

    Example:
        >>> int(fori_loop(0, 4, lambda i, total: total + i, 0))
        6
    """
    if state.recorder is not None and any(isinstance(bound, Tensor) for bound in (lower, upper)):
        raise TracingError(
            f"{user_line()}: fori_loop has bounds that are computed in a recorded step, whose instructions are fixed. "
            "Use while_loop with maximum_iterations, or compile(run_eagerly=True)."
        )

    def step(now: Values, number: Values) -> tuple[Values, None]:
        return _kept("fori_loop: body_fun", now, _tensors(body_fun(number, now))), None

    return scan(step, init_val, arange(lower, upper, dtype="int32"))[0]


def map(f: Callable[[Values], Values], xs: Values) -> Values:
    """Apply `f` to each row of `xs`, and stack the results along a new first axis.

    Args:
        f: a function of a row, or of a nest of rows, that returns a nest of tensors.
        xs: a tensor, or a nest of tensors whose first axes have the same size.

    Raises:
        ValueError: `xs` have different sizes, or no first axis.

    Example:
        >>> map(lambda row: gpudl.ops.sum(row), np.ones((2, 3), "float32")).numpy()
        array([3., 3.], dtype=float32)
    """
    return scan(lambda _, row: (None, f(row)), None, xs)[1]


def vectorized_map(function: Callable[[Values], Values], elements: Values) -> Values:
    """Apply a function to each row of `elements`, and stack the results; here the same as `map`.

    Example:
        >>> vectorized_map(lambda row: row * 2, np.float32([1, 2])).numpy()
        array([2., 4.], dtype=float32)
    """
    return map(function, elements)
