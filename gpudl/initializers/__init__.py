"""Initializers: the initial values of weights, as host arrays."""

from __future__ import annotations

from typing import Any

from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor, faces
from gpudl.initializers import constants, random_initializers, scaled
from gpudl.initializers.base import INITIALIZERS, Initializer, Shape
from gpudl.initializers.constants import *  # noqa: F403
from gpudl.initializers.random_initializers import *  # noqa: F403
from gpudl.initializers.scaled import *  # noqa: F403

__all__ = ["Initializer", "deserialize", "get", "serialize"]
__all__ += constants.__all__
__all__ += random_initializers.__all__
__all__ += scaled.__all__

INITIALIZERS.add(*map(vars, (constants, random_initializers, scaled)))
INITIALIZERS.alias(zero="Zeros", one="Ones", uniform="RandomUniform", normal="RandomNormal")
get, serialize, deserialize = INITIALIZERS.get, INITIALIZERS.serialize, INITIALIZERS.deserialize


def _initial(identifier: Any, shape: Shape, dtype: Any) -> Tensor:
    """Return the initial value of a variable."""
    return as_tensor(get(identifier)(shape, dtype=dtype))


faces["initial"] = _initial
