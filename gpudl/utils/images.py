"""Images of files, by the library Pillow, and arrays of their pixels."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from gpudl.config import check_data_format, floatx
from gpudl.engine.state import warn_user

if TYPE_CHECKING:
    from PIL.Image import Image

_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_GRAYS = ("L", "I;16", "I")
_RESAMPLING = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def require_pillow(who: str) -> None:
    """Raise ImportError unless the library Pillow is there."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{who} needs the library Pillow: run `pip install pillow`.") from error


def load_img(
    path: str | bytes | Path | io.BytesIO,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image:
    """Return the image of a file, as Pillow has it.

    Args:
        path: a path, or the bytes of a file as ``io.BytesIO``.
        color_mode: ``"grayscale"``, ``"rgb"`` or ``"rgba"``. Grey images of 16 or 32 bits stay as they are.
        target_size: (height, width) to resize to.
        interpolation: ``"nearest"``, ``"bilinear"``, ``"bicubic"``, ``"hamming"``, ``"box"`` or ``"lanczos"``.
        keep_aspect_ratio: whether to cut the largest part of the target's aspect ratio out of the middle first.

    Raises:
        ImportError: Pillow is not installed.
        TypeError: `path` is neither.
        ValueError: an unknown color mode or interpolation.

    Example:
        >>> file = io.BytesIO()
        >>> save_img(file, np.zeros((4, 6, 3)), file_format="png")
        >>> load_img(file, target_size=(2, 3)).size
        (3, 2)
    """
    require_pillow("load_img")
    from PIL import Image

    if color_mode not in _MODES:
        raise ValueError(f'color_mode must be "grayscale", "rgb" or "rgba", got {color_mode!r}.')
    if isinstance(path, io.BytesIO):
        img: Image.Image = Image.open(path)
    elif isinstance(path, str | bytes | os.PathLike):
        with open(path, "rb") as file:
            img = Image.open(io.BytesIO(file.read()))
    else:
        raise TypeError(f"path must be a path or an io.BytesIO, got {type(path).__name__}.")
    if img.mode not in (_GRAYS if color_mode == "grayscale" else (_MODES[color_mode],)):
        img = img.convert(_MODES[color_mode])
    if target_size is None or img.size == (target_size[1], target_size[0]):
        return img
    if interpolation not in _RESAMPLING:
        raise ValueError(f"interpolation must be one of {', '.join(_RESAMPLING)}, got {interpolation!r}.")
    box = centered(img.size[1], img.size[0], *target_size) if keep_aspect_ratio else None
    return img.resize((target_size[1], target_size[0]), Image.Resampling[interpolation.upper()], box=box)


def centered(height: int, width: int, target_height: int, target_width: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the largest middle part that has the aspect ratio of the target.

    Example:
        >>> centered(100, 300, 10, 10)
        (100, 0, 200, 100)
    """
    crop_height = min(height, width * target_height // target_width)
    crop_width = min(width, height * target_width // target_height)
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return left, top, left + crop_width, top + crop_height


def img_to_array(
    img: ArrayLike | Image, data_format: str | None = None, dtype: DTypeLike | None = None
) -> NDArray[np.generic]:
    """Return the pixels of an image as an array (height, width, channels), or with the channels first.

    Args:
        img: an image of Pillow, or an array.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        dtype: None means `config.floatx`.

    Raises:
        ValueError: neither two nor three axes.

    Example:
        >>> img_to_array(np.zeros((4, 6), np.uint8)).shape
        (4, 6, 1)
    """
    data_format = check_data_format(data_format)
    x: NDArray[np.generic] = np.asarray(img, dtype=dtype or floatx())
    if x.ndim not in (2, 3):
        raise ValueError(f"An image has two or three axes, got shape {x.shape}.")
    if x.ndim == 2:
        return x[None] if data_format == "channels_first" else x[..., None]
    return x.transpose(2, 0, 1) if data_format == "channels_first" else x


def array_to_img(
    x: ArrayLike, data_format: str | None = None, scale: bool = True, dtype: DTypeLike | None = None
) -> Image:
    """Return an array (height, width, channels) as an image of Pillow.

    Args:
        x: 1 channel (grey), 3 (RGB) or 4 (RGBA).
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        scale: whether to map the smallest value to 0 and the largest to 255.
        dtype: of the computation; None means `config.floatx`.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: another number of axes or channels.

    Example:
        >>> array_to_img(np.arange(24.0).reshape(4, 6, 1)).getextrema()
        (0, 255)
    """
    require_pillow("array_to_img")
    from PIL import Image

    data_format = check_data_format(data_format)
    pixels: NDArray[np.floating] = np.asarray(x, dtype=dtype or floatx())
    if pixels.ndim != 3:
        raise ValueError(f"array_to_img takes one image of three axes, got shape {pixels.shape}.")
    if data_format == "channels_first":
        pixels = pixels.transpose(1, 2, 0)
    if scale:
        pixels = pixels - np.min(pixels)
        largest = np.max(pixels)
        if largest != 0:
            pixels = pixels / largest
        pixels = pixels * 255
    channels = pixels.shape[2]
    if channels not in (1, 3, 4):
        raise ValueError(f"An image has 1, 3 or 4 channels, got {channels}, in shape {pixels.shape}.")
    if channels == 1:
        return Image.fromarray(pixels[:, :, 0].astype("int32" if np.max(pixels) > 255 else "uint8"))
    return Image.fromarray(np.ascontiguousarray(pixels).astype("uint8"))


def save_img(
    path: str | Path | IO[bytes],
    x: ArrayLike,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: object,
) -> None:
    """Write an array (height, width, channels) to an image file.

    Args:
        path: a path, or an open file, which needs a `file_format`.
        x: 1 channel (grey), 3 (RGB) or 4 (RGBA, of which JPEG keeps three, with a warning).
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        file_format: ``"png"``, ``"jpeg"`` and so on; by default the ending of the path.
        scale: whether to map the smallest value to 0 and the largest to 255.
        **kwargs: further arguments of Pillow's ``Image.save``.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: another number of axes or channels, or an unknown format.
    """
    if file_format is None and isinstance(path, str | Path):
        file_format = Path(path).suffix[1:].lower()
    if file_format and file_format.lower() == "jpg":
        file_format = "jpeg"
    img = array_to_img(x, data_format=data_format, scale=scale)
    if img.mode == "RGBA" and file_format == "jpeg":
        warn_user("JPEG has no transparency: the image is saved as RGB.")
        img = img.convert("RGB")
    img.save(path, format=file_format, **kwargs)
