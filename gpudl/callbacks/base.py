"""The base of callbacks, and the logs that are passed to their hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np

from gpudl.registry import Config
from gpudl.utils.state_file import State


class LazyLogs(MutableMapping[str, Any]):
    """A dict of metric values, sorted by name, that are fetched from the device when they are first read.

    Args:
        values: tensors, numbers, or anything that `float` accepts, by name. Nested dicts are flattened. Other values
            are kept unchanged, tensors with axes become arrays.

    Example:
        >>> import gpudl
        >>> logs = LazyLogs({"loss": gpudl.convert_to_tensor(0.5), "accuracy": 1})
        >>> logs["loss"], "accuracy" in logs, dict(logs)
        (0.5, True, {'accuracy': 1.0, 'loss': 0.5})
    """

    def __init__(self, values: Mapping[str, object] | None = None) -> None:
        self._values = _flat(values or {})

    def __getitem__(self, name: str) -> object:
        value = self._values[name]
        if type(value) is not float:
            value = self._values[name] = _host(value)
        return value

    def __setitem__(self, name: str, value: object) -> None:
        self._values[name] = value

    def __delitem__(self, name: str) -> None:
        del self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def copy(self) -> Config:
        """Return a plain dict of all the values."""
        return dict(self)

    # A copy outlives the hook, and so the tensors.
    __copy__ = copy

    def __or__(self, other: Mapping[str, object]) -> dict[str, object]:
        return dict(self) | dict(other)

    def __ror__(self, other: Mapping[str, object]) -> dict[str, object]:
        return dict(other) | dict(self)

    def __repr__(self) -> str:
        return repr(dict(self))


def _flat(values: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in sorted(values.items()):
        flat.update(_flat(value) if isinstance(value, dict) else {name: value})
    return flat


def _host(value: Any) -> object:
    if getattr(value, "ndim", 0):
        return np.asarray(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


# A dict of numbers by name; LazyLogs in the hooks of batches.
Logs = Any


class Callback:
    """The base of all callbacks: override the hooks you need.

    `logs` is a dict of metrics. In the hooks of batches a value is fetched from the device when it is read
    and not before, so a callback that reads nothing costs nothing.

    Attributes:
        params: a dict with ``verbose``, ``epochs`` and ``steps``.
        model: the model that is trained or evaluated.

    Example:
        >>> class Best(Callback):
        ...     loss = float("inf")
        ...
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         self.loss = min(self.loss, logs["loss"])
        >>> best = Best()
        >>> best.on_epoch_end(0, {"loss": 0.5})
        >>> best.loss
        0.5
    """

    params: Config | None = None
    _model: object = None
    _kept: tuple[str, ...] = ()

    def set_params(self, params: dict[str, object]) -> None:
        """Set the parameters of the loop."""
        self.params = params

    def set_model(self, model: object) -> None:
        """Set the model."""
        self._model = model

    @property
    def model(self) -> Any:
        """The model; None before it is set."""
        return self._model

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Old name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Old name of `on_train_batch_end`."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Called before an epoch of training; epochs count from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Called after an epoch of training, and after its validation, whose names begin with ``val_``."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a batch of training; batches count from 0 in each epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a batch of training, with the metrics of the epoch up to here."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a batch of `evaluate` or of validation."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a batch of `evaluate` or of validation, with the metrics up to here."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a batch of `predict`, with its ``outputs``."""

    def on_train_begin(self, logs: Logs = None) -> None:
        """Called at the beginning of `fit`."""

    def on_train_end(self, logs: Logs = None) -> None:
        """Called at the end of `fit`, with the logs of the last epoch."""

    def on_test_begin(self, logs: Logs = None) -> None:
        """Called at the beginning of `evaluate` or of validation."""

    def on_test_end(self, logs: Logs = None) -> None:
        """Called at the end of `evaluate` or of validation, with its metrics."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Called at the beginning of `predict`."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """Called at the end of `predict`."""

    def get_state(self) -> State:
        """Return what `BackupAndRestore` saves of this callback: numbers, text, arrays, lists and dicts by name.

        By default that is what the attributes have that `_kept` names.
        """
        return {name: getattr(self, name) for name in self._kept}

    def set_state(self, state: State) -> None:
        """Go on from what `get_state` returned; called after `on_train_begin` of a training that goes on."""
        for name in self._kept:
            setattr(self, name, state[name])

    def _wants_batches(self, phase: str) -> bool:
        """Return whether a hook for the batches of `phase` (train, test, predict) does anything."""
        hooks = [h for h in HOOKS if h.startswith(f"on_{phase}_batch")]
        hooks += ["on_batch_begin", "on_batch_end"] if phase == "train" else []
        return any(getattr(getattr(self, h), "__func__", None) is not getattr(Callback, h) for h in hooks)


HOOKS = [name for name in vars(Callback) if name.startswith("on_")]
