"""Keras's functions of images, with its arguments, defaults and dtypes."""

from types import FunctionType

from gpudl.engine.calls import public
from gpudl.ops.image.colors import hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv
from gpudl.ops.image.elastic import elastic_transform
from gpudl.ops.image.filters import gaussian_blur, sobel_edges, ssim
from gpudl.ops.image.patches import extract_patches, extract_patches_3d
from gpudl.ops.image.resize import crop_images, pad_images, resize, scale_and_translate
from gpudl.ops.image.sampling import affine_transform, map_coordinates, perspective_transform

__all__ = [
    "affine_transform",
    "crop_images",
    "elastic_transform",
    "extract_patches",
    "extract_patches_3d",
    "gaussian_blur",
    "hsv_to_rgb",
    "map_coordinates",
    "pad_images",
    "perspective_transform",
    "resize",
    "rgb_to_grayscale",
    "rgb_to_hsv",
    "scale_and_translate",
    "sobel_edges",
    "ssim",
]

# A call on symbols is recorded as the user's call, not as the calls of ops inside.
for _name in __all__:
    if isinstance(globals()[_name], FunctionType):
        globals()[_name] = public(globals()[_name])
        globals()[_name].__module__ = __name__  # where unpickling finds it
