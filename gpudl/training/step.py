"""`compile`, and the steps of training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, TypeVar
from weakref import ref

from gpudl.callbacks import History
from gpudl.engine.convert import as_tensor
from gpudl.engine.grad import grad
from gpudl.engine.plan.trace import Traced, traced
from gpudl.engine.spec import Spec
from gpudl.engine.state import (
    LayoutError,
    TracingError,
    gradients,
    preparing,
    scope,
    structure_epoch,
    symbolic,
    warn_user,
)
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves
from gpudl.layers.base.layer import Layer
from gpudl.training.compiling import Compilable
from gpudl.training.data.arrays import Data, map_arrays
from gpudl.training.data.batch_inputs import advance, materialized
from gpudl.training.data.mapped import Prepare
from gpudl.training.remembered import Remembered
from gpudl.utils.batch_parts import unpack_x_y_sample_weight

R = TypeVar("R")
Run = Callable[..., Data]
"""Runs a number of steps, by default one, and returns the results of the last."""


class Trainable(Compilable):
    """A layer with steps of training, evaluation and prediction."""

    stop_training: bool  # set by callbacks
    _initial_epoch: int | None
    _unread = Compilable._unread | {"_history", "_outputs", "_outputs_of"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._history = Remembered(self, None)
        self._begin_steps()

    def _begin_steps(self) -> None:
        """Create the steps, which have weak references to the model, so that `del` frees the memory at once."""
        me = ref(self)
        self._train = traced(lambda data: _named(me(), "train_step", data))
        self._test = traced(lambda data: _without_gradients(lambda data: _named(me(), "test_step", data), data))
        self._predict = traced(lambda data: _without_gradients(me().predict_step, data))  # type: ignore[union-attr]
        self._optimized: tuple[int, ...] = ()  # the identities of the weights that the optimizer was built with
        self._outputs: dict[Hashable, Nest[Tensor]] = {}  # what the steps would predict, by the specs of their data
        self._outputs_of = structure_epoch[0]

    def __getstate__(self) -> dict[str, object]:
        """Return the state for a copy or a pickle, without the steps and their plans."""
        made = {"_train", "_test", "_predict", "_optimized", "_outputs", "_outputs_of", "_history"}
        return {name: value for name, value in vars(self).items() if name not in made} | {"history": self.history}

    def __setstate__(self, state: dict[str, Any]) -> None:
        history = state.pop("history")
        vars(self).update(state)
        self._history = Remembered(self, history)
        self._begin_steps()

    @property
    def history(self) -> Any:
        """The `callbacks.History` of the last `fit`; None before."""
        return self._history.of(self)

    @history.setter
    def history(self, history: History | None) -> None:
        self._history = Remembered(self, history)

    def _ready(self, step: Traced, data: Data) -> Run:
        """Return a call that runs so many steps on what `data` bring by then, replayed or op by op."""

        def eagerly(times: int = 1) -> Data:
            for _ in range(times):
                results = step.function(map_arrays(materialized, data))
                advance(data)
            return results

        if self.run_eagerly:
            return eagerly
        replayed = step.bound(data)

        def run(times: int = 1) -> Data:
            # An optimizer that a train_step of the user's uses is built by one step that is not recorded.
            try:
                return replayed(times)
            except LayoutError:
                results = eagerly()
                return replayed(times - 1) if times > 1 else results

        return run

    @scope("metrics")
    def _count_loss(self, loss: Tensor, x: Data) -> None:
        """Count the loss of a batch, weighted by its size."""
        if self._compiled is not None:
            self._compiled.tracker.update_state(
                loss, sample_weight=float(next(a for a in flatten(x)[0] if a is not None).shape[0])
            )

    def train_step(self, data: Data) -> dict[str, Tensor]:
        """Train on one batch and return the metrics so far."""
        assert self._compiled is not None
        assert self.optimizer is not None
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=True)
        loss = self._loss_of(x, y, y_pred, sample_weight, training=True)
        self._count_loss(loss, x)
        with scope("loss"):
            self._compiled.watch.note(loss, self.optimizer.iterations)
        weights = self.trainable_weights
        if weights:
            with scope("optimizer"):
                self.optimizer.apply(grad(self.optimizer.scale_loss(loss), weights), weights)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Data) -> dict[str, Tensor]:
        """Evaluate one batch and return the metrics so far."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        loss = self._loss_of(x, y, y_pred, sample_weight, training=False)
        self._count_loss(loss, x)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Data) -> Data:
        """Return the outputs for one batch."""
        return self(unpack_x_y_sample_weight(data)[0], training=False)

    def _preparation(self) -> Prepare | None:
        """Return what makes of the inputs of data what a step takes; None where they are the same."""
        return None

    def _has_call(self) -> bool:
        return type(self).call is not Layer.call

    def _rehearse(self, data: Data, *, training: bool, labels: Data = None) -> None:
        """Infer the shapes of a step with `data`: this builds the layers, and raises if the data do not fit.

        Args:
            data: one batch, of arrays or feeds.
            training: whether it is a step of training.
            labels: all targets, if they are arrays, to be checked against the outputs.
        """
        assert self._compiled is not None
        if not self._has_call():  # a model of several networks, which a train_step of its own calls
            return
        parts = map_leaves(_symbolic, unpack_x_y_sample_weight(data))
        leaves, structure = flatten(parts)
        if self._outputs_of != structure_epoch[0]:
            self._outputs, self._outputs_of = {}, structure_epoch[0]
        # Models accept batches of any size, and a model that can be trained can be evaluated.
        specs = structure, tuple(None if leaf is None else (leaf.shape[1:], leaf.dtype) for leaf in leaves)
        key = training or (True, *specs) in self._outputs, *specs
        if key not in self._outputs:
            # Reading values on the host gets a better error from the recorder, or the model is run eagerly.
            with preparing, symbolic(), gradients(False), suppress(TracingError), self._compiled.on_trial():
                self._outputs[key] = self._rehearsed(*parts, training=training)
            self._outputs_of = structure_epoch[0]  # the layers that it built are known
        y_pred = self._outputs.get(key)
        if labels is not None and y_pred is not None:
            self._compiled.losses.check_labels(labels, y_pred)

    def _rehearsed(self, x: Data, y: Data, sample_weight: Data, *, training: bool) -> Data:
        assert self._compiled is not None
        y_pred = self(x, training=training)
        step = "train_step" if training else "test_step"
        if getattr(type(self), step) is getattr(Trainable, step):
            self._loss_of(x, y, y_pred, sample_weight, training=training)
            self.compute_metrics(x, y, y_pred, sample_weight)
        elif y is not None and flatten(y)[1] == flatten(y_pred)[1]:
            self._compiled.make(y, y_pred)
        return y_pred

    def _build_optimizer(self) -> None:
        """Move the weights to the optimizer's flat buffers, which is impossible while a step is recorded."""
        weights = self.trainable_weights
        plain = type(self).train_step is Trainable.train_step
        if self.optimizer is None:
            if plain:
                raise ValueError("there is no optimizer to train with: give compile() one.")
            return
        known = tuple(map(id, weights))
        if plain and not weights:
            warn_user("the model has no trainable weights: training will change nothing.")
        elif weights and (plain or known != self._optimized):  # else the step's own optimizers may have moved them
            self.optimizer.prepare(weights)
            self._optimized = known


def _symbolic(value: Any) -> Tensor | None:
    if value is None:
        return None
    return Tensor(None, value.spec if hasattr(value, "spec") else Spec(value.shape, value.dtype))


def _named(model: Trainable | None, step: str, data: Data) -> dict[str, Nest[Tensor]]:
    """Return what a step of training or evaluation returns: tensors by name, numbers of the user's among them too."""
    results = getattr(model, step)(data)
    if not isinstance(results, dict):
        raise TypeError(
            f"{type(model).__name__}.{step} must return a dict of values by their names, such as "
            f'{{"loss": loss}} or self.get_metrics_result(), got {type(results).__name__}.'
        )
    return map_leaves(as_tensor, results)


def _without_gradients(step: Callable[[Data], R], data: Data) -> R:
    with gradients(False):
        return step(data)
