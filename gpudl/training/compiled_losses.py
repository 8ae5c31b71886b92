"""The losses of `compile`: one for each output, with its weight and its mean for the logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from gpudl import backend, losses
from gpudl.backend import Array
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.losses import Loss
from gpudl.metrics import Mean
from gpudl.training.loss_parts import LossPart, loss_parts
from gpudl.training.outputs import Outputs, Path, leaves
from gpudl.utils.checks import require_number

BY_SHAPE = ("crossentropy", "ce")
"""Names of losses that are resolved by the shapes."""


@dataclass(frozen=True)
class OutputLoss:
    """The loss of one output, or of a part of the nest of outputs.

    Attributes:
        path: the path of the part; that of a single output has no others below it.
        outputs: the numbers of its outputs.
        loss: compares targets and predictions.
        weight: its factor in the sum.
        tracker: its mean over the samples, without the weight, where there are several losses.
    """

    path: Path
    outputs: list[int]
    loss: Loss
    weight: float | None
    tracker: Mean | None


class CompiledLosses:
    """The losses, resolved when the shapes of targets and predictions are known.

    Args:
        loss, weights: the arguments of `compile`.
        names: the names of the outputs of a functional model.

    Attributes:
        made: the losses, None before they are resolved.

    Raises:
        ValueError: an unknown name; the message suggests the most similar one.
    """

    def __init__(self, loss: object, weights: object = None, names: Sequence[str] | None = None) -> None:
        self.given = loss
        self.made: list[OutputLoss] | None = None
        self._weights, self._names = weights, names
        for _, identifier in leaves(loss):
            if not (isinstance(identifier, str) and identifier.lower() in BY_SHAPE):
                losses.get(identifier)
        for _, weight in leaves(weights):
            if weight is not None:
                require_number("compile", loss_weights=weight)

    def outputs(self, y_pred: object) -> Outputs:
        """Return the list of predictions, with the names that they have in `compile`."""
        return Outputs(y_pred, self._names)

    @property
    def trackers(self) -> list[Mean]:
        """The mean of the loss of each output, where there are several losses.

        Where the outputs have no names two losses can have one, as in Keras: the logs show the later one.
        """
        return [one.tracker for one in self.made or () if one.tracker is not None]

    def compared(self, outputs: Outputs) -> list[int]:
        """Return the numbers of the outputs that have a loss, in the order of the sum."""
        return list(dict.fromkeys(number for part in self._parts(outputs) for number in outputs.below(part.path)))

    def _parts(self, outputs: Outputs) -> list[LossPart]:
        """Return the losses with the outputs they are for; a dict for a list of outputs has to name all of them."""
        wanted = outputs.fitted("loss", self.given)
        if wanted is None:
            return loss_parts(self.given, self._weights, outputs)
        if isinstance(self.given, dict) and not isinstance(outputs.nest, dict):
            for name in outputs.names:
                if name is not None and name not in self.given:
                    raise ValueError(
                        f"loss has no entry for the output {name!r}. Give it one, or None to leave it without."
                    )
        weights = outputs.each("loss_weights", self._weights)
        given = zip(outputs.paths, wanted, weights, strict=True)
        found = [LossPart(path, loss, weight) for path, loss, weight in given if loss is not None]
        if isinstance(self.given, dict) and isinstance(outputs.nest, dict) and len(wanted) > 1:
            order = list(self.given)
            found.sort(key=lambda part: order.index(part.path[0]))
        return found

    def make(self, y: object, outputs: Outputs) -> list[OutputLoss]:
        """Return the losses, which are resolved by the first targets and predictions."""
        if self.made is None:
            parts, made = self._parts(outputs), []
            targets = outputs.targets(y, self.compared(outputs))
            for part in parts:
                numbers = outputs.below(part.path)
                first = numbers[0]
                loss = losses.resolve(part.loss, as_tensor(targets[first]).spec, outputs.values[first].spec)
                assert loss is not None
                tracker = Mean(name=f"{_name(part.path, outputs, loss.name)}_loss") if len(parts) > 1 else None
                made.append(OutputLoss(part.path, numbers, loss, _factor(part.weight), tracker))
            self.made = made
        return self.made

    def __call__(self, y: object, y_pred: object, sample_weight: object = None) -> Tensor | None:
        """Return the loss of a batch, the sum over the outputs, or None if `compile` got none."""
        if self.given is None:
            return None
        if y is None:
            raise ValueError("the loss compares predictions with targets, but no y was given.")
        outputs = self.outputs(y_pred)
        made = self.make(y, outputs)
        targets = outputs.targets(y, self.compared(outputs))
        weights = outputs.each("sample_weight", sample_weight)
        total: Tensor | None = None
        for one in made:
            target, prediction = outputs.part(one.path, targets), outputs.part(one.path, outputs.values)
            value = one.loss(target, prediction, sample_weight=_only_weight(one, weights))
            if value.ndim:
                raise ShapeError(
                    f"the loss {one.loss.name!r} has shape {value.shape}, and training minimises one number. "
                    'Give it reduction="sum_over_batch_size".'
                )
            if one.tracker is not None:
                one.tracker.update_state(value, sample_weight=float(outputs.values[one.outputs[0]].shape[0]))
            value = value if one.weight is None else value * one.weight
            total = value if total is None else total + value
        return total

    def check_labels(self, y: object, y_pred: object) -> None:
        """Raise ValueError for integer labels that are out of range for the outputs, before anything is trained.

        Args:
            y: all the targets, a nest of arrays.
            y_pred: predictions for a batch; the last axis of each is the classes.
        """
        made = self.made or []
        for one in made:
            sparse = getattr(one.loss, "fn", None) is losses.sparse_categorical_crossentropy
            if sparse and getattr(one.loss, "ignore_class", None) is None:
                outputs = self.outputs(y_pred)
                targets, (number,) = outputs.targets(y, self.compared(outputs)), one.outputs
                if hasattr(targets[number], "min"):  # not rows of a sparse matrix
                    _require_labels(targets[number], outputs.values[number].shape[-1])


def _require_labels(labels: Array, classes: int) -> None:
    on = backend.of(labels)
    lowest, highest = float(on.to_host(labels.min())), float(on.to_host(labels.max()))
    if lowest < 0 or highest >= classes:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(
            f"label {wrong:g} is out of range: the model has {classes} outputs, so labels go from 0 to "
            f"{classes - 1}. Renumber the labels, or give the last layer another number of units."
        )


def _factor(weight: object) -> float | None:
    return float(weight) if isinstance(weight, int | float) or hasattr(weight, "__float__") else None


def _only_weight(one: OutputLoss, weights: Sequence[ArrayLike | None]) -> ArrayLike | None:
    """Return the sample weights of a loss, which are the same for all of its outputs."""
    first, *others = [weights[number] for number in one.outputs]
    if any(weight is not first for weight in others):
        raise ValueError(
            f"sample_weight has one array for each output, but the loss {one.loss.name!r} compares "
            f"{len(one.outputs)} outputs together. Give one array for all."
        )
    return first


def _name(path: Path, outputs: Outputs, own: str) -> str:
    """Return the name of a loss in the logs: the keys of its output, or its own name without keys.

    A loss of all outputs together has their names.
    """
    numbers = outputs.below(path)
    if outputs.paths[numbers[0]] != path:
        all_names = sorted(outputs.nest) if isinstance(outputs.nest, dict) else outputs.names
        return "/".join(map(str, path)) or (own if None in all_names else "_".join(map(str, all_names)))
    own = outputs.names[numbers[0]] or own
    names = path if path and not isinstance(path[-1], int) else (*path[:-1], own)
    return "/".join(map(str, names))
