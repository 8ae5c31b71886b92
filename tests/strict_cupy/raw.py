"""The double's `RawModule`: CUDA C++ compiled by g++, launched within the limits of a card."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from cuda_cpu import BuildError, Module, build

from strict_cupy.array import DevArray
from strict_cupy.work import CUDARuntimeError, submit

_SHARED_WITHOUT_ASKING = 48 << 10
_MOST_THREADS = 1024
_MOST_OF_A_BLOCK = (1024, 1024, 64)
_MOST_OF_A_GRID = (2**31 - 1, 2**16 - 1, 2**16 - 1)


@dataclass
class Card:
    """The GPU that the double pretends to be; a test may set another one's numbers.

    Attributes:
        capability: major and minor.
        processors: how many multiprocessors it has.
        shared: bytes of shared memory that a block can ask for.
    """

    capability: tuple[int, int] = (9, 0)
    processors: int = 132
    shared: int = 227 << 10

    @property
    def attributes(self) -> dict[str, int]:
        return {
            "ComputeCapabilityMajor": self.capability[0],
            "ComputeCapabilityMinor": self.capability[1],
            "MultiProcessorCount": self.processors,
            "MaxSharedMemoryPerBlock": _SHARED_WITHOUT_ASKING,
            "MaxSharedMemoryPerBlockOptin": self.shared,
            "MaxThreadsPerBlock": _MOST_THREADS,
            "WarpSize": 32,
        }

    @property
    def properties(self) -> dict[str, Any]:
        return {
            "name": b"strict double",
            "major": self.capability[0],
            "minor": self.capability[1],
            "totalGlobalMem": 2**33,
            "multiProcessorCount": self.processors,
            "sharedMemPerBlockOptin": self.shared,
        }


card = Card()


class CompileException(Exception):  # noqa: N818 (CuPy's name)
    """What the compiler said about a source that it refused."""


def _invalid(why: str) -> CUDARuntimeError:
    return CUDARuntimeError(f"CUDA_ERROR_INVALID_VALUE: invalid argument: {why}")


class RawModule:
    """CUDA C++ compiled by g++ for the CPU; of the options only ``-D`` changes anything: nothing is ever contracted.

    A file's kernels are compiled together, also where one is asked for: starting g++ takes longer than the others.
    """

    def __init__(self, *, code: str, options: tuple[str, ...] = (), backend: str = "nvrtc") -> None:
        if not isinstance(options, tuple):
            raise TypeError(f"Argument 'options' has incorrect type (expected tuple, got {type(options).__name__})")
        if unknown := [option for option in options if not option.startswith(("-D", "--std=c++17", "--fmad=false"))]:
            raise CompileException(f"nvrtc: error: the strict double knows no option {unknown[0]}")
        self._code = code
        macros = [option[2:] for option in options if option.startswith("-D")]
        self._macros = dict(macro.partition("=")[::2] for macro in macros if not macro.startswith("GPUDL_ONLY"))

    def get_function(self, name: str) -> RawKernel:
        try:
            module = build(self._code, self._macros)
        except BuildError as error:
            raise CompileException(str(error)) from error
        if name not in module.letters:
            raise CUDARuntimeError("CUDA_ERROR_NOT_FOUND: named symbol not found")
        return RawKernel(module, name)


class RawKernel:
    """A kernel of a `RawModule`. Unlike CuPy's, it takes no Python number: the type must be said."""

    def __init__(self, module: Module, name: str) -> None:
        self._module = module
        self._shared = _SHARED_WITHOUT_ASKING
        self.name = name

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        """How much dynamic shared memory a launch may ask for."""
        return self._shared

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int) -> None:
        if not 0 <= size <= card.shared:
            raise _invalid(f"{size} bytes of shared memory, the card has {card.shared}")
        self._shared = size

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0
    ) -> None:
        self._check_shape(grid, block)
        if shared_mem > self._shared:
            raise _invalid(f"{shared_mem} bytes of shared memory, max_dynamic_shared_size_bytes is {self._shared}")
        if any(isinstance(arg, np.ndarray) for arg in args):
            raise TypeError(f"Unsupported type {np.ndarray}")
        plain = [arg._host if isinstance(arg, DevArray) else arg for arg in args]
        run = self._module.bind(self.name, grid, block, *plain, shared=shared_mem)
        writes = [arg for arg, letter in zip(plain, self._module.letters[self.name], strict=True) if letter == "w"]
        submit(run, writes=writes)

    def _check_shape(self, grid: tuple[int, ...], block: tuple[int, ...]) -> None:
        for shape, most, what in ((grid, _MOST_OF_A_GRID, "grid"), (block, _MOST_OF_A_BLOCK, "block")):
            if not all(1 <= size <= limit for size, limit in zip(shape, most, strict=False)) or len(shape) > 3:
                raise _invalid(f"a {what} of {shape}, at most {most}")
        most_threads = self._module.bounds.get(self.name, _MOST_THREADS)
        if prod(block) > most_threads:
            raise _invalid(f"{prod(block)} threads in a block of {self.name}, at most {most_threads}")
