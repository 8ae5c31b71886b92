"""The double's cuBLAS: a shared library with the entry points that gpudl calls, which computes on raw addresses.

It refuses, with a status as cuBLAS does, what would be wrong or could not be captured; `refusals` says why.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cuda_cpu
import numpy as np
from numpy.lib.stride_tricks import as_strided

from strict_cupy.work import here, meter, submit

NOT_INITIALIZED, INVALID_VALUE, ARCH_MISMATCH, EXECUTION_FAILED = 1, 7, 8, 13
_LEAST_WORKSPACE, _WORKSPACE_ALIGNMENT = 32 << 20, 256
_TF32_DROPS = 13  # bits of the 23 after the point of a float32
_PARAMETERS = {
    "cublasCreate_v2": "p",
    "cublasSetStream_v2": "pp",
    "cublasSetWorkspace_v2": "ppz",
    "cublasSetMathMode": "pi",
    "cublasGemmEx": "piiiii p pii pii p pii ii",
    "cublasGemmStridedBatchedEx": "piiiii p piil piil p piil iii",
}
_IN_C = {"p": "void*", "i": "int", "l": "long long", "z": "size_t"}
_IN_CTYPES = {"p": ctypes.c_void_p, "i": ctypes.c_int, "l": ctypes.c_longlong, "z": ctypes.c_size_t}


@dataclass
class Handle:
    """What cuBLAS keeps: setting the stream takes the workspace away."""

    card: int
    stream: int = 0
    workspace: int | None = None
    math: int = 0


@dataclass(frozen=True)
class Call:
    """A product that was asked for."""

    dtype: str
    compute: int
    math: int
    count: int


handles: dict[int, Handle] = {}
calls: list[Call] = []
refusals: list[str] = []
fails: dict[str, int] = {}  # the status that an entry point shall answer, by its name


def reset() -> None:
    """Forget all handles and calls; nothing fails any more."""
    for kept in (handles, calls, refusals, fails):
        kept.clear()


def _refuse(status: int, why: str) -> int:
    refusals.append(why)
    return status


def _create(out: int) -> int:
    if meter.graph is not None:
        return _refuse(EXECUTION_FAILED, "a handle is made during a capture")
    number = len(handles) + 1
    handles[number] = Handle(here.card)
    ctypes.c_void_p.from_address(out).value = number
    return 0


def _set_stream(handle: int, stream: int | None) -> int:
    handles[handle] = Handle(handles[handle].card, stream or 0, None, handles[handle].math)
    return 0


def _set_workspace(handle: int, address: int, size: int) -> int:
    if address % _WORKSPACE_ALIGNMENT or size < _LEAST_WORKSPACE:
        return _refuse(INVALID_VALUE, "a workspace that is too small, or not aligned")
    handles[handle].workspace = address
    return 0


def _set_math(handle: int, math: int) -> int:
    handles[handle].math = math
    return 0


def _gemm_ex(*given: Any) -> int:
    (*head, one), a, b, zero, c = given[:7], given[7:10], given[10:13], given[13], given[14:17]
    return _gemm(*head, one, (*a, 0), (*b, 0), zero, (*c, 0), 1, *given[17:])


def _gemm_batched(*given: Any) -> int:
    (*head, one), a, b, zero, c = given[:7], given[7:11], given[11:15], given[15], given[16:20]
    return _gemm(*head, one, a, b, zero, c, *given[20:])


def _dtype(code: int) -> np.dtype[Any]:
    names = {0: "float32", 1: "float64", 2: "float16", 14: "bfloat16"}
    if names[code] == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(names[code])


def _gemm(
    handle: int,
    op_a: int,
    op_b: int,
    m: int,
    n: int,
    k: int,
    one: int,
    a: tuple[int, int, int, int],
    b: tuple[int, int, int, int],
    zero: int,
    c: tuple[int, int, int, int],
    count: int,
    compute: int,
    algorithm: int,
) -> int:
    """Check a product C (M, N) = A (M, K) B (K, N) of column-major matrices as cuBLAS does, and submit it."""
    if handle not in handles:
        return _refuse(NOT_INITIALIZED, "an unknown handle")
    kept = handles[handle]
    from strict_cupy.cuda import get_current_stream

    if kept.card != here.card:
        return _refuse(EXECUTION_FAILED, f"a handle of card {kept.card} is used on card {here.card}")
    if kept.stream != get_current_stream().ptr:
        return _refuse(EXECUTION_FAILED, f"the handle's stream {kept.stream} is not the current one")
    if kept.workspace is None:
        return _refuse(EXECUTION_FAILED, "the handle has no workspace, so that cuBLAS would allocate one")
    if min(m, n, k, count) < 1 or algorithm != -1:
        return _refuse(INVALID_VALUE, f"sizes {m}, {n}, {k}, {count} or algorithm {algorithm}")
    dtype = _dtype(c[1])
    if {a[1], b[1]} != {c[1]} or compute not in ({70} if dtype == np.float64 else {68, 77}):
        return _refuse(ARCH_MISMATCH, f"types {a[1]}, {b[1]}, {c[1]} in {compute}")
    if compute == 77 and dtype != np.float32:
        return _refuse(ARCH_MISMATCH, "TF32 is for float32")
    sides = []
    for (address, _, leading, stride), flipped, shape in ((a, op_a, (m, k)), (b, op_b, (k, n)), (c, 0, (m, n))):
        rows, columns = shape[::-1] if flipped else shape
        if not address or leading < max(1, rows):
            return _refuse(INVALID_VALUE, f"address {address} or leading dimension {leading} of {rows} rows")
        side = _view(address, dtype, (count, rows, columns), (stride, 1, leading))
        sides.append(side.swapaxes(1, 2) if flipped else side)
    sum_type = np.float64 if dtype == np.float64 else np.float32
    scales = [
        np.ctypeslib.as_array((np.ctypeslib.as_ctypes_type(sum_type) * 1).from_address(at))[0] for at in (one, zero)
    ]
    if scales != [1, 0]:
        return _refuse(INVALID_VALUE, f"alpha and beta are {scales}")
    left, right, out = sides
    calls.append(Call(dtype.name, compute, kept.math, count))

    def run() -> None:
        factors = [_tf32(side) if compute == 77 else side.astype(sum_type) for side in (left, right)]
        out[...] = np.matmul(*factors).astype(dtype)

    submit(run, writes=[out])
    return 0


def _view(address: int, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """Return the memory at an address as an array, with strides in elements."""
    elements = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    memory = (ctypes.c_ubyte * (elements * dtype.itemsize)).from_address(address)
    flat = np.frombuffer(memory, dtype)
    return as_strided(flat, shape, tuple(stride * dtype.itemsize for stride in strides))


def _tf32(factor: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(factor).view(np.uint32)
    half = np.uint32(1 << (_TF32_DROPS - 1))
    return ((bits + half) >> np.uint32(_TF32_DROPS) << np.uint32(_TF32_DROPS)).view(np.float32)


_ANSWERS: dict[str, Callable[..., int]] = {
    "cublasCreate_v2": _create,
    "cublasSetStream_v2": _set_stream,
    "cublasSetWorkspace_v2": _set_workspace,
    "cublasSetMathMode": _set_math,
    "cublasGemmEx": _gemm_ex,
    "cublasGemmStridedBatchedEx": _gemm_batched,
}
_kept: list[Any] = []  # what C calls must not be freed


@cache
def library() -> Path:
    """Compile the library, let its entry points be answered by this module, and return its path."""
    source = ['extern "C" {']
    for name, letters in _PARAMETERS.items():
        types = [_IN_C[letter] for letter in letters.replace(" ", "")]
        given = ", ".join(f"{kind} a{i}" for i, kind in enumerate(types))
        passed = ", ".join(f"a{i}" for i in range(len(types)))
        source.append(f"int (*on_{name})({', '.join(types)});")
        source.append(f"int {name}({given}) {{ return on_{name}({passed}); }}")
    path = cuda_cpu.folder() / "libcublas_double.so"
    text = "#include <stddef.h>\n" + "\n".join([*source, "}"])
    made = path.with_suffix(f".{os.getpid()}")
    command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(made)]
    subprocess.run(command, input=text, text=True, check=True)
    with suppress(FileExistsError):  # another process was faster, and may have loaded what it made
        os.link(made, path)
    loaded = ctypes.CDLL(str(path))
    for name, letters in _PARAMETERS.items():
        kind = ctypes.CFUNCTYPE(ctypes.c_int, *(_IN_CTYPES[letter] for letter in letters.replace(" ", "")))
        callback = kind(_answering(name))
        _kept.append(callback)
        ctypes.c_void_p.in_dll(loaded, f"on_{name}").value = ctypes.cast(callback, ctypes.c_void_p).value
    return path


def _answering(name: str) -> Callable[..., int]:
    def answer(*given: Any) -> int:
        if name in fails:
            return _refuse(fails[name], f"{name} shall fail")
        return _ANSWERS[name](*given)

    return answer
