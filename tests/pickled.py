"""What tests put into pickled files."""

from __future__ import annotations

import os

import numpy as np


def lists(*rows: list[int]) -> np.ndarray:
    array = np.empty(len(rows), object)
    for number, row in enumerate(rows):
        array[number] = row
    return array


class Evil:
    """What runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("ran",)
