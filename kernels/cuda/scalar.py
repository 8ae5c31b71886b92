"""NumPy's dtypes in CUDA C++: the types in which they are stored and computed, their casts and literals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite, isnan

import numpy as np

_WHOLE = {
    **{"int8": "SignedByte", "int16": "Short", "int32": "int", "int64": "Long"},
    **{"uint8": "Byte", "uint16": "UnsignedShort", "uint32": "unsigned"},
}
_HALVES = {"float16": ("__half", "cuda_fp16.h"), "bfloat16": ("__nv_bfloat16", "cuda_bf16.h")}
_PLAIN = {**_WHOLE, "bool": "bool", "float32": "float", "float64": "double"}


@dataclass(frozen=True)
class Scalar:
    """A dtype in C++. Half precision is stored in 16 bits and computed in float.

    Attributes:
        dtype: the NumPy dtype.
        stored: the C++ type of an array's elements.
        computed: the C++ type of a variable.
        header: the header that defines `stored`, if one is needed.
    """

    dtype: np.dtype
    stored: str
    computed: str
    header: str = ""

    @property
    def floating(self) -> bool:
        """Whether it is a floating-point dtype."""
        return "float" in self.dtype.name

    @property
    def whole(self) -> bool:
        """Whether it is a dtype of integers."""
        return self.dtype.name in _WHOLE

    def rounded(self, text: str) -> str:
        """Return an expression of type `computed`, rounded to a value that `stored` can represent."""
        return f"float({self.stored}({text}))" if self.header else text

    def cast(self, text: str, source: Scalar) -> str:
        """Return an expression of dtype `source` cast to this dtype."""
        if self == source:
            return text
        if self.dtype == np.bool_:
            return f"({text} != {source.literal(0)})"
        if self.header:
            return self.rounded(text if source.floating else f"float({text})")
        return text if self.computed == source.computed else f"{self.computed}({text})"

    def literal(self, value: float) -> str:
        """Return a literal of type `computed` for a value that is first rounded to the dtype; beyond it is infinity.

        Example:
            >>> scalar(np.dtype("float32")).literal(0.1), scalar(np.dtype("int64")).literal(-1)
            ('float(0x1.99999a0000000p-4)', 'Long(0xffffffffffffffffull)')
        """
        with np.errstate(over="ignore"):
            exact = self.dtype.type(value)
        if not self.floating:
            return f"{self.computed}(0x{int(exact) & 0xFFFFFFFFFFFFFFFF:x}ull)"
        number = float(exact)
        if isfinite(number):
            return f"{self.computed}({number.hex()})"
        bits = "7fc00000" if isnan(number) else "7f800000" if number > 0 else "ff800000"
        return f"{self.computed}(__int_as_float(0x{bits}))"


@lru_cache(maxsize=64)
def scalar(dtype: np.dtype) -> Scalar | None:
    """Return the `Scalar` of a dtype, or None if generated kernels do not support it."""
    if dtype.name in _HALVES:
        stored, header = _HALVES[dtype.name]
        return Scalar(dtype, stored, "float", header)
    plain = _PLAIN.get(dtype.name)
    return None if plain is None else Scalar(dtype, plain, plain)
