"""Loss scaling, for gradients that are computed in float16."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.custom_objects import custom_object_scope
from gpudl.engine.convert import as_tensor
from gpudl.engine.state import gradients
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.names import auto_name, snake_case
from gpudl.optimizers.optimizer import OPTIMIZERS, Optimizer
from gpudl.optimizers.options import DEFAULTS, LearningRate
from gpudl.optimizers.taken_back import kept_if
from gpudl.optimizers.updates import Updates
from gpudl.registry import Config

__all__ = ["LossScaleOptimizer"]


class LossScaleOptimizer(Optimizer):
    """A wrapper of an optimizer for gradients of a scaled loss.

    Small gradients underflow in float16. So `scale_loss` multiplies the loss, and `apply` divides the gradients, in
    float32, by the same scale. A step with a gradient that is not finite is skipped: weights, slots and the count of
    iterations do not change, and the scale is halved, down to 2**-24. After `dynamic_growth_steps` finite steps in a
    row it is doubled.

    The decision is made on the device: scale and count are variables, and a skipped step is computed and undone, so
    that every step is the same sequence of kernels.

    Source: Micikevicius et al., "Mixed precision training", ICLR 2018, section 3.2.

    Args:
        inner_optimizer: the optimizer that updates; it has the learning rate, the clipping and the weight decay.
        initial_scale: initial factor of the loss.
        dynamic_growth_steps: number of finite steps in a row after which the scale is doubled.
        name: a name for reports.

    Raises:
        TypeError: `inner_optimizer` is not an optimizer.
        ValueError: it is a LossScaleOptimizer itself, an argument that belongs to it, a scale that is not positive, or
            no positive number of steps.

    Example:
        >>> w = gpudl.Variable([1.0])
        >>> optimizer = LossScaleOptimizer(gpudl.optimizers.SGD(0.5), initial_scale=4.0)
        >>> float(optimizer.scale_loss(gpudl.convert_to_tensor(3.0)))
        12.0
        >>> optimizer.apply([[4.0]], [w])
        >>> optimizer.apply([[float("inf")]], [w])
        >>> w.numpy(), float(optimizer.dynamic_scale), int(optimizer.iterations)
        (array([0.5], dtype=float32), 2.0, 1)
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **others: object,
    ) -> None:
        # It has no learning rate, slots and layout besides those of the inner optimizer.
        for key, value in others.items():
            if key == "dynamic" and value:  # from an old config
                continue
            if key not in DEFAULTS or value != DEFAULTS[key]:  # type: ignore[literal-required]
                cure = f"Give {key} to the inner optimizer." if key in DEFAULTS else "Take it out."
                raise ValueError(f"LossScaleOptimizer has no argument {key!r}. {cure}")
        if not isinstance(inner_optimizer, Optimizer):
            raise TypeError(f"LossScaleOptimizer wraps an optimizer such as Adam(), got {inner_optimizer!r}.")
        if isinstance(inner_optimizer, LossScaleOptimizer):
            raise ValueError(
                "LossScaleOptimizer got another LossScaleOptimizer: the loss would be scaled twice. Wrap the optimizer "
                "inside of it, its inner_optimizer."
            )
        if not isinstance(initial_scale, int | float | np.number) or not 0 < initial_scale < float("inf"):
            raise ValueError(f"initial_scale must be a positive number such as 2.0**15, got {initial_scale!r}.")
        if not isinstance(dynamic_growth_steps, int | np.integer) or dynamic_growth_steps < 1:
            raise ValueError(f"dynamic_growth_steps must be a positive integer, got {dynamic_growth_steps!r}.")
        inner_optimizer.loss_scale_factor = None
        self.name = name or auto_name(snake_case(type(self).__name__))
        self.inner_optimizer = inner_optimizer
        self.initial_scale = float(initial_scale)
        self.dynamic_growth_steps = int(dynamic_growth_steps)
        self.step_counter = Variable(np.array(0, np.int64), trainable=False, name="step_counter")
        scale = np.array(initial_scale, np.float32)
        self.dynamic_scale = Variable(scale, trainable=False, name="dynamic_scale")

    @property
    def iterations(self) -> Tensor:
        """The number of updates."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Tensor | float:
        """The step size of the inner optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def built(self) -> bool:
        """Whether `build` has been called."""
        return self.inner_optimizer.built

    @property
    def variables(self) -> list[Variable]:
        """The count of finite steps, the scale, and the variables of the inner optimizer."""
        return [self.step_counter, self.dynamic_scale, *self.inner_optimizer.variables]

    def state(self, variables: Sequence[Variable]) -> list[Tensor]:
        """Return all that `apply` changes."""
        return [self.step_counter, self.dynamic_scale, *self.inner_optimizer.state(variables)]

    @property
    def _trainable_variables(self) -> list[Variable]:
        return self.inner_optimizer._trainable_variables

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the slots of the inner optimizer."""
        return self.inner_optimizer.slot_names()

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Exclude variables from the weight decay of the inner optimizer."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def build(self, variables: Iterable[Variable]) -> None:
        """Build the inner optimizer."""
        self.inner_optimizer.build(variables)

    def prepare(self, variables: Sequence[Variable]) -> None:
        """Build the inner optimizer for the variables that it does not know."""
        self.inner_optimizer.prepare(variables)

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Put the moving averages of variables in their place, where the inner optimizer keeps such."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Return the loss times the current scale."""
        return loss * self.dynamic_scale

    def apply(self, grads: Iterable[ArrayLike | None], trainable_variables: Iterable[Variable] | None = None) -> None:
        """Update with the inner optimizer from the gradients of the scaled loss, if all of them are finite.

        Args:
            grads: one gradient per variable, or None if there is none; as for `Optimizer.apply`.
            trainable_variables: the variables, as there.
        """
        inner = self.inner_optimizer
        variables = inner._ready(trainable_variables)  # the values that are restored have to be in their place before
        with gradients(False), np.errstate(all="ignore"):
            scaled = [None if g is None else as_tensor(g, like=self.dynamic_scale) for g in grads]
            # What the division makes infinite or NaN is no update either.
            unscaled = [None if g is None else g / self.dynamic_scale for g in scaled]
            finite = ops.all_finite(*_packed(unscaled))
            with kept_if(finite, inner.state(variables)):
                inner.apply(unscaled, variables)
            ops.rescale_(self.dynamic_scale, self.step_counter, finite, growth_steps=self.dynamic_growth_steps)

    def check_finite(self, grads: Iterable[Tensor | None]) -> Tensor:
        """Return whether all gradients are finite, a bool of no axes."""
        return ops.all_finite(*_packed(grads))

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data."""
        return {"name": self.name} | {k: v for k, v in super(Updates, self).get_config().items() if k != "name"}

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, object] | None = None) -> Self:
        """Return a new optimizer with the arguments of `config`, around a new inner one."""
        inner = config["inner_optimizer"]
        with custom_object_scope(custom_objects):
            made = OPTIMIZERS.get(inner) if isinstance(inner, dict) else inner
        return cls(**{**config, "inner_optimizer": made})


def _packed(grads: Iterable[Tensor | None]) -> list[Tensor]:
    """Return all gradients in one tensor for each dtype; in a plan they are computed there."""
    kinds: dict[np.dtype, list[Tensor]] = {}
    for g in grads:
        if g is not None:
            kinds.setdefault(g.dtype, []).append(g)
    return [ops.pack(*members) for members in kinds.values()]
