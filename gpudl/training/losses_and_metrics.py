"""What `compile` was told: the loss, the metrics, and the watch for a loss that is not a number any more."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from gpudl import backend, losses, metrics, ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, Variable
from gpudl.engine.tree import flatten
from gpudl.losses import Loss
from gpudl.metrics import Mean, Metric
from gpudl.training.data.arrays import alone
from gpudl.utils.checks import require_number


class Compiled:
    """The loss and the metrics of `compile`, made when the shapes of targets and predictions are known.

    Raises:
        ValueError: an unknown name; the text offers the nearest one.
    """

    def __init__(self, loss: Any, wanted: Any, weighted: Any, loss_weight: Any = None) -> None:
        self.tracker = Mean(name="loss")
        self.watch = NonfiniteWatch()
        loss = _for_one_output(loss, "loss")
        self._identifier = loss
        self._weight = _for_one_output(loss_weight, "loss_weights")
        if self._weight is not None:
            require_number("compile", loss_weights=self._weight)
        self._loss: Loss | None = None
        self._wanted = [(m, False) for m in _listed(wanted)] + [(m, True) for m in _listed(weighted)]
        self._made: list[tuple[Metric, bool]] = []
        # An unknown name is an error now, not at the first step; "accuracy" has to wait for the shapes.
        if not _waits(loss):
            losses.get(loss)
        for identifier, _ in self._wanted:
            if not _waits(identifier) and metrics.get(identifier) is None:
                raise ValueError("a metric is a name, a Metric or a function, got None. Leave it out of the list.")

    @property
    def named(self) -> dict[str, Metric]:
        """The tracker of the loss, and the metrics once they are made, by names that differ, as Keras has them."""
        found: dict[str, Metric] = {"loss": self.tracker}
        for metric, weighted in self._made:
            name, number = metric.name, 0
            while name in found:
                number += 1
                name = f"weighted_{metric.name}" if weighted and number == 1 else f"{metric.name}_{number}"
            found[name] = metric
        return found

    def loss(self, y: Any, y_pred: Any, sample_weight: Any) -> Tensor | None:
        """Return the loss of a batch, or None where `compile` was given none."""
        if self._identifier is None:
            return None
        if y is None:
            raise ValueError("the loss compares predictions with targets, but no y was given.")
        y, y_pred, sample_weight = alone(y), alone(y_pred), alone(sample_weight)
        if not isinstance(y_pred, Tensor) or not isinstance(y, Tensor):
            raise ValueError(
                f"the loss of compile() compares one array of targets with one of predictions, got {_count(y)} and "
                f"{_count(y_pred)}. Models with several outputs need their own compute_loss()."
            )
        self.make(y, y_pred)
        assert self._loss is not None
        value = self._loss(y, y_pred, sample_weight=sample_weight)
        if value.ndim:
            raise ShapeError(
                f"the loss {self._loss.name!r} has shape {value.shape}, and training minimises one number. "
                'Give it reduction="sum_over_batch_size".'
            )
        return value if self._weight is None else value * float(self._weight)

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """Forget what was chosen by the shapes of data that turn out not to fit, when a ``with`` block fails."""
        before = self._loss, self._made
        try:
            yield
        except BaseException:
            self._loss, self._made = before
            raise

    def make(self, y: Tensor, y_pred: Tensor) -> None:
        """Choose loss and metrics for targets and predictions such as these, unless that has been done."""
        if self._loss is None:
            self._loss = losses.resolve(self._identifier, y.spec, y_pred.spec)
        if len(self._made) < len(self._wanted):
            self._made = [
                (metrics.resolve_accuracy(m, y.spec, y_pred.spec, self._loss), weighted) for m, weighted in self._wanted
            ]

    def update(self, y: Tensor, y_pred: Tensor, sample_weight: Any) -> None:
        """Count one batch in the metrics."""
        y, y_pred, sample_weight = alone(y), alone(y_pred), alone(sample_weight)
        self.make(y, y_pred)
        for metric, weighted in self._made:
            metric.update_state(y, y_pred, sample_weight=sample_weight if weighted else None)

    def check_labels(self, y: Any, y_pred: Tensor) -> None:
        """Raise ValueError for integer labels that the outputs have no place for, before anything is trained.

        Args:
            y: all the targets, an array.
            y_pred: predictions for a batch; their last axis is the classes.
        """
        sparse = getattr(self._loss, "fn", None) is losses.sparse_categorical_crossentropy
        if not sparse or getattr(self._loss, "ignore_class", None) is not None:
            return
        classes = y_pred.shape[-1]
        on = backend.of(y)
        lowest, highest = float(on.to_host(y.min())), float(on.to_host(y.max()))
        if lowest < 0 or highest >= classes:
            wrong = lowest if lowest < 0 else highest
            raise ValueError(
                f"label {wrong:g} is out of range: the model has {classes} outputs, so labels go from 0 to "
                f"{classes - 1}. Renumber the labels, or give the last layer another number of units."
            )


class NonfiniteWatch:
    """Notes, on the device, the first step whose loss was NaN or infinite."""

    def __init__(self) -> None:
        self._reported = False
        self._first = Variable(np.array(-1, np.int64), trainable=False, name="first_nonfinite_step")

    def begin(self) -> None:
        """Forget what an earlier training has noted."""
        self._reported = False
        self._first.assign(-1)

    def note(self, loss: Tensor, finished: Tensor) -> None:
        """Look at the loss of the step after `finished` ones."""
        ops.note_nonfinite_(self._first, loss, finished)

    def report(self, logs: Mapping[str, float], epoch: int) -> None:
        """Warn, once a training, when the loss of an epoch was not a finite number."""
        if self._reported or math.isfinite(logs.get("loss", 0.0)):
            return
        self._reported = True
        first = int(self._first)
        at = f" at step {first + 1}" if first >= 0 else ""
        warnings.warn(
            f"the loss became NaN or infinite{at}, in epoch {epoch + 1}; the weights are probably lost. Lower the "
            "learning rate, or look for NaN and labels out of range in the data.",
            RuntimeWarning,
            stacklevel=3,
        )


def _waits(identifier: Any) -> bool:
    return isinstance(identifier, str) and identifier.lower() in {"accuracy", "acc", "crossentropy", "ce"}


def _listed(wanted: Any) -> list[Any]:
    """Return metrics as a flat list; one inside a list, or by the name of the output, are those of the only output."""
    wanted = [] if wanted is None else _for_one_output(wanted, "metrics")
    if not isinstance(wanted, list | tuple):
        return [wanted]
    if len(wanted) == 1 and isinstance(wanted[0], list | tuple | dict):
        return _listed(wanted[0])
    if any(isinstance(item, list | tuple) for item in wanted):
        raise _several("metrics", wanted)
    return list(wanted)


_SEVERAL = (
    "{what} for each of several outputs {verb} not supported yet, got {given!r}. Pass what the only output has, or "
    "write compute_loss() and compute_metrics() in a class derived from Model."
)


def _several(what: str, given: Any) -> ValueError:
    loss = what == "loss"
    return ValueError(_SEVERAL.format(what="a loss" if loss else what, verb="is" if loss else "are", given=given))


def _for_one_output(wanted: Any, what: str) -> Any:
    """Return what is for the only output, by its name or, but for metrics, in a list; raise ValueError for several."""
    if isinstance(wanted, dict) and "class_name" not in wanted:
        if len(wanted) != 1:
            raise _several(what, wanted)
        (wanted,) = wanted.values()
    if what != "metrics" and isinstance(wanted, list | tuple):
        if len(wanted) != 1:
            raise _several(what, wanted)
        (wanted,) = wanted
    return wanted


def _count(value: Any) -> str:
    return "one" if isinstance(value, Tensor) else f"a {type(value).__name__} of {len(flatten(value)[0])}"
