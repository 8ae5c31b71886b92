"""The training loop: fit, evaluate and predict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from gpudl.callbacks import CallbackList, History
from gpudl.engine.plan.capture import STEPS_PER_LAUNCH
from gpudl.engine.plan.interrupts import interrupted, waiting, whole_steps
from gpudl.engine.plan.record import begin_pass
from gpudl.engine.plan.trace import Traced
from gpudl.engine.state import LayoutError
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import flatten, map_leaves
from gpudl.training.data.arrays import Data, require_counts
from gpudl.training.data.batch_inputs import advance, materialized
from gpudl.training.data.epochs import Epochs
from gpudl.training.data.sources import ArrayBatches, Batches, batches, by_class, validation_batches
from gpudl.training.results import Logs, joined, numbers, values
from gpudl.training.step import Trainable

Run = Callable[..., Any]
"""Runs a number of steps, by default one, and returns the results of the last."""
_STOPS = {"train": "stop_training", "test": "stop_evaluating"}


class Loop(Trainable):
    """The loops of `fit`, `evaluate` and `predict` over the batches of an epoch."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.stop_training = self.stop_evaluating = self.stop_predicting = False

    def _ready(self, step: Traced, data: Data) -> Run:
        """Return a call that runs a number of steps on the current `data`, replayed or op by op."""

        def eagerly(times: int = 1) -> Any:
            for _ in range(times):
                results = step.function(*map_leaves(materialized, data))
                advance(data)
            return results

        if self.run_eagerly:
            return eagerly
        replayed = step.bound(*data)

        def run(times: int = 1) -> Any:
            # An optimizer that a user's train_step uses is built by one step that is not recorded.
            try:
                return replayed(times)
            except LayoutError:
                results = eagerly()
                return replayed(times - 1) if times > 1 else results

        return run

    def fit(
        self,
        x: object = None,
        y: object = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: object = None,
        validation_split: float = 0.0,
        validation_data: object = None,
        shuffle: bool = True,
        class_weight: dict[object, float] | None = None,
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
        if isinstance(validation_freq, Iterable):
            validation_freq = list(validation_freq)
        for number in validation_freq if isinstance(validation_freq, list) else (validation_freq,):
            require_counts(1, optional=False, validation_freq=number)
        source = batches(x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, parts=steps_per_epoch)
        if validation_split and validation_data is None:
            if not isinstance(source, ArrayBatches):
                raise ValueError("validation_split needs arrays: give validation_data beside a generator.")
            validation: Batches | None
            source, validation = source.split(validation_split, validation_batch_size, validation_steps)
        else:
            validation = validation_batches(validation_data, validation_batch_size or batch_size, validation_steps)
        source = by_class(source, class_weight)
        self._try_first(source, training=True)
        if validation is not None:
            self._try_first(validation, training=False)
        together = self.steps_per_execution
        train = Epochs(source, steps_per_epoch, together)
        evaluation = None if validation is None else Epochs(validation, validation_steps, together, anew=True)
        listeners = self._listeners(callbacks, verbose, add_history=True, epochs=epochs, steps=train.steps)
        history = listeners.history
        assert history is not None
        assert self._compiled is not None
        self._build_optimizer()
        self.history, self.stop_training = history, False
        self._compiled.watch.begin()
        logs: Logs | None = None
        with whole_steps(), closing(listeners):  # ends the progress line in any case
            listeners.on_train_begin()
            for epoch in range(initial_epoch, epochs):
                listeners.on_epoch_begin(epoch)
                if epoch > initial_epoch:
                    self._build_optimizer()  # a callback may have unfrozen weights
                logs = self._pass(self._train, train, listeners, "train")
                if logs is None:
                    break
                self._compiled.watch.report(logs, epoch)
                if evaluation is not None and _due(epoch, validation_freq):
                    results = self._evaluation(evaluation, listeners) or {}
                    logs.update({f"val_{name}": value for name, value in results.items()})
                listeners.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            listeners.on_train_end(logs)
        return history

    def _pass(self, step: Traced, data: Epochs, listeners: CallbackList, mode: str) -> Logs | None:
        """Run every batch of one pass and return the metrics after it; None when there was no batch."""
        begin_pass()
        self.reset_metrics()
        begin = getattr(listeners, f"on_{mode}_batch_begin")
        end = getattr(listeners, f"on_{mode}_batch_end")
        heard = getattr(listeners, f"wants_{mode}_batches")
        together = self.steps_per_execution
        stop = _STOPS[mode]
        results: dict[str, Tensor] | None = None
        for number, portions in enumerate(data.next(together if heard else max(together, STEPS_PER_LAUNCH))):
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
        return None if results is None else numbers(results)

    def _evaluation(self, data: Epochs, listeners: CallbackList) -> Logs | None:
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
        callbacks: object = None,
        return_dict: bool = False,
    ) -> Any:
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
        source = batches(x, y, sample_weight, batch_size=batch_size, parts=steps)
        self._try_first(source, training=False)
        data = Epochs(source, steps, self.steps_per_execution)
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
        callbacks: object = None,
    ) -> Any:
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
        data = Epochs(batches(x, batch_size=batch_size, parts=steps), steps, together)
        listeners = self._listeners(callbacks, verbose, steps=data.steps)
        parts: list[list[np.ndarray]] = []
        outputs: Any = None
        self.stop_predicting = False
        with closing(listeners):
            listeners.on_predict_begin()
            heard = listeners.wants_predict_batches
            for number, portions in enumerate(data.next(together)):
                if heard:
                    listeners.on_predict_batch_begin(number * together)
                before = len(parts)
                for batch, times in portions:
                    run = data.runner(batch, lambda batch: self._ready(self._predict, batch[:1]))
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

    def _on_batch(self, step: Traced, source: Batches, training: bool, return_dict: bool) -> object:
        self._try_first(source, training=training)
        if training:
            self._build_optimizer()
        self.reset_metrics()
        ((batch, _),) = source.epoch()
        with whole_steps():
            logs = numbers(self._ready(step, batch)())
        return logs if return_dict else values(logs, self._names_in_logs())

    def _try_first(self, source: Batches, *, training: bool) -> None:
        """Raise an error if the model does not fit the first batch, or the labels the outputs."""
        labels = source.data[1] if isinstance(source, ArrayBatches) and len(source.data) > 1 else None
        self._rehearse(source.first(), training=training, labels=labels)

    def _listeners(
        self, callbacks: object, verbose: int | str, add_history: bool = False, **params: object
    ) -> CallbackList:
        """Return the callbacks of one run, with a progress line unless `verbose` is 0."""
        if verbose not in (0, 1, 2, "auto"):
            raise ValueError(f'verbose must be 0, 1, 2 or "auto", got {verbose!r}.')
        level = 1 if verbose == "auto" else int(verbose)
        return CallbackList(
            callbacks, add_history=add_history, add_progbar=level != 0, model=self, verbose=level, **params
        )


def _due(epoch: int, frequency: int | Iterable[int]) -> bool:
    return epoch + 1 in frequency if isinstance(frequency, Iterable) else (epoch + 1) % frequency == 0
