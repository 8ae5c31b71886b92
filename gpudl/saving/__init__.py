"""Models in files: weights, and the registration of user-defined classes and functions, which saved models name.


Names, arguments and results are those of ``keras.saving``.
"""

from gpudl import custom_objects
from gpudl.custom_objects import *  # noqa: F403
from gpudl.saving.model_file import load_model, load_weights, save_model
from gpudl.saving.objects import deserialize_keras_object, serialize_keras_object
from gpudl.saving.shards import save_weights

__all__ = [
    "deserialize_keras_object",
    "load_model",
    "load_weights",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]
__all__ += custom_objects.__all__
