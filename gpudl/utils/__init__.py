"""Helpers: files, images, data sets of folders, labels, seeds, batches, pictures of models, user-defined classes."""

from collections.abc import Callable

from gpudl import custom_objects
from gpudl.config import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from gpudl.custom_objects import *  # noqa: F403
from gpudl.utils import bounding_boxes
from gpudl.utils.batch_parts import pack_x_y_sample_weight, unpack_x_y_sample_weight
from gpudl.utils.cached_files import get_file
from gpudl.utils.dtypes import standardize_dtype
from gpudl.utils.folders import image_dataset_from_directory, text_dataset_from_directory
from gpudl.utils.images import array_to_img, img_to_array, load_img, save_img
from gpudl.utils.model_picture import model_to_dot, plot_model
from gpudl.utils.numerical import normalize, to_categorical
from gpudl.utils.py_dataset import PyDataset
from gpudl.utils.seeds import set_random_seed
from gpudl.utils.sequences import pad_sequences, timeseries_dataset_from_array
from gpudl.utils.session import clear_session
from gpudl.utils.splitting import split_dataset
from gpudl.utils.symbols import get_source_inputs, is_keras_tensor

# Of layers and saving, which stand above: gpudl/__init__.py sets them.
FeatureSpace: type
deserialize_keras_object: Callable[..., object]
serialize_keras_object: Callable[[object], object]

Sequence = PyDataset
"""The name of `PyDataset` in Keras 2."""

__all__ = [
    "FeatureSpace",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "bounding_boxes",
    "clear_session",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_file",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
__all__ += custom_objects.__all__
