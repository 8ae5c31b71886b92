"""VGG of 16 layers.

Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014.
"""

from __future__ import annotations

from gpudl.applications._vgg import vgg
from gpudl.applications.imagenet_utils import decode_predictions, preprocessing

__all__ = [
    "VGG16",
    "decode_predictions",
    "preprocess_input",
]

preprocess_input = preprocessing("caffe")
_HASHES = ("64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc")
VGG16 = vgg(16, (2, 2, 3, 3, 3), _HASHES, __name__)
