"""Helpers: one-hot labels, normalisation, seeds, user-defined classes and functions."""

from gpudl import custom_objects
from gpudl.custom_objects import *  # noqa: F403
from gpudl.utils.numerical import normalize, to_categorical
from gpudl.utils.seeds import set_random_seed

__all__ = ["normalize", "set_random_seed", "to_categorical"]
__all__ += custom_objects.__all__
