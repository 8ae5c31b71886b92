"""One seed for everything random."""

from __future__ import annotations

import random

import numpy as np

from gpudl.utils.state_file import State

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


def random_state() -> State:
    """Return the states of Python's and NumPy's generators, as data."""
    version, words, gauss = random.getstate()
    return {
        "python": [version, np.array(words, np.uint32), gauss],
        "numpy": np.random.get_state(legacy=False),
    }


def set_random_state(state: State) -> None:
    """Let Python's and NumPy's generators go on from what `random_state` returned.

    Example:
        >>> before = random_state()
        >>> first = random.random(), np.random.rand()
        >>> set_random_state(before)
        >>> (random.random(), np.random.rand()) == first
        True
    """
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    np.random.set_state(state["numpy"])
