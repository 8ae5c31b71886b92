"""What an optimizer keeps: the count of its steps, the learning rate, slots, and variables of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from gpudl import config, ops
from gpudl.engine.state import TracingError, state, user_line, warn_user
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.optimizers.layout import Layout
from gpudl.optimizers.options import LearningRate, rate_number, rate_source
from gpudl.optimizers.schedules.base import LearningRateSchedule
from gpudl.registry import Configurable, Identifier


class OptimizerVariables(Configurable):
    """The state of an optimizer, and how it is made, read and set."""

    slot_starts: Mapping[str, float | None] = MappingProxyType({})
    """What slots begin with, by name: a number, or None for the values of the variable; by default 0."""
    _unread = frozenset({"_layout", "_own", "_warned"})
    name: str

    def __init__(self, learning_rate: LearningRate) -> None:
        self._iterations = Variable(np.array(0, np.int64), trainable=False, name="iteration")
        self._learning_rate = rate_source(learning_rate)
        self._own: list[Variable] = []
        self._layout: Layout | None = None

    @property
    def built(self) -> bool:
        """Whether `build` has been called."""
        return self._layout is not None

    @property
    def learning_rate(self) -> Tensor | float:
        """The step size of now. A number that is assigned to it, between steps, is written in place."""
        source = self._learning_rate
        if isinstance(source, Variable):
            return source
        return source(self._iterations) if isinstance(source, LearningRateSchedule) else source()

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        if callable(value):
            self._learning_rate = value
            return
        if not isinstance(self._learning_rate, Variable):
            raise TypeError(
                f"{type(self).__name__} was made with a schedule or a function as learning_rate, so that no number can "
                "be assigned to it. Assign another schedule, or make the optimizer with a number."
            )
        if state.recorder is not None and not isinstance(value, Tensor):
            raise TracingError(
                f"{user_line()}: a number was assigned to learning_rate while a step was being recorded, and every "
                "replayed step would assign the same. Assign it between steps, or assign a tensor."
            )
        self._learning_rate.assign(value if isinstance(value, Tensor) else rate_number(value))

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the names of the slots; `variables` lists those in one tuple variable by variable."""
        return ()

    def _all_slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the names of the slots, with those that `Optimizer` itself needs."""
        return self.slot_names()

    @property
    def variables(self) -> list[Variable]:
        """The count of steps, the learning rate if it is a variable, and the slots, in Keras's order."""
        slots = []
        if self._layout is not None:
            every = [self._layout.slots_of(v) for v in self._layout.variables]
            names = self._all_slot_names()
            slots = [slots_of[n] for several in names for slots_of in every for n in several if n in slots_of]
        rate = self._learning_rate
        return [self._iterations, *([rate] if isinstance(rate, Variable) else []), *slots, *self._own]

    @property
    def _trainable_variables(self) -> list[Variable]:
        return [] if self._layout is None else self._layout.variables

    def state(self, variables: Sequence[Variable]) -> list[Tensor]:
        """Return all that `apply` changes: `variables`, which are known, their slots, and what there is once."""
        runs = () if self._layout is None else self._layout.runs(variables)
        return [*(t for run in runs for t in (run.flat, *run.slots.values())), self._iterations, *self._own]

    def slots_of(self, variable: Variable) -> dict[str, Variable]:
        """Return the slots of a variable that the optimizer was built with, by name, in its shape."""
        assert self._layout is not None
        return self._layout.slots_of(variable)

    def _get_variable_index(self, variable: Variable) -> int:
        """Return how many variables `build` was given before this one."""
        assert self._layout is not None
        return self._layout.number_of(variable)

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Identifier = "zeros",
        dtype: DTypeLike | None = None,
        aggregation: str | None = "none",
        layout: object = None,
        name: str | None = None,
    ) -> Variable:
        """Make a variable that belongs to the state of the optimizer.

        Args:
            shape: its shape.
            initializer: what it begins with, or the name of an initializer.
            dtype: by default ``config.floatx()``.
            aggregation, layout: Keras's, for variables on several devices; without effect.
            name: a name for reports.
        """
        made = Variable(initializer, tuple(shape), dtype or config.float_dtype(), trainable=False, name=name)
        self._own.append(made)
        return made

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Identifier = "zeros"
    ) -> Variable:
        """Make a variable of the optimizer in the shape and dtype of another one, named after it."""
        of = reference_variable.path.replace("/", "_")
        kind = reference_variable.dtype
        return self.add_variable(reference_variable.shape, initializer, kind, name=f"{of}_{name or 'var'}")

    def add_optimizer_variables(
        self,
        trainable_variables: Iterable[Variable],
        name: str | Sequence[str],
        initializer: Identifier | list[Identifier] | tuple[Identifier, ...] = "zeros",
    ) -> list[Variable] | tuple[list[Variable], ...]:
        """Make one variable of the optimizer, or one for each of several names, beside each of `trainable_variables`.

        Raises:
            ValueError: another number of initializers than names.
        """
        names = [name] if isinstance(name, str) else list(name)
        starts = list(initializer) if isinstance(initializer, list | tuple) else [initializer] * len(names)
        if len(starts) != len(names):
            raise ValueError(f"got {len(starts)} initializers for {len(names)} names: one each is needed.")
        made: tuple[list[Variable], ...] = tuple([] for _ in names)
        for v in trainable_variables:
            for into, kind, start in zip(made, names, starts, strict=True):
                into.append(self.add_variable_from_reference(v, kind, start))
        return made[0] if isinstance(name, str) else made

    def assign(self, variable: Tensor, value: ArrayLike) -> None:
        """Set a variable, or a buffer of several, in place."""
        ops.assign_(variable, value)

    def assign_add(self, variable: Tensor, value: ArrayLike) -> None:
        """Add to a variable, or a buffer of several, in place."""
        ops.assign_add_(variable, value)

    def assign_sub(self, variable: Tensor, value: ArrayLike) -> None:
        """Subtract from a variable, or a buffer of several, in place."""
        ops.assign_(variable, variable - value)

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Set all of `variables`.

        Raises:
            ValueError: the optimizer is not built, another number of arrays, or another shape.
        """
        if not self.built:
            raise ValueError("the optimizer has no weights yet: call optimizer.build(variables) before set_weights.")
        mine = self.variables
        if len(weights) != len(mine):
            raise ValueError(
                f"got {len(weights)} arrays for {len(mine)} variables of the optimizer: one each is needed."
            )
        for variable, weight in zip(mine, weights, strict=True):
            if np.shape(weight) != variable.shape:
                raise ValueError(f"{variable.name!r} has shape {variable.shape}, got an array of {np.shape(weight)}.")
        for variable, weight in zip(mine, weights, strict=True):
            variable.assign(weight)

    def save_own_variables(self, store: MutableMapping[str, np.ndarray]) -> None:
        """Write `variables` to `store`, under the numbers of their places."""
        for number, variable in enumerate(self.variables):
            store[str(number)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, np.ndarray]) -> None:
        """Set `variables` from what `save_own_variables` wrote; warn and leave them where there are more or fewer."""
        mine = self.variables
        if len(store) != len(mine):
            warn_user(
                f"the state of optimizer {self.name!r} was not loaded: it has {len(mine)} variables, and {len(store)} "
                "were saved. Build it with the variables that the saved one had.",
            )
            return
        for number, variable in enumerate(mine):
            variable.assign(store[str(number)])
