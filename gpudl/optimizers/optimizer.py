"""The base of all optimizers: flat buffers, slots, clipping, weight decay, the count of updates."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.state import TracingError, gradients, state, user_line
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.names import auto_name, snake_case
from gpudl.optimizers.clipping import clipped
from gpudl.optimizers.layout import Layout, check
from gpudl.optimizers.options import OFF, number
from gpudl.registry import Configurable, Family, refuse_others
from gpudl.utils.checks import require_number

__all__ = ["Optimizer"]


class Optimizer(Configurable):
    """The base of all optimizers.

    A subclass names its slots in `slot_names` and implements one update in `update_step`, with ops. The
    variables of a model are packed into one buffer, and so are their slots: an update of all of them is one call of
    `update_step` on these buffers; of some of them, one call per contiguous segment.

    One optimizer may alternate between several models, or parts of one: each variable keeps its slots. They share the
    count of updates.

    Args:
        learning_rate: step size; assign to `learning_rate` to change it between steps.
        weight_decay: fraction of each weight, times the learning rate, that is subtracted at each update.
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
    _unread = frozenset({"_layout", "_warned"})

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
        kind = type(self).__name__
        if "lr" in others:
            raise ValueError(f"{kind}: lr is the old name of learning_rate. Write learning_rate={others['lr']!r}.")
        refuse_others(type(self), others, OFF)
        chosen = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [f"{key}={value}" for key, value in chosen.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"gradients are clipped in one way only, got {' and '.join(given)}. Keep one.")
        numbers = {**chosen, "weight_decay": weight_decay}
        require_number(kind, **{key: value for key, value in numbers.items() if value is not None})
        self.name = name or auto_name(snake_case(kind))
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.iterations = Variable(np.array(0, np.int64), trainable=False, name="iteration")
        rate = number(learning_rate)
        self._learning_rate = Variable(rate, trainable=False, name="learning_rate")
        self._excluded: tuple[list[Variable], list[str]] = ([], [])
        self._layout: Layout | None = None
        self._warned = False

    @property
    def learning_rate(self) -> Variable:
        """The learning rate, a 0-d variable; assign to it between steps to change it in place."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float | Tensor) -> None:
        if state.recorder is not None and not isinstance(value, Tensor):
            raise TracingError(
                f"{user_line()}: a number was assigned to learning_rate while a step was being recorded, and every "
                "replayed step would assign the same. Assign it between steps, or assign a tensor."
            )
        self._learning_rate.assign(value if isinstance(value, Tensor) else number(value))

    @property
    def built(self) -> bool:
        """Whether `build` has been called."""
        return self._layout is not None

    @property
    def variables(self) -> list[Variable]:
        """The iteration count, the learning rate, and the slots in Keras's order."""
        slots = []
        if self._layout is not None:
            every = [self._layout.slots_of(v) for v in self._layout.variables]
            slots = [slots_of[n] for names in self.slot_names() for slots_of in every for n in names if n in slots_of]
        return [self.iterations, self._learning_rate, *slots]

    def state(self, variables: Sequence[Variable]) -> list[Tensor]:
        """Return all that `apply` changes: `variables`, which are known, their slots, and the iteration count."""
        segments = () if self._layout is None else self._layout.segments(variables)
        return [*(t for each in segments for t in (each.flat, *each.slots.values())), self.iterations]

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the names of the slots; `variables` lists those in one tuple variable by variable."""
        return ()

    def update_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Update `variable` and its slots, which are passed by name, with ops.

        All have the same shape and dtype, that of a single variable or of a flat buffer of many, so the
        update has to be elementwise. `learning_rate` is 0-d and of the same dtype.
        """
        raise NotImplementedError(f"{type(self).__name__} needs an update_step.")

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Exclude variables from weight decay; call this before the optimizer is built.

        Args:
            var_list: the variables to exclude.
            var_names: patterns; a variable is excluded if one is found in its name.
        """
        if self.built:
            raise ValueError(
                "the optimizer is built already: call exclude_from_weight_decay before build and training."
            )
        self._excluded = (list(var_list or ()), list(var_names or ()))

    def _is_decayed(self, variable: Variable) -> bool:
        spared, patterns = self._excluded
        listed = any(variable is v for v in spared)
        return not listed and not any(re.search(pattern, variable.name) for pattern in patterns)

    def build(self, variables: Iterable[Variable]) -> None:
        """Move `variables` into flat buffers and create their slots.

        Variables that were built before are skipped and keep their slots.

        Raises:
            TypeError, ValueError: the variables are not floating-point, or one is repeated.
            TracingError: a step is being recorded, in which variables cannot be moved.
        """
        wanted = list(variables)
        check(wanted)
        self._lay(wanted)

    def _lay(self, variables: Sequence[Variable]) -> Layout:
        """Return the layout, with `variables` in their places."""
        if self._layout is None:
            layout = Layout([name for names in self.slot_names() for name in names], self.slot_start)
            layout.lay(variables, self._is_decayed)
            self._layout = layout
        else:
            missing = {name for names in self.slot_names() for name in names} - set(self._layout.names)
            if missing:
                raise ValueError(
                    f"{type(self).__name__} keeps no {' and no '.join(sorted(missing))}: it was built when it needed "
                    "none. Make a new optimizer with these options, and compile the model with it."
                )
            self._layout.lay(variables, self._is_decayed)
        return self._layout

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Return the loss to differentiate: the loss itself, unless a subclass scales it."""
        return loss

    def apply_gradients(self, grads_and_vars: Iterable[tuple[ArrayLike | None, Variable]]) -> Variable:
        """Update variables from pairs (gradient, variable), and return the iteration count."""
        pairs = list(grads_and_vars)
        for pair in pairs:
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise ValueError(
                    f"apply_gradients takes pairs (gradient, variable), got {pair!r}. Use zip(grads, vars)."
                )
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self.iterations

    def apply(self, grads: Iterable[ArrayLike | None], trainable_variables: Iterable[Variable] | None = None) -> None:
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
        variables = self._ready(trainable_variables)
        if len(grads) != len(variables):
            raise ValueError(f"got {len(grads)} gradients for {len(variables)} variables: one each is needed.")
        with gradients(False):
            present = self._present(grads, variables)
            news = clipped(list(present.values()), self.clipnorm, self.clipvalue, self.global_clipnorm)
            self._update([v for v in variables if id(v) in present], dict(zip(present, news, strict=True)))
            for variable in variables:
                if id(variable) in present and variable.constraint is not None:
                    variable.assign(variable.constraint(variable))
            ops.increment_(self.iterations)

    def _ready(self, given: Iterable[Variable] | None) -> list[Variable]:
        """Return the variables `given`, by default all that are known, in their places."""
        if given is None and self._layout is None:
            raise ValueError(
                "the optimizer does not know the variables yet: call optimizer.build(variables), or pass "
                "them beside the gradients."
            )
        known = self._layout
        variables = list(given) if given is not None else [] if known is None else known.variables
        check(variables)
        strangers = [v.path for v in variables if known is not None and not known.knows(v)]
        if strangers:
            raise ValueError(
                f"variable {strangers[0]!r} is not one of those that the optimizer was built with. Call "
                "optimizer.build with all the variables, or make a new optimizer."
            )
        self._lay(variables)  # another optimizer may have moved them
        return variables

    def _present(self, grads: list[ArrayLike | None], variables: list[Variable]) -> dict[int, Tensor]:
        """Return the gradients that are not None, by the identity of their variables."""
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

    def _update(self, variables: Sequence[Variable], grads: dict[int, Tensor]) -> None:
        assert self._layout is not None
        for segment in self._layout.segments(variables):
            rate = ops.cast_like(self._learning_rate, segment.flat)
            whole = ops.pack(*(grads[key] for key in segment.members))
            self._decay_and_step(whole, segment.flat, rate, segment.decayed, segment.slots)

    def _decay_and_step(self, g: Tensor, w: Tensor, rate: Tensor, decayed: bool, slots: dict[str, Any]) -> None:
        if decayed and self.weight_decay is not None:
            ops.decay_(w, rate, rate=self.weight_decay)
        self.update_step(g, w, rate, **slots)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data, with the current learning rate."""
        shared = ("name", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
        return {**{key: getattr(self, key) for key in shared}, **super().get_config()}


OPTIMIZERS: Family[Optimizer, None] = Family("optimizer", Optimizer, functions=False)
