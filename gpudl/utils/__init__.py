"""Helpers: one-hot labels, normalisation, seeds."""

from gpudl.utils.numerical import normalize, to_categorical
from gpudl.utils.seeds import set_random_seed

__all__ = ["normalize", "set_random_seed", "to_categorical"]
