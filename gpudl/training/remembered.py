"""A model's reference to its history that does not keep the model alive."""

from __future__ import annotations

import copy
from weakref import ref

from gpudl.callbacks import History


class Remembered:
    """A reference to a history, which holds its model, that forms no cycle.

    The history holds the model. The model holds the same lists of values in a history without a model, and returns the
    history itself as long as it is alive elsewhere.

    Args:
        model: the model of the history.
        history: a callback, or None.
    """

    def __init__(self, model: object, history: History | None) -> None:
        self._kept = history
        self._living: ref[History] | None = None
        if history is not None and history.model is model:
            self._kept, self._living = copy.copy(history), ref(history)
            self._kept.set_model(None)

    def of(self, model: object) -> History | None:
        """Return the history, with its `model`."""
        if self._living is None or self._kept is None:
            return self._kept
        history = self._living()
        if history is None:
            history = copy.copy(self._kept)
            history.set_model(model)
            self._living = ref(history)
        return history
