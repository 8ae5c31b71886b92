"""Activations whose gradient is a function of their output, alone and fused with a bias."""

from __future__ import annotations

from gpudl.engine import cost
from gpudl.engine.op import registry
from gpudl.engine.spec import ShapeError, Spec, promote
from gpudl.engine.tensor import Tensor
from gpudl.kernels import expression as e
from gpudl.kernels.expression import Expression
from gpudl.ops.primitives.declare import elementwise
from gpudl.ops.primitives.elementwise import counted, floating

__all__ = [
    "activation_grad",
    "bias_activation",
    "relu",
    "sigmoid",
    "tanh",
]

# Operations per element, of the activation and of its gradient.
_FLOPS = {"linear": 0, "relu": 1, "sigmoid": 4, "tanh": 1}
_SLOPES = {"linear": 0, "relu": 2, "sigmoid": 3, "tanh": 3}


def _activation_grad(g: Spec, y: Spec, *, activation: str) -> Spec:
    if g.shape != y.shape:
        raise ShapeError("gradient and output of an activation must have the same shape.")
    return y


@elementwise(_activation_grad, flops=lambda outs, ins, static: _SLOPES[static["activation"]] * outs[0].size)
def activation_grad(g: Expression, y: Expression, *, activation: str) -> Expression:
    """Return the gradient with respect to the input of an activation, from that of its output y."""
    if activation == "linear":
        return g
    if activation == "relu":
        return e.gate(g, y)
    return (1 - y) * y * g if activation == "sigmoid" else (1 - y * y) * g


def _slope_of_slope(g: Tensor, x: Tensor, y: Tensor, activation: str) -> Tensor | None:
    """Return g * x * d(slope)/dy, where slope(y) is the activation's derivative as a function of its output."""
    if activation == "sigmoid":
        return g * x * (1 - y * 2)
    return g * x * y * -2 if activation == "tanh" else None


activation_grad.vjp(
    g=lambda gg, out, g, y, activation: activation_grad(gg, y, activation=activation),
    y=lambda gg, out, g, y, activation: _slope_of_slope(gg, g, y, activation),
)


@elementwise(floating)
def tanh(x: Expression) -> Expression:
    """Return the hyperbolic tangent of x."""
    return e.tanh(x)


tanh.vjp(x=lambda g, y, x: activation_grad(g, y, activation="tanh"))


@elementwise(floating, flops=cost.per_output(_FLOPS["sigmoid"]))
def sigmoid(x: Expression) -> Expression:
    """Return 1 / (1 + exp(-x)), without overflow, and accurate near 0 too."""
    small = e.exp(-e.absolute(x))
    return e.where(x < 0, small, 1) / (1 + small)


sigmoid.vjp(x=lambda g, y, x: activation_grad(g, y, activation="sigmoid"))


@elementwise(counted)
def relu(x: Expression) -> Expression:
    """Return max(x, 0); NaN propagates; bools are cast to int32."""
    return e.maximum(x, 0)


relu.vjp(x=lambda g, y, x: activation_grad(g, y, activation="relu"))

FUSED = ("linear", "relu", "sigmoid", "tanh")


def _bias_activation(x: Spec, b: Spec, *, activation: str) -> Spec:
    if activation not in FUSED:
        raise ShapeError(f"activation must be one of {', '.join(FUSED)}, got {activation!r}.")
    if x.ndim < 1 or b.shape != x.shape[-1:]:
        raise ShapeError(f"the bias must have one element per channel, {list(x.shape[-1:])}.")
    return Spec(x.shape, promote(x.dtype, b.dtype))


@elementwise(_bias_activation, flops=lambda outs, ins, static: (1 + _FLOPS[static["activation"]]) * outs[0].size)
def bias_activation(x: Expression, b: Expression, *, activation: str) -> Expression:
    """Return activation(x + b), with b along the last axis, for relu, sigmoid, tanh or linear."""
    return x + b if activation == "linear" else e.of(activation, x + b)


def _bias_gradients(
    wanted: set[str], g: Tensor, y: Tensor, x: Tensor, b: Tensor, activation: str
) -> tuple[Tensor, Tensor | None]:
    before: Tensor = g if activation == "linear" else activation_grad(g, y, activation=activation)
    return before, registry["sum_to"](before, shape=b.shape) if "b" in wanted else None


bias_activation.joint_vjp(("x", "b"), _bias_gradients)
