"""The double's array: its data belong to the device, and only copies that are asked for leave it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from strict_cupy.pinned import is_pinned
from strict_cupy.work import here, machine, meter, refuse_blas, spoil, submit


def host(value: Any) -> Any:
    """Return the NumPy array behind a device array, also inside lists; refuse what lies on the host."""
    if isinstance(value, DevArray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(map(host, value))
    return value


def device(value: Any) -> Any:
    """Return what NumPy answered as CuPy would: scalars are 0-d arrays on the device."""
    if isinstance(value, (np.ndarray, np.generic)):
        return DevArray(np.asarray(value))
    if isinstance(value, (list, tuple)):
        return type(value)(map(device, value))
    return value


def arrays(*values: Any) -> list[np.ndarray]:
    """Return the NumPy arrays behind the device arrays among `values`, also inside lists."""
    found = []
    for value in values:
        if isinstance(value, DevArray):
            found.append(value._host)
        elif isinstance(value, (list, tuple)):
            found += arrays(*value)
    return found


def _index(index: Any) -> Any:
    """Return a host index, paying for the parts of it that lie on the host or need its answer."""
    parts = index if isinstance(index, tuple) else (index,)
    plain = []
    for part in parts:
        if isinstance(part, (np.ndarray, list)):
            meter.copy_in()
            plain.append(np.asarray(part))
        elif isinstance(part, DevArray):
            if part.dtype.kind == "b":
                meter.synchronize("a boolean mask")
            plain.append(part._host)
        else:
            plain.append(part)
    # One integer per axis would make NumPy copy a scalar out; with an ellipsis it is a 0-d view, as in CuPy.
    return tuple(plain) if any(part is ... for part in plain) else (*plain, ...)


_METHODS = frozenset(
    [
        "all",
        "any",
        "argmax",
        "argmin",
        "argsort",
        "astype",
        "clip",
        "conj",
        "copy",
        "cumprod",
        "cumsum",
        "diagonal",
        "flatten",
        "max",
        "mean",
        "min",
        "prod",
        "ravel",
        "repeat",
        "reshape",
        "round",
        "squeeze",
        "std",
        "sum",
        "swapaxes",
        "take",
        "trace",
        "transpose",
        "var",
        "view",
    ]
)
_REFUSED = frozenset({"where", "initial", "mode", "subok"})


_owners: WeakValueDictionary[int, DevArray] = WeakValueDictionary()  # by the identity of the array on the host


class DevArray:
    """An array whose data only the device may touch: NumPy's functions refuse it, and it refuses NumPy's."""

    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, memory: Any, dtype: Any = None, memptr: Any = None) -> None:
        self._card: int = here.card
        if memptr is None:
            self._memory: np.ndarray = memory
            machine.own(memory)
        else:  # as CuPy's ndarray(shape, dtype, memptr), whose address is not looked at
            self._memory = np.empty(memory, dtype)
        self.base: DevArray | None = None
        if isinstance(self._memory.base, np.ndarray):  # all views have one owner, as in CuPy
            owner = _owners.get(id(self._memory.base))
            self.base = DevArray(self._memory.base) if owner is None else owner
        else:
            _owners.setdefault(id(self._memory), self)

    @property
    def _host(self) -> np.ndarray:
        """The memory, which a card reaches that is not the thread's current one only by chance."""
        if self._card != here.card:
            raise ValueError(
                "Array device must be same as the current device: array device = "
                f"{self._card} while current = {here.card}"
            )
        return self._memory

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_function__(self, function: Any, *args: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} was given an array on the device.")

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(f"the strict double of CuPy's ndarray has no {name!r}.")

        def method(*args: Any, out: DevArray | None = None, **kwargs: Any) -> Any:
            if wrong := _REFUSED & kwargs.keys():
                raise TypeError(f"ndarray.{name} of CuPy has no {', '.join(wrong)}.")
            inputs, named, writes = host(args), host(kwargs), arrays(out)
            extra = {"out": writes[0]} if writes else {}
            return device(submit(lambda: getattr(self._host, name)(*inputs, **named, **extra), [self._host], writes))

        return method

    shape = property(lambda self: self._memory.shape)
    dtype = property(lambda self: self._memory.dtype)
    ndim = property(lambda self: self._memory.ndim)
    size = property(lambda self: self._memory.size)
    itemsize = property(lambda self: self._memory.itemsize)
    nbytes = property(lambda self: self._memory.nbytes)
    strides = property(lambda self: self._memory.strides)
    flags = property(lambda self: self._memory.flags)
    T = property(lambda self: DevArray(self._host.T))
    data = property(
        lambda self: SimpleNamespace(ptr=self._memory.ctypes.data if self.size else 0, device_id=self._card)
    )

    @property
    def device(self) -> Any:
        from strict_cupy import cuda

        return cuda.Device(self._card)

    def get(self, stream: Any = None, order: str = "C", out: np.ndarray | None = None) -> np.ndarray:
        meter.copy_out("ndarray.get")
        if out is None:
            return self._memory.copy()
        out[...] = self._memory
        return out

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise TypeError(f"cannot set {self.dtype} {self.shape} from {arr.dtype} {arr.shape}")
        meter.copy_in()
        if stream is not None and is_pinned(arr):  # fetched when the stream gets to it, whatever is there by then
            spoil(self._host)
            stream.queue.give(lambda: self._host.__setitem__(..., arr))
        else:
            self._host[...] = arr

    def item(self) -> Any:
        meter.copy_out("ndarray.item")
        return self._memory.item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def fill(self, value: Any) -> None:
        plain = host(value)
        submit(lambda: self._host.fill(plain), writes=[self._host])

    def dot(self, other: Any, out: Any = None) -> Any:
        refuse_blas()
        plain, writes = host(other), arrays(out)
        return device(submit(lambda: np.dot(self._host, plain, *writes), writes=writes))

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator[DevArray]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        plain = _index(index)
        return device(submit(lambda: self._host[plain], [self._host]))

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, (list, tuple)):
            raise TypeError(f"Unsupported type {type(value)}")
        plain, new = _index(index), host(value)
        submit(lambda: self._host.__setitem__(plain, new), writes=[self._host])

    def __repr__(self) -> str:
        return f"DevArray(shape={self.shape}, dtype={self.dtype})"

    def __str__(self) -> str:
        return str(self.get())

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec else str(self), spec)


