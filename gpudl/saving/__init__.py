"""The registration of user-defined classes and functions, which saved models name.

Names, arguments and results are those of ``keras.saving``.
"""

from gpudl import custom_objects
from gpudl.custom_objects import *  # noqa: F403

__all__: list[str] = []
__all__ += custom_objects.__all__
