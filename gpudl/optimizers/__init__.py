"""Optimizers, which update variables by their gradients."""

from __future__ import annotations

from gpudl.names import export
from gpudl.optimizers import (
    adadelta,
    adafactor,
    adagrad,
    adam,
    adamax,
    ftrl,
    lamb,
    legacy,
    lion,
    loss_scale,
    multi,
    muon,
    nadam,
    optimizer,
    rmsprop,
    schedule_free,
    schedules,
    sgd,
)
from gpudl.optimizers.adadelta import *  # noqa: F403
from gpudl.optimizers.adafactor import *  # noqa: F403
from gpudl.optimizers.adagrad import *  # noqa: F403
from gpudl.optimizers.adam import *  # noqa: F403
from gpudl.optimizers.adamax import *  # noqa: F403
from gpudl.optimizers.ftrl import *  # noqa: F403
from gpudl.optimizers.lamb import *  # noqa: F403
from gpudl.optimizers.lion import *  # noqa: F403
from gpudl.optimizers.loss_scale import *  # noqa: F403
from gpudl.optimizers.multi import *  # noqa: F403
from gpudl.optimizers.muon import *  # noqa: F403
from gpudl.optimizers.nadam import *  # noqa: F403
from gpudl.optimizers.optimizer import *  # noqa: F403
from gpudl.optimizers.optimizer import OPTIMIZERS
from gpudl.optimizers.rmsprop import *  # noqa: F403
from gpudl.optimizers.schedule_free import *  # noqa: F403
from gpudl.optimizers.sgd import *  # noqa: F403

__all__ = ["deserialize", "get", "legacy", "schedules", "serialize"]
export(
    globals(),
    adadelta,
    adafactor,
    adagrad,
    adam,
    adamax,
    ftrl,
    lamb,
    lion,
    loss_scale,
    multi,
    muon,
    nadam,
    optimizer,
    rmsprop,
    schedule_free,
    sgd,
)

OPTIMIZERS.add(
    *map(vars, (rmsprop, adagrad, adam, loss_scale, sgd, adadelta, adafactor, adamax, ftrl, lamb, lion, multi, muon)),
    *map(vars, (nadam, schedule_free)),
)
get, serialize, deserialize = OPTIMIZERS.get, OPTIMIZERS.serializer("optimizer"), OPTIMIZERS.deserialize
