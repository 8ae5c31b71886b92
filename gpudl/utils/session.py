"""What Keras keeps for a whole session: the numbering of names."""

from __future__ import annotations

import gc

from gpudl.engine.symbol import KerasTensor
from gpudl.names import clear_names


def clear_session(free_memory: bool = True) -> None:
    """Restart the numbering of default names, as in a new process; settings stay.

    Args:
        free_memory: whether to collect models that refer to themselves now, rather than when Python next does.

    Example:
        >>> clear_session()
        >>> gpudl.layers.Dense(1).name
        'dense'
    """
    clear_names()
    if free_memory:
        gc.collect()


def is_keras_tensor(x: object) -> bool:
    """Return whether `x` is a symbol: an `Input`, or what layers and ops return for one.

    Example:
        >>> is_keras_tensor(gpudl.Input((2,))), is_keras_tensor(gpudl.convert_to_tensor(1.0))
        (True, False)
    """
    return isinstance(x, KerasTensor)
