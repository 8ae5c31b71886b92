"""What Keras keeps for a whole session: the numbering of names."""

from __future__ import annotations

import gc

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
