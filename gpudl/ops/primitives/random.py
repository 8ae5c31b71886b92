"""Random ops: functions of a key, so that a backward pass can generate the same numbers again."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.rng import philox, uniform
from gpudl.engine.spec import Shape, ShapeError, Spec, broadcast
from gpudl.kernels.expression import Expression
from gpudl.ops.primitives.declare import elementwise, op

__all__ = [
    "advance_",
    "draw_key",
    "dropout",
    "random_integers",
    "random_normal",
    "random_uniform",
]

_KEY = Spec((4,), np.dtype(np.uint32))


def _check(key: Spec) -> None:
    if key != _KEY:
        raise ShapeError(f"a random key is uint32 of shape (4,), got {key.dtype} of {key.shape}.")


def _key(state: Spec) -> Spec:
    _check(state)
    return state


@elementwise(_key, flops=cost.free)
def draw_key(state: Expression) -> Expression:
    """Return a copy of a generator's state: the key of one draw."""
    return state


def _advance(state: Spec) -> None:
    _check(state)


@op(_advance)
def advance_(xp: ModuleType, state: Array) -> None:
    """Add 1 to the counter of draws, the last two words of the state."""
    xp.add(state[2:3], np.uint32(1), out=state[2:3])
    xp.add(state[3:], state[2:3] == 0, out=state[3:], casting="unsafe")


def _random_uniform(key: Spec, *, shape: Shape) -> Spec:
    _check(key)
    return Spec(shape, np.dtype(np.float32))


@op(_random_uniform)
def random_uniform(xp: ModuleType, out: Array, key: Array, *, shape: Shape) -> None:
    """Return uniform float32 numbers in [0, 1), multiples of 2**-24."""
    out[...] = uniform(xp, key, out.size).reshape(out.shape)


@op(_random_uniform, flops=cost.per_output(4))
def random_normal(xp: ModuleType, out: Array, key: Array, *, shape: Shape) -> None:
    """Return float32 samples from the standard normal distribution, by Box and Muller (1958)."""
    half = -(-out.size // 2)
    draws = uniform(xp, key, 2 * half)
    radius = xp.sqrt(np.float32(-2) * xp.log(np.float32(1) - draws[:half]))
    angle = np.float32(2 * np.pi) * draws[half:]
    both = xp.concatenate((radius * xp.cos(angle), radius * xp.sin(angle)))
    out[...] = both[: out.size].reshape(out.shape)


def _dropout(x: Spec, key: Spec, *, rate: float) -> Spec:
    _check(key)
    return x


@op(_dropout, flops=cost.per_output(2))
def dropout(xp: ModuleType, out: Array, x: Array, key: Array, *, rate: float) -> None:
    """Return x with a fraction `rate` of its elements set to 0 and the others scaled by 1 / (1 - rate).

    Source: Srivastava et al., "Dropout", JMLR 2014.
    """
    kept = uniform(xp, key, x.size).reshape(x.shape) >= np.float32(rate)
    xp.multiply(x, x.dtype.type(1 / (1 - rate)), out=out)
    xp.copyto(out, out.dtype.type(0), where=~kept)


dropout.vjp(x=lambda g, y, x, key, rate: dropout(g, key, rate=rate))


def _random_integers(key: Spec, low: Spec, high: Spec, *, shape: Shape) -> Spec:
    _check(key)
    if {low.dtype, high.dtype} != {np.dtype(np.int64)} or broadcast(low.shape, high.shape, shape) != shape:
        raise ShapeError(f"the limits must be int64 and broadcast to {shape}.")
    return Spec(shape, np.dtype(np.int64))


@op(_random_integers)
def random_integers(xp: ModuleType, out: Array, key: Array, low: Array, high: Array, *, shape: Shape) -> None:
    """Return int64 numbers from `low` on and below `high`: the remainders of 64 random bits."""
    words = philox(xp, key, 2 * out.size).reshape(2, *out.shape)
    count = xp.maximum(high - low, 1).astype(np.uint64)
    xp.add(low, ((words[0] << np.uint64(32) | words[1]) % count).astype(np.int64), out=out)
