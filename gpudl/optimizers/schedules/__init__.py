"""Learning rate schedules: the learning rate as a function of the count of steps, computed on the device."""

from __future__ import annotations

from gpudl.names import export
from gpudl.optimizers.schedules import base, cosine, decays
from gpudl.optimizers.schedules.base import *  # noqa: F403
from gpudl.optimizers.schedules.base import SCHEDULES
from gpudl.optimizers.schedules.cosine import *  # noqa: F403
from gpudl.optimizers.schedules.decays import *  # noqa: F403

__all__ = ["deserialize", "serialize"]
export(
    globals(),
    base,
    cosine,
    decays,
)

SCHEDULES.add(vars(cosine), vars(decays))
serialize, deserialize = SCHEDULES.serializer("learning_rate_schedule"), SCHEDULES.deserialize
