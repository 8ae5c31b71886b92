"""The module that a test installs as `cupy`: NumPy's functions over arrays on the device."""

from __future__ import annotations

import sys
import types
from math import prod
from typing import Any

import numpy as np

from strict_cupy import cuda
from strict_cupy.array import DevArray, arrays, device, host
from strict_cupy.raw import RawKernel, RawModule
from strict_cupy.work import machine, meter, refuse_blas, spoil, submit

__all__ = ["RawKernel", "RawModule", "cuda"]
__version__ = "14.2.0"

ndarray = DevArray

_ABSENT = frozenset(
    [
        "asmatrix",
        "block",
        "bmat",
        "busday_count",
        "busday_offset",
        "einsum_path",
        "frompyfunc",
        "fromregex",
        "geomspace",
        "getbufsize",
        "geterr",
        "geterrcall",
        "histogram_bin_edges",
        "insert",
        "is_busday",
        "isnat",
        "matvec",
        "nanpercentile",
        "nanquantile",
        "nested_iters",
        "polyder",
        "polydiv",
        "polyint",
        "setbufsize",
        "seterr",
        "seterrcall",
        "spacing",
        "unstack",
        "vecdot",
        "vecmat",
    ]
)
_BLAS = frozenset(["dot", "einsum", "inner", "matmul", "tensordot", "vdot"])
_ANSWERED_ON_HOST = frozenset(
    ["argwhere", "bincount", "compress", "extract", "flatnonzero", "histogram", "nonzero", "unique"]
)
_WRITES_FIRST = frozenset(["copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"])
_ANSWERS_BOOL = frozenset(["allclose", "array_equal", "array_equiv"])
_NO_SUCH_ARGUMENT = {"take": {"mode"}, "einsum": {"out"}, "copyto": set()}
_NEVER = {"where", "initial", "subok", "signature"}
_PLACEHOLDER = 0x7F7F7F7F


class Function:
    """A function of NumPy that takes and returns device arrays only."""

    def __init__(self, name: str, function: Any) -> None:
        self.__name__ = name
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name, function = self.__name__, self._function
        wrong = (_NO_SUCH_ARGUMENT.get(name, _NEVER)) & kwargs.keys()
        if wrong:
            raise TypeError(f"cupy.{name} has no argument {', '.join(sorted(wrong))}.")
        if name in _BLAS:
            refuse_blas()
        if name in _ANSWERED_ON_HOST or (name == "where" and len(args) == 1):
            meter.synchronize(f"cupy.{name}, whose size the host must know")
        writes = arrays(kwargs.get("out"), args[:1] if name in _WRITES_FIRST else ())
        if isinstance(function, np.ufunc):
            if any(isinstance(arg, (list, tuple)) for arg in args):
                raise TypeError(f"Unsupported type {list}")
            writes += arrays(*args[function.nin :])
            self._check_out(args, writes)
        inputs, named = host(args), {key: host(value) for key, value in kwargs.items()}
        result = submit(lambda: function(*inputs, **named), arrays(*args, *kwargs.values()), writes)
        if name in _ANSWERS_BOOL:
            return DevArray(np.asarray(result))
        return device(result)

    def _check_out(self, args: tuple[Any, ...], writes: list[np.ndarray]) -> None:
        """Refuse an `out` that NumPy would broadcast to."""
        if self._function.signature is None and writes:
            shape = np.broadcast_shapes(*(np.shape(host(arg)) for arg in args[: self._function.nin]))
            if any(each.shape != shape for each in writes):
                raise ValueError(f"Out shape is mismatched: {shape} into {[w.shape for w in writes]}")

    def at(self, a: DevArray, indices: Any, b: Any) -> None:
        """Do the operation in place at `indices`, once for each of them."""
        target, where, value = host((a, indices, b))
        submit(lambda: self._function.at(target, where, value), writes=[target])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)


class Functions:
    """A module of NumPy's whose functions take and return device arrays only; they cannot be captured."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        refuse_blas()
        return Function(name, getattr(self._module, name))


linalg, fft = Functions(np.linalg), Functions(np.fft)


def __getattr__(name: str) -> Any:
    if name == "random":
        meter.refuse("cupy.random")
    found = None if name in _ABSENT else getattr(np, name, None)
    if found is None or isinstance(found, types.ModuleType):
        raise AttributeError(f"the strict double of CuPy has no {name!r}.")
    return Function(name, found) if callable(found) and not isinstance(found, type) else found


def asarray(a: Any, dtype: Any = None, order: str | None = None) -> DevArray:
    if isinstance(a, DevArray):
        return a if dtype in (None, a.dtype) else a.astype(dtype)
    return array(a, dtype, order=order)


def array(obj: Any, dtype: Any = None, copy: bool = True, order: str | None = None) -> DevArray:
    if isinstance(obj, DevArray):
        return obj.astype(obj.dtype if dtype is None else dtype)
    machine.allocate(np.asarray(obj, dtype).nbytes)
    meter.copy_in()
    return DevArray(np.array(obj, dtype, order=order or "K"))


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: np.ndarray | None = None) -> np.ndarray:
    return a.get(stream, order, out) if isinstance(a, DevArray) else np.asarray(a)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> DevArray:
    meter.allocate()
    machine.allocate(prod(shape if isinstance(shape, tuple) else (shape,)) * np.dtype(dtype).itemsize)
    made = np.empty(shape, dtype, order)
    spoil(made, _PLACEHOLDER & np.iinfo(made.dtype).max if made.dtype.kind in "iu" else 1)
    return DevArray(made)


def empty_like(prototype: DevArray, dtype: Any = None) -> DevArray:
    return empty(prototype.shape, dtype or prototype.dtype)


def get_array_module(*args: Any) -> Any:
    return sys.modules[__name__] if any(isinstance(arg, DevArray) for arg in args) else np


def get_default_memory_pool() -> cuda.MemoryPool:
    return cuda.default_pool


def is_available() -> bool:
    return True
