"""A call of `fit` that is going on: what is saved of it, so that another one goes on from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from gpudl.callbacks import CallbackList, History
from gpudl.engine.state import warn_user
from gpudl.engine.variable import Variable
from gpudl.saving.stored import OnHost, Pair, fill
from gpudl.training.data.epochs import Epochs
from gpudl.training.nonfinite_watch import NonfiniteWatch
from gpudl.training.results import Logs
from gpudl.training.step import Run, Trainable
from gpudl.utils.seeds import random_state, set_random_state
from gpudl.utils.state_file import State, copied


class _InMemory(NamedTuple):
    """An array, as `fill` reads it."""

    value: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return self.value.shape

    @property
    def dtype(self) -> np.dtype:
        """Its dtype."""
        return self.value.dtype

    def read(self, out: np.ndarray) -> None:
        """Copy it."""
        out[...] = self.value


class Fitting:
    """The state of a call of `fit`.

    Args:
        model: the model, with an optimizer that is built.
        train: the data.
        evaluation: the data of validation; None if there are none.
        listeners: the callbacks.

    Attributes:
        logs: the results of the last whole epoch.
        results: those of the batches of the epoch in whose midst the training goes on; None at the beginning of one.
    """

    def __init__(
        self, model: Trainable, train: Epochs[Run], evaluation: Epochs[Run] | None, listeners: CallbackList
    ) -> None:
        self.logs: Logs | None = None
        self.results: Logs | None = None
        self._model, self._listeners = model, listeners
        self._data = {"train": train} if evaluation is None else {"train": train, "evaluation": evaluation}
        self._unfinished: State | None = None  # what is set once more when the epoch has begun

    def get_state(self, epoch: int, results: Mapping[str, object] | None) -> State:
        """Return all that the training depends on.

        Args:
            epoch: the epoch that is going on, or that is the next one.
            results: the metrics of its batches up to here; None before it has begun.
        """
        whole, values = results is None, OnHost()
        return {
            "epoch": epoch,
            "logs": self.logs,
            "results": None if results is None else dict(results),
            "data": {name: data.get_state(whole or name != "train") for name, data in self._data.items()},
            "variables": [[variable.path, values.array(variable)] for variable in self._variables()],
            "reported": self._watch.reported,
            "stopped": self._model.stop_training,
            "callbacks": [[type(callback).__name__, callback.get_state()] for callback in self._listeners.callbacks],
            "random": random_state(),
        }

    def set_state(self, state: State) -> None:
        """Go on from a state.

        Raises:
            ValueError: it is that of another model, or of other data; nothing has changed then.
        """
        self._require_same_variables(state)
        for name, data in self._data.items():
            if name in state["data"]:
                data.set_state(state["data"][name])
        self._model._initial_epoch, self.logs, self.results = state["epoch"], state["logs"], state["results"]
        if self.results is not None:
            self._unfinished = state
        elif state["stopped"]:
            self._model._initial_epoch = (self._listeners.params or {})["epochs"]
        self._set_values(state)

    def begun(self) -> None:
        """Undo what callbacks have done at the beginning of an epoch that had begun before."""
        if self._unfinished is not None:
            self._set_values(self._unfinished)
            self._unfinished = None

    def _set_values(self, state: State) -> None:
        values = [_InMemory(np.asarray(value)) for _, value in state["variables"]]
        fill(map(Pair, self._variables(), values))
        self._set_callbacks(state["callbacks"])
        self._watch.reported = state["reported"]
        self._model.stop_training = state["stopped"]
        set_random_state(state["random"])

    def _set_callbacks(self, saved: list[tuple[str, State]]) -> None:
        """Pass each callback the state of that of the same class, and place among those of it."""
        left = [(kind, state) for kind, state in saved if state]
        without = []
        for callback in self._listeners.callbacks:
            kind = type(callback).__name__
            found = next((item for item in left if item[0] == kind), None)
            if found is not None:
                left.remove(found)
                callback.set_state(copied(found[1]))
            elif callback.get_state():
                without.append(kind)
        if left or without:
            warn_user(
                "the callbacks are not those of the training that goes on: "
                f"{', '.join(kind for kind, _ in left) or 'none'} had a state and are not there now, "
                f"{', '.join(without) or 'none'} begin again."
            )

    @property
    def _watch(self) -> NonfiniteWatch:
        assert self._model._compiled is not None
        return self._model._compiled.watch

    def _variables(self) -> list[Variable]:
        """Return the variables of the model, its metrics and its optimizer, each once."""
        optimizer = self._model.optimizer
        found = [
            *self._model.variables,
            *self._model.metrics_variables,
            *([] if optimizer is None else optimizer.variables),
            self._watch.first,
        ]
        return list({id(variable): variable for variable in found}.values())

    def _require_same_variables(self, state: State) -> None:
        now, then = self._variables(), state["variables"]
        if len(now) != len(then):
            raise _another_model(f"it has {len(then)} variables, and this one {len(now)}")
        for variable, (path, value) in zip(now, then, strict=True):
            if (variable.shape, variable.dtype) != (value.shape, value.dtype):
                raise _another_model(
                    f"{path} has shape {value.shape} and dtype {value.dtype}, and {variable.path} of this one "
                    f"{variable.shape} and {variable.dtype}"
                )


def _another_model(difference: str) -> ValueError:
    return ValueError(f"the training that was saved is that of another model or optimizer: {difference}.")


@contextmanager
def telling(history: History) -> Iterator[None]:
    """Let an error in a ``with`` block say what is left of the training that it ended."""
    try:
        yield
    except Exception as error:
        error.add_note(
            f"fit stopped after {len(history.epoch)} whole epochs, which are in model.history; the model is as the "
            "last finished step left it."
        )
        raise
