"""The names of `keras.backend`: settings, dtypes and names, which in gpudl are in `gpudl.config` and `gpudl.utils`.

`gpudl.backend` is about arrays and devices.
"""

from gpudl.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from gpudl.engine.enclosing import name_scope
from gpudl.names import get_uid
from gpudl.utils import clear_session, is_keras_tensor, standardize_dtype
from gpudl.utils.dtypes import is_float_dtype, is_int_dtype, result_type

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "name_scope",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]
