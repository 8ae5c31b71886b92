"""What a saved model names beside gpudl's own layers and functions: the classes and functions of a user.

Names, arguments and results are those of ``keras.saving``.
"""

from gpudl import custom_objects
from gpudl.custom_objects import *  # noqa: F403

__all__: list[str] = []
__all__ += custom_objects.__all__
