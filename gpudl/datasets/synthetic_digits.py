"""Digits drawn by a program, in MNIST's format: data to train on where MNIST is not available.

A glyph is a few strokes through control points. Each image moves the points a little, maps them by a random
affine map, and draws the strokes with a soft brush.
"""

import math
import operator
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gpudl.datasets._source import CLASSES, Split

Floats = NDArray[np.float32]

_SIDE = 28
_BOX = 19.0  # pixels that a glyph's unit square covers before it is scaled
_DABS = 48  # brush dabs a glyph; their distance stays below twice the thinnest brush
_CHUNK = 1000  # images drawn at once: their dabs fit the cache

# (digit, control points "x,y" in hundredths of the unit square with y down, strokes as numbers of points). A
# stroke is a smooth curve; two that meet at a point make a corner, one that ends where it began is a loop.
_GLYPHS = (
    (0, "50,4 76,18 85,50 76,82 50,96 24,82 15,50 24,18", "012345670"),
    (1, "50,4 50,50 50,96", "012"),
    (1, "30,27 52,4 52,96", "01 12"),
    (1, "30,25 50,4 50,95 26,95 74,95", "01 12 34"),
    (2, "18,27 30,9 55,4 77,20 72,42 45,70 16,95 86,94", "0123456 67"),
    (2, "20,22 50,4 76,24 62,54 33,88 16,86 28,74 86,92", "01234567"),
    (3, "20,14 50,4 75,22 62,41 40,47 70,54 82,74 56,95 18,86", "01234 45678"),
    (3, "20,6 78,6 44,40 72,48 82,70 56,95 17,85", "01 12 23456"),
    (4, "24,6 16,54 86,52 72,8 64,96", "01 12 34"),
    (4, "62,4 12,62 88,62 62,96", "01 12 03"),
    (5, "80,5 30,6 25,44 52,37 80,54 77,82 48,96 17,86", "01 12 234567"),
    (6, "68,4 40,24 22,55 26,83 50,96 77,80 72,58 48,50 25,68", "012345678"),
    (7, "15,8 84,7 58,48 42,96", "01 123"),
    (7, "15,10 84,8 58,50 40,96 32,50 80,49", "01 123 45"),
    (8, "50,47 24,26 50,4 76,26 20,74 50,96 80,74", "012304560"),
    (9, "76,28 54,5 26,24 44,50 68,44 68,96", "012340 05"),
    (9, "77,27 54,5 26,24 44,50 68,44 77,62 60,93 24,90", "012340 0567"),
)


def load_data(train: int = 60_000, test: int = 10_000, seed: int = 0) -> Split:
    """Return images of drawn digits, with equally many of each digit, in random order.

    Args:
        train: the number of training images.
        test: the number of test images, drawn from random numbers of their own.
        seed: the same seed gives the same images on the same machine and NumPy version.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``, all uint8, as MNIST: images (N, 28, 28) with white (255) ink
        on black (0), labels (N,) from 0 to 9.

    Raises:
        ValueError: when a count or the seed is negative.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data(train=1000, test=100)
        >>> x_train.shape, x_train.dtype, np.bincount(y_test)
        ((1000, 28, 28), dtype('uint8'), array([10, 10, 10, 10, 10, 10, 10, 10, 10, 10]))
    """
    for name, value in {"train": train, "test": test, "seed": seed}.items():
        if operator.index(value) < 0:
            raise ValueError(f"{name} must not be negative, got {value}.")
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2)]
    return _draw(train, streams[0]), _draw(test, streams[1])


