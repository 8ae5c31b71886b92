"""What `compile` settles, and what one step of training, evaluation and prediction does with a batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gpudl import losses, ops, optimizers
from gpudl.engine.grad import grad
from gpudl.engine.spec import Spec
from gpudl.engine.state import gradients, symbolic
from gpudl.engine.tensor import Tensor, Variable
from gpudl.engine.trace import traced
from gpudl.engine.tree import flatten, map_leaves
from gpudl.layers.layer import Layer, inferred_shape
from gpudl.metrics import Mean, Metric
from gpudl.models.compiled import CompiledMetrics, check_labels, resolved_loss
from gpudl.models.data import Data, unpacked


class Trainable(Layer):
    """A layer that knows what one step of training, of evaluation and of prediction is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: Any = None
        self.compiled = False
        self.run_eagerly = False
        self.stop_training = False
        self.history: Any = None
        self._loss_object: Any = None
        self._compiled_metrics: CompiledMetrics | None = None
        self._loss_tracker: Mean | None = None
        self._first_bad: Variable | None = None
        self._forget_plans()

    def _forget_plans(self) -> None:
        """Record every step anew: after `compile`, or when layers came or went."""
        self._train = traced(lambda *data: self.train_step(data))
        self._test = traced(lambda *data: _without_gradients(self.test_step, data))
        self._predict = traced(lambda *data: _without_gradients(self.predict_step, data))

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside."""
        return [layer for layer in self._children if not isinstance(layer, Metric)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by name or by index; raises ValueError when there is none."""
        if index is not None:
            if not 0 <= index < len(self.layers):
                raise ValueError(f"the model has {len(self.layers)} layers, there is no layer {index}.")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"no layer called {name!r}: there are {', '.join(la.name for la in self.layers)}.")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs for a batch, computed at once."""
        self.clear_losses()
        return super().__call__(*args, **kwargs)

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
        """Say how to train.

        Args:
            optimizer: a name or an `optimizers.Optimizer`.
            loss: a name, a `losses.Loss`, or a function of (y_true, y_pred).
            loss_weights: not supported yet: for models with several outputs.
            metrics: names, `metrics.Metric` objects or functions of (y_true, y_pred).
            weighted_metrics: the same, weighted by sample and class weights.
            run_eagerly: compute every step op by op, for debugging, instead of recording it once.
            steps_per_execution: accepted; steps are cheap enough one by one.
            jit_compile: accepted; steps are always recorded unless `run_eagerly`.
            auto_scale_loss: accepted; there is no loss scaling for float32.

        Raises:
            ValueError: an unknown name; the text offers the nearest one. The model is as it was.
        """
        if loss_weights is not None:
            raise ValueError("loss_weights is for models with several outputs, which are not supported yet.")
        chosen = optimizers.get(optimizer)
        if loss is not None and not (isinstance(loss, str) and loss.lower() in ("crossentropy", "ce")):
            losses.get(loss)
        compiled_metrics = CompiledMetrics(metrics, weighted_metrics, loss)
        self.optimizer = chosen
        self.loss = loss
        self.run_eagerly = run_eagerly
        self._compiled_metrics = compiled_metrics
        self._loss_object = None
        self._loss_tracker = Mean(name="loss")
        self._first_bad = Variable(np.array(-1, np.int64), trainable=False, name="first_nonfinite_step")
        self.compiled = True
        self._forget_plans()

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of the model: the loss, those of `compile`, and those that layers own."""
        own = [] if self._loss_tracker is None else [self._loss_tracker]
        if self._compiled_metrics is not None:
            own += self._compiled_metrics.metrics
        known = {id(m) for m in own}
        held = [m for layer in self._flattened() for m in layer._metrics if id(m) not in known]
        return [*own, *held]

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [m.name for m in self.metrics]

    def reset_metrics(self) -> None:
        """Let every metric count from nothing."""
        for metric in self.metrics:
            metric.reset_state()

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Return the scalar that training minimises: the loss of `compile` and what layers have added."""
        total: Tensor | None = None
        if self.loss is not None:
            if y is None:
                raise ValueError("the compiled loss compares with targets, but no y was given.")
            if self._loss_object is None:
                self._loss_object = resolved_loss(self.loss, y, y_pred)
            total = self._loss_object(y, y_pred, sample_weight=sample_weight)
        for added in self.losses:
            part = ops.sum(added)
            total = part if total is None else total + part
        if total is None:
            raise ValueError("there is no loss: give compile() a loss, or call add_loss() in a layer.")
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Tensor]:
        """Count one batch in the metrics of `compile`, and return the results of all metrics."""
        if self._compiled_metrics is not None and y is not None:
            self._compiled_metrics.update(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Tensor]:
        """Return the results of all metrics by name."""
        return {metric.name: metric.result() for metric in self.metrics}

    def train_step(self, data: Data) -> dict[str, Tensor]:
        """Train on one batch and return the metrics so far."""
        x, y, sample_weight = unpacked(data)
        y_pred = self(x, training=True)
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
        self._count_loss(loss, x)
        optimizer = self.optimizer
        assert optimizer is not None
        if self._first_bad is not None:
            ops.note_nonfinite_(self._first_bad, loss, optimizer.iterations)
        weights = self.trainable_weights
        if weights:
            optimizer.apply(grad(loss, weights), weights)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Data) -> dict[str, Tensor]:
        """Evaluate one batch and return the metrics so far."""
        x, y, sample_weight = unpacked(data)
        y_pred = self(x, training=False)
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False)
        self._count_loss(loss, x)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Data) -> Any:
        """Return the outputs for one batch."""
        return self(unpacked(data)[0], training=False)

    def _count_loss(self, loss: Tensor, x: Any) -> None:
        """Count the loss of a batch, weighted by its size."""
        if self._loss_tracker is not None:
            self._loss_tracker.update_state(loss, sample_weight=float(flatten(x)[0][0].shape[0]))

    def _ready(self, data: Data, *, training: bool, labels: Any = None) -> None:
        """Build everything for batches like `data`, so that a misfit is an error before anything changes.

        Args:
            data: one batch, of arrays or feeds.
            training: whether the optimizer's slots are wanted as well.
            labels: all targets, where they are one array, to be checked against the outputs.
        """
        x, y, sample_weight = map_leaves(lambda a: None if a is None else Tensor(None, _spec(a)), unpacked(data))
        plain = (
            type(self).train_step is Trainable.train_step if training else type(self).test_step is Trainable.test_step
        )
        with symbolic():
            if plain and (self.loss is not None or y is not None):
                y_pred = self(x, training=training)
                self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
                self.compute_metrics(x, y, y_pred, sample_weight)
                if labels is not None:
                    check_labels(self._loss_object, labels, y_pred)
            elif not self.built or not plain:
                self(x, training=training)
        if training and self.optimizer is not None:
            self.optimizer.build(self.trainable_weights)

    def summary(
        self,
        line_length: int | None = None,
        positions: Iterable[float] | None = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print the layers with their output shapes and numbers of weights, as a table."""
        from gpudl.models.summary import print_summary

        print_summary(
            self,
            line_length=line_length,
            positions=positions,
            print_fn=print_fn,
            expand_nested=expand_nested,
            show_trainable=show_trainable,
            layer_range=layer_range,
        )

    def build(self, input_shape: Any) -> None:
        """Create the weights of every layer, by asking `call` for the shapes it would compute.

        Args:
            input_shape: shape of a batch; None stands for any batch size.
        """
        self.built = True
        try:
            inferred_shape(self, tuple(input_shape), self.dtype)
        except BaseException:
            self.built = False
            raise

    def _build(self, shapes: Any) -> None:
        if not isinstance(shapes, tuple) or any(isinstance(n, tuple) for n in shapes):
            self.built = True  # several inputs: the layers inside are built on their own first calls
        else:
            super()._build(shapes)


def _spec(value: Any) -> Spec:
    return value.spec if hasattr(value, "spec") else Spec(value.shape, value.dtype)


def _without_gradients(step: Any, data: Data) -> Any:
    with gradients(False):
        return step(data)
