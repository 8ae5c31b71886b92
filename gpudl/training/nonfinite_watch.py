"""Detecting a loss that is no longer finite."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from gpudl import ops
from gpudl.engine.state import warn_user
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable


class NonfiniteWatch:
    """Records, on the device, the first step whose loss was NaN or infinite.

    Attributes:
        reported: whether that has been said.
        first: the number of that step, from 0; -1 if there was none.
    """

    def __init__(self) -> None:
        self.reported = False
        self.first = Variable(np.array(-1, np.int64), trainable=False, name="first_nonfinite_step")

    def begin(self) -> None:
        """Reset the record of an earlier training."""
        self.reported = False
        self.first.assign(-1)

    def note(self, loss: Tensor, finished: Tensor) -> None:
        """Check the loss of the step after `finished` ones."""
        ops.note_nonfinite_(self.first, loss, finished)

    def report(self, logs: Mapping[str, float], epoch: int) -> None:
        """Warn, once per training, if the loss of an epoch was not finite."""
        if self.reported or math.isfinite(logs.get("loss", 0.0)):
            return
        self.reported = True
        first = int(self.first)
        at = f" at step {first + 1}" if first >= 0 else ""
        warn_user(
            f"the loss became NaN or infinite{at}, in epoch {epoch + 1}; the weights are probably lost. Lower the "
            "learning rate, or look for NaN and labels out of range in the data.",
            RuntimeWarning,
        )
