"""Drawn arguments of the layers for images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SHAPE = (3, 8, 6, 3)
Options = dict[str, Any]
MODES = ("reflect", "wrap", "constant", "nearest")


def pictures(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32)


def factor(rng: np.random.Generator, low: float = 0.0, high: float = 1.0) -> Any:
    """Return a number, or two in their order or not."""
    numbers = [round(float(n), 3) for n in rng.uniform(low, high, 2)]
    return [numbers[0], tuple(sorted(numbers)), sorted(numbers)][rng.integers(3)]


def moving(rng: np.random.Generator) -> Options:
    mode, method = str(rng.choice(MODES)), str(rng.choice(["bilinear", "nearest"]))
    return {"fill_mode": mode, "interpolation": method, "fill_value": float(rng.integers(9)), **seeded(rng)}


def seeded(rng: np.random.Generator) -> Options:
    return {"seed": int(rng.integers(1, 99))}


def colored(rng: np.random.Generator) -> Options:
    return {"factor": factor(rng), **seeded(rng)}


def ranged(rng: np.random.Generator) -> Options:
    return {"value_range": [(0, 255), [0, 300], (-20, 280)][rng.integers(3)], **seeded(rng)}


def resizing(rng: np.random.Generator) -> Options:
    methods = ["bilinear", "nearest", "bicubic", "lanczos3"]
    keep = ["crop_to_aspect_ratio", "pad_to_aspect_ratio"]
    chosen = {keep[rng.integers(2)]: True} if rng.integers(2) else {}
    size = {"height": 4, "width": 9} if rng.integers(2) else {"height": 11, "width": 3}
    return {**size, "interpolation": str(rng.choice(methods)), **chosen}


Draw = Callable[[np.random.Generator], Options]
LAYERS: dict[str, Draw] = {
    "AutoContrast": lambda rng: {"value_range": [(0, 255), (0, 300)][rng.integers(2)]},
    "CenterCrop": lambda rng: {"height": int(rng.integers(1, 8)), "width": int(rng.integers(1, 6))},
    "ContrastLimitedAdaptiveHistogramEqualization": lambda rng: {
        "value_range": [(0, 255), (0, 300)][rng.integers(2)],
        "clip_limit": [4.0, 60.0, 0.0][rng.integers(3)],
        "tile_grid_size": [(2, 3), (3, 4), (1, 1)][rng.integers(3)],
    },
    "Equalization": lambda rng: {"bins": 8},
    "RandomBrightness": lambda rng: {"factor": factor(rng, -1, 1), **ranged(rng)},
    "RandomColorDegeneration": lambda rng: {"factor": factor(rng), **ranged(rng)},
    "RandomContrast": lambda rng: {"factor": factor(rng), **ranged(rng)},
    "RandomCrop": lambda rng: {"height": int(rng.integers(1, 7)), "width": int(rng.integers(1, 5)), **seeded(rng)},
    "RandomErasing": lambda rng: {"factor": factor(rng), "fill_value": [7.0, None][rng.integers(2)], **seeded(rng)},
    "RandomFlip": lambda rng: {"mode": ["horizontal", "vertical", "horizontal_and_vertical"][rng.integers(3)]},
    "RandomGaussianBlur": lambda rng: {"factor": factor(rng), "kernel_size": [3, (5, 3)][rng.integers(2)]},
    "RandomGrayscale": lambda rng: {"factor": float(rng.uniform()), **seeded(rng)},
    "RandomHue": lambda rng: {"factor": factor(rng), "value_range": (0, 255), **seeded(rng)},
    "RandomInvert": lambda rng: {"factor": factor(rng), **ranged(rng)},
    "RandomPerspective": lambda rng: {"factor": factor(rng), "scale": float(rng.uniform(0, 0.6)), **seeded(rng)},
    "RandomPosterization": lambda rng: {"factor": [int(rng.integers(2, 9)), (2, 6), (3, 3)][rng.integers(3)]},
    "RandomRotation": lambda rng: {"factor": factor(rng, -1, 1), **moving(rng)},
    "RandomSaturation": colored,
    "RandomSharpness": lambda rng: {"factor": factor(rng), **ranged(rng)},
    "RandomShear": lambda rng: {"x_factor": factor(rng), "y_factor": factor(rng), **moving(rng)},
    "RandomTranslation": lambda rng: {
        "height_factor": factor(rng, -1, 1),
        "width_factor": factor(rng, -1, 1),
        **moving(rng),
    },
    "RandomZoom": lambda rng: {
        "height_factor": factor(rng, -0.9, 1),
        "width_factor": [None, factor(rng, -0.9, 1)][rng.integers(2)],
        **moving(rng),
    },
    "Resizing": resizing,
    "Solarization": lambda rng: {"addition_factor": factor(rng), "threshold_factor": factor(rng), **ranged(rng)},
}
"""Layers whose results are Keras's where the same is drawn."""

OTHERS: dict[str, Options] = {
    "AugMix": {"num_chains": 2, "chain_depth": 1, "seed": 5},
    "CutMix": {"factor": (0.9, 1.0), "seed": 1},
    "MixUp": {"alpha": 1.0, "seed": 3},
    "MaxNumBoundingBoxes": {"max_number": 4},
    "RandAugment": {"seed": 3},
    "RandomColorJitter": {
        "brightness_factor": 0.3,
        "contrast_factor": 0.4,
        "hue_factor": 0.2,
        "saturation_factor": 0.4,
    },
    "RandomElasticTransform": {"seed": 4},
}
"""Further layers: those that draw otherwise than Keras, and chains of layers."""


def drawn(name: str, number: int = 1) -> Options:
    """Return arguments of a layer."""
    return {**OTHERS[name]} if name in OTHERS else LAYERS[name](np.random.default_rng(number))
