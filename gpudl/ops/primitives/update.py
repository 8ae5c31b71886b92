"""Update ops: they write their first inputs, and have no gradients.

The inputs of the optimizers' ops are whole flat buffers: parameters w, gradients g and slots of the same shape and
dtype, and the learning rate and the number of finished steps as 0-d arrays.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.spec import ShapeError, Spec
from gpudl.kernels import expression as e
from gpudl.kernels.expression import Expression
from gpudl.ops.primitives.declare import elementwise, op

__all__ = [
    "adam_",
    "assign_",
    "assign_add_",
    "decay_",
    "increment_",
    "note_nonfinite_",
    "rescale_",
    "restore_",
    "rmsprop_",
    "sgd_",
    "sgd_momentum_",
]


def _one_value(target: Spec, value: Spec) -> None:
    if value.shape not in (target.shape, ()):
        raise ShapeError(f"cannot assign shape {value.shape} to a variable of shape {target.shape}.")


@elementwise(_one_value, flops=cost.free)
def assign_(target: Expression, value: Expression) -> Expression:
    """Set target to value."""
    return value


@elementwise(_one_value)
def assign_add_(target: Expression, value: Expression) -> Expression:
    """Add value to target."""
    return e.promoted(target + value)


def _alike(*specs: Spec, **_: object) -> None:
    arrays = [s for s in specs if s.ndim]
    if len({s.shape for s in arrays}) > 1:
        raise ShapeError("parameters, gradients and slots must have the same shape.")


@op(_alike, flops=cost.per_input(2))
def sgd_(xp: ModuleType, w: Array, g: Array, lr: Array) -> None:
    """w -= lr * g."""
    w -= lr * g


@op(_alike, writes=2, flops=lambda outs, ins, static: (6 if static["nesterov"] else 4) * ins[0].size)
def sgd_momentum_(xp: ModuleType, w: Array, m: Array, g: Array, lr: Array, *, momentum: float, nesterov: bool) -> None:
    """m = momentum * m - lr * g; w += m, or with Nesterov w += momentum * m - lr * g."""
    beta = w.dtype.type(momentum)
    step = lr * g
    m *= beta
    m -= step
    w += beta * m - step if nesterov else m


@op(_alike, writes=2, flops=cost.per_input(9))
def rmsprop_(xp: ModuleType, w: Array, v: Array, g: Array, lr: Array, *, rho: float, epsilon: float) -> None:
    """v = rho * v + (1 - rho) * g**2; w -= lr * g / sqrt(v + epsilon).

    Source: Tieleman and Hinton, "Lecture 6.5: RMSProp", 2012.
    """
    real = w.dtype.type
    v *= real(rho)
    v += real(1 - rho) * (g * g)
    w -= lr * g / xp.sqrt(v + real(epsilon))


@op(_alike, writes=3, flops=cost.per_input(12))
def adam_(
    xp: ModuleType,
    w: Array,
    m: Array,
    v: Array,
    g: Array,
    lr: Array,
    step: Array,
    *,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    """m, v = moving averages of g, g**2; w -= alpha * m / (sqrt(v) + epsilon), with the bias correction in alpha.

    `step` counts the finished updates. Source: Kingma and Ba, "Adam", ICLR 2015, section 2.
    """
    real = w.dtype.type
    m += (g - m) * real(1 - beta_1)
    v += (g * g - v) * real(1 - beta_2)
    w -= adam_rate(xp, w, lr, step, beta_1, beta_2) * m / (xp.sqrt(v) + real(epsilon))


def adam_rate(xp: ModuleType, w: Array, lr: Array, step: Array, beta_1: float, beta_2: float) -> Array:
    """Return lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) for t = step + 1, in the dtype of w.

    Computed in float64: while t is small, 1 - beta**t loses most of the digits of a float32.
    """
    t = (step + 1).astype(np.float64)
    return (lr * xp.sqrt(1 - beta_2**t) / (1 - beta_1**t)).astype(w.dtype)


def _decay(w: Spec, lr: Spec, *, rate: float) -> None:
    if lr.shape != ():
        raise ShapeError(f"the learning rate must be a scalar, got shape {lr.shape}.")


@elementwise(_decay, flops=cost.per_input(3))
def decay_(w: Expression, lr: Expression, *, rate: float) -> Expression:
    """w -= w * rate * lr: decoupled weight decay (Loshchilov and Hutter, ICLR 2019)."""
    return w - w * rate * lr


_INT64 = np.dtype(np.int64)
_FLAG = Spec((), np.dtype(bool))


def _count(step: Spec) -> None:
    if step.dtype != _INT64:
        raise ShapeError(f"a step counter is int64, got {step.dtype}.")


@elementwise(_count)
def increment_(step: Expression) -> Expression:
    """step += 1."""
    return step + 1


def _like_target(target: Spec, before: Spec, keep: Spec) -> None:
    if target != before or keep != _FLAG:
        raise ShapeError("the value of before must be like the target, and whether to keep the new one a bool.")


@elementwise(_like_target, flops=cost.free)
def restore_(target: Expression, before: Expression, keep: Expression) -> Expression:
    """Set target back to its value of before, unless `keep`, a bool."""
    return e.where(keep, target, before)


def _scale(scale: Spec, good: Spec, finite: Spec, *, growth_steps: int) -> None:
    if scale.shape or good != Spec((), _INT64) or finite != _FLAG:
        raise ShapeError("a loss scale is a scalar, the count of good steps is int64, and whether one was good a bool.")


@elementwise(_scale, writes=2)
def rescale_(scale: Expression, good: Expression, finite: Expression, *, growth_steps: int) -> tuple[Expression, ...]:
    """Double a loss scale after so many finite steps, halve it after one that was not; `good` counts between changes.

    It is not doubled to infinity, and not halved to less than 2**-24, the smallest float16: from 0 or infinity no
    scale comes back. Source: Micikevicius et al., "Mixed precision training", ICLR 2018, section 3.2.
    """
    grown, doubled = good == growth_steps - 1, scale * 2
    better = e.where(grown, e.where(e.is_finite(doubled), doubled, scale), scale)
    counted = e.where(grown, 0, good + 1)
    return e.where(finite, better, e.maximum(scale * 0.5, 2.0**-24)), e.where(finite, counted, 0)


def _first(first: Spec, value: Spec, step: Spec) -> None:
    if first.dtype != _INT64 or step.dtype != _INT64 or value.shape != ():
        raise ShapeError("the step numbers are int64, and the watched value is a scalar.")


@elementwise(_first)
def note_nonfinite_(first: Expression, value: Expression, step: Expression) -> Expression:
    """Set first to step where value is NaN or infinite and first is still negative."""
    return e.where(first < 0, e.where(e.is_finite(value), first, step), first)
