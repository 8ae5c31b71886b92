"""What all optimizers share: flat buffers, slots, clipping, weight decay, the count of updates."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

import numpy as np

from gpudl import config, ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.state import TracingError, gradients, state, user_line
from gpudl.engine.tensor import Tensor, Variable, as_tensor
from gpudl.optimizers.clipping import clipped
from gpudl.optimizers.layout import Layout, check
from gpudl.utils.lookup import Configurable, auto_name, snake_case


class Shared(TypedDict, total=False):
    """The arguments of `Optimizer` that every optimizer takes by keyword."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class Options(Shared, total=False):
    """The same with the weight decay, which is off by default."""

    weight_decay: float | None


# Keras's arguments that are understood at these values only.
OFF = {
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


class Optimizer(Configurable):
    """The base of all optimizers.

    A subclass names its slots in `slot_names` and writes one update in `update_step`, with ops. The
    variables of a model lie in one buffer, and so do their slots: an update of all of them is one call of
    `update_step` on those buffers. When some have no gradient, it is called once per variable.

    Args:
        learning_rate: step size; assign to `learning_rate` to change it between steps.
        weight_decay: share of each weight, times the learning rate, that is taken off at each update.
        clipnorm: scale each gradient down to at most this L2 norm.
        clipvalue: limit each element of a gradient to [-clipvalue, clipvalue].
        global_clipnorm: scale all gradients together down to at most this L2 norm.
        name: a name for reports; by default the class name in snake case.

    Raises:
        ValueError: a learning rate that is no number, more than one kind of clipping, or one of Keras's
            options that is not supported: moving averages of weights, loss scaling, accumulation.

    Example:
        >>> w = gpudl.Variable([1.0, 2.0])
        >>> optimizer = gpudl.optimizers.SGD(learning_rate=0.5)
        >>> optimizer.apply([[1.0, 1.0]], [w])
        >>> w.numpy(), int(optimizer.iterations)
        (array([0.5, 1.5], dtype=float32), 1)
    """

    slot_start = 0.0

    def __init__(
        self,
        learning_rate: float = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **others: Any,
    ) -> None:
        self._refuse(others)
        chosen = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [f"{key}={value}" for key, value in chosen.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"gradients are clipped in one way only, got {' and '.join(given)}. Keep one.")
        self.name = name or auto_name(snake_case(type(self).__name__))
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.iterations = Variable(np.array(0, np.int64), trainable=False, name="iteration")
        rate = _number(learning_rate)
        self._learning_rate = Variable(rate, trainable=False, name="learning_rate")
        self._excluded: tuple[list[Variable], list[str]] = ([], [])
        self._layout: Layout | None = None
        self._warned = False

    def _refuse(self, others: dict[str, Any]) -> None:
        kind = type(self).__name__
        for key, value in others.items():
            if key not in OFF:
                raise ValueError(f"{kind} has no argument {key!r}. Take it out.")
            if value != OFF[key]:
                raise ValueError(f"{kind}({key}={value!r}) is not supported yet. Leave {key} out.")

    @property
    def learning_rate(self) -> Variable:
        """The step size, a 0-d variable; what is assigned to it, between steps, is written in place."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float | Tensor) -> None:
        if state.recorder is not None and not isinstance(value, Tensor):
            raise TracingError(
                f"{user_line()}: a number was assigned to learning_rate while a step was being recorded, and every "
                "replayed step would assign the same. Assign it between steps, or assign a tensor."
            )
        self._learning_rate.assign(value if isinstance(value, Tensor) else _number(value))

    @property
    def built(self) -> bool:
        """Whether `build` has been called."""
        return self._layout is not None

    @property
    def variables(self) -> list[Variable]:
        """The iteration count, the learning rate, and the slots in Keras's order."""
        slots = []
        if self._layout is not None:
            known = self._layout
            slots = [known.slots[id(v)][n] for names in self.slot_names() for v in known.variables for n in names]
        return [self.iterations, self._learning_rate, *slots]

    def state(self) -> list[Tensor]:
        """Return all that `apply` changes: the buffers of the variables and of the slots, and the iteration count."""
        groups = () if self._layout is None else self._layout.groups
        return [*(t for group in groups for t in (group.flat, *group.slots.values())), self.iterations]

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the names of the slots; `variables` lists those in one tuple variable by variable."""
        return ()

    def update_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Change `variable` and its slots, which come by name, with ops.

        All have one shape and dtype, that of a single variable or of the buffer that holds them all, so the
        update has to be element by element. `learning_rate` is 0-d and of the same dtype.
        """
        raise NotImplementedError(f"{type(self).__name__} needs an update_step.")

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

    def _is_decayed(self, variable: Variable) -> bool:
        spared, patterns = self._excluded
        return (
            self.weight_decay is not None
            and not any(variable is v for v in spared)
            and not any(re.search(pattern, variable.name) for pattern in patterns)
        )

    def build(self, variables: Iterable[Variable]) -> None:
        """Move `variables` into flat buffers and make their slots.

        Nothing happens when they lie there already. With other variables than before, those that were
        known keep their slots' values.

        Raises:
            TypeError, ValueError: no float variables, or one of them twice.
            TracingError: a step is being recorded, in which no variable can move.
        """
        self._laid(list(variables))

    def _laid(self, variables: list[Variable]) -> Layout:
        """Return the layout that holds `variables`, made anew where they or their places have changed."""
        if self._layout is None or not self._layout.holds(variables):
            names = [name for names in self.slot_names() for name in names]
            self._layout = Layout(variables, self._is_decayed, names, self.slot_start, self._layout)
        return self._layout

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Return what to differentiate in place of the loss: the loss itself, unless a subclass scales it."""
        return loss

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """Update variables from pairs (gradient, variable), and return the iteration count."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self.iterations

    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[Variable] | None = None) -> None:
        """Update variables from their gradients, and count the update.

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
        given = None if trainable_variables is None else list(trainable_variables)
        layout = self._ready(given)
        variables = layout.variables if given is None else given
        if len(grads) != len(variables):
            raise ValueError(f"got {len(grads)} gradients for {len(variables)} variables: one each is needed.")
        with gradients(False):
            present = self._present(grads, variables)
            news = clipped(list(present.values()), self.clipnorm, self.clipvalue, self.global_clipnorm)
            self._update(layout, dict(zip(present, news, strict=True)))
            for variable in variables:
                if id(variable) in present and variable.constraint is not None:
                    variable.assign(variable.constraint(variable))
            ops.increment_(self.iterations)

    def _ready(self, given: list[Variable] | None) -> Layout:
        """Return the layout, with its variables in place; it holds the variables `given`."""
        if self._layout is None and given is None:
            raise ValueError(
                "the optimizer does not know the variables yet: call optimizer.build(variables), or pass "
                "them beside the gradients."
            )
        if given is not None:
            check(given)
        # Another optimizer may have moved the variables.
        layout = self._laid(given or [] if self._layout is None else self._layout.variables)
        for variable in given or ():
            if id(variable) not in layout.slots:
                raise ValueError(
                    f"variable {variable.path!r} is not one of those that the optimizer was built with. Call "
                    "optimizer.build with all the variables, or make a new optimizer."
                )
        return layout

    def _present(self, grads: list[Any], variables: list[Variable]) -> dict[int, Tensor]:
        """Return the gradients that are there, by the identity of their variables."""
        present: dict[int, Tensor] = {}
        missing = []
        for g, variable in zip(grads, variables, strict=True):
            if g is None:
                missing.append(variable.path)
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
        if missing and not self._warned:
            self._warned = True
            warnings.warn(
                f"no gradient for {', '.join(missing)}: the loss does not depend on them, and they stay as they are.",
                stacklevel=3,
            )
        return present

    def _update(self, layout: Layout, grads: dict[int, Tensor]) -> None:
        for group in layout.groups:
            chosen = [v for v in group.variables if id(v) in grads]
            rate = ops.cast_like(self._learning_rate, group.flat)
            if len(chosen) == len(group.variables):
                whole = ops.pack(*(grads[id(v)] for v in chosen))
                self._decay_and_step(whole, group.flat, rate, group.decayed, group.slots)
                continue
            for v in chosen:
                self._decay_and_step(grads[id(v)], v, rate, group.decayed, layout.slots[id(v)])

    def _decay_and_step(self, g: Tensor, w: Tensor, rate: Tensor, decayed: bool, slots: dict[str, Any]) -> None:
        if decayed:
            ops.decay_(w, rate, rate=self.weight_decay)
        self.update_step(g, w, rate, **slots)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data, with the learning rate of now."""
        shared = ("name", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
        return {**{key: getattr(self, key) for key in shared}, **super().get_config()}


def _number(learning_rate: object) -> np.ndarray:
    """Return a learning rate in the default float dtype; raise ValueError for what is no number."""
    if callable(learning_rate):
        raise ValueError(
            "learning rate schedules and functions are not supported yet. Pass a number, and assign "
            "optimizer.learning_rate between steps."
        )
    if not isinstance(learning_rate, int | float | np.number) or isinstance(learning_rate, bool):
        raise ValueError(f"learning_rate must be a number such as 0.001, got {learning_rate!r}.")
    return np.array(learning_rate, config.float_dtype())
