"""Initializers: the initial values of weights, as host arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import overload

import numpy as np
from numpy.typing import DTypeLike

from gpudl import config
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor, faces
from gpudl.initializers import constants, random_initializers, scaled, transforms
from gpudl.initializers.base import INITIALIZERS, Initializer, Shape
from gpudl.initializers.constants import *  # noqa: F403
from gpudl.initializers.constants import Identity
from gpudl.initializers.random_initializers import *  # noqa: F403
from gpudl.initializers.random_initializers import Orthogonal
from gpudl.initializers.scaled import *  # noqa: F403
from gpudl.initializers.transforms import *  # noqa: F403
from gpudl.initializers.transforms import STFT
from gpudl.names import export
from gpudl.registry import Identified

__all__ = ["IdentityInitializer", "Initializer", "OrthogonalInitializer", "STFTInitializer"]
__all__ += ["deserialize", "get", "serialize"]
export(
    globals(),
    constants,
    random_initializers,
    scaled,
    transforms,
)

INITIALIZERS.add(*map(vars, (constants, random_initializers, scaled, transforms)))
INITIALIZERS.alias(zero="Zeros", one="Ones", uniform="RandomUniform", normal="RandomNormal")
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT
INITIALIZERS.alias(IdentityInitializer="Identity", OrthogonalInitializer="Orthogonal", STFTInitializer="STFT")
serialize, deserialize = INITIALIZERS.serializer("initializer"), INITIALIZERS.deserialize


Given = Identified | np.ndarray | Tensor


@overload
def get(identifier: None) -> None: ...
@overload
def get(identifier: Given) -> Callable[..., np.ndarray]: ...
def get(identifier: Given | None) -> Callable[..., np.ndarray] | None:
    """Return the initializer that a name, a config, a class or a function stands for; None for None.

    An array stands for a function that returns it, for a variable of its shape.

    Raises:
        ValueError: an unknown name; and, in a call, another shape than that of the array.
        TypeError: something that stands for none.

    Example:
        >>> get("ones")((2,))
        array([1., 1.], dtype=float32)
        >>> get(np.array([1, 2]))((2,))
        array([1., 2.], dtype=float32)
    """
    if isinstance(identifier, Tensor | np.ndarray | np.generic):
        return partial(_given, identifier)
    return INITIALIZERS.get(identifier)


def _given(value: np.ndarray | np.generic | Tensor, shape: Shape, dtype: DTypeLike | None = None) -> np.ndarray:
    if tuple(shape) != value.shape:
        raise ValueError(f"the initializer is an array of shape {value.shape}, expected the shape {tuple(shape)}.")
    found = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    return found.astype(dtype or config.float_dtype())


def _initial(identifier: Given, shape: Shape, dtype: DTypeLike | None) -> Tensor:
    """Return the initial value of a variable."""
    return as_tensor(get(identifier)(shape, dtype=dtype))


faces["initial"] = _initial
