"""Softmax and cross-entropies, row by row, by the kernels of `loss.cu`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..registry import accelerates
from .launch import Array, contiguous, function, index, launch, real
from .sharing import ITEMS, compiled, elements, lanes_of, macros, start_rows

FILE = "loss.cu"
_LABELS = {
    **{"int8": "signed char", "int16": "short", "int32": "int", "int64": "long long"},
    **{f"uint{bits}": f"unsigned {name}" for bits, name in ((8, "char"), (16, "short"), (32, "int"))},
    "uint64": "unsigned long long",
}


@dataclass(frozen=True)
class RowKernel:
    """A kernel that works on rows of classes.

    Args:
        name: name of the kernel and of its op.
        matrix: index of the array that has rows of classes, (..., C).
        labels: whether the last array holds integers, (...).
        sums: whether the threads of a row reduce it, or each element is computed separately.
    """

    name: str
    matrix: int
    labels: bool = False
    sums: bool = True

    def supports(self, *arrays: Array) -> bool:
        """Accept C-contiguous arrays of one floating-point dtype, and labels, if the kernel compiles."""
        labels = [arrays[-1].dtype.name] if self.labels else []
        floats = arrays[:-1] if self.labels else arrays
        fits = (
            arrays[self.matrix].size > 0
            and contiguous(*arrays)
            and len({a.dtype for a in floats}) == 1
            and real(*floats) is not None
            and _LABELS.keys() >= set(labels)
        )
        return fits and function(FILE, self.name, **self._macros(arrays)) is not None

    def __call__(self, *arrays: Array) -> None:
        """Launch the kernel on the current stream; raise RuntimeError if it does not compile."""
        matrix = arrays[self.matrix]
        classes = matrix.shape[-1]
        given = self._macros(arrays)
        kernel = compiled(FILE, self.name, [a for a in arrays if a.shape == matrix.shape], given)
        kind = index(*arrays)[1]
        count, wide = matrix.size // classes, int(given["GPUDL_WIDTH"])
        if self.sums:
            lanes = lanes_of(classes // wide, ITEMS // wide)
            start_rows(kernel, count, lanes, (*arrays, kind(count), kind(classes), np.int32(lanes)))
        else:
            launch(kernel, matrix.size // wide, (*arrays, kind(count), kind(classes)))

    def _macros(self, arrays: tuple[Array, ...]) -> dict[str, str | int]:
        matrix = arrays[self.matrix]
        label = {"GPUDL_LABEL": _LABELS[arrays[-1].dtype.name]} if self.labels else {}
        return macros(arrays, elements(matrix.dtype.itemsize, matrix.shape[-1]), **label)


for _kernel in (
    RowKernel("softmax", 0),  # (y, x)
    RowKernel("log_softmax", 0),  # (y, x)
    RowKernel("softmax_cross_entropy", 1),  # (loss, p, z, t)
    RowKernel("softmax_cross_entropy_grad", 0),  # (dz, g, p, t)
    RowKernel("sparse_softmax_cross_entropy", 1, labels=True),  # (loss, p, z, labels)
    RowKernel("sparse_softmax_cross_entropy_grad", 0, labels=True, sums=False),  # (dz, g, p, labels)
):
    accelerates(_kernel.name, device="cuda", supports=_kernel.supports)(_kernel)
