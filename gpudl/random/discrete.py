"""Random integers, classes and orders, drawn in a fixed number of steps, so that they can be recorded."""

from __future__ import annotations

from operator import index

import numpy as np
from numpy.typing import DTypeLike

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.random.continuous import log_odds_to_share, logarithm_of_uniform
from gpudl.random.generators import SeedGenerator, Shape, in_dtype, key_of, sizes

__all__ = [
    "binomial",
    "categorical",
    "randint",
    "shuffle",
]


def randint(
    shape: Shape,
    minval: TensorLike,
    maxval: TensorLike,
    dtype: DTypeLike = "int32",
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Return integers, all equally likely, from `minval` on and below `maxval`.

    Args:
        shape: the shape.
        minval: the smallest one.
        maxval: the largest one plus 1.
        dtype: an integer dtype.
        seed: as for `uniform`.

    Raises:
        ValueError: a dtype of anything but integers.

    Example:
        >>> set(randint((100,), 2, 4, seed=1).numpy().tolist()) == {2, 3}
        True
    """
    wanted = np.dtype(dtype)
    if wanted.kind not in "iu":
        raise ValueError(f"random.randint: dtype must be an integer type, got {wanted.name!r}.")
    low, high = (ops.cast(as_tensor(limit), "int64") for limit in (minval, maxval))
    drawn = ops.random_integers(key_of(seed), low, high, shape=sizes("randint", shape))
    return ops.cast(drawn, wanted)


def categorical(
    logits: TensorLike, num_samples: int, dtype: DTypeLike = "int32", seed: int | SeedGenerator | None = None
) -> Tensor:
    """Return classes drawn with probabilities that are the softmax of logits.

    Args:
        logits: (batch, classes).
        num_samples: how many are drawn of each row.
        dtype: dtype of the result.
        seed: as for `uniform`.

    Returns:
        Classes (batch, num_samples).

    Raises:
        ShapeError: logits of another number of axes.

    Example:
        >>> categorical([[0.0, 100.0, 0.0]], 4, seed=1).numpy()
        array([[1, 1, 1, 1]], dtype=int32)
    """
    logits = as_tensor(logits)
    if logits.ndim != 2:
        raise ShapeError(f"random.categorical needs logits (batch, classes), got shape {logits.shape}.")
    generator = seed if isinstance(seed, SeedGenerator) else SeedGenerator(seed)
    rows, classes = logits.shape
    noise = -ops.log(-logarithm_of_uniform((rows, index(num_samples), classes), generator))  # of Gumbel's distribution
    return ops.cast(ops.argmax(ops.expand_dims(logits, 1) + noise, axis=-1), dtype)


def shuffle(x: TensorLike, axis: int = 0, seed: int | SeedGenerator | None = None) -> Tensor:
    """Return x in a random order along `axis`.

    Example:
        >>> sorted(shuffle([1, 2, 3], seed=1).numpy().tolist())
        [1, 2, 3]
    """
    x = as_tensor(x)
    order = ops.argsort(ops.random_uniform(key_of(seed), shape=(x.shape[axis],)))
    return ops.take(x, order, axis=axis)


_SMALL = 16


def binomial(
    shape: Shape,
    counts: TensorLike,
    probabilities: TensorLike,
    dtype: DTypeLike | None = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Return how many of `counts` trials succeed, each with a probability.

    Args:
        shape: the shape.
        counts: numbers of trials, up to 2**24, a number or a tensor that broadcasts to the shape.
        probabilities: from 0 to 1, a number or a tensor that broadcasts to the shape.
        dtype: a floating-point dtype; by default `config.floatx`.
        seed: as for `uniform`.

    Source: Devroye, "Non-uniform random variate generation", 1986, X.4.3: a trial in the middle of the sorted trials
        has a beta distribution, and says of half of them on which side of the probability they are.

    Example:
        >>> binomial((3,), 5, 1.0, seed=1).numpy()
        array([5., 5., 5.], dtype=float32)
    """
    generator = seed if isinstance(seed, SeedGenerator) else SeedGenerator(seed)
    size = sizes("binomial", shape)
    n, p = (ops.broadcast_to(ops.cast(as_tensor(t), "float32"), size) for t in (counts, probabilities))
    total = ops.zeros_like(n)
    for _ in range(_halvings(counts)):
        middle = ops.floor((n + 1.0) * 0.5)
        many = n > float(_SMALL)
        at = log_odds_to_share(size, ops.maximum(middle, 1.0), ops.maximum(n + 1.0 - middle, 1.0), generator)
        below = at <= p
        total = total + ops.where(ops.logical_and(many, below), middle, 0.0)
        rest = ops.where(below, n - middle, middle - 1.0)
        share = ops.where(below, ops.divide_no_nan(p - at, 1.0 - at), ops.divide_no_nan(p, at))
        n, p = ops.where(many, rest, n), ops.where(many, ops.clip(share, 0.0, 1.0), p)
    draws = ops.random_uniform(generator.next(), shape=(_SMALL, *size))
    number = ops.reshape(ops.arange(_SMALL, dtype="float32"), (_SMALL, *(1,) * len(size)))
    trials = ops.logical_and(draws < p, number < n)
    return in_dtype("binomial", total + ops.cast(ops.sum(trials, axis=0), "float32"), dtype)


def _halvings(counts: TensorLike) -> int:
    """Return how often the trials are halved until few are left; on a device the host does not know how many."""
    most = 2.0**24 if isinstance(counts, Tensor) else float(np.max(np.asarray(counts), initial=0))
    steps = 0
    while most > _SMALL:
        most, steps = most - np.floor((most + 1) / 2) if most % 2 else most / 2, steps + 1
    return steps
