"""One update of what an optimizer knows: by whole buffers or variable by variable, and what may surround it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.optimizers.clipping import clipped
from gpudl.optimizers.layout import Layout, Run
from gpudl.optimizers.options import LearningRate, shared_slots
from gpudl.optimizers.taken_back import kept_if
from gpudl.optimizers.variables import OptimizerVariables

Gradients = dict[int, Tensor]
"""Gradients by the identity of their variables."""


class Updates(OptimizerVariables):
    """How an optimizer updates: clipping, weight decay, the update itself, accumulation, moving averages."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    gradient_accumulation_steps: int | None

    def __init__(self, learning_rate: LearningRate) -> None:
        super().__init__(learning_rate)
        self._excluded: tuple[list[Variable], list[str]] = ([], [])

    @property
    def iterations(self) -> Tensor:
        """The count of updates; with gradient accumulation several steps make one."""
        if self.gradient_accumulation_steps:
            return ops.floor_divide(self._iterations, self.gradient_accumulation_steps)
        return self._iterations

    def _all_slot_names(self) -> Sequence[tuple[str, ...]]:
        return (*shared_slots(vars(self)), *self.slot_names())

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor | float) -> None:
        """Change one variable, and what belongs to it, with ops.

        Args:
            gradient: in the shape and dtype of the variable.
            variable: to be changed, by `assign_sub` for instance.
            learning_rate: a number, or a 0-d tensor.
        """
        names = [name for names in self.slot_names() for name in names]
        slots = {name: self.slots_of(variable)[name] for name in names}
        self.flat_step(gradient, variable, ops.cast_like(learning_rate, variable), **slots)

    def flat_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Change `variable` and its slots, which come by name, with ops.

        All have one shape and dtype, that of a single variable or of the buffer that holds them all, so the
        update has to be element by element. `learning_rate` is 0-d and of the same dtype.
        """
        raise NotImplementedError(f"{type(self).__name__} needs an update_step.")

    def unbiased(self, beta: float, like: Tensor) -> Tensor:
        """Return 1 - beta**t at update t = 1, 2, ..., the sum of weights in a moving average, in the dtype of `like`.

        Computed in float64: while t is small, the difference loses most of the digits of a float32.
        """
        t = ops.cast(self.iterations + 1, "float64")
        return ops.cast_like(1.0 - ops.power(beta, t), like)

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Spare variables from weight decay; call it before the optimizer is built.

        Args:
            var_list: the variables to spare.
            var_names: patterns; a variable is spared when one is found in its name.
        """
        if self.built:
            raise ValueError(
                "the optimizer is built already: call exclude_from_weight_decay before build and training."
            )
        self._excluded = (list(var_list or ()), list(var_names or ()))

    def _decay_of(self, variable: Variable) -> str:
        """Return the name of the attribute that says how much weight `variable` loses at each update; "" for none."""
        spared, patterns = self._excluded
        listed = any(variable is v for v in spared)
        return "" if listed or any(re.search(pattern, variable.name) for pattern in patterns) else "weight_decay"

    def _lay(self, variables: Sequence[Variable]) -> Layout:
        """Return the layout, with `variables` in their places."""
        names = [name for names in self._all_slot_names() for name in names]
        layout = self._layout or Layout(names, self.slot_starts)
        missing = set(names) - set(layout.names)
        if missing:
            raise ValueError(
                f"{type(self).__name__} keeps no {' and no '.join(sorted(missing))}: it was built when it needed "
                "none. Make a new optimizer with these options, and compile the model with it."
            )
        layout.lay(variables, self._decay_of)
        self._layout = layout
        return layout

    def _update(self, variables: Sequence[Variable], grads: Gradients) -> None:
        """Change `variables`, which have gradients, by one update."""
        assert self._layout is not None
        rate = as_tensor(self.learning_rate)
        limited = clipped(list(grads.values()), self.clipnorm, self.clipvalue, self.global_clipnorm)
        runs = self._layout.runs(variables)
        for run in runs:
            share = getattr(self, run.decay) if run.decay else None
            if share is not None:
                ops.decay_(run.flat, ops.cast_like(rate, run.flat), rate=share)
        self._step(variables, dict(zip(grads, limited, strict=True)), rate, runs)

    def _step(self, variables: Sequence[Variable], grads: Gradients, rate: Tensor, runs: Sequence[Run]) -> None:
        if type(self).update_step is not Updates.update_step:
            for v in variables:
                self.update_step(grads[id(v)], v, rate)
            return
        for run in runs:
            slots = {name: run.slots[name] for names in self.slot_names() for name in names}
            whole = ops.pack(*(grads[key] for key in run.members))
            self.flat_step(whole, run.flat, ops.cast_like(rate, run.flat), **slots)

    def _accumulate(self, variables: Sequence[Variable], grads: Gradients, steps: int) -> None:
        """Add gradients to those of the steps before, and update by their mean when so many `steps` are together."""
        due = ops.equal(ops.mod(self._iterations + 1, steps), 0)
        sums = {id(v): self.slots_of(v)["gradient_accumulator"] for v in variables}
        whole = {key: g + sums[key] for key, g in grads.items()}
        kept = [t for t in self.state(variables) if t is not self._iterations]
        with kept_if(due, kept):
            self._update(variables, {key: g / steps for key, g in whole.items()})
        for key, g in whole.items():
            ops.assign_(sums[key], ops.where(due, 0.0, g))

    def _average(self) -> None:
        """Let the moving averages of all weights follow them, and take their place when that is due."""
        assert self._layout is not None
        every = self.ema_overwrite_frequency
        for run in self._layout.runs(self._layout.variables):
            average = run.slots["average"]
            kept = ops.where(ops.equal(self.iterations, 0), 0.0, as_tensor(self.ema_momentum, like=run.flat))
            ops.assign_(average, average * kept + run.flat * (1.0 - kept))
            if every:
                ops.restore_(run.flat, average, ops.not_equal(ops.mod(self.iterations + 1, every), 0))

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Put the moving averages of variables in their place, where the optimizer keeps such."""
        if self.use_ema and self._layout is not None:
            for variable in filter(self._layout.knows, var_list):
                variable.assign(self.slots_of(variable)["average"])
