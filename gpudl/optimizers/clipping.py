"""Gradient clipping, with ops, so that a replayed step clips by the norms of its own gradients."""

from __future__ import annotations

from gpudl import ops
from gpudl.engine.tensor import Tensor


def clipped(grads: list[Tensor], norm: float | None, value: float | None, global_norm: float | None) -> list[Tensor]:
    """Return `grads` clipped in the one way that is given; None or 0 means no limit.

    Args:
        grads: the gradients that are not None.
        norm: the largest L2 norm of each gradient.
        value: the largest absolute value of each element.
        global_norm: the largest L2 norm of all gradients together. When that norm is not finite, all
            become NaN, so that an overflow is seen and not clipped away.
            Source: Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013.
    """
    if norm and norm > 0:
        return [(g * norm) / ops.maximum(ops.sqrt(_squares(g)), norm) for g in grads]
    if value and value > 0:
        return [ops.clip(g, -value, value) for g in grads]
    if global_norm and global_norm > 0:
        total = _squares(grads[0])
        for g in grads[1:]:
            total = total + _squares(g)
        size = ops.sqrt(total)
        scale = global_norm / ops.maximum(size, global_norm) + (size - size)
        return [g * ops.cast_like(scale, g) for g in grads]
    return grads


def _squares(g: Tensor) -> Tensor:
    return ops.sum(ops.square(g))
