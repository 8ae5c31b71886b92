"""Training, evaluation and prediction of one batch at a time."""

from __future__ import annotations

from typing import Any

from gpudl.engine.tree import map_leaves
from gpudl.training.data.sources import batches, by_class
from gpudl.training.loop import Loop

_WHOLE = 2**31  # a batch size larger than any data


class Trainer(Loop):
    """The training interface of a model: the loops, and single batches for the user's own loops."""

    def train_on_batch(
        self,
        x: object,
        y: object = None,
        sample_weight: object = None,
        class_weight: dict[object, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Train on one batch; return its loss, or a list of its loss and metrics.

        The metrics are reset first, so that a call inside `fit` resets those of the epoch.

        Args:
            x: inputs, as for `fit`, of one batch.
            y: targets.
            sample_weight: a weight for each sample.
            class_weight: a weight for each class, as for `fit`.
            return_dict: return a dict by name instead.
        """
        self._require_compiled("train_on_batch")
        source = by_class(batches(x, y, sample_weight, batch_size=_WHOLE), class_weight)
        return self._on_batch(self._train, source, True, return_dict)

    def test_on_batch(
        self, x: object, y: object = None, sample_weight: object = None, return_dict: bool = False
    ) -> Any:
        """Evaluate one batch; return its loss, or a list of its loss and metrics, which are reset first."""
        self._require_compiled("test_on_batch")
        return self._on_batch(self._test, batches(x, y, sample_weight, batch_size=_WHOLE), False, return_dict)

    def predict_on_batch(self, x: object) -> Any:
        """Return the outputs for one batch, as NumPy arrays."""
        ((batch, _),) = batches(x, batch_size=_WHOLE).epoch()
        return map_leaves(lambda t: t.numpy(), self._ready(self._predict, batch)())
