"""The arguments that optimizers share."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from gpudl import config


class Shared(TypedDict, total=False):
    """The keyword arguments of all optimizers."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class Options(Shared, total=False):
    """The same with the weight decay, which is off by default."""

    weight_decay: float | None


# Keras's arguments that are supported with these values only.
OFF = {
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


def number(learning_rate: object) -> np.ndarray:
    """Return a learning rate in the default float dtype; raise ValueError for what is no number."""
    if callable(learning_rate):
        raise ValueError(
            "learning rate schedules and functions are not supported yet. Pass a number, and assign "
            "optimizer.learning_rate between steps."
        )
    if not isinstance(learning_rate, int | float | np.number) or isinstance(learning_rate, bool):
        raise ValueError(f"learning_rate must be a number such as 0.001, got {learning_rate!r}.")
    return np.array(learning_rate, config.float_dtype())
