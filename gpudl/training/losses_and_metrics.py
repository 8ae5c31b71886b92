"""What `compile` was told: a loss for each output, what it weighs, and the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gpudl import backend, losses, metrics
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.losses import Loss
from gpudl.metrics import Mean, Metric
from gpudl.training.nonfinite_watch import NonfiniteWatch
from gpudl.training.outputs import Outputs, Path, leaves
from gpudl.utils.checks import require_number

_BY_SHAPE = {"accuracy", "acc", "crossentropy", "ce"}  # names that mean one thing or another by the shapes


@dataclass(frozen=True)
class OutputLoss:
    """The loss of one output.

    Attributes:
        output: the number of the output.
        loss: compares targets and predictions.
        weight: its factor in the sum.
        tracker: its mean over the samples, without the weight, where there are several losses.
    """

    output: int
    loss: Loss
    weight: float | None
    tracker: Mean | None


@dataclass(frozen=True)
class OutputMetric:
    """A metric of one output.

    Attributes:
        output: the number of the output.
        metric: what counts.
        weighted: whether sample weights count.
        name: in the logs.
    """

    output: int
    metric: Metric
    weighted: bool
    name: str


class Compiled:
    """The losses and metrics of `compile`, made when the shapes of targets and predictions are known.

    Attributes:
        tracker: the mean of the whole loss.
        watch: notes the first loss that is not finite.

    Raises:
        ValueError: an unknown name; the text offers the nearest one.
    """

    def __init__(self, loss: Any, wanted: Any, weighted: Any, loss_weights: Any = None) -> None:
        self.tracker = Mean(name="loss")
        self.watch = NonfiniteWatch()
        self._loss, self._weights = loss, loss_weights
        self._wanted = [
            (what, given, what != "metrics")
            for what, given in (("metrics", wanted), ("weighted_metrics", weighted))
            if any(identifier is not None for _, identifier in leaves(given))
        ]
        self._losses: list[OutputLoss] | None = None
        self._metrics: list[OutputMetric] = []
        # An unknown name is an error now, not at the first step; "accuracy" has to wait for the shapes.
        for get, given in ((losses.get, loss), (metrics.get, wanted), (metrics.get, weighted)):
            for _, identifier in leaves(given):
                if not (isinstance(identifier, str) and identifier.lower() in _BY_SHAPE):
                    get(identifier)
        for given in (wanted, weighted):
            if given and all(identifier is None for _, identifier in leaves(given)):
                raise ValueError("a metric is a name, a Metric or a function, got None. Leave it out of the list.")
        for _, weight in leaves(loss_weights):
            if weight is not None:
                require_number("compile", loss_weights=weight)

    @property
    def named(self) -> list[tuple[str, Metric]]:
        """The metrics by their names in the logs: the loss, the metrics once they are made, the loss of each output.

        Where the outputs have no names two losses can have one, as in Keras: the logs show the later one.
        """
        trackers = [one.tracker for one in self._losses or () if one.tracker is not None]
        found: list[tuple[str, Metric]] = [("loss", self.tracker)]
        found += [(one.name, one.metric) for one in self._metrics]
        return found + [(tracker.name, tracker) for tracker in trackers]

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """Forget what was chosen by the shapes of data that turn out not to fit, when a ``with`` block fails."""
        before = self._losses, self._metrics
        try:
            yield
        except BaseException:
            self._losses, self._metrics = before
            raise

    def make(self, y: Any, y_pred: Any) -> None:
        """Choose losses and metrics for targets and predictions such as these, unless that has been done."""
        if self._losses is None:
            self._make(y, Outputs(y_pred))

    def _make(self, y: Any, outputs: Outputs) -> list[OutputLoss]:
        wanted = outputs.each("loss", self._loss)
        compared = [number for number, loss in enumerate(wanted) if loss is not None]
        if isinstance(self._loss, dict) and len(wanted) > 1:
            order = list(self._loss)
            compared.sort(key=lambda number: order.index(outputs.paths[number][0]))
        listed = [
            (number, identifier, weighted)
            for what, given, weighted in self._wanted
            for number, identifiers in enumerate(outputs.lists(what, given))
            for identifier in identifiers
        ]
        targets = outputs.targets(y, compared, [number for number, *_ in listed])
        specs: list[tuple[Any, Any]] = [
            (getattr(t, "spec", None), v.spec) for t, v in zip(targets, outputs.values, strict=True)
        ]
        weights = outputs.each("loss_weights", self._weights)
        resolved = {number: losses.resolve(wanted[number], *specs[number]) for number in compared}
        made = {number: loss for number, loss in resolved.items() if loss is not None}
        self._metrics, taken = [], {"loss"}
        for number, identifier, weighted in listed:
            metric = metrics.resolve_accuracy(identifier, *specs[number], made.get(number))
            name = _free(outputs.prefixes[number], metric.name, weighted, taken)
            taken.add(name)
            self._metrics.append(OutputMetric(number, metric, weighted, name))
        self._losses = []
        for number, loss in made.items():
            tracker = Mean(name=f"{_loss_name(outputs.paths[number], loss)}_loss") if len(made) > 1 else None
            weight = None if weights[number] is None else float(weights[number])
            self._losses.append(OutputLoss(number, loss, weight, tracker))
        return self._losses

    def _aligned(self, y: Any, y_pred: Any) -> tuple[list[OutputLoss], list[Any], Outputs]:
        """Return the losses, made if need be, and the targets, one for each of the outputs."""
        outputs = Outputs(y_pred)
        made = self._make(y, outputs) if self._losses is None else self._losses
        compared, counted = [one.output for one in made], [one.output for one in self._metrics]
        return made, outputs.targets(y, compared, counted), outputs

    def loss(self, y: Any, y_pred: Any, sample_weight: Any) -> Tensor | None:
        """Return the loss of a batch, the sum over the outputs, or None where `compile` was given none."""
        if self._loss is None:
            return None
        if y is None:
            raise ValueError("the loss compares predictions with targets, but no y was given.")
        made, targets, outputs = self._aligned(y, y_pred)
        weights = outputs.each("sample_weight", sample_weight)
        total: Tensor | None = None
        for one in made:
            prediction = outputs.values[one.output]
            value = one.loss(targets[one.output], prediction, sample_weight=weights[one.output])
            if value.ndim:
                raise ShapeError(
                    f"the loss {one.loss.name!r} has shape {value.shape}, and training minimises one number. "
                    'Give it reduction="sum_over_batch_size".'
                )
            if one.tracker is not None:
                one.tracker.update_state(value, sample_weight=float(prediction.shape[0]))
            value = value if one.weight is None else value * one.weight
            total = value if total is None else total + value
        return total

    def update(self, y: Any, y_pred: Any, sample_weight: Any) -> None:
        """Count one batch in the metrics."""
        if not self._wanted:
            return
        _, targets, outputs = self._aligned(y, y_pred)
        weights = outputs.each("sample_weight", sample_weight)
        for one in self._metrics:
            weight = weights[one.output] if one.weighted else None
            one.metric.update_state(targets[one.output], outputs.values[one.output], sample_weight=weight)

    def check_labels(self, y: Any, y_pred: Any) -> None:
        """Raise ValueError for integer labels that the outputs have no place for, before anything is trained.

        Args:
            y: all the targets, a nest of arrays.
            y_pred: predictions for a batch; the last axis of each is the classes.
        """
        for one in self._losses or ():
            sparse = getattr(one.loss, "fn", None) is losses.sparse_categorical_crossentropy
            if sparse and getattr(one.loss, "ignore_class", None) is None:
                _, targets, outputs = self._aligned(y, y_pred)
                if hasattr(targets[one.output], "min"):  # rows of a sparse matrix have none
                    _require_labels(targets[one.output], outputs.values[one.output].shape[-1])


def _require_labels(labels: Any, classes: int) -> None:
    on = backend.of(labels)
    lowest, highest = float(on.to_host(labels.min())), float(on.to_host(labels.max()))
    if lowest < 0 or highest >= classes:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(
            f"label {wrong:g} is out of range: the model has {classes} outputs, so labels go from 0 to "
            f"{classes - 1}. Renumber the labels, or give the last layer another number of units."
        )


def _loss_name(path: Path, loss: Loss) -> str:
    """Return the name of a loss in the logs: that of its output, or its own where the output has none."""
    names = path if path and not isinstance(path[-1], int) else (*path[:-1], loss.name)
    return "/".join(map(str, names))


def _free(prefix: str, name: str, weighted: bool, taken: set[str]) -> str:
    """Return a name for a metric that is not taken, as Keras makes it."""
    found, number = f"{prefix}{name}", 0
    if found in taken and weighted:
        found = name = f"{prefix}weighted_{name}"
    else:
        name = found
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found
