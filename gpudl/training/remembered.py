"""A model's reference to its history that does not keep the model alive."""

from __future__ import annotations

import copy
from typing import Any
from weakref import ref


class Remembered:
    """A reference to a history, which holds its model, that forms no cycle.

    The history holds the model. The model holds the same lists of values in a history without a model, and returns the
    history itself as long as it is alive elsewhere.

    Args:
        model: the model of the history.
        history: a callback, or None.
    """

    def __init__(self, model: Any, history: Any) -> None:
        cyclic = getattr(history, "model", None) is model
        self._kept = copy.copy(history) if cyclic else history
        if cyclic:
            self._kept.set_model(None)
        self._living = ref(history) if cyclic else None

    def of(self, model: Any) -> Any:
        """Return the history, with its `model`."""
        if self._living is None:
            return self._kept
        history = self._living()
        if history is None:
            history = copy.copy(self._kept)
            history.set_model(model)
            self._living = ref(history)
        return history