def _draw(count: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    labels = rng.permutation(np.arange(count) % CLASSES).astype(np.uint8)
    images = np.empty((count, _SIDE, _SIDE), np.uint8)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        images[part] = _render(labels[part], rng)
    return images, labels


def _render(labels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    # labels (N,) -> images (N, 28, 28)
    n = len(labels)
    digits, control, middle, step = _glyphs()
    first, variants = np.searchsorted(digits, np.arange(CLASSES)), np.bincount(digits)
    glyph = first[labels] + rng.integers(variants[labels])

    points = control[glyph] + rng.normal(0, 0.03, (n, *control.shape[1:])).astype(np.float32)
    points = (points - 0.5) @ _affine(n, rng)
    center = rng.normal((_SIDE - 1) / 2, 1, (n, 1, 2)).astype(np.float32)
    dabs = middle[glyph] @ points + center
    length = np.linalg.norm(step[glyph] @ points, axis=-1)

    # A dab is a Gaussian, which is the product of one over rows and one over columns, so drawing all dabs of
    # an image is one product of small matrices. Weighed by length / (width sqrt(2 pi)) they add up to 1 in
    # the middle of a stroke.
    width = rng.uniform(0.75, 1.45, (n, 1)).astype(np.float32)
    pixel = np.arange(_SIDE, dtype=np.float32)
    brush = np.exp(-0.5 * ((dabs[..., None] - pixel) / width[..., None, None]) ** 2)
    weight = length / (width * math.sqrt(2 * math.pi))
    ink = np.swapaxes(brush[:, :, 1] * weight[..., None], 1, 2) @ brush[:, :, 0]

    # Steeper than the brush: strokes get a full middle and a short, smooth edge.
    image = np.clip(1.7 * ink - 0.35, 0, 1)
    image *= rng.uniform(0.75, 1, (n, 1, 1)).astype(np.float32)
    image += rng.uniform(0, 0.08, (n, 1, 1)).astype(np.float32) * rng.standard_normal(image.shape, np.float32)
    grey: NDArray[np.uint8] = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)
    return grey


def _affine(n: int, rng: np.random.Generator) -> Floats:
    """Return (N, 2, 2) maps from the unit square to pixels, for row vectors: scale, shear, then rotate."""
    angle, shear = rng.normal(0, 0.13, n), rng.normal(0.1, 0.2, n)
    width, height = rng.uniform(0.65, 1.1, n) * _BOX, rng.uniform(0.85, 1.1, n) * _BOX
    cos, sin = np.cos(angle), np.sin(angle)
    rows = [[width * cos, width * sin], [-height * (sin + shear * cos), height * (cos - shear * sin)]]
    return np.moveaxis(np.array(rows, np.float32), 2, 0)


@cache
def _glyphs() -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """Return the glyphs' digits (G,), control points (G, C, 2) and two maps (G, 48, C) from points to dabs.

    The middle of each dab and the step along the stroke that it stands for are both linear in the points.
    """
    most = max(len(points.split()) for _, points, _ in _GLYPHS)
    control = np.zeros((len(_GLYPHS), most, 2), np.float32)
    middle = np.zeros((len(_GLYPHS), _DABS, most), np.float32)
    step = np.zeros_like(middle)
    for g, (_, points, strokes) in enumerate(_GLYPHS):
        given = np.array([point.split(",") for point in points.split()], np.float32) / 100
        control[g, : len(given)] = given
        paths = [[int(number) for number in stroke] for stroke in strokes.split()]
        lengths = [np.linalg.norm(np.diff(given[path], axis=0), axis=1).sum() for path in paths]
        ends = np.rint(_DABS * np.cumsum([0, *lengths]) / sum(lengths)).astype(int)
        for path, begin, end in zip(paths, ends[:-1], ends[1:], strict=True):
            curve = _spline(path, end - begin, most)
            middle[g, begin:end] = (curve[1:] + curve[:-1]) / 2
            step[g, begin:end] = curve[1:] - curve[:-1]
    return np.array([digit for digit, _, _ in _GLYPHS]), control, middle, step


def _spline(stroke: Sequence[int], pieces: int, columns: int) -> Floats:
    """Return the (pieces + 1, columns) map from control points to a Catmull-Rom curve through a stroke."""
    knots = np.eye(columns)[list(stroke)]
    if stroke[0] == stroke[-1]:
        before, after = knots[-2], knots[1]
    else:
        before, after = 2 * knots[0] - knots[1], 2 * knots[-1] - knots[-2]
    knots = np.vstack([before, knots, after])
    position = np.linspace(0, len(stroke) - 1, pieces + 1)
    i = np.minimum(position.astype(int), len(stroke) - 2)
    t = (position - i)[:, None]
    p0, p1, p2, p3 = knots[i], knots[i + 1], knots[i + 2], knots[i + 3]
    curve = p1 + t / 2 * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.asarray(curve, np.float32)
