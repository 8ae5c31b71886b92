"""The base of all optimizers: their common arguments, building, updates and configs."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.custom_objects import custom_object_scope
from gpudl.engine.state import gradients, warn_user
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.names import auto_name, snake_case
from gpudl.optimizers import options as shared
from gpudl.optimizers.given import by_variable, pairs_of
from gpudl.optimizers.layout import check
from gpudl.optimizers.options import LearningRate
from gpudl.optimizers.updates import Updates
from gpudl.registry import Config, Family, serialize
from gpudl.utils.options import defaults, spelled_out

__all__ = ["Optimizer"]


class Optimizer(Updates):
    """The base of all optimizers.

    A subclass writes one update with ops, in one of two methods. `flat_step` gets whole buffers: the variables of a
    model lie in one, and so do their slots, which are named in `slot_names`; an update of all of them is one call, of
    some of them one for each run of neighbours. `update_step`, which Keras's optimizers have, gets one variable.

    One optimizer may alternate between several models, or parts of one: each variable keeps its slots. They share the
    count of updates.

    Args:
        learning_rate: step size: a number, to be changed between steps by assigning to `learning_rate`; a variable; a
            schedule; or a function without arguments, which is asked when a step is recorded.
        weight_decay: fraction of each weight, times the learning rate, that is subtracted at each update.
        clipnorm: scale each gradient down to at most this L2 norm.
        clipvalue: limit each element of a gradient to [-clipvalue, clipvalue].
        global_clipnorm: scale all gradients together down to at most this L2 norm.
        use_ema: keep a moving average of each weight, which `finalize_variable_values`, and with it the end of `fit`,
            puts in its place.
        ema_momentum: weight of the old average in each update.
        ema_overwrite_frequency: put the averages in place of the weights after so many updates, too.
        loss_scale_factor: multiply the loss by this before it is differentiated, and divide the gradients by it.
        gradient_accumulation_steps: update only in each such step, by the mean of the gradients since the last update.
        name: a name for reports; by default the class name in snake case.

    Raises:
        ValueError: a learning rate that is no number, more than one kind of clipping, or an option out of its range.

    Example:
        >>> w = gpudl.Variable([1.0, 2.0])
        >>> optimizer = gpudl.optimizers.SGD(learning_rate=0.5)
        >>> optimizer.apply([[1.0, 1.0]], [w])
        >>> w.numpy(), int(optimizer.iterations)
        (array([0.5, 1.5], dtype=float32), 1)
    """

    _obsolete = ("lr", "decay")

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        init = vars(cls).get("__init__")
        taken = inspect.signature(init).parameters if init else {}
        if "options" in taken:  # which can be given by position then
            rest = {name: value for name, value in defaults(shared.Options).items() if name not in taken}
            cls.__init__ = spelled_out(init, rest)  # type: ignore[method-assign, arg-type]

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **others: object,
    ) -> None:
        kind = type(self)
        learning_rate = shared.renamed(kind, learning_rate, others)
        super().__init__(learning_rate)
        self.name = name or auto_name(snake_case(kind.__name__))
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        shared.check_options(kind.__name__, vars(self))
        self._warned = False

    def build(self, variables: Iterable[Variable]) -> None:
        """Move `variables` into flat buffers and create their slots.

        Variables that were built before are skipped and keep their slots. An empty list builds nothing.

        Raises:
            TypeError, ValueError: the variables are not floating-point, or one is repeated.
            TracingError: a step is being recorded, in which variables cannot be moved.
        """
        wanted = list(variables)
        if not wanted:
            return
        check(wanted)
        before = self._layout
        new = [v for v in wanted if before is None or not before.knows(v)]
        self._lay(wanted)
        for v in new:
            self.add_state(v)

    def add_state(self, variable: Variable) -> None:
        """Create further state of the optimizer for a new variable, in addition to its slots."""

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Return what to differentiate in place of the loss: the loss times `loss_scale_factor`."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def apply_gradients(self, grads_and_vars: Iterable[tuple[ArrayLike | None, Variable]]) -> Tensor:
        """Update variables from pairs (gradient, variable), and return the iteration count."""
        self.apply(*pairs_of(grads_and_vars))
        return self.iterations

    def apply(self, grads: Iterable[ArrayLike | None], trainable_variables: Iterable[Variable] | None = None) -> None:
        """Update variables from their gradients, and count the step.

        Args:
            grads: one gradient per variable, of its shape; a variable whose gradient is None is left as it
                is, with one warning.
            trainable_variables: some or all of the variables that the optimizer was built with, by default
                all; the first call builds the optimizer with them.

        Raises:
            ValueError: no gradient at all, another number of gradients than variables, or a variable that
                the optimizer was not built with.
            ShapeError: a gradient whose shape is not its variable's.
        """
        grads = list(grads)
        if not grads:
            return
        variables = self._ready(trainable_variables)
        with gradients(False):
            present, missing = by_variable(grads, variables)
            if missing and not self._warned:
                self._warned = True
                warn_user(
                    f"no gradient for {', '.join(v.path for v in missing)}: the loss does not depend on them, and they "
                    "stay as they are.",
                )
            if self.loss_scale_factor is not None:
                present = {key: g / self.loss_scale_factor for key, g in present.items()}
            updated = [v for v in variables if id(v) in present]
            if self.gradient_accumulation_steps:
                self._accumulate(updated, present, self.gradient_accumulation_steps)
            else:
                self._update(updated, present)
            if self.use_ema:
                self._average()
            for variable in updated:
                if variable.constraint is not None:
                    variable.assign(variable.constraint(variable))
            ops.increment_(self._iterations)

    def _ready(self, given: Iterable[Variable] | None) -> list[Variable]:
        """Return the variables `given`, by default all that are known, in their places."""
        if given is None and not self.built:
            raise ValueError(
                "the optimizer does not know the variables yet: call optimizer.build(variables), or pass "
                "them beside the gradients."
            )
        variables = self._trainable_variables if given is None else list(given)
        check(variables)
        if not self.built:
            self.build(variables)
        self._refuse_strangers(variables)
        self._lay(variables)  # another optimizer may have moved them
        return variables

    def _refuse_strangers(self, variables: Sequence[Variable]) -> None:
        strangers = [v.path for v in variables if self._layout is not None and not self._layout.knows(v)]
        if strangers:
            raise ValueError(
                f"variable {strangers[0]!r} is not one of those that the optimizer was built with. Call "
                "optimizer.build with all the variables, or make a new optimizer."
            )

    def prepare(self, variables: Sequence[Variable]) -> None:
        """Build the optimizer for those of `variables` that it does not know, and put all of them in their places.

        Raises:
            ValueError: it has a `build` of its own, which makes all that it keeps at once, and was built without one of
                them.
        """
        if self.built and type(self).build is not Optimizer.build:
            self._refuse_strangers(variables)
            self._lay(variables)
        else:
            self.build(variables)

    def stateless_apply(
        self,
        optimizer_variables: Sequence[ArrayLike],
        grads: Sequence[ArrayLike | None],
        trainable_variables: Sequence[ArrayLike],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return what the variables and the state would be after an update, and change neither.

        Args:
            optimizer_variables: values of `variables`.
            grads: one gradient per variable.
            trainable_variables: values of the variables that the optimizer was built with.

        Returns:
            The new values of the variables, and those of the state.

        Raises:
            ValueError: the optimizer is not built, or another number of values.
        """
        if not self.built:
            raise ValueError("the optimizer has no state yet: call optimizer.build(variables) before stateless_apply.")
        weights, mine = self._trainable_variables, self.variables
        for what, values, of in (
            ("trainable_variables", trainable_variables, weights),
            ("optimizer_variables", optimizer_variables, mine),
        ):
            if len(values) != len(of):
                raise ValueError(f"{what} has {len(values)} values for {len(of)} variables: one each is needed.")
        everything = [*weights, *mine]
        before = [v.value for v in everything]
        try:
            for v, value in zip(everything, (*trainable_variables, *optimizer_variables), strict=True):
                v.assign(value)
            self.apply(grads, weights)
            after = [v.value for v in everything]
        finally:
            for v, value in zip(everything, before, strict=True):
                v.assign(value)
        return after[: len(weights)], after[len(weights) :]

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data, with the current learning rate."""
        options = {key: getattr(self, key) for key in ("name", *shared.DEFAULTS)}
        rate = {"learning_rate": serialize(self._learning_rate)}
        return {**options, **super().get_config(), **rate}

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, object] | None = None) -> Self:
        """Return a new optimizer with the arguments of `config`; `custom_objects` adds schedules by name."""
        with custom_object_scope(custom_objects):
            return super().from_config(config)


OPTIMIZERS: Family[Optimizer, None] = Family("optimizer", Optimizer, functions=False)
