"""Activations whose gradient follows from their output, alone and together with a bias."""

from __future__ import annotations

from typing import Any

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.op import Op, op, registry
from gpudl.engine.spec import ShapeError, Spec, promote
from gpudl.engine.tensor import Tensor
from gpudl.ops.elementwise import counted, floating

# Operations for each element: of the activation, and of its gradient.
_FLOPS = {"linear": 0, "relu": 1, "sigmoid": 4, "tanh": 1}
_SLOPES = {"linear": 0, "relu": 2, "sigmoid": 3, "tanh": 3}


def _activation_grad(g: Spec, y: Spec, *, activation: str) -> Spec:
    if g.shape != y.shape:
        raise ShapeError("gradient and output of an activation must have one shape.")
    return y


@op(_activation_grad, flops=lambda outs, ins, static: _SLOPES[static["activation"]] * outs[0].size)
def activation_grad(xp: Any, out: Array, g: Array, y: Array, *, activation: str) -> None:
    """Return the gradient before an activation, from the one after it and the activation's output y."""
    if activation == "linear":
        out[...] = g
        return
    if activation == "relu":
        xp.greater(y, 0, out=out, casting="unsafe")
    elif activation == "sigmoid":
        xp.subtract(out.dtype.type(1), y, out=out)
        xp.multiply(out, y, out=out)
    else:
        xp.multiply(y, y, out=out)
        xp.subtract(out.dtype.type(1), out, out=out)
    xp.multiply(out, g, out=out)


def _slope_of_slope(g: Tensor, x: Tensor, y: Tensor, activation: str) -> Tensor | None:
    """Return g * x * d(slope)/dy, where slope(y) is the activation's derivative written in its output."""
    if activation == "sigmoid":
        return g * x * (1 - y * 2)
    return g * x * y * -2 if activation == "tanh" else None


activation_grad.vjp(
    g=lambda gg, out, g, y, activation: activation_grad(gg, y, activation=activation),
    y=lambda gg, out, g, y, activation: _slope_of_slope(gg, g, y, activation),
)


@op(floating)
def tanh(xp: Any, out: Array, x: Array) -> None:
    """Return the hyperbolic tangent of x."""
    xp.tanh(x, out=out, dtype=out.dtype)


tanh.vjp(x=lambda g, y, x: activation_grad(g, y, activation="tanh"))


@op(floating, flops=cost.per_output(_FLOPS["sigmoid"]))
def sigmoid(xp: Any, out: Array, x: Array) -> None:
    """Return 1 / (1 + exp(-x)), without overflow, and exact near 0 too."""
    one = out.dtype.type(1)
    small = xp.exp(-xp.absolute(x.astype(out.dtype)))
    xp.divide(xp.where(x < 0, small, one), one + small, out=out)


sigmoid.vjp(x=lambda g, y, x: activation_grad(g, y, activation="sigmoid"))


@op(counted)
def relu(xp: Any, out: Array, x: Array) -> None:
    """Return max(x, 0); NaN propagates, and bools count as int32."""
    xp.maximum(x, out.dtype.type(0), out=out)


relu.vjp(x=lambda g, y, x: activation_grad(g, y, activation="relu"))

_forwards: dict[str, Op] = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh}
FUSED = ("linear", *_forwards)


def _bias_activation(x: Spec, b: Spec, *, activation: str) -> Spec:
    if activation not in FUSED:
        raise ShapeError(f"activation must be one of {', '.join(FUSED)}, got {activation!r}.")
    if x.ndim < 1 or b.shape != x.shape[-1:]:
        raise ShapeError(f"the bias must have one element per channel, {list(x.shape[-1:])}.")
    return Spec(x.shape, promote(x.dtype, b.dtype))


@op(_bias_activation, flops=lambda outs, ins, static: (1 + _FLOPS[static["activation"]]) * outs[0].size)
def bias_activation(xp: Any, out: Array, x: Array, b: Array, *, activation: str) -> None:
    """Return activation(x + b), with b along the last axis, for relu, sigmoid, tanh or linear."""
    xp.add(x, b, out=out)
    if activation != "linear":
        _forwards[activation].forward(xp, out, out)


def _bias_gradients(
    wanted: set[str], g: Tensor, y: Tensor, x: Tensor, b: Tensor, activation: str
) -> tuple[Tensor, Tensor | None]:
    before: Tensor = g if activation == "linear" else activation_grad(g, y, activation=activation)
    return before, registry["sum_to"](before, shape=b.shape) if "b" in wanted else None


bias_activation.joint_vjp(("x", "b"), _bias_gradients)
