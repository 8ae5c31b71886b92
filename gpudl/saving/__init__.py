"""Models in files: weights, and the registration of user-defined classes and functions, which saved models name.


Names, arguments and results are those of ``keras.saving``.
"""

from gpudl import custom_objects
from gpudl.custom_objects import *  # noqa: F403
from gpudl.saving.weights_file import load_weights, save_weights

__all__ = ["load_weights", "save_weights"]
__all__ += custom_objects.__all__
