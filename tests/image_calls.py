"""Drawn calls of the functions of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator], tuple[tuple[Any, ...], dict[str, Any]]]
FILL = ("constant", "nearest", "wrap", "mirror", "reflect")
LAYOUTS = ("channels_last", "channels_first")


def pictures(rng: np.random.Generator, dtype: str = "float32", batch: bool = True, first: bool = False) -> np.ndarray:
    """Return images of the one shape that all calls share, so that Keras compiles little."""
    values = rng.uniform(0, 255, (2, 8, 6, 3)) if dtype == "uint8" else rng.normal(size=(2, 8, 6, 3))
    x = values.astype(dtype)
    x = x.transpose(0, 3, 1, 2) if first else x
    return np.ascontiguousarray(x if batch else x[0])


def either(rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
    """Return images of a drawn layout and number of axes, and their layout as an option."""
    first, single = [(False, False), (False, False), (True, False), (False, True), (True, True)][rng.integers(5)]
    return pictures(rng, batch=not single, first=first), {"data_format": LAYOUTS[first]}


def resize(rng: np.random.Generator) -> Any:
    keep = rng.choice(["", "", "crop_to_aspect_ratio", "pad_to_aspect_ratio"])
    x, options = either(rng)
    kind = str(rng.choice(["float32", "float32", "uint8"]))
    x = np.abs(x * 60).astype(kind)
    options |= {str(keep): True} if keep else {}
    options |= {"fill_value": 3.0} if rng.integers(2) and kind == "float32" else {}
    options["interpolation"] = str(rng.choice(["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"]))
    size = [(4, 9), (11, 3)][rng.integers(2)]
    return (x, size), {"antialias": bool(rng.integers(2)), **options}


def crop(rng: np.random.Generator) -> Any:
    x, options = either(rng)
    rows = [{"top_cropping": 2, "bottom_cropping": 1}, {"top_cropping": 1, "target_height": 4}]
    rows.append({"bottom_cropping": 0, "target_height": 8})
    columns = [{"left_cropping": 1, "right_cropping": 2}, {"right_cropping": 3, "target_width": 2}]
    return (x,), {**rows[rng.integers(3)], **columns[rng.integers(2)], **options}


def pad(rng: np.random.Generator) -> Any:
    x, options = either(rng)
    rows = [{"top_padding": 2, "bottom_padding": 1}, {"top_padding": 1, "target_height": 11}]
    columns = [{"left_padding": 1, "right_padding": 0}, {"right_padding": 3, "target_width": 9}]
    return (x,), {**rows[rng.integers(2)], **columns[rng.integers(2)], **options}


def patches(rng: np.random.Generator) -> Any:
    x, options = either(rng)
    options["padding"] = str(rng.choice(["valid", "same"]))
    if rng.integers(2):
        options["strides"] = int(rng.integers(1, 3))
    else:
        options["dilation_rate"], options["strides"] = 2, 1
    return (x, [2, (3, 2)][rng.integers(2)]), options


def patches_3d(rng: np.random.Generator) -> Any:
    x = rng.normal(size=(1, 4, 6, 5, 2)).astype(np.float32)
    first = bool(rng.integers(2))
    x = np.moveaxis(x, -1, 1) if first else x
    options = {"data_format": LAYOUTS[first], "padding": str(rng.choice(["valid", "same"])), "strides": 2}
    return (np.ascontiguousarray(x if rng.integers(2) else x[0]), (2, 3, 2)), options


def affine(rng: np.random.Generator) -> Any:
    x, options = either(rng)
    by = np.array([1, 0, 0, 0, 1, 0, 0, 0]) + rng.normal(size=(len(x) if x.ndim == 4 else 1, 8)) * 0.4
    by[:, [2, 5]] += rng.normal(size=2) * 6
    by[:, 6:] = 0
    by = by.astype(np.float32)
    options |= {"fill_mode": str(rng.choice(FILL)), "interpolation": str(rng.choice(["bilinear", "nearest"]))}
    return (x, by if x.ndim == 4 else by[0]), {"fill_value": float(rng.integers(3)), **options}


def perspective(rng: np.random.Generator) -> Any:
    x, options = either(rng)
    start = np.array([[0, 0], [5, 0], [0, 7], [5, 7]], np.float32)
    end = start + rng.uniform(-1.5, 1.5, (2, 4, 2)).astype(np.float32)
    points = (np.stack([start, start]), end) if x.ndim == 4 else (start, end[0])
    return (x, *points), {"fill_value": 2.0, "interpolation": str(rng.choice(["bilinear", "nearest"])), **options}


def coordinates(rng: np.random.Generator) -> Any:
    x = rng.normal(size=(7, 5)).astype(np.float32)
    if rng.integers(3) == 0:
        x = (x * 50).astype(np.int32)
    at = rng.uniform(-14, 14, (2, 4, 6)).astype(np.float32)
    return (x, at, int(rng.integers(2)), str(rng.choice(FILL))), {"fill_value": float(rng.integers(4))}


def colors(rng: np.random.Generator) -> Any:
    x, options = either(rng)
    x = 1 / (1 + np.exp(-x))
    x.reshape(-1)[::7] = 0.5
    return (x,), options


def blur(rng: np.random.Generator) -> Any:
    x, options = either(rng)
    sizes = [(5, 2), (7, 9)]
    return (x, sizes[rng.integers(2)], tuple(map(float, rng.uniform(0.3, 3, 2)))), options


def sobel(rng: np.random.Generator) -> Any:
    first = bool(rng.integers(2))
    return (pictures(rng, first=first),), {"data_format": LAYOUTS[first]}


def similarity(rng: np.random.Generator) -> Any:
    x, options = either(rng)
    y = x + rng.normal(size=x.shape).astype(np.float32) * 0.1
    return (x, y), {"max_val": 4.0, "filter_size": 5, **options}


def scaled(rng: np.random.Generator) -> Any:
    x, by, to = pictures(rng), rng.uniform(0.4, 2.5, 2), rng.normal(size=2) * 3
    method = str(rng.choice(["linear", "bilinear", "cubic", "lanczos3", "lanczos5"]))
    tail = (by.astype(np.float32), to.astype(np.float32), (1, 2), method)
    return (x, (2, 9, 5, 3), *tail), {"antialias": bool(rng.integers(2))}


FUNCTIONS: dict[str, Draw] = {
    "affine_transform": affine,
    "crop_images": crop,
    "extract_patches": patches,
    "extract_patches_3d": patches_3d,
    "gaussian_blur": blur,
    "hsv_to_rgb": colors,
    "map_coordinates": coordinates,
    "pad_images": pad,
    "perspective_transform": perspective,
    "resize": resize,
    "rgb_to_grayscale": colors,
    "rgb_to_hsv": colors,
    "scale_and_translate": scaled,
    "sobel_edges": sobel,
    "ssim": similarity,
}
