"""Computing with other values of variables than they hold, and noting their updates instead of making them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self, TypeVar

from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.state import Computing, state
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tensor import Tensor, TensorLike, faces
from gpudl.engine.variable import Variable

R = TypeVar("R")


class StatelessScope:
    """In a ``with`` block, ops read variables as they are mapped, and updates are noted; no variable changes.

    Args:
        state_mapping: pairs of a variable and the value that stands for it; by default each has its own.
        collect_losses: accepted, as in Keras.
        initialize_variables: accepted: variables that are made meanwhile have values at once.

    Raises:
        ValueError: a pair whose first is no variable.
        ShapeError: a value of another shape than its variable.

    Example:
        >>> v = gpudl.Variable(1.0)
        >>> with gpudl.StatelessScope([(v, 5.0)]) as scope:
        ...     doubled = v * 2
        ...     v.assign_add(1.0)
        >>> float(doubled), float(scope.get_current_value(v)), float(v)
        (10.0, 6.0, 1.0)
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[Variable, TensorLike]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        self.collect_losses = collect_losses
        self.initialize_variables = initialize_variables
        self.losses: list[Tensor] = []
        self._values: dict[int, tuple[Variable, Tensor]] = {}  # by identity, with the variable, so that it stays
        for update in state_mapping or ():
            self.add_update(update)

    def add_loss(self, loss: Tensor) -> None:
        """Note a loss."""
        self.losses.append(loss)

    def add_update(self, update: tuple[Variable, TensorLike]) -> None:
        """Let a variable have another value from here on: a pair of the two."""
        variable, value = update
        if not isinstance(variable, Variable):
            raise ValueError(f"StatelessScope: the values are given for variables, got one for {variable!r}.")
        tensor = as_tensor(value, like=variable)
        if isinstance(tensor, KerasTensor) or tensor.shape != variable.shape:
            raise ShapeError(
                f"StatelessScope: the variable {variable.path!r} has shape {variable.shape}, got a value of shape "
                f"{tensor.shape}."
            )
        if tensor.dtype != variable.dtype:
            tensor = faces["cast"](tensor, dtype=variable.dtype)
        self._values[id(variable)] = variable, tensor

    def get_current_value(self, variable: Variable) -> Tensor | None:
        """Return the current value of the variable; None if it has not been set or changed."""
        return self._values.get(id(variable), (None, None))[1]

    @property
    def updates(self) -> list[tuple[Variable, Tensor]]:
        """The variables that have other values, and these values."""
        return list(self._values.values())

    def run(self, op: Computing[R], inputs: tuple[TensorLike, ...], static: dict[str, Any]) -> R:
        """Return what `op` returns for the values of variables among `inputs`; one that updates them updates copies."""
        outer, state.stateless = state.stateless, None
        try:
            if not op.update:
                return op(*map(self._read, inputs), **static)
            written = [one for one in inputs[: op.writes] if isinstance(one, Variable)]
            fresh = {id(variable): _written_copy(self._value(variable)) for variable in written}
            given = [fresh[id(one)] if id(one) in fresh else self._read(one) for one in inputs]
            result = op(*given, **static)
            for variable in written:
                self._values[id(variable)] = variable, fresh[id(variable)]
            return result
        finally:
            state.stateless = outer

    def assign(self, variable: Variable, value: Tensor, *, add: bool = False) -> None:
        """Note that `variable` would hold `value`, or that more than before; other than `run`, while recording too."""
        outer, state.stateless = state.stateless, None
        try:
            value = faces["cast"](self._read(value), dtype=variable.dtype)
            now = faces["add"](self._value(variable), value) if add else faces["copy"](value)
            self._values[id(variable)] = variable, now
        finally:
            state.stateless = outer

    def _value(self, variable: Variable) -> Tensor:
        return self._values.get(id(variable), (variable, variable))[1]

    def _read(self, one: TensorLike) -> TensorLike:
        """Return the value of a variable, in the dtype of the layer that uses it, and anything else as it is."""
        if not isinstance(one, Variable):
            return one
        value = self._value(one)
        if value is one or state.autocast is None or not one.autocast or not is_floating(value.dtype):
            return value
        return value if value.dtype == state.autocast else faces["cast"](value, dtype=state.autocast)

    def __enter__(self) -> Self:
        self._outer, state.stateless = state.stateless, self
        return self

    def __exit__(self, *error: object) -> None:
        state.stateless = self._outer


def _written_copy(value: Tensor) -> Tensor:
    """Return a copy that an op may update; in a recorded step, which updates variables only, it is one."""
    if state.recorder is None:
        return faces["copy"](value)
    copy = Variable.over(value.on.empty(value.shape, value.dtype), trainable=False, name="copy")
    faces["assign_"](copy, value)
    return copy


class SymbolicScope:
    """Infer only shapes in a ``with`` block: updates have no effect.

    Example:
        >>> v = gpudl.Variable(1.0)
        >>> with gpudl.SymbolicScope():
        ...     v.assign(5.0)
        >>> float(v)
        1.0
    """

    def __enter__(self) -> Self:
        self._outer, state.symbolic = state.symbolic, True
        return self

    def __exit__(self, *error: object) -> None:
        state.symbolic = self._outer
