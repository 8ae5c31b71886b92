"""MNIST for tests: the real file where there is one, else digits drawn by program, tiled to MNIST's size."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np

from gpudl.datasets import synthetic_digits

REPOSITORY = Path(__file__).resolve().parents[1]
SIZES = {"train": 60_000, "test": 10_000}


def real() -> Path | None:
    """Return the real mnist.npz, of $GPUDL_TEST_MNIST or beside the repository, if it is there."""
    named = os.environ.get("GPUDL_TEST_MNIST")
    path = Path(named) if named else REPOSITORY.parent / "shared" / "data" / "mnist.npz"
    return path if path.is_file() else None


def write_synthetic(path: Path) -> Path:
    """Write a file like mnist.npz with drawn digits and return its path."""
    arrays = {}
    for name, (images, labels) in zip(SIZES, synthetic_digits.load_data(train=1000, test=500), strict=True):
        times = SIZES[name] // len(images)
        arrays[f"x_{name}"] = np.tile(images, (times, 1, 1))
        arrays[f"y_{name}"] = np.tile(labels, times)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def real_or_synthetic(path: Path) -> Path:
    """Put a file like mnist.npz at `path`, the real one where there is one."""
    found = real()
    if found is None:
        return write_synthetic(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(found)
    return path


@cache
def digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `count` training images, float32 from 0 to 1 in (N, 28, 28), and one-hot labels."""
    found = real()
    if found is None:
        (images, labels), _ = synthetic_digits.load_data(train=count, test=0)
    else:
        with np.load(found) as arrays:
            images, labels = arrays["x_train"][:count], arrays["y_train"][:count]
    return images.astype(np.float32) / 255, np.eye(10, dtype=np.float32)[labels]
