"""Numbers to the bins that they lie in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import DtypeLike
from gpudl.layers.preprocessing.adapting import batches_of
from gpudl.layers.preprocessing.encoding import encoded
from gpudl.layers.preprocessing.encoding import output_mode as checked_mode
from gpudl.layers.preprocessing.host import array_of
from gpudl.registry import Config
from gpudl.utils.checks import require_whole

__all__ = ["Discretization"]


class Discretization(Layer):
    """Map numbers to the numbers of the bins that they lie in; bin i begins at boundary i - 1.

    Args:
        bin_boundaries: the boundaries, in ascending order.
        num_bins: how many bins `adapt` makes, of about as many numbers each; instead of `bin_boundaries`.
        epsilon: the greatest error of the quantiles that are the boundaries, as a share of the numbers.
        output_mode: ``"int"`` for the numbers of bins, or ``"one_hot"``, ``"multi_hot"`` or ``"count"`` of them, as for
            `StringLookup`.
        sparse: not supported.
        dtype: dtype of encoded results; those of the mode ``"int"`` are int32.
        name: a name.
        trainable: accepted; there is nothing to train.

    Raises:
        ValueError: both or neither of `bin_boundaries` and `num_bins` are given, another argument is not supported, or
            it is called before `adapt`.

    Example:
        >>> layer = gpudl.layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0])
        >>> layer(np.array([[-1.5, 1.0, 3.4, 0.5]])).numpy()
        array([[0, 2, 3, 1]], dtype=int32)
    """

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: DtypeLike = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError(
                f"{self._who()} needs either bin_boundaries or num_bins, got bin_boundaries={bin_boundaries!r} and "
                f"num_bins={num_bins!r}."
            )
        if num_bins is not None:
            require_whole(self._who(), 0, num_bins=num_bins)
        self.output_mode = checked_mode(self._who(), output_mode, "int", "one_hot", "multi_hot", "count", sparse=sparse)
        self.bin_boundaries = bin_boundaries
        self.num_bins = num_bins
        self.epsilon = epsilon
        self._seen = np.zeros((2, 0), np.float32)  # numbers and how many each stands for

    def adapt(self, data: object, steps: int | None = None) -> None:
        """Set the boundaries to quantiles of `data`.

        Args:
            data: an array, or an iterable of batches.
            steps: how many batches of an iterable are read; all of them for None.

        Raises:
            ValueError: the layer was given boundaries, or there are no numbers.
        """
        if self.num_bins is None:
            raise ValueError(
                f"{self._who()}: adapt() learns boundaries, and bin_boundaries were given. Give num_bins instead."
            )
        self.reset_state()
        for batch in batches_of(self._who(), data, steps, lists=False):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: object) -> None:
        """Count the numbers of a batch; `finalize_state` makes the boundaries of them."""
        numbers = array_of(data, self._who()).astype(np.float32)
        both = np.concatenate([_summary(numbers, self.epsilon), self._seen], axis=1)
        self._seen = _shortened(both[:, np.argsort(both[0])], self.epsilon)

    def finalize_state(self) -> None:
        """Set the boundaries to quantiles of the numbers that were counted."""
        if self.num_bins is None:
            return
        if not self._seen.size:
            raise ValueError(f"{self._who()}: adapt() needs numbers, and the data had none.")
        self.bin_boundaries = _shortened(self._seen, 1 / self.num_bins)[0, :-1].tolist()

    def reset_state(self) -> None:
        """Forget what was counted, not the boundaries."""
        self._seen = np.zeros((2, 0), np.float32)

    def call(self, inputs: Tensor) -> Tensor:
        """Return the bins of numbers, or what `output_mode` makes of them."""
        if self.bin_boundaries is None:
            raise ValueError(
                f"{self._who()} has no boundaries: call adapt(data) with samples of the data first, or give "
                "bin_boundaries=."
            )
        edges = np.asarray(self.bin_boundaries, np.float32)
        above = ops.greater_equal(ops.expand_dims(self._floating(inputs), -1), edges)
        dtype = "int32" if self.output_mode == "int" else self.compute_dtype
        return encoded(ops.sum(ops.cast(above, "int32"), axis=-1), self.output_mode, len(edges) + 1, dtype)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a layer with the arguments of `config`, and with boundaries that `adapt` has set."""
        given = dict(config)
        learnt = given.pop("bin_boundaries", None) if given.get("num_bins") is not None else None
        layer = super().from_config(given)
        layer.bin_boundaries = layer.bin_boundaries if learnt is None else learnt
        return layer


def _summary(numbers: np.ndarray, epsilon: float) -> np.ndarray:
    """Return numbers at equal distances in their order, and how many of them each stands for."""
    ordered = np.sort(numbers.ravel())
    step = max(ordered.size * epsilon, 1)
    chosen = ordered[int(step - 1) :: int(step)]
    return np.stack([chosen, np.full_like(chosen, step)])


def _shortened(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """Return a summary of the numbers at multiples of `epsilon` of all, interpolated; a short one unchanged."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    below = summary[1].cumsum()
    share_below = below / below[-1]
    numbers, counts = (np.interp(shares, share_below, values) for values in (summary[0], below))
    return np.stack([numbers, np.diff(counts, prepend=0)]).astype(np.float32)
