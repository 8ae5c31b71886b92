"""The cache of compiled code between processes: when it is valid, and what happens where it cannot be used."""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
from numba import njit
from numba.core import caching as _caching
from numba.core.ccallback import CFunc as _CFunc
from numba.core.typing.templates import Signature

_numba: Any = _caching  # untyped
_callback: Any = _CFunc


@cache
def sources() -> str:
    """Return a hash of the sources of all kernels: a change of any helper makes every kernel compile again."""
    cpu = Path(__file__).parents[1]
    found = hashlib.sha256(llvmlite.__version__.encode())
    for file in sorted((*cpu.parent.glob("*.py"), *cpu.rglob("*.py"))):
        found.update(file.read_bytes())
    return found.hexdigest()


_said: set[str] = set()


@contextmanager
def _survived(folder: str, otherwise: str) -> Iterator[None]:
    """Suppress any error inside, and log it once per process: without the cache, code is only compiled again."""
    try:
        yield
    except Exception as error:
        if otherwise not in _said:
            _said.add(otherwise)
            text = f"{type(error).__name__}: {error}"
            logging.getLogger("gpudl").warning("gpudl: %s (%s): %s", otherwise, folder, text)


_UNREADABLE = "a file of compiled kernels is damaged and will be replaced"
_UNKEPT = "compiled kernels cannot be cached and will be compiled again at the next start"


class _File(_numba.IndexDataCacheFile):  # type: ignore[misc]
    """Numba's cache files; a damaged one counts as missing."""

    def _load_index(self) -> object:
        with _survived(self._cache_path, _UNREADABLE):
            return super()._load_index()
        return {}

    def _save_data(self, name: str, data: object) -> None:
        code = self._dump(data)
        super()._save_data(name, (hashlib.sha256(code).digest(), code))

    def _load_data(self, name: str) -> object:
        digest, code = super()._load_data(name)
        if hashlib.sha256(code).digest() != digest:
            raise ValueError(f"{name} is damaged")
        return pickle.loads(code)


class _Cache(_numba.FunctionCache):  # type: ignore[misc]
    """Numba's cache of a function, invalidated by a change of `sources`, not of the function's own file only."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp(), sources()
        self._cache_file = _File(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, signature: Signature, context: object) -> object:
        """Return the compiled code for a signature, or None where there is no readable one."""
        with _survived(self._cache_path, _UNREADABLE):
            return super().load_overload(signature, context)
        return None

    def save_overload(self, signature: Signature, code: object) -> None:
        """Store the compiled code for a signature, where that is possible."""
        with _survived(self._cache_path, _UNKEPT):
            super().save_overload(signature, code)


def _keep(compiled: Any, function: Callable[..., object]) -> None:
    try:
        compiled._cache = _Cache(function)
    except (RuntimeError, OSError):  # no folder that can be written, as in a read-only container
        return


def kept(function: Callable[..., object], **options: Any) -> Any:
    """Compile a function with Numba when it is first called, with a cache between processes."""
    compiled: Any = njit(**options)(function)
    _keep(compiled, function)
    return compiled


def address(function: Callable[..., object], signature: Signature) -> int:
    """Compile a function to a C function, with a cache between processes, and return its address."""
    compiled = _callback(function, (signature.args, signature.return_type), {}, {"error_model": "numpy"})
    _keep(compiled, function)
    compiled.compile()
    _addressed.append(compiled)
    return int(compiled.address)


_addressed: list[object] = []  # keeps their code alive
