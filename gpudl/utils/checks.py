"""Checks of arguments."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

import numpy as np


def require_number(who: str, least: float = -inf, most: float = inf, **values: object) -> None:
    """Raise ValueError unless each of `values` is a number from `least` to `most`.

    Args:
        who: whose argument it is, for the error.
        least: the smallest allowed number.
        most: the largest allowed number.
        **values: the arguments by name.

    Example:
        >>> require_number("Dropout", 0, 1, rate=0.5)
        >>> require_number("Dropout", 0, 1, rate="half")
        Traceback (most recent call last):
        ...
        ValueError: Dropout: rate must be a number from 0 to 1, got 'half'.
    """
    for name, value in values.items():
        number = value if isinstance(value, int | float | np.number) and not isinstance(value, bool) else None
        if number is None or not least <= number <= most:
            bounds = f" from {least} to {most}" if most < inf else f" of at least {least}" if least > -inf else ""
            raise ValueError(f"{who}: {name} must be a number{bounds}, got {value!r}.")


def require_whole(who: str, least: float = -inf, **values: object) -> None:
    """Raise ValueError unless each of `values` is an integer of at least `least`.

    Example:
        >>> require_whole("TopK", 1, k=0)
        Traceback (most recent call last):
        ...
        ValueError: TopK: k must be a whole number of at least 1, got 0.
    """
    for name, value in values.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            bounds = f" of at least {least}" if least > -inf else ""
            raise ValueError(f"{who}: {name} must be a whole number{bounds}, got {value!r}.")


def positive(who: str, **size: object) -> int:
    """Return a size, given by its name, as an integer; raise ValueError unless it is positive.

    Example:
        >>> positive("Dense", units=np.int64(3))
        3
        >>> positive("Dense", units=0)
        Traceback (most recent call last):
        ...
        ValueError: Dense: units must be a positive integer, got 0.
    """
    ((name, value),) = size.items()
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{who}: {name} must be a positive integer, got {value!r}.")
    return int(value)


def sizes(who: str, name: str, shape: Any) -> tuple[int | None, ...]:
    """Return a shape as a tuple of integers, with None for any size.

    Raises:
        ValueError: it is not a tuple or list of sizes.

    Example:
        >>> sizes("Input", "shape", [28, np.int64(28), None])
        (28, 28, None)
        >>> sizes("Input", "shape", 784)
        Traceback (most recent call last):
        ...
        ValueError: Input: shape must be a tuple of sizes, got 784. Write shape=(784,), with the comma.
    """
    if isinstance(shape, int | np.integer):
        raise ValueError(
            f"{who}: {name} must be a tuple of sizes, got {shape!r}. Write {name}=({shape},), with the comma."
        )
    listed = list(shape) if isinstance(shape, Iterable) and not isinstance(shape, str) else [shape]
    if not all(n is None or (isinstance(n, int | np.integer) and n >= 0) for n in listed):
        raise ValueError(f"{who}: {name} must be a tuple of integers, or None for any size, got {shape!r}.")
    return tuple(None if n is None else int(n) for n in listed)
