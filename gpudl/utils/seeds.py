"""One seed for everything random."""

from __future__ import annotations

import random

import numpy as np

_LARGEST = 2**32 - 1  # what NumPy's global generator takes


def set_random_seed(seed: int) -> None:
    """Seed Python's and NumPy's generators; every default seed of gpudl is drawn from Python's.

    Layers and initializers created afterwards in the same order draw the same numbers.

    Args:
        seed: an integer from 0 to 2**32 - 1.

    Raises:
        ValueError: the seed is not an integer, or out of range.

    Example:
        >>> set_random_seed(3)
        >>> first = gpudl.initializers.RandomNormal()((2,))
        >>> set_random_seed(3)
        >>> bool((gpudl.initializers.RandomNormal()((2,)) == first).all())
        True
    """
    if not isinstance(seed, int):
        raise ValueError(f"seed must be an integer, got {seed!r} of type {type(seed).__name__}.")
    if not 0 <= seed <= _LARGEST:
        raise ValueError(f"seed must lie between 0 and 2**32 - 1, got {seed}.")
    random.seed(seed)
    np.random.seed(seed)
