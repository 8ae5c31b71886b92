"""Cross-entropies of probabilities or logits, with Keras's arguments and dtypes.

Probabilities are kept `config.epsilon` away from 0 and 1.
"""

from __future__ import annotations

import numpy as np

from gpudl import config
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError, is_floating, promote
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.nn.labels import one_hot
from gpudl.ops.numpy.arrangement import transpose
from gpudl.ops.numpy.elementwise import cast, clip
from gpudl.ops.primitives import loss, reduce
from gpudl.ops.primitives.elementwise import cast_like, where
from gpudl.ops.primitives.exponential import log
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
]


def binary_crossentropy(target: TensorLike, output: TensorLike, from_logits: bool = False) -> Tensor:
    """Return -t log(p) - (1 - t) log(1 - p) of each number.

    Args:
        target: targets t from 0 to 1, in the shape of `output`.
        output: probabilities p, or logits.
        from_logits: whether `output` are logits.

    Raises:
        ShapeError: different shapes.

    Example:
        >>> binary_crossentropy([1.0, 0.0], [0.5, 0.5]).numpy().round(3)
        array([0.693, 0.693], dtype=float32)
    """
    t, p = _alike("binary_crossentropy", target, output)
    if from_logits:
        return loss.sigmoid_cross_entropy(p, t)
    p = _clipped(p)
    return -(t * log(p) + (1.0 - t) * log(1.0 - p))


def categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """Return -sum(t * log(p)) along `axis`.

    Args:
        target: one-hot targets or probabilities t, in the shape of `output`.
        output: probabilities p, which are divided by their sum, or logits.
        from_logits: whether `output` are logits.
        axis: the axis of the classes.

    Raises:
        ShapeError: different shapes.

    Example:
        >>> categorical_crossentropy([[0.0, 1.0, 0.0]], [[0.25, 0.5, 0.25]]).numpy().round(3)
        array([0.693], dtype=float32)
    """
    t, p = _alike("categorical_crossentropy", target, output)
    (at,) = axes_of(p.ndim, axis)
    if from_logits:
        return loss.softmax_cross_entropy(_last(p, at), _last(t, at))[0]
    return -reduce.sum(t * log(normalised(p, at)), axis=at)


def sparse_categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """Return -log(p[label]) along `axis`, in `config.floatx` at least; NaN for a label out of range.

    Args:
        target: labels, in the shape of `output` without the axis of the classes, or with size 1 there.
        output: probabilities p, which are divided by their sum, or logits.
        from_logits: whether `output` are logits.
        axis: the axis of the classes.

    Raises:
        ShapeError: shapes that do not fit.

    Example:
        >>> sparse_categorical_crossentropy([1], [[0.25, 0.5, 0.25]]).numpy().round(3)
        array([0.693], dtype=float32)
    """
    labels, p = as_tensor(target), _float(output)
    p = cast(p, promote(p.dtype, np.dtype(config.floatx())))
    (at,) = axes_of(p.ndim, axis)
    plain = (*p.shape[:at], *p.shape[at + 1 :])
    if labels.shape not in (plain, (*p.shape[:at], 1, *p.shape[at + 1 :])):
        raise ShapeError(
            f"sparse_categorical_crossentropy needs one label for each row of classes, {plain} for {p.shape}, got "
            f"{labels.shape}."
        )
    labels = cast(reshape(labels, plain), "int32")
    if from_logits:
        return loss.sparse_softmax_cross_entropy(_last(p, at), labels)[0]
    logs = log(normalised(_last(p, at), -1))
    here = one_hot(labels, logs.shape[-1], dtype="bool")
    known = reduce.sum(here, axis=-1) > 0
    return where(known, -reduce.sum(where(here, logs, 0.0), axis=-1), float("nan"))


def normalised(p: Tensor, axis: int) -> Tensor:
    """Return probabilities that sum to 1 along `axis`, kept `config.epsilon` away from 0 and 1."""
    return _clipped(p / reduce.sum(p, axis=axis, keepdims=True))


def _clipped(p: Tensor) -> Tensor:
    return clip(p, config.epsilon(), 1.0 - config.epsilon())


def _float(x: TensorLike) -> Tensor:
    x = as_tensor(x)
    return x if is_floating(x.dtype) else cast(x, config.floatx())


def _alike(who: str, target: TensorLike, output: TensorLike) -> tuple[Tensor, Tensor]:
    p = _float(output)
    t = cast_like(as_tensor(target), p)
    if t.shape != p.shape:
        raise ShapeError(f"{who} needs targets of the shape of the output, {p.shape}, got {t.shape}.")
    return t, p


def _last(x: Tensor, axis: int) -> Tensor:
    """Return x with the axis of the classes last."""
    return x if axis == x.ndim - 1 else transpose(x, (*(i for i in range(x.ndim) if i != axis), axis))
