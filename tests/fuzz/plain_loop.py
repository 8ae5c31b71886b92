"""A training loop for one layer of weights, written out in NumPy: what `fit` has to come to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Batch = tuple[np.ndarray, np.ndarray, np.ndarray | None]


@dataclass
class Plain:
    """A linear model, trained by gradient descent on the mean squared error or on the cross-entropy of classes.

    Attributes:
        classifies: whether the outputs are logits of classes, and the targets their numbers.
    """

    kernel: np.ndarray
    bias: np.ndarray
    classifies: bool
    rate: float

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Return predictions, probabilities of a classifier."""
        z = x @ self.kernel + self.bias
        if not self.classifies:
            return z
        e = np.exp(z - z.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def _each(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return for each sample its loss, its gradient with respect to x @ kernel, and its metric."""
        out = self.outputs(x)
        if self.classifies:
            rows = np.arange(len(y))
            return -np.log(out[rows, y]), out - np.eye(out.shape[1])[y], (out.argmax(-1) == y).astype(float)
        off = out - y
        return (off**2).mean(-1), 2 * off / out.shape[1], np.abs(off).mean(-1)

    def train(self, batch: Batch, counts: Counts) -> None:
        """Make one step."""
        x, y, weight = batch
        _, slope, _ = self._each(x, y)
        counts.add(self, batch)
        slope = slope / len(x) if weight is None else slope * weight[:, None] / len(x)
        self.kernel = self.kernel - self.rate * (x.T @ slope)
        self.bias = self.bias - self.rate * slope.sum(0)


class Counts:
    """The mean loss, the mean metric, and the metric's mean weighted by samples, of some batches."""

    def __init__(self) -> None:
        self.sums = np.zeros((3, 2))

    def add(self, model: Plain, batch: Batch) -> None:
        """Count a batch, as the model is before it is trained on it."""
        x, y, weight = batch
        losses, _, metric = model._each(x, y)
        weights = np.ones(len(x)) if weight is None else weight
        self.sums += [
            ((losses * weights).sum(), len(x)),
            (metric.sum(), len(x)),
            ((metric * weights).sum(), weights.sum()),
        ]

    def results(self) -> list[float]:
        """Return the three means; that of no weight at all is 0."""
        return [float(total / count) if count else 0.0 for total, count in self.sums]


def batches_of(data: Batch, sizes: list[int], order: np.ndarray | None = None) -> list[Batch]:
    """Return data cut into batches of such sizes."""
    rows = np.arange(len(data[0])) if order is None else order
    cut = np.split(rows, np.cumsum(sizes)[:-1])
    return [(data[0][r], data[1][r], None if data[2] is None else data[2][r]) for r in cut]


class Passes:
    """Epochs of so many steps each: one pass after another, none of which an epoch goes on beyond.

    Args:
        passes: yields the batches of one pass.
        steps: steps that make an epoch; None for all batches of a pass.
    """

    def __init__(self, passes: Iterator[list[Batch]], steps: int | None) -> None:
        self.passes = passes
        self.steps = steps
        self.left: list[Batch] = []

    def epoch(self) -> list[Batch]:
        """Return the batches of the next epoch."""
        if not self.left:
            self.left = list(next(self.passes))
        count = len(self.left) if self.steps is None else self.steps
        now, self.left = self.left[:count], self.left[count:]
        return now
