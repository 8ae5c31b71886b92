"""The arguments that optimizers share."""

from collections.abc import Callable, Mapping
from math import inf
from typing import Annotated, TypedDict

import numpy as np

from gpudl import config
from gpudl.argument_errors import unknown_argument
from gpudl.engine.state import warn_user
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.optimizers.schedules.base import SCHEDULES, LearningRateSchedule
from gpudl.utils.checks import require_number, require_whole

LearningRate = float | Tensor | LearningRateSchedule | Callable[[], float | Tensor]
"""A learning rate: a number, a variable, a schedule, or a function without arguments."""


class _Decay(TypedDict, total=False):
    weight_decay: Annotated[float | None, None]


class Shared(TypedDict, total=False):
    """The arguments of all optimizers but the weight decay, in the order in which they can be given by position."""

    clipnorm: Annotated[float | None, None]
    clipvalue: Annotated[float | None, None]
    global_clipnorm: Annotated[float | None, None]
    use_ema: Annotated[bool, False]
    ema_momentum: Annotated[float, 0.99]
    ema_overwrite_frequency: Annotated[int | None, None]
    loss_scale_factor: Annotated[float | None, None]
    gradient_accumulation_steps: Annotated[int | None, None]
    name: Annotated[str | None, None]


class Options(_Decay, Shared, total=False):
    """The arguments of all optimizers, the weight decay first, which is off by default."""


# The defaults, in the order of Keras's configs.
DEFAULTS: Options = {
    "weight_decay": None,
    "clipnorm": None,
    "global_clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}
_SLOTS = {"use_ema": ("average",), "gradient_accumulation_steps": ("gradient_accumulator",)}


def check_options(kind: str, options: Mapping[str, object]) -> None:
    """Raise ValueError for options that make no sense, or not together.

    Args:
        kind: whose they are, for the error.
        options: values by the names of `DEFAULTS`.
    """
    clips = ("clipnorm", "clipvalue", "global_clipnorm")
    given = [f"{key}={options[key]}" for key in clips if options[key] is not None]
    if len(given) > 1:
        raise ValueError(f"gradients are clipped in one way only, got {' and '.join(given)}. Keep one.")
    for key in (*clips, "weight_decay", "loss_scale_factor"):
        if options[key] is not None:
            require_number(kind, -inf, inf, **{key: options[key]})
    if options["gradient_accumulation_steps"]:
        require_whole(kind, 2, gradient_accumulation_steps=options["gradient_accumulation_steps"])
    if options["use_ema"]:
        require_number(kind, 0, 1, ema_momentum=options["ema_momentum"])
        if options["ema_overwrite_frequency"]:
            require_whole(kind, 1, ema_overwrite_frequency=options["ema_overwrite_frequency"])


def shared_slots(options: Mapping[str, object]) -> tuple[tuple[str, ...], ...]:
    """Return the names of the slots that the options need, whatever the optimizer."""
    return tuple(names for key, names in _SLOTS.items() if options[key])


def renamed(kind: type, learning_rate: LearningRate, others: Mapping[str, object]) -> LearningRate:
    """Return the learning rate, which older programs call ``lr``; `others` are arguments that no constructor takes.

    Raises:
        ValueError: an argument that there never was.
    """
    for name, value in others.items():
        if name == "lr":
            warn_user(
                f"{kind.__name__}: lr is the old name of learning_rate. Write learning_rate={value!r}.",
                DeprecationWarning,
            )
            learning_rate = value  # type: ignore[assignment]
        elif name == "decay":
            if value is not None:
                warn_user(
                    "Argument `decay` is no longer supported and will be ignored. Give a schedule as learning_rate, "
                    "such as gpudl.optimizers.schedules.InverseTimeDecay.",
                    DeprecationWarning,
                )
        else:
            raise unknown_argument(kind, name)
    return learning_rate


def rate_number(learning_rate: object) -> np.ndarray:
    """Return a learning rate in the default float dtype; raise ValueError for what is no number."""
    if not isinstance(learning_rate, int | float | np.number) or isinstance(learning_rate, bool):
        raise ValueError(f"learning_rate must be a number such as 0.001, got {learning_rate!r}.")
    return np.array(learning_rate, config.float_dtype())


def rate_source(learning_rate: LearningRate) -> Variable | LearningRateSchedule | Callable[[], float | Tensor]:
    """Return the learning rate of an optimizer: a schedule, a function or a variable unchanged."""
    if isinstance(learning_rate, dict):  # from a config
        learning_rate = SCHEDULES.get(learning_rate)
    if isinstance(learning_rate, Variable | LearningRateSchedule):
        return learning_rate
    if isinstance(learning_rate, Tensor):
        return Variable(learning_rate, trainable=False, name="learning_rate")
    if callable(learning_rate):
        return learning_rate
    return Variable(rate_number(learning_rate), trainable=False, name="learning_rate")
