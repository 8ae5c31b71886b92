"""Direct calls of cuBLAS: the library, and a handle per thread and device.

CuPy refuses to call cuBLAS while a stream is being captured, which cuBLAS itself supports if its workspace stays in
place. So its functions are called here, in the library that CuPy has loaded. A handle never frees its workspace, since
captured products contain the address. Products of one thread, captured or not, therefore must not run concurrently;
they do not if the thread launches all its work on one stream.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache
from threading import get_ident

Shape = tuple[int, ...]

WORKSPACE = 32 << 20  # bytes: the default of cuBLAS on current GPUs
_DEFAULT = -1  # CUBLAS_GEMM_DEFAULT: cuBLAS chooses the algorithm
# CUBLAS_DEFAULT_MATH, but partial sums of float16 products are accumulated in float32
# (..._DISALLOW_REDUCED_PRECISION...).
_MATH = 0 | 16
COMPUTE_TF32 = 77  # CUBLAS_COMPUTE_32F_FAST_TF32
# By dtype: cudaDataType, cublasComputeType_t (float32 or float64), and the type of alpha and beta.
TYPES: dict[str, tuple[int, int, type[ctypes.c_float] | type[ctypes.c_double]]] = {
    "float16": (2, 68, ctypes.c_float),
    "bfloat16": (14, 68, ctypes.c_float),
    "float32": (0, 68, ctypes.c_float),
    "float64": (1, 70, ctypes.c_double),
}
_STATUS = {
    1: "it could not be started (CUBLAS_STATUS_NOT_INITIALIZED)",
    3: "the GPU is out of memory (CUBLAS_STATUS_ALLOC_FAILED)",
    7: "an argument is wrong (CUBLAS_STATUS_INVALID_VALUE)",
    8: "this GPU cannot compute in this type (CUBLAS_STATUS_ARCH_MISMATCH)",
    11: "memory could not be reached (CUBLAS_STATUS_MAPPING_ERROR)",
    13: "its kernel failed on the GPU (CUBLAS_STATUS_EXECUTION_FAILED)",
    14: "an operation inside it failed (CUBLAS_STATUS_INTERNAL_ERROR)",
    15: "it cannot compute this (CUBLAS_STATUS_NOT_SUPPORTED)",
    16: "its licence check failed (CUBLAS_STATUS_LICENSE_ERROR)",
}
_POINTER, _INT, _LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
_SIDE, _BATCHED_SIDE = (_POINTER, _INT, _INT), (_POINTER, _INT, _INT, _LONG)  # address, type, leading dimension, stride
_SIZES = (_POINTER, *[_INT] * 5)  # handle, two operations, M, N, K
_SIGNATURES = {
    "cublasCreate_v2": (ctypes.POINTER(_POINTER),),
    "cublasSetStream_v2": (_POINTER, _POINTER),
    "cublasSetWorkspace_v2": (_POINTER, _POINTER, ctypes.c_size_t),
    "cublasSetMathMode": (_POINTER, _INT),
    "cublasGemmEx": (*_SIZES, _POINTER, *_SIDE, *_SIDE, _POINTER, *_SIDE, _INT, _INT),
    "cublasGemmStridedBatchedEx": (
        *(*_SIZES, _POINTER, *_BATCHED_SIDE, *_BATCHED_SIDE, _POINTER, *_BATCHED_SIDE),
        *(_INT, _INT, _INT),
    ),
}


class BlasError(RuntimeError):
    """cuBLAS is not available, or refused a call; the message says which and why."""


_libraries: list[ctypes.CDLL] = []
_handles: dict[tuple[int, int], Handle] = {}  # by thread and device


def library() -> ctypes.CDLL:
    """Return cuBLAS as CuPy has loaded it, with the types of its functions declared; raises BlasError."""
    if not _libraries:
        _libraries.append(_loaded())
    return _libraries[0]


def _loaded() -> ctypes.CDLL:
    import cupy

    try:
        module = cupy.cuda.cublas  # finds and loads cuBLAS, from a wheel, from Conda's folders or from the system
    except (ImportError, AttributeError) as error:
        raise BlasError(f"CuPy finds no cuBLAS ({_line(error)})") from error
    if sys.platform == "win32":  # here a loaded library is found by its name
        path = f"cublas64_{cupy.cuda.runtime.runtimeGetVersion() // 1000}.dll"
    else:  # the functions of a library that CuPy's module is linked with are found through that module
        path = module.__file__
    try:
        found = ctypes.CDLL(path)
        for name, types in _SIGNATURES.items():
            function = getattr(found, name)
            function.argtypes, function.restype = types, _INT
    except (OSError, AttributeError) as error:
        raise BlasError(f"the cuBLAS that CuPy uses cannot be called directly ({_line(error)})") from error
    return found


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def check(status: int, doing: str) -> None:
    """Raise BlasError if `status` is an error; `doing` says what was being done."""
    if status:
        raise BlasError(f"cuBLAS refused {doing}: {_STATUS.get(status, f'status {status}')}.")


class Handle:
    """A cuBLAS handle of the current device, for use by one thread.

    Raises:
        BlasError: if there is no cuBLAS, or it cannot be started.
    """

    def __init__(self) -> None:
        self._library = library()
        self._handle = _POINTER()
        check(self._library.cublasCreate_v2(ctypes.byref(self._handle)), "to start")
        check(self._library.cublasSetMathMode(self._handle, _MATH), f"the math mode {_MATH}")
        import cupy

        # Not from the memory pool of a graph: the workspace outlives the graph.
        self._workspace = cupy.get_default_memory_pool().malloc(WORKSPACE)
        self._stream: int | None = None

    def on(self, stream: int) -> Handle:
        """Run the next products on the stream at this address; set the workspace again, which cuBLAS then drops."""
        if stream == self._stream:
            return self
        self._stream = None
        check(self._library.cublasSetStream_v2(self._handle, stream), "a stream")
        check(self._library.cublasSetWorkspace_v2(self._handle, self._workspace.ptr, WORKSPACE), "its workspace")
        self._stream = stream
        return self

    def multiply(self, product: Product, out: int, a: int, b: int, compute: int) -> int:
        """Compute a product of the matrices at these addresses and return cuBLAS's status.

        cuBLAS is column-major: to it, row-major matrices are transposed, and out^T = b^T a^T.
        """
        p = product
        code, _, scalar = TYPES[p.dtype]
        one, zero = _scalar(scalar, 1), _scalar(scalar, 0)
        sizes = (self._handle, int(p.transpose_b), int(p.transpose_a), p.n, p.m, p.k)
        row_a, row_b = p.m if p.transpose_a else p.k, p.k if p.transpose_b else p.n
        of_out, of_a, of_b = p.strides
        for to_out, to_a, to_b in p.offsets:
            left, right, result = (b + to_b, code, row_b), (a + to_a, code, row_a), (out + to_out, code, p.n)
            if p.count == 1:
                status = self._library.cublasGemmEx(*sizes, one, *left, *right, zero, *result, compute, _DEFAULT)
            else:
                sides = (one, *left, of_b, *right, of_a, zero, *result, of_out)
                status = self._library.cublasGemmStridedBatchedEx(*sizes, *sides, p.count, compute, _DEFAULT)
            if status:
                return int(status)
        return 0


@cache
def _scalar(kind: type[ctypes.c_float] | type[ctypes.c_double], value: int) -> object:
    """Return the address of a number in host memory that is never freed."""
    return ctypes.pointer(kind(value))


def handle() -> Handle:
    """Return the handle of this thread and the current device, set to the current stream; raises BlasError.

    A thread that begins after another has ended may get its identity, and then its handle, which is equivalent.
    """
    import cupy

    key = (get_ident(), cupy.cuda.runtime.getDevice())
    found = _handles.get(key)
    if found is None:
        found = _handles[key] = Handle()
    return found.on(cupy.cuda.get_current_stream().ptr)


@dataclass(frozen=True)
class Product:
    """Products of matrices (M, K) and (K, N): `count` at equal strides, repeated at each of `offsets`.

    Attributes:
        strides: strides of out, a and b, in elements; 0 for an operand that is the same for all.
        offsets: offsets of out, a and b, in bytes.
    """

    dtype: str
    m: int
    n: int
    k: int
    transpose_a: bool
    transpose_b: bool
    count: int
    strides: Shape
    offsets: tuple[Shape, ...]


def forget() -> None:
    """Forget the library and every handle."""
    _libraries.clear()
    _handles.clear()
