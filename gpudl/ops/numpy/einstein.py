"""Sums of products in Einstein's notation, with Keras's arguments and dtypes."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError, promote
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.contraction import Labels, contracted
from gpudl.ops.primitives import elementwise

__all__ = [
    "einsum",
]

_EQUATION = re.compile(r"[A-Za-z.]*(,[A-Za-z.]*)*(->[A-Za-z.]*)?")


def einsum(subscripts: str, *operands: TensorLike, **kwargs: object) -> Tensor:
    """Return sums of products over the axes of tensors, each named by a letter.

    Args:
        subscripts: the letters of the axes of each operand, with commas between, ``->``, and those of the result, such
            as ``"bij,bjk->bik"``. What the result does not have is summed. A letter that one operand has twice is its
            diagonal; ``...`` stands for any axes, which are broadcast. Without ``->`` the result has the letters that
            occur once, in the order of the alphabet.
        operands: the tensors.
        kwargs: `optimize` of NumPy's function, without effect: the order of the products is chosen by their sizes.

    Raises:
        ValueError: the subscripts cannot be read, or are for other operands.
        ShapeError: axes of one name have different sizes.

    Example:
        >>> einsum("ij,j->i", [[1.0, 2.0], [3.0, 4.0]], [1.0, 10.0]).numpy()
        array([21., 43.], dtype=float32)
    """
    if others := kwargs.keys() - {"optimize"}:
        raise TypeError(f"einsum has no argument {min(others)!r}: it takes the subscripts and the operands.")
    if not isinstance(subscripts, str):
        raise TypeError(f"einsum takes the subscripts first, such as 'ij,jk->ik', got {type(subscripts).__name__}.")
    like = next((x for x in operands if isinstance(x, Tensor)), None)
    tensors = [operand(x, like) for x in operands]
    terms, result = _parsed(subscripts, tuple(t.ndim for t in tensors))
    dtype = promote(*(t.dtype for t in tensors))
    if dtype == np.int8:  # whose products overflow immediately
        dtype = np.dtype(np.int32)
    tensors = [t if t.dtype == dtype else elementwise.cast(t, dtype=dtype) for t in tensors]
    try:
        return contracted(tensors, terms, result)
    except ShapeError as error:
        shapes = ", ".join(map(str, (t.shape for t in tensors)))
        raise ShapeError(f"einsum {subscripts!r} of {shapes}: {error}") from None


@lru_cache(maxsize=1024)
def _parsed(subscripts: str, axes: tuple[int, ...]) -> tuple[list[Labels], Labels]:
    """Return the labels of the axes of each operand and of the result; those of ``...`` are numbers, from the last."""
    text = subscripts.replace(" ", "")
    if not _EQUATION.fullmatch(text) or any(part.replace("...", "", 1).count(".") for part in re.split("->|,", text)):
        raise ValueError(
            f"einsum cannot read {subscripts!r}: expected the letters of each operand's axes, with commas between, and "
            "those of the result after ->, such as 'ij,jk->ik'; ... stands for any axes."
        )
    before, arrow, after = text.partition("->")
    parts = before.split(",")
    if len(parts) != len(axes):
        raise ValueError(f"einsum {subscripts!r} names the axes of {len(parts)} operands, but {len(axes)} were given.")
    terms = [_labels(subscripts, part, ndim) for part, ndim in zip(parts, axes, strict=True)]
    rest = tuple(range(min((label for labels in terms for label in labels if isinstance(label, int)), default=0), 0))
    letters = [label for labels in terms for label in labels if isinstance(label, str)]
    if not arrow:
        after = ("..." if rest else "") + "".join(sorted(c for c in letters if letters.count(c) == 1))
    head, dots, tail = after.partition("...")
    result: Labels = (*head, *(rest if dots else ()), *tail)
    unknown = [c for c in head + tail if c not in letters]
    if unknown or len(set(result)) < len(result):
        raise ValueError(
            f"einsum {subscripts!r}: each axis of the result must be one of an operand, and be named once."
        )
    return terms, result


def _labels(subscripts: str, part: str, ndim: int) -> Labels:
    head, dots, tail = part.partition("...")
    rest = ndim - len(head) - len(tail)
    if rest < 0 or (rest and not dots):
        raise ValueError(f"einsum {subscripts!r}: {part!r} names the axes of an operand that has {ndim}.")
    return (*head, *range(-rest, 0), *tail)
