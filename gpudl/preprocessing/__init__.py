"""Data from folders and series, images and sequences, under the names that Keras has had for them since its first days.

Example:
    >>> gpudl.preprocessing.sequence.pad_sequences([[1], [2, 3]])
    array([[0, 1],
           [2, 3]], dtype=int32)
"""

from gpudl.preprocessing import image, sequence
from gpudl.utils import (
    image_dataset_from_directory,
    text_dataset_from_directory,
    timeseries_dataset_from_array,
)

__all__ = [
    "image",
    "image_dataset_from_directory",
    "sequence",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]
