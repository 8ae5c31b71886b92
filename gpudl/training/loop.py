"""The training loop: fit, evaluate and predict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import partial

import numpy as np

from gpudl import config
from gpudl.callbacks import Callback, CallbackList, History
from gpudl.callbacks.base import LazyLogs
from gpudl.engine.plan.interrupts import interrupted, waiting, whole_steps
from gpudl.engine.plan.record import begin_pass
from gpudl.engine.plan.trace import Traced
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten
from gpudl.training.data.arrays import ClassWeight, require_counts
from gpudl.training.data.epochs import Epochs, limited
from gpudl.training.data.mapped import mapped, mapped_validation
from gpudl.training.data.sources import ArrayBatches, Batches, batches, by_class
from gpudl.training.data.validation import Frequency, with_validation
from gpudl.training.fitting import Fitting, telling
from gpudl.training.results import Logs, Predictions, Values, joined, values
from gpudl.training.step import Run, Trainable

Callbacks = Nest[Callback] | None
_STOPS = {"train": "stop_training", "test": "stop_evaluating"}


class Loop(Trainable):
    """The loops of `fit`, `evaluate` and `predict` over the batches of an epoch."""

    _unread = Trainable._unread | {"stop_training", "stop_evaluating", "stop_predicting", "_initial_epoch"}

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.stop_training = self.stop_evaluating = self.stop_predicting = False
        self._initial_epoch: int | None = None  # what a callback that goes on with an earlier training says

    def fit(
        self,
        x: object = None,
        y: object = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Callbacks = None,
        validation_split: float = 0.0,
        validation_data: object = None,
        shuffle: bool = True,
        class_weight: ClassWeight | None = None,
        sample_weight: object = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Iterable[int] = 1,
    ) -> History:
        """Train for a number of epochs.

        Args:
            x: inputs: an array (NumPy, CuPy, pandas), a nest of arrays, or an iterable of batches (x, y) or
                (x, y, sample_weight).
            y: targets, one for each sample.
            batch_size: samples per step; by default that which divides arrays into `steps_per_epoch` steps, or 32.
            epochs: the number of the last epoch.
            verbose: 0 prints nothing, 1 a progress line, 2 a line per epoch; ``"auto"`` is 1.
            callbacks: `callbacks.Callback` objects.
            validation_split: fraction of the samples, from the end before shuffling, to evaluate on.
            validation_data: (x, y) or (x, y, sample_weight), or an iterable, to evaluate on.
            shuffle: whether each epoch has a new order of samples.
            class_weight: a weight for each class, by its label; labels are rounded to integers, and 1 is the
                weight of a class without one. Batches of a generator must have no weights of their own.
            sample_weight: a weight for each sample.
            initial_epoch: the epoch to begin with, to continue an earlier training.
            steps_per_epoch: steps of an epoch, by default one pass. The next epoch continues where it ended; if the
                data end, the epoch ends with a warning.
            validation_steps: steps of each evaluation; by default one pass.
            validation_batch_size: samples per step of the evaluation; by default `batch_size`.
            validation_freq: the number of epochs between evaluations, or a list of epochs (from 1) to evaluate after.

        Returns:
            The `callbacks.History`, whose ``history`` has a list for each metric. After Ctrl-C it is in
            ``model.history``, up to the last finished epoch, and the model can be used.

        Raises:
            ValueError: the data do not fit each other or the model; nothing has changed then.
        """
        self._require_compiled("fit")
        require_counts(0, optional=False, epochs=epochs, initial_epoch=initial_epoch)
        require_counts(1, steps_per_epoch=steps_per_epoch, validation_steps=validation_steps)
        require_counts(1, validation_batch_size=validation_batch_size)
        frequency = Frequency(validation_freq)
        epochs = limited(epochs)
        x, validation_data = mapped(x, self._preparation()), mapped_validation(validation_data, self._preparation())
        source = batches(x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, parts=steps_per_epoch)
        source, validation = with_validation(
            source, validation_split, validation_data, validation_batch_size, validation_steps, batch_size
        )
        source = by_class(source, class_weight)
        together = self.steps_per_execution
        self._try_first(source, training=True)
        train: Epochs[Run] = Epochs(source, steps_per_epoch, together)
        evaluation: Epochs[Run] | None = None
        if validation is not None:
            self._try_first(validation, training=False)
            evaluation = Epochs(validation, validation_steps, together, anew=True)
        listeners = self._listeners(callbacks, verbose, add_history=True, epochs=epochs, steps=train.steps)
        history = listeners.history
        assert history is not None
        assert self._compiled is not None
        self._build_optimizer()
        self.history, self.stop_training, self._initial_epoch = history, False, None
        fitting = Fitting(self, train, evaluation, listeners)
        listeners.set_fitting(fitting)
        self._compiled.watch.begin()
        # Whatever happens, the progress line ends, and workers that make batches ahead do.
        with whole_steps(), closing(train), closing(listeners), telling(history):
            listeners.on_train_begin()
            first = self._initial_epoch or initial_epoch
            for epoch in range(first, epochs):
                listeners.on_epoch_begin(epoch)
                fitting.begun()
                if epoch > first:
                    self._build_optimizer()  # a callback may have unfrozen weights
                before, fitting.results = fitting.results, None
                fitting.logs = logs = self._pass(self._train, train, listeners, "train", before)
                if logs is None:
                    break
                self._compiled.watch.report(logs, epoch)
                if evaluation is not None and frequency.due(epoch):
                    results = self._evaluation(evaluation, listeners) or {}
                    logs.update({f"val_{name}": value for name, value in results.items()})
                listeners.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            if self.optimizer is not None and epochs > initial_epoch:
                self.optimizer.finalize_variable_values(self.trainable_weights)
            listeners.on_train_end(fitting.logs)
        return history

    def _pass(
        self, step: Traced, data: Epochs[Run], listeners: CallbackList, mode: str, before: Logs | None = None
    ) -> Logs | None:
        """Run every batch of one pass and return the metrics after it; None when there was no batch.

        `before` are the metrics of its first batches, in a training that goes on in its midst.
        """
        begin_pass()
        if before is None:
            self.reset_metrics()
        elif getattr(self, _STOPS[mode]):
            return before
        begin = getattr(listeners, f"on_{mode}_batch_begin")
        end = getattr(listeners, f"on_{mode}_batch_end")
        heard = getattr(listeners, f"wants_{mode}_batches")
        together = self.steps_per_execution
        stop = _STOPS[mode]
        results: Mapping[str, object] | None = before
        first = -(-data.position // together)
        for number, portions in enumerate(data.next(together if heard else data.at_once(together)), first):
            if heard:
                begin(number * together)
            for batch, times in portions:
                results = data.runner(batch, partial(self._ready, step))(times)
                if waiting:
                    interrupted()
            if heard:
                end((number + 1) * together - 1, results)
            if getattr(self, stop):
                break
        return None if results is None else LazyLogs(results).copy()

    def _evaluation(self, data: Epochs[Run], listeners: CallbackList) -> Logs | None:
        self.stop_evaluating = False
        listeners.on_test_begin()
        logs = self._pass(self._test, data, listeners, "test")
        listeners.on_test_end(logs)
        return logs

    def evaluate(
        self,
        x: object = None,
        y: object = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: object = None,
        steps: int | None = None,
        callbacks: Callbacks = None,
        return_dict: bool = False,
    ) -> Values:
        """Return the loss, or a list of the loss and the metrics, over all the data.

        Args:
            x: inputs, as for `fit`.
            y: targets.
            batch_size: samples a step; by default what divides arrays into `steps`, or 32.
            verbose: as for `fit`.
            sample_weight: a weight for each sample.
            steps: the number of batches, by default all.
            callbacks: `callbacks.Callback` objects.
            return_dict: return a dict by name instead.
        """
        self._require_compiled("evaluate")
        require_counts(1, steps=steps)
        source = batches(mapped(x, self._preparation()), y, sample_weight, batch_size=batch_size, parts=steps)
        self._try_first(source, training=False)
        data: Epochs[Run] = Epochs(source, steps, self.steps_per_execution)
        listeners = self._listeners(callbacks, verbose, steps=data.steps)
        with closing(listeners):
            logs = self._evaluation(data, listeners) or {}
        return logs if return_dict else values(logs, self._names_in_logs())

    def predict(
        self,
        x: object,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Callbacks = None,
    ) -> Predictions:
        """Return the outputs for all the inputs, as NumPy arrays.

        Args:
            x: inputs, as for `fit`.
            batch_size: samples a step; by default what divides arrays into `steps`, or 32.
            verbose: as for `fit`.
            steps: the number of batches, by default all.
            callbacks: `callbacks.Callback` objects.
        """
        require_counts(1, steps=steps)
        together = self.steps_per_execution
        source = batches(mapped(x, self._preparation()), batch_size=batch_size, parts=steps)
        data: Epochs[Run] = Epochs(source, steps, together)
        listeners = self._listeners(callbacks, verbose, steps=data.steps)
        parts: list[list[np.ndarray]] = []
        outputs: Nest[Tensor] = []
        self.stop_predicting = False
        with closing(listeners):
            listeners.on_predict_begin()
            heard = listeners.wants_predict_batches
            for number, portions in enumerate(data.next(together)):
                if heard:
                    listeners.on_predict_batch_begin(number * together)
                before = len(parts)
                for batch, times in portions:
                    run = data.runner(batch, partial(self._ready, self._predict))
                    for _ in range(times):
                        outputs = run()
                        parts.append([t.numpy() for t in flatten(outputs)[0]])
                if heard:
                    of_these = joined(parts[before:], outputs) if len(parts) > before + 1 else outputs
                    listeners.on_predict_batch_end((number + 1) * together - 1, {"outputs": of_these})
                if self.stop_predicting:
                    break
            listeners.on_predict_end()
        if not parts:
            raise ValueError("there is nothing to predict: the data brought no batch.")
        return joined(parts, outputs)

    def _on_batch(self, step: Traced, source: Batches, training: bool, return_dict: bool) -> Values:
        self._try_first(source, training=training)
        if training:
            self._build_optimizer()
        self.reset_metrics()
        logs = self._logs(step, source)
        return logs if return_dict else values(logs, self._names_in_logs())

    def _logs(self, step: Traced, source: Batches) -> Logs:
        """Return the results of a step with the only batch of `source`."""
        ((batch, _),) = source.epoch()
        with whole_steps():
            return LazyLogs(self._ready(step, batch)()).copy()

    def _try_first(self, source: Batches, *, training: bool) -> None:
        """Raise an error if the model does not fit the first batch, or the labels the outputs."""
        labels = source.data[1] if isinstance(source, ArrayBatches) and len(source.data) > 1 else None
        self._rehearse(source.first(), training=training, labels=labels)

    def _listeners(
        self, callbacks: Callbacks, verbose: int | str, add_history: bool = False, **params: int | None
    ) -> CallbackList:
        """Return the callbacks of one run, with a progress line unless `verbose` is 0."""
        if verbose not in (0, 1, 2, "auto"):
            raise ValueError(f'verbose must be 0, 1, 2 or "auto", got {verbose!r}.')
        if verbose == "auto" and not config.is_interactive_logging_enabled():
            verbose = 2
        return CallbackList(
            callbacks, add_history=add_history, add_progbar=verbose != 0, model=self, verbose=verbose, **params
        )
