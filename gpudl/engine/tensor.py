"""Tensors: arrays with a record of how they were computed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from gpudl import backend
from gpudl.backend import Array, Backend
from gpudl.engine.spec import Shape, Spec
from gpudl.engine.state import TracingError, forbid_host_read, state
from gpudl.engine.value import Recording, Value

TensorLike: TypeAlias = "Tensor | ArrayLike"
"""An operand of an op: a tensor, an array, a number, or nested sequences of numbers."""

faces: dict[str, Callable[..., Tensor]] = {}
"""Functions of higher modules that tensors, variables and gradients call by name: ops, and functions of several ops."""


_over = Recording(backend.get("numpy"))  # for copies of tensors whose recorded step is over
_over.over = True


class Node(Protocol):
    """How a tensor was computed: one application of an op.

    Attributes:
        inputs: the inputs of the op.
        order: the number of the application, in order.
        scope: the layer or function that applied it.
    """

    inputs: tuple[Tensor, ...]
    order: int
    scope: str

    @property
    def results(self) -> tuple[Array, ...]:
        """The arrays or the recorded values of the outs."""

    def gradients(
        self, wanted: Sequence[int], g: Sequence[Tensor | None], taken: Callable[[int], Tensor | None]
    ) -> Iterator[tuple[int, Any]]:
        """Yield the position and the gradient of each input among `wanted` that has a rule, from those of the outs.

        A gradient that is yielded is added to the sum that the input has so far, unless that sum has been `taken` by
        its position before: then the yielded gradient includes it.
        """


Method = Callable[["Tensor", TensorLike], "Tensor"]


def _one(name: str) -> Callable[[Tensor], Tensor]:
    return lambda x: faces[name](x)  # noqa: PLW0108 (the op is registered later)


def _two(name: str) -> Method:
    return lambda x, other: faces[name](x, other)  # noqa: PLW0108


def _turned(name: str) -> Method:
    return lambda x, other: faces[name](other, x)


def _if_numbers(name: str) -> Callable[[Tensor, object], Any]:
    """Return a comparison that leaves operands other than numbers to Python, for which they never equal a tensor."""

    def method(x: Tensor, other: object) -> Any:
        numbers = isinstance(other, bool | int | float | list | tuple | Tensor) or hasattr(other, "dtype")
        return faces[name](x, other) if numbers else NotImplemented

    return method


class Tensor:
    """An array on some device, with the node of the graph that computed it.

    `+`, `==`, `&`, `x[key]` and so on work as in NumPy, element by element, between tensors, arrays and numbers. A
    tensor is hashed by its identity, so that it can be a key or in a set; `is` compares identities.

    Args:
        data: the array; inside a step that is being recorded, the value in its record; or None for a symbolic tensor,
            which has a shape and a dtype only.
        spec: shape and dtype; by default those of `data`.

    Example:
        >>> x = gpudl.convert_to_tensor([[1.0, 2.0]])
        >>> (x * 2 + 1).numpy()
        array([[3., 5.]], dtype=float32)
    """

    __slots__ = ("__weakref__", "data", "logits", "mask", "node", "out_number", "requires_grad", "spec")

    def __init__(self, data: Array, spec: Spec | None = None) -> None:
        self.data = data
        if spec is None:
            spec = data.spec if isinstance(data, Value) else Spec(data.shape, data.dtype)
        self.spec: Spec = spec
        self.node: Node | None = None
        self.out_number = 0  # its index among the outs of its node
        self.requires_grad = False
        # The input of a softmax or sigmoid, for losses that are more accurate on logits.
        self.logits: Tensor | None = None
        # A bool mask of the samples or time steps that count; layers pass it on, losses and metrics ignore the others.
        self.mask: Tensor | None = None

    @property
    def _keras_mask(self) -> Tensor | None:
        """The mask, by the name that programs for Keras know it by."""
        return self.mask

    @_keras_mask.setter
    def _keras_mask(self, mask: Tensor | None) -> None:
        self.mask = mask

    @property
    def shape(self) -> Shape:
        """Size along each axis."""
        return self.spec.shape

    @property
    def dtype(self) -> np.dtype:
        """Element type."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.spec.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.spec.size

    @property
    def is_computed(self) -> bool:
        """Whether it has values, or will have them when the step that is being recorded is replayed."""
        return self.data is not None and not (isinstance(self.data, Value) and self.data.recording.over)

    @property
    def on(self) -> Backend:
        """The backend of its device; the current one for a symbolic tensor."""
        if isinstance(self.data, Value):
            return self.data.recording.on
        return backend.current() if self.data is None else backend.of(self.data)

    def array(self) -> Array:
        """Return the array; raise TracingError if there is none: symbolic, recorded, or of an earlier step."""
        if self.data is None:
            raise TracingError("a symbolic tensor has a shape but no values: it is a placeholder for an input.")
        if isinstance(self.data, Value):
            if not self.data.recording.over:
                forbid_host_read()
            raise TracingError(
                "this tensor was computed inside a recorded step and used after it: its memory belongs to "
                "the plan. Return it from the step instead of keeping it."
            )
        return self.data

    def __getstate__(self) -> dict[str, object]:
        """Return the state for a copy or a pickle: the values, in host memory, without the graph."""
        names = (name for kind in type(self).__mro__ for name in getattr(kind, "__slots__", ()))
        state = {name: getattr(self, name) for name in names if name not in ("__weakref__", "data", "node")}
        state["requires_grad"] = self.requires_grad and self.node is None
        recorded = isinstance(self.data, Value)
        return state | {"recorded": recorded, "data": None if self.data is None or recorded else self.numpy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        data, recorded = state.pop("data"), state.pop("recorded")
        for name, value in state.items():
            setattr(self, name, value)
        self.node = None
        self.data = Value(self.spec, _over) if recorded else None
        if data is not None:
            on = backend.current()
            self.data = on.empty(data.shape, data.dtype)
            self.data[...] = on.asarray(data)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return a tensor with memory of its own on the same device."""
        made = memo[id(self)] = type(self).__new__(type(self))
        with backend.within(self.on):
            made.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return made

    def numpy(self) -> np.ndarray:
        """Return a copy in host memory; raise TracingError while a step is being recorded."""
        forbid_host_read()
        return backend.of(self.array()).to_host(self.data)

    def item(self) -> Any:
        """Return the only element as a Python number."""
        return self.numpy().item()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.size > 1:
            raise ValueError(
                f"a tensor of shape {self.shape} has no truth value. Use gpudl.ops.any or gpudl.ops.all, or "
                "`is` to compare identities."
            )
        return bool(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError(f"only an integer tensor can be an index, got {self.dtype}.")
        return int(self.item())

    def __format__(self, pattern: str) -> str:
        return format(self.item(), pattern) if pattern and self.ndim == 0 else repr(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor without axes has no length.")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    # NumPy and CuPy arrays, with a priority of at most 100, leave `array + tensor` to the tensor.
    __array_priority__ = 1000

    __add__, __radd__ = _two("add"), _turned("add")
    __sub__, __rsub__ = _two("subtract"), _turned("subtract")
    __mul__, __rmul__ = _two("multiply"), _turned("multiply")
    __truediv__, __rtruediv__ = _two("divide"), _turned("divide")
    __floordiv__, __rfloordiv__ = _two("floor_divide"), _turned("floor_divide")
    __mod__, __rmod__ = _two("mod"), _turned("mod")
    __pow__, __rpow__ = _two("power"), _turned("power")
    __and__, __rand__ = _two("bitwise_and"), _turned("bitwise_and")
    __or__, __ror__ = _two("bitwise_or"), _turned("bitwise_or")
    __xor__, __rxor__ = _two("bitwise_xor"), _turned("bitwise_xor")
    __lshift__, __rlshift__ = _two("left_shift"), _turned("left_shift")
    __rshift__, __rrshift__ = _two("right_shift"), _turned("right_shift")
    __lt__, __le__, __gt__, __ge__ = map(_two, ("less", "less_equal", "greater", "greater_equal"))
    __eq__, __ne__ = _if_numbers("equal"), _if_numbers("not_equal")
    __neg__, __abs__, __invert__ = map(_one, ("negative", "absolute", "bitwise_not"))
    __hash__ = object.__hash__

    def __pos__(self) -> Tensor:
        return self

    def __matmul__(self, other: TensorLike) -> Tensor:
        return faces["__matmul__"](self, other)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return faces["__matmul__"](other, self)

    def __divmod__(self, other: TensorLike) -> tuple[Tensor, Tensor]:
        return faces["floor_divide"](self, other), faces["mod"](self, other)

    def __rdivmod__(self, other: TensorLike) -> tuple[Tensor, Tensor]:
        return faces["floor_divide"](other, self), faces["mod"](other, self)

    def __getitem__(self, key: object) -> Tensor:
        return faces["__getitem__"](self, key)

    def __repr__(self) -> str:
        name = type(self).__name__
        if not self.is_computed or state.recorder is not None:
            return f"<{name} shape={self.shape} dtype={self.dtype}>"
        return f"<{name} shape={self.shape} dtype={self.dtype}, value={self.numpy()!r}>"
