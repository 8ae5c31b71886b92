"""VGG of 19 layers.

Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014.
"""

from __future__ import annotations

from gpudl.applications._vgg import vgg
from gpudl.applications.imagenet_utils import decode_predictions, preprocessing

__all__ = [
    "VGG19",
    "decode_predictions",
    "preprocess_input",
]

preprocess_input = preprocessing("caffe")
_HASHES = ("cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6")
VGG19 = vgg(19, (2, 2, 4, 4, 4), _HASHES, __name__)
