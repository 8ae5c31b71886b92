"""What `fit` evaluates on, and after which epochs."""

from __future__ import annotations

from collections.abc import Iterable

from gpudl.training.data.arrays import require_counts
from gpudl.training.data.sources import ArrayBatches, Batches, batches, is_stream
from gpudl.utils.batch_parts import PARTS


def with_validation(
    source: Batches, split: float, data: object, batch_size: int | None, parts: int | None, fit_batch_size: int | None
) -> tuple[Batches, Batches | None]:
    """Return the batches to train with and those to evaluate on: given ones, a share of the first, or none.

    Args:
        source: the batches of training.
        split: share of the samples to evaluate on, taken from the end.
        data: what `fit` was given as ``validation_data``.
        batch_size, parts: of the evaluation.
        fit_batch_size: of the training, for an evaluation that has none.
    """
    if data is not None or not split:
        return source, validation_batches(data, batch_size or fit_batch_size, parts)
    if not isinstance(source, ArrayBatches):
        raise ValueError("validation_split needs arrays: give validation_data beside a generator.")
    return source.split(split, batch_size, parts)


def validation_batches(data: object, batch_size: int | None, parts: int | None = None) -> Batches | None:
    """Return the batches of what `fit` was given as ``validation_data``; None for none."""
    if data is None:
        return None
    if isinstance(data, tuple | list) and 1 < len(data) <= len(PARTS):
        return batches(*data, batch_size=batch_size, parts=parts)
    if not is_stream(data):
        raise ValueError(
            "validation_data expected (x, y) or (x, y, sample_weight), or an iterable of such batches, got "
            f"{type(data).__name__}."
        )
    return batches(data)


class Frequency:
    """After which epochs to evaluate.

    Args:
        given: every so many epochs, or the numbers of the epochs, from 1.

    Example:
        >>> [epoch for epoch in range(6) if Frequency(2).due(epoch)], Frequency([1]).due(0)
        ([1, 3, 5], True)
    """

    def __init__(self, given: int | Iterable[int]) -> None:
        self._given = list(given) if isinstance(given, Iterable) else given
        for number in self._given if isinstance(self._given, list) else (self._given,):
            require_counts(1, optional=False, validation_freq=number)

    def due(self, epoch: int) -> bool:
        """Return whether to evaluate after an epoch, which counts from 0."""
        return epoch + 1 in self._given if isinstance(self._given, list) else (epoch + 1) % self._given == 0
