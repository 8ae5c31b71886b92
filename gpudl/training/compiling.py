"""What `compile` settles: the optimizer, the loss, the metrics, and what a batch does to them."""

from __future__ import annotations

import inspect
from typing import Any

from gpudl import ops, optimizers
from gpudl.engine.plan.trace import Traced
from gpudl.engine.state import restructured, scope, warn_user
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest
from gpudl.layers.base.layer import Layer
from gpudl.metrics import Metric
from gpudl.registry import Config, Identifier
from gpudl.saving.objects import deserialize_keras_object, serialize_keras_object
from gpudl.training.compiled import Compiled
from gpudl.training.compiled_metrics import CompileMetrics
from gpudl.training.data.arrays import Data, require_counts


class Compilable(Layer):
    """A layer that has an optimizer, a loss and metrics once `compile` was called."""

    _unread = Layer._unread | {"_optimized", "run_eagerly", "jit_compile", "steps_per_execution"}
    _train: Traced
    _test: Traced
    _predict: Traced
    _optimized: tuple[int, ...]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: object = None
        self.run_eagerly = False
        self.jit_compile = True
        self.steps_per_execution = 1
        self._compiled: Compiled | None = None

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled is not None

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(f"call compile(optimizer=..., loss=...) before {method}().")

    def compile(
        self,
        optimizer: Identifier | optimizers.Optimizer = "rmsprop",
        loss: Nest[Identifier] = None,
        loss_weights: Nest[float | None] = None,
        metrics: Nest[Identifier] = None,
        weighted_metrics: Nest[Identifier] = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how to train.

        Args:
            optimizer: a name or an `optimizers.Optimizer`; None for a model that is only evaluated, or whose
                `train_step` has its own.
            loss: a name, a `losses.Loss`, or a function of (y_true, y_pred). For a model with several outputs one for
                all, or a list or dict as `call` returns it; outputs with None have no loss, and those of a dict
                without an entry. For a functional model that returns a list also a dict by ``output_names``.
            loss_weights: what the loss is multiplied by, a number; for several outputs also a list or dict of them.
            metrics: names, `metrics.Metric` objects or functions of (y_true, y_pred), in a list. For several outputs
                a list or dict as for `loss`, with the metric or the list of metrics of each.
            weighted_metrics: the same, weighted by sample and class weights.
            run_eagerly: compute every step op by op, for debugging, instead of recording it once.
            steps_per_execution: how many steps the hooks of callbacks for batches stand for, each time they are called.
            jit_compile: accepted, and kept as an attribute; steps are always recorded unless `run_eagerly`.
            auto_scale_loss: whether a model whose policy is ``"mixed_float16"`` gets its optimizer wrapped in an
                `optimizers.LossScaleOptimizer`.

        Raises:
            ValueError: an unknown name; the message suggests the most similar one. The model is as it was.
        """
        require_counts(1, optional=False, steps_per_execution=steps_per_execution)
        names = getattr(self, "output_names", None)
        chosen, compiled = optimizers.get(optimizer), Compiled(loss, metrics, weighted_metrics, loss_weights, names)
        if not isinstance(chosen, optimizers.Optimizer | None):
            raise TypeError(f"an optimizer is a name or an optimizers.Optimizer, got {optimizer!r}.")
        if run_eagerly and jit_compile is True:
            warn_user("run_eagerly=True computes op by op: jit_compile=True has no effect.")
        mixed = auto_scale_loss and self.dtype_policy.name == "mixed_float16"
        if mixed and chosen is not None and not isinstance(chosen, optimizers.LossScaleOptimizer):
            chosen = optimizers.LossScaleOptimizer(chosen, name="loss_scale_optimizer")
        self.optimizer = chosen
        self.loss = loss
        self.run_eagerly = run_eagerly
        self.jit_compile = bool(jit_compile) and not run_eagerly
        self.steps_per_execution = steps_per_execution
        compiled.arguments = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": self.jit_compile,
        }
        self._compiled = compiled
        self._optimized = ()
        for step in (self._train, self._test, self._predict):
            step.forget()
        restructured()  # a `fit` that is going on takes the new loss and optimizer at its next step

    def get_compile_config(self) -> Config | None:
        """Return the arguments of `compile` as plain data; None, with a warning, if one has no such form."""
        given = {} if self._compiled is None else self._compiled.arguments
        try:
            plain: Config = serialize_keras_object({**given, "optimizer": self.optimizer} if given else {})
        except ValueError as error:
            warn_user(f"What {self._who()} was compiled with is not saved: {error} compile() it after loading.")
            return None
        return plain

    def compile_from_config(self, config: Config) -> None:
        """Compile the model with the arguments that `get_compile_config` returned."""
        if not config:
            return
        if type(self).compile is not Compilable.compile:
            warn_user(f"{self._who()} has a compile() of its own: compile() it again.")
            return
        taken = inspect.signature(self.compile).parameters
        self.compile(**{name: value for name, value in deserialize_keras_object(config).items() if name in taken})

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of the model: the loss, those of `compile` as one, the loss of each output, those of layers."""
        compiled = [] if self._compiled is None else self._compiled.metrics
        # A model inside is trained by this one: what it counts when it is trained by itself is not counted here.
        counting = [layer for layer in self._flattened() if layer is self or not isinstance(layer, Compilable)]
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
        """Let every metric count from nothing."""
        for metric in self.metrics:
            metric.reset_state()

    @scope("loss")
    def compute_loss(
        self, x: Data = None, y: Data = None, y_pred: Data = None, sample_weight: Data = None, training: bool = True
    ) -> Tensor:
        """Return the scalar that training minimises: the loss of `compile` and what layers have added."""
        total = None if self._compiled is None else self._compiled.losses(y, y_pred, sample_weight)
        for added in self.losses:
            part = ops.sum(added)
            total = part if total is None else total + part
        if total is None:
            raise ValueError("there is no loss: give compile() a loss, or call add_loss() in a layer.")
        return total

    def _loss_of(self, x: Data, y: Data, y_pred: Data, sample_weight: Data, *, training: bool) -> Tensor:
        """Return `compute_loss` of a batch; one that a subclass wrote need not take ``training``."""
        parameters = inspect.signature(self.compute_loss).parameters.values()
        takes = any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)
        options = {"training": training} if takes else {}
        return self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **options)

    @scope("metrics")
    def compute_metrics(self, x: Data, y: Data, y_pred: Data, sample_weight: Data = None) -> dict[str, Tensor]:
        """Count one batch in the metrics of `compile`, and return the results of all metrics."""
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
