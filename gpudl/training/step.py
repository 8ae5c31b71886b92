"""`compile`, and the steps of training, evaluation and prediction."""

from __future__ import annotations

import inspect
import warnings
from contextlib import suppress
from typing import Any
from weakref import ref

from gpudl import ops, optimizers
from gpudl.engine.grad import grad
from gpudl.engine.plan.trace import traced
from gpudl.engine.spec import Spec
from gpudl.engine.state import TracingError, gradients, preparing, restructured, scope, structure_epoch, symbolic
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import flatten, map_leaves
from gpudl.layers.base.layer import Layer
from gpudl.metrics import Metric
from gpudl.training.compiled import Compiled
from gpudl.training.compiled_metrics import CompileMetrics
from gpudl.training.data.arrays import Data, require_counts, unpacked
from gpudl.training.remembered import Remembered


class Trainable(Layer):
    """A layer with steps of training, evaluation and prediction."""

    _unread = Layer._unread | {
        *("_history", "_optimized", "_outputs", "_outputs_of", "run_eagerly", "steps_per_execution"),
        *("stop_training", "stop_evaluating", "stop_predicting"),
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: Any = None
        self.run_eagerly = False
        self.steps_per_execution = 1
        self._compiled: Compiled | None = None
        self._history = Remembered(self, None)
        self._begin_steps()

    def _begin_steps(self) -> None:
        """Create the steps, which have weak references to the model, so that `del` frees the memory at once."""
        me = ref(self)
        self._train = traced(lambda *data: me().train_step(data))  # type: ignore[union-attr]
        self._test = traced(lambda *data: _without_gradients(me().test_step, data))  # type: ignore[union-attr]
        self._predict = traced(lambda *data: _without_gradients(me().predict_step, data))  # type: ignore[union-attr]
        self._optimized: tuple[int, ...] = ()  # the identities of the weights that the optimizer was built with
        self._outputs: dict[object, object] = {}  # the outputs of the steps, by the specs of their data
        self._outputs_of = structure_epoch[0]

    def __getstate__(self) -> dict[str, object]:
        """Return the state for a copy or a pickle, without the steps and their plans."""
        made = {"_train", "_test", "_predict", "_optimized", "_outputs", "_outputs_of", "_history"}
        return {name: value for name, value in vars(self).items() if name not in made} | {"history": self.history}

    def __setstate__(self, state: dict[str, object]) -> None:
        history = state.pop("history")
        vars(self).update(state)
        self._history = Remembered(self, history)
        self._begin_steps()

    @property
    def history(self) -> Any:
        """The `callbacks.History` of the last `fit`; None before."""
        return self._history.of(self)

    @history.setter
    def history(self, history: object) -> None:
        self._history = Remembered(self, history)

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled is not None

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(f"call compile(optimizer=..., loss=...) before {method}().")

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Configure the model for training.

        Args:
            optimizer: a name or an `optimizers.Optimizer`.
            loss: a name, a `losses.Loss`, or a function of (y_true, y_pred). For a model with several outputs one for
                all, or a list or dict as `call` returns it; outputs with None, or without an entry, have no loss.
            loss_weights: the factor of the loss, a number; for several outputs also a list or dict of them.
            metrics: names, `metrics.Metric` objects or functions of (y_true, y_pred), in a list. For several outputs
                a list or dict as `call` returns it, with the metric or the list of metrics of each.
            weighted_metrics: the same, weighted by sample and class weights.
            run_eagerly: compute every step op by op, for debugging, instead of recording it once.
            steps_per_execution: the number of steps between two calls of the hooks of callbacks for batches.
            jit_compile: accepted; steps are always recorded unless `run_eagerly`.
            auto_scale_loss: whether a model whose policy is ``"mixed_float16"`` gets its optimizer wrapped in an
                `optimizers.LossScaleOptimizer`.

        Raises:
            ValueError: an unknown name; the message suggests the most similar one. The model is unchanged.
        """
        require_counts(1, optional=False, steps_per_execution=steps_per_execution)
        names = getattr(self, "output_names", None)
        chosen, compiled = optimizers.get(optimizer), Compiled(loss, metrics, weighted_metrics, loss_weights, names)
        if not isinstance(chosen, optimizers.Optimizer):
            raise TypeError(f"an optimizer is a name or an optimizers.Optimizer, got {optimizer!r}.")
        mixed = auto_scale_loss and self.dtype_policy.name == "mixed_float16"
        if mixed and not isinstance(chosen, optimizers.LossScaleOptimizer):
            chosen = optimizers.LossScaleOptimizer(chosen, name="loss_scale_optimizer")
        self.optimizer = chosen
        self.loss = loss
        self.run_eagerly = run_eagerly
        self.steps_per_execution = steps_per_execution
        self._compiled = compiled
        self._optimized = ()
        for step in (self._train, self._test, self._predict):
            step.forget()
        restructured()  # a running `fit` uses the new loss and optimizer from its next step on

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of the model: the loss, those of `compile` as one, the loss of each output, those of layers."""
        compiled = [] if self._compiled is None else self._compiled.metrics
        # A model inside is trained by this one: its own metrics of `compile` do not count here.
        counting = [layer for layer in self._flattened() if layer is self or not isinstance(layer, Trainable)]
        held = [metric for layer in counting for metric in layer._metrics]
        return list({id(m): m for m in [*compiled, *held]}.values())

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [m.name for m in self.metrics]

    def _names_in_logs(self) -> list[str]:
        """Return the names of the values in the order in which `evaluate` lists them, those of `compile` one by one."""
        parts = [m.metrics if isinstance(m, CompileMetrics) else [m] for m in self.metrics]
        return [metric.name for part in parts for metric in part]

    def reset_metrics(self) -> None:
        """Reset every metric."""
        for metric in self.metrics:
            metric.reset_state()

    @scope("loss")
    def compute_loss(
        self,
        x: object = None,
        y: object = None,
        y_pred: object = None,
        sample_weight: object = None,
        training: bool = True,
    ) -> Tensor:
        """Return the scalar that training minimises: the loss of `compile` and the losses that layers have added."""
        total = None if self._compiled is None else self._compiled.losses(y, y_pred, sample_weight)
        for added in self.losses:
            part = ops.sum(added)
            total = part if total is None else total + part
        if total is None:
            raise ValueError("there is no loss: give compile() a loss, or call add_loss() in a layer.")
        return total

    def _loss_of(self, x: object, y: object, y_pred: object, sample_weight: object, *, training: bool) -> Tensor:
        """Return `compute_loss` of a batch; that of a subclass need not accept ``training``."""
        parameters = inspect.signature(self.compute_loss).parameters.values()
        takes = any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)
        options = {"training": training} if takes else {}
        return self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **options)

    @scope("metrics")
    def compute_metrics(self, x: object, y: object, y_pred: object, sample_weight: object = None) -> dict[str, Tensor]:
        """Update the metrics of `compile` with one batch, and return the results of all metrics."""
        if self._compiled is not None and self._compiled.counted is not None and y is not None:
            self._compiled.counted.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Tensor]:
        """Return the results of all metrics by name."""
        results: dict[str, Tensor] = {}
        for metric in self.metrics:
            result = metric.result()
            results.update(result if isinstance(result, dict) else {metric.name: result})
        return results

    @scope("metrics")
    def _count_loss(self, loss: Tensor, x: Any) -> None:
        """Update the mean loss with that of a batch, weighted by its size."""
        if self._compiled is not None:
            self._compiled.tracker.update_state(loss, sample_weight=float(flatten(x)[0][0].shape[0]))

    def train_step(self, data: Data) -> dict[str, Tensor]:
        """Train on one batch and return the metrics so far."""
        assert self._compiled is not None
        assert self.optimizer is not None
        x, y, sample_weight = unpacked(data)
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
        x, y, sample_weight = unpacked(data)
        y_pred = self(x, training=False)
        loss = self._loss_of(x, y, y_pred, sample_weight, training=False)
        self._count_loss(loss, x)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Data) -> Any:
        """Return the outputs for one batch."""
        return self(unpacked(data)[0], training=False)

    def _has_call(self) -> bool:
        return type(self).call is not Layer.call

    def _rehearse(self, data: Data, *, training: bool, labels: object = None) -> None:
        """Infer the shapes of a step with `data`: this builds the layers, and raises if the data do not fit.

        Args:
            data: one batch, of arrays or feeds.
            training: whether it is a step of training.
            labels: all targets, if they are arrays, to be checked against the outputs.
        """
        assert self._compiled is not None
        if not self._has_call():  # a model of several networks, which a train_step of its own calls
            return
        parts = map_leaves(_symbolic, unpacked(data))
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

    def _rehearsed(self, x: object, y: object, sample_weight: object, *, training: bool) -> object:
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
        assert self.optimizer is not None
        weights = self.trainable_weights
        plain = type(self).train_step is Trainable.train_step
        known = tuple(map(id, weights))
        if plain and not weights:
            warnings.warn("the model has no trainable weights: training will change nothing.", stacklevel=3)
        elif weights and (plain or known != self._optimized):  # else the step's own optimizers may have them
            self.optimizer.prepare(weights)
            self._optimized = known


def _symbolic(value: Any) -> Tensor | None:
    if value is None:
        return None
    return Tensor(None, value.spec if hasattr(value, "spec") else Spec(value.shape, value.dtype))


def _without_gradients(step: Any, data: Data) -> object:
    with gradients(False):
        return step(data)
