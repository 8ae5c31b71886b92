"""The cost of an op in arithmetic operations.

An operation is one addition, multiplication, comparison, or one elementary function such as a quotient, a root or
an exponential: the count is that of the simplest algorithm, whatever the kernel does. Copies count nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpudl.backend import Static
from gpudl.engine.spec import Spec

Flops = Callable[[tuple[Spec, ...], tuple[Spec, ...], dict[str, Any]], int]
"""Counts operations, from the specs of an op's outs, those of its inputs, and its static arguments."""


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
