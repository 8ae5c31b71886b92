"""What `compile` was told, resolved: the loss, the metrics, and the check of labels against both."""

from __future__ import annotations

from typing import Any

from gpudl import backend, losses, metrics
from gpudl.engine.tensor import Tensor
from gpudl.losses import Loss
from gpudl.metrics import Metric

_GUESSED = {"crossentropy", "ce"}


class CompiledMetrics:
    """The metrics of `compile`, made when the shapes of targets and predictions are known."""

    def __init__(self, wanted: Any, weighted: Any, loss: Any) -> None:
        self._loss = loss
        self._wanted = [(m, False) for m in _listed(wanted)] + [(m, True) for m in _listed(weighted)]
        for identifier, _ in self._wanted:
            if not _is_shorthand(identifier):
                metrics.get(identifier)  # an unknown name is an error now, not at the first step
        self._made: list[tuple[Metric, bool]] = []

    @property
    def metrics(self) -> list[Metric]:
        """The metrics, once they are made."""
        return [metric for metric, _ in self._made]

    def update(self, y: Tensor, y_pred: Tensor, sample_weight: Any) -> None:
        """Count one batch."""
        if len(self._made) < len(self._wanted):
            self._made = [(self._make(m, y, y_pred), weighted) for m, weighted in self._wanted]
        for metric, weighted in self._made:
            metric.update_state(y, y_pred, sample_weight=sample_weight if weighted else None)

    def _make(self, identifier: Any, y: Tensor, y_pred: Tensor) -> Metric:
        if _is_shorthand(identifier):
            return metrics.resolve_accuracy(identifier, y.spec, y_pred.spec, self._loss)
        metric = metrics.get(identifier)
        if not isinstance(metric, Metric):
            name = identifier if isinstance(identifier, str) else getattr(metric, "__name__", "metric")
            return metrics.MeanMetricWrapper(metric, name=name)
        if isinstance(identifier, str):
            metric.name = identifier
        return metric


def _is_shorthand(identifier: Any) -> bool:
    return isinstance(identifier, str) and identifier.lower() in {"accuracy", "acc", *_GUESSED}


def _listed(wanted: Any) -> list[Any]:
    if wanted is None:
        return []
    if isinstance(wanted, dict):
        raise ValueError("metrics by output name are for models with several outputs; pass a list.")
    return list(wanted) if isinstance(wanted, list | tuple) else [wanted]


def resolved_loss(identifier: Any, y: Tensor, y_pred: Tensor) -> Loss:
    """Return the loss object; ``"crossentropy"`` is chosen by the shapes, as Keras does."""
    if isinstance(identifier, str) and identifier.lower() in _GUESSED:
        if y_pred.shape[-1] == 1:
            identifier = "binary_crossentropy"
        elif y.ndim < y_pred.ndim or y.shape[-1] == 1:
            identifier = "sparse_categorical_crossentropy"
        else:
            identifier = "categorical_crossentropy"
    loss = losses.get(identifier)
    assert isinstance(loss, Loss)
    return loss


def check_labels(loss: Any, y: Any, y_pred: Tensor) -> None:
    """Raise ValueError for integer labels that the outputs have no place for, before anything is trained."""
    if not isinstance(loss, losses.SparseCategoricalCrossentropy) or getattr(loss, "ignore_class", None) is not None:
        return
    classes = y_pred.shape[-1]
    on = backend.of(y)
    lowest, highest = float(on.to_host(y.min())), float(on.to_host(y.max()))
    if lowest < 0 or highest >= classes:
        wrong = int(lowest if lowest < 0 else highest)
        raise ValueError(
            f"label {wrong} is out of range: the model has {classes} outputs, so labels go from 0 to "
            f"{classes - 1}. Renumber the labels, or give the last layer {int(highest) + 1} units."
        )
