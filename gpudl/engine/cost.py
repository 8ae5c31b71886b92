"""The cost of an op: arithmetic operations, and bytes read.


An operation is one addition, multiplication, comparison, or one elementary function such as a quotient, a root or
an exponential: the count is that of the simplest algorithm, whatever the kernel does. Copies count nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from gpudl.backend import Static
from gpudl.engine.spec import Spec

Flops = Callable[[tuple[Spec, ...], tuple[Spec, ...], Static], int]
"""Counts operations, from the specs of an op's outs, those of its inputs, and its static arguments."""

Reads = Callable[[tuple[Spec, ...], tuple[Spec, ...]], list[int]]
"""Counts of bytes, for each input those that are read, from the specs of an op's outs and those of its inputs."""


def free(outs: tuple[Spec, ...], ins: tuple[Spec, ...], static: Static) -> int:
    """Count nothing: for ops that copy, fill, or return a view."""
    return 0


def per_output(count: int) -> Flops:
    """Count `count` operations for each element of the first out.

    Example:
        >>> import numpy as np
        >>> image = Spec((2, 3), np.dtype("float32"))
        >>> per_output(5)((image,), (), {})
        30
    """
    return lambda outs, ins, static: count * outs[0].size


def per_input(count: int) -> Flops:
    """Count `count` operations for each element of the first input."""
    return lambda outs, ins, static: count * ins[0].size


def all_read(outs: tuple[Spec, ...], ins: tuple[Spec, ...]) -> list[int]:
    """Count every input as a whole."""
    return [spec.nbytes for spec in ins]


def chosen_read(outs: tuple[Spec, ...], ins: tuple[Spec, ...]) -> list[int]:
    """Count of the first input what the out has of it, and of the others, which choose that, a number for each row.

    Example:
        >>> import numpy as np
        >>> image, number = np.dtype("float32"), np.dtype("int64")
        >>> chosen_read((Spec((2, 5), image),), (Spec((100, 5), image), Spec((100,), number)))
        [40, 16]
    """
    source, *others = ins
    rows = outs[0].size // max(prod(source.shape[1:]), 1)
    counts = (outs[0].size, *(max(rows, 1) for _ in others))
    return [min(spec.size, count) * spec.dtype.itemsize for spec, count in zip(ins, counts, strict=True)]
