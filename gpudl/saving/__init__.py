"""What a saved model names beside gpudl's own layers and functions: the classes and functions of a user.

Names, arguments and results are those of ``keras.saving``.
"""

from gpudl.custom_objects import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "register_keras_serializable",
]