def _binary(function: Callable[..., Any], *, swapped: bool = False, inplace: bool = False) -> Any:
    def method(self: DevArray, other: Any) -> Any:
        if function is operator.matmul:
            refuse_blas()
        if not isinstance(other, (DevArray, np.ndarray, np.generic, int, float, complex)):
            return NotImplemented
        mine, plain = self._host, host(other)
        if inplace:
            submit(lambda: function(mine, plain), writes=[mine])
            return self
        left, right = (plain, mine) if swapped else (mine, plain)
        return device(submit(lambda: function(left, right)))

    return method


def _unary(function: Callable[[Any], Any]) -> Any:
    return lambda self: device(submit(lambda: function(self._host)))


def _number(function: Callable[[Any], Any]) -> Any:
    return lambda self: function(self.item())


for _name in [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
]:
    _plain = getattr(operator, f"__{_name}__")
    setattr(DevArray, f"__{_name}__", _binary(_plain))
    setattr(DevArray, f"__r{_name}__", _binary(_plain, swapped=True))
    setattr(DevArray, f"__i{_name}__", _binary(getattr(operator, f"__i{_name}__"), inplace=True))
for _name in ["eq", "ne", "lt", "le", "gt", "ge"]:
    setattr(DevArray, f"__{_name}__", _binary(getattr(operator, f"__{_name}__")))
for _name in ["neg", "pos", "abs", "invert"]:
    setattr(DevArray, f"__{_name}__", _unary(getattr(operator, f"__{_name}__")))
for _name, _convert in {
    "bool": bool,
    "int": int,
    "float": float,
    "complex": complex,
    "index": operator.index,
}.items():
    setattr(DevArray, f"__{_name}__", _number(_convert))
