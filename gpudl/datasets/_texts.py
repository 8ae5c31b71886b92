"""Texts as lists of the numbers of their words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpudl.datasets._source import DamagedFileError, member, members, regular

Texts = list[list[int]]
Labels = NDArray[np.integer]
Objects = NDArray[np.object_]
Part = tuple[Objects, Labels]


def read_texts(path: Path, *names: tuple[str, str]) -> list[tuple[Texts, Labels]]:
    """Read the texts and the labels of some pairs of arrays of an .npz file, or raise DamagedFileError."""

    def check(shape: tuple[int, ...], dtype: np.dtype) -> None:
        if len(shape) != 1 or dtype.kind not in "Oiu":
            raise DamagedFileError(f"expected lists of numbers and labels (N,), found {dtype} {shape}")

    with members(path) as archive:
        pairs = [(member(archive, x, check), member(archive, y, check)) for x, y in names]
    for x, y in pairs:
        if x.dtype != object or y.dtype == object or len(x) != len(y):
            raise DamagedFileError(f"expected as many lists as labels, found {x.dtype} {x.shape}, {y.dtype} {y.shape}")
        if not all(isinstance(text, list) and set(map(type, text)) <= {int} for text in x):
            raise DamagedFileError("expected lists of whole numbers")
    return [(list(x), y) for x, y in pairs]  # type: ignore[misc]


def read_words(path: Path) -> dict[str, int]:
    """Read the numbers of words from a .json file, or raise DamagedFileError."""
    try:
        with regular(path) as file:
            words = json.load(file)
    except ValueError as error:
        raise DamagedFileError(str(error)) from error
    if not isinstance(words, dict) or not set(map(type, words.values())) <= {int}:
        raise DamagedFileError("expected a number for each word")
    return words


def mixed(texts: Texts, labels: Labels, rng: np.random.RandomState) -> tuple[Texts, Labels]:
    """Return the texts, with their labels, in a random order."""
    order = np.arange(len(texts))
    rng.shuffle(order)
    return [texts[number] for number in order], labels[order]


def begun(texts: Texts, start_char: int | None, index_from: int) -> Texts:
    """Return the texts with `index_from` added to the number of each word, and `start_char` in front."""
    first = [] if start_char is None else [start_char]
    if start_char is None and not index_from:
        return texts
    return [first + [word + index_from for word in text] for text in texts]


def shorter(texts: Texts, labels: Labels, maxlen: int | None) -> tuple[Texts, Labels]:
    """Return the texts with fewer than `maxlen` words; all where that is None or 0.

    Raises:
        ValueError: there are none.
    """
    if not maxlen:
        return texts, labels
    kept = [number for number, text in enumerate(texts) if len(text) < maxlen]
    if not kept:
        raise ValueError(f"No text has fewer words than maxlen={maxlen}. Pass a larger one.")
    return [texts[number] for number in kept], labels[kept]


def limited(texts: Texts, num_words: int | None, skip_top: int, oov_char: int | None) -> Texts:
    """Return the texts with the words from `skip_top` to below `num_words`; `oov_char`, if any, stands for others."""
    most = num_words or max(map(max, filter(None, texts)))
    if oov_char is None:
        return [[word for word in text if skip_top <= word < most] for text in texts]
    return [[word if skip_top <= word < most else oov_char for word in text] for text in texts]


def objects(texts: Iterable[list[int]]) -> Objects:
    """Return an array whose elements are the lists."""
    return np.array(list(texts), dtype=object)
