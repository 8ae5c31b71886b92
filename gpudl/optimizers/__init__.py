"""Optimizers, which update variables by their gradients."""

from __future__ import annotations

from gpudl.optimizers import adagrad, adam, loss_scale, optimizer, rmsprop, sgd
from gpudl.optimizers.adagrad import *  # noqa: F403
from gpudl.optimizers.adam import *  # noqa: F403
from gpudl.optimizers.loss_scale import *  # noqa: F403
from gpudl.optimizers.optimizer import *  # noqa: F403
from gpudl.optimizers.optimizer import OPTIMIZERS
from gpudl.optimizers.rmsprop import *  # noqa: F403
from gpudl.optimizers.sgd import *  # noqa: F403

__all__ = ["deserialize", "get", "serialize"]
__all__ += adagrad.__all__
__all__ += adam.__all__
__all__ += loss_scale.__all__
__all__ += optimizer.__all__
__all__ += rmsprop.__all__
__all__ += sgd.__all__

OPTIMIZERS.add(*map(vars, (rmsprop, adagrad, adam, loss_scale, sgd)))
get, serialize, deserialize = OPTIMIZERS.get, OPTIMIZERS.serialize, OPTIMIZERS.deserialize
