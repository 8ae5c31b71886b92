"""The losses and metrics of `compile`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gpudl.metrics import Mean, Metric
from gpudl.registry import Config
from gpudl.training.compiled_losses import CompiledLosses
from gpudl.training.compiled_metrics import CompileMetrics
from gpudl.training.nonfinite_watch import NonfiniteWatch


class Compiled:
    """The losses and metrics of `compile`, resolved when the shapes of targets and predictions are known.

    Args:
        loss, metrics, weighted_metrics, loss_weights: the arguments of `compile`.
        names: the names of the outputs of a functional model.

    Attributes:
        tracker: the mean of the whole loss.
        losses: the loss of each output.
        counted: the metrics; None if `compile` got none.
        watch: records the first loss that is not finite.
        arguments: those of `compile`, for files.

    Raises:
        ValueError: an unknown name; the message suggests the most similar one.
    """

    def __init__(
        self,
        loss: object,
        metrics: object,
        weighted_metrics: object,
        loss_weights: object = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.arguments: Config = {}
        self.tracker = Mean(name="loss")
        self.watch = NonfiniteWatch()
        self.losses = CompiledLosses(loss, loss_weights, names)
        counts = metrics is not None or weighted_metrics is not None
        self.counted = CompileMetrics(metrics, weighted_metrics, self.losses) if counts else None

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that `compile` adds to a model: the loss, its metrics as one, the loss of each output."""
        return [self.tracker, *([] if self.counted is None else [self.counted]), *self.losses.trackers]

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """Undo the resolution by shapes if a ``with`` block fails, because the data do not fit."""
        before = [(part, part.made) for part in (self.losses, self.counted) if part is not None]
        try:
            yield
        except BaseException:
            for part, made in before:
                part.made = made
            raise

    def make(self, y: object, y_pred: object) -> None:
        """Resolve losses and metrics for such targets and predictions, unless that has been done."""
        outputs = self.losses.outputs(y_pred)
        self.losses.make(y, outputs)
        if self.counted is not None:
            self.counted.make(y, outputs)
