"""The metrics of `compile`, of all outputs, as one metric of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gpudl import metrics
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.metrics import Metric
from gpudl.training.compiled_losses import BY_SHAPE, CompiledLosses
from gpudl.training.outputs import Outputs, leaves

_BY_SHAPE = {"accuracy", "acc", *BY_SHAPE}
_KINDS = ("metrics", "weighted_metrics")


@dataclass(frozen=True)
class OutputMetric:
    """A metric of one output.

    Attributes:
        output: the number of the output.
        metric: the metric.
        weighted: whether sample weights are used.
        name: its name in the logs.
    """

    output: int
    metric: Metric
    weighted: bool
    name: str


class CompileMetrics(Metric):
    """Updates each metric of `compile` with a batch, and returns the results of all.

    Args:
        wanted, weighted: the arguments metrics and weighted_metrics of `compile`.
        losses: the losses, whose targets and names they share.

    Attributes:
        made: the metrics, once the shapes of targets and predictions are known; None before.

    Raises:
        ValueError: an unknown name; the message suggests the most similar one.
    """

    def __init__(self, wanted: object, weighted: object, losses: CompiledLosses) -> None:
        super().__init__(name="compile_metrics")
        self.losses = losses
        self.made: list[OutputMetric] | None = None
        self._wanted = dict(zip(_KINDS, (wanted, weighted), strict=True))
        for given in (wanted, weighted):
            found = [identifier for _, identifier in leaves(given)]
            if given and all(identifier is None for identifier in found):
                raise ValueError("a metric is a name, a Metric or a function, got None. Leave it out of the list.")
            for identifier in found:
                # An unknown name is an error now, not at the first step; "accuracy" has to wait for the shapes.
                if not (isinstance(identifier, str) and identifier.lower() in _BY_SHAPE):
                    metrics.get(identifier)

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of all outputs."""
        return [one.metric for one in self.made or ()]

    @property
    def variables(self) -> list[Variable]:
        """The variables of all metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def make(self, y: object, outputs: Outputs) -> list[OutputMetric]:
        """Return the metrics, which are resolved by the first targets and predictions."""
        if self.made is not None:
            return self.made
        listed = [
            (number, identifier, what != "metrics")
            for what, given in self._wanted.items()
            for number, identifiers in enumerate(outputs.lists(what, given))
            for identifier in identifiers
        ]
        targets = outputs.targets(y, self.losses.compared(outputs), [number for number, *_ in listed])
        losses = {number: one.loss for one in self.losses.make(y, outputs) for number in one.outputs}
        taken = {"loss"}
        made: list[OutputMetric] = []
        for number, identifier, weighted in listed:
            specs = as_tensor(targets[number]).spec, outputs.values[number].spec
            metric = metrics.resolve_accuracy(identifier, *specs, losses.get(number))
            name = _free(outputs.prefixes[number], metric.name, weighted, taken)
            taken.add(name)
            made.append(OutputMetric(number, metric, weighted, name))
        self.made = made
        return made

    def update_state(self, y_true: object, y_pred: object, sample_weight: object = None) -> None:
        """Update all metrics with one batch of targets and predictions, nests as the model returns them."""
        outputs = self.losses.outputs(y_pred)
        made = self.make(y_true, outputs)
        targets = outputs.targets(y_true, self.losses.compared(outputs), [one.output for one in made])
        weights = outputs.each("sample_weight", sample_weight)
        for one in made:
            weight = weights[one.output] if one.weighted else None
            one.metric.update_state(targets[one.output], outputs.values[one.output], sample_weight=weight)

    def reset_state(self) -> None:
        """Reset each metric."""
        for metric in self.metrics:
            metric.reset_state()

    def result(self) -> Mapping[str, Tensor]:
        """Return the results by their names in the logs."""
        return {one.name: one.metric.result() for one in self.made or ()}


def _free(prefix: str, name: str, weighted: bool, taken: set[str]) -> str:
    """Return an unused name for a metric, with Keras's numbering."""
    found, number = f"{prefix}{name}", 0
    if found in taken and weighted:
        found = name = f"{prefix}weighted_{name}"
    else:
        name = found
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found
