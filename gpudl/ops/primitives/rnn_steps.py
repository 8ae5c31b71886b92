"""What the primitives of recurrent networks share: checks of shapes, the order of the steps, and pieces of a step."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from gpudl.backend import Array, Static
from gpudl.engine.spec import ShapeError, Spec, is_floating, promote
from gpudl.ops.primitives.matmul import matmul


def sequence(x: Spec, kernel: Spec, mask: Spec, count: int, *states: Spec) -> tuple[Spec, Spec]:
    """Return the specs of the states of all steps, and of one; raise ShapeError for shapes that do not fit."""
    if x.ndim != 3 or x.shape[1] < 1:
        raise ShapeError(f"expected projected inputs (batch, time, {count} * units), of at least one step.")
    (batch, time, wide), units = x.shape, kernel.shape[0] if kernel.ndim else 0
    if kernel.shape != (units, count * units) or wide != count * units:
        raise ShapeError(f"a recurrent kernel (units, {count} * units) and inputs of {wide} features do not fit.")
    if any(each.shape != (batch, units) for each in states):
        raise ShapeError(f"expected states (batch, units), here {[batch, units]}.")
    if mask.shape != (batch, time) or mask.dtype.kind != "b":
        raise ShapeError(f"expected a mask (batch, time) of bools, here {[batch, time]}.")
    if not all(is_floating(each.dtype) for each in (x, kernel, *states)):
        raise ShapeError("expected floats. Cast first.")
    all_steps = Spec((batch, time, units), promote(*(each.dtype for each in (x, kernel, *states))))
    return all_steps, all_steps.with_shape((batch, units))


def biased(states: Spec, kernel: Spec, bias: Spec) -> Spec:
    """Return the spec of the states where a bias is added to the gates; raise ShapeError for one that does not fit."""
    if bias.shape != kernel.shape[1:] or not is_floating(bias.dtype):
        raise ShapeError(f"expected a bias of floats for the gates, here {list(kernel.shape[1:])}.")
    return states.with_dtype(promote(states.dtype, bias.dtype))


def flops(kernel: int) -> Callable[[tuple[Spec, ...], tuple[Spec, ...], Static], int]:
    """Count the products of the states with the kernel, input number `kernel`, and about ten operations for a gate."""

    def counted(outs: tuple[Spec, ...], ins: tuple[Spec, ...], static: Static) -> int:
        units, width = ins[kernel].shape
        return outs[0].shape[0] * outs[0].shape[1] * width * (2 * units + 10)

    return counted


def steps_of(count: int, reverse: bool) -> range:
    """Return the steps in the order of time."""
    return range(count)[:: -1 if reverse else 1]


def alike(out: Array, *arrays: Array) -> tuple[Array, ...]:
    """Return arrays in the dtype of `out`."""
    return tuple(a if a.dtype == out.dtype else a.astype(out.dtype) for a in arrays)


def multiplied(xp: ModuleType, a: Array, kernel: Array, transpose_b: bool = False) -> Array:
    """Return a @ kernel, or a times the transposed kernel."""
    out = xp.empty((a.shape[0], kernel.shape[0 if transpose_b else 1]), a.dtype)
    matmul.run((out,), (a, kernel), {"transpose_b": transpose_b})
    return out


def squashed(xp: ModuleType, x: Array) -> Array:
    """Return the sigmoid of x."""
    half = x.dtype.type(0.5)
    return xp.tanh(x * half) * half + half  # which overflows nowhere


def before(t: int, steps: range, states: Array, first: Array) -> Array:
    """Return the state before step `t`."""
    return first if t == steps[0] else states[:, t - steps.step]
