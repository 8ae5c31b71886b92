"""Helpers: one-hot labels, normalisation, seeds, pictures of models, classes and functions of a user."""

from gpudl import custom_objects
from gpudl.custom_objects import *  # noqa: F403
from gpudl.utils.model_picture import model_to_dot, plot_model
from gpudl.utils.numerical import normalize, to_categorical
from gpudl.utils.seeds import set_random_seed

__all__ = ["model_to_dot", "normalize", "plot_model", "set_random_seed", "to_categorical"]
__all__ += custom_objects.__all__
