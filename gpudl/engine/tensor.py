"""Tensors: arrays that remember how they were computed; variables: tensors that keep their memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol, Self

import numpy as np

from gpudl import backend
from gpudl.backend import Array, Backend
from gpudl.engine.spec import Shape, ShapeError, Spec, is_floating, is_number
from gpudl.engine.state import LayoutError, TracingError, forbid_host_read, layout_epoch, state, toggled
from gpudl.engine.value import Recording, Value

faces: dict[str, Callable[..., Tensor]] = {}
"""What tensors, variables and gradients need of those above them: the ops by name, and what takes several of them."""


_over = Recording(backend.get("numpy"))  # of tensors that were copied after the step which computed them
_over.over = True


class Node(Protocol):
    """How a tensor was computed: one application of an op.

    Attributes:
        inputs: what the op was given.
        order: counts the applications.
        scope: whose computation it was.
    """

    inputs: tuple[Tensor, ...]
    order: int
    scope: str

    @property
    def results(self) -> tuple[Array, ...]:
        """The arrays or the recorded values of the outs."""

    def gradients(
        self, wanted: Sequence[int], g: Sequence[Tensor | None], so_far: Callable[[int], Tensor | None]
    ) -> Iterator[tuple[int, Tensor | None]]:
        """Yield the position of each input among `wanted` that has a rule, and its gradient with what is added here."""


Method = Callable[[Any, Any], "Tensor"]


def _one(name: str) -> Callable[[Any], Tensor]:
    return lambda x: faces[name](x)  # noqa: PLW0108 (the op is entered later)


def _two(name: str) -> Method:
    return lambda x, other: faces[name](x, other)  # noqa: PLW0108


def _turned(name: str) -> Method:
    return lambda x, other: faces[name](other, x)


def _if_numbers(name: str) -> Callable[[Any, object], Any]:
    """Return a comparison that leaves to Python what are no numbers: nothing else equals a tensor."""

    def method(x: Any, other: object) -> Any:
        numbers = isinstance(other, bool | int | float | list | tuple | Tensor) or hasattr(other, "dtype")
        return faces[name](x, other) if numbers else NotImplemented

    return method


class Tensor:
    """An array on some device, with the node of the graph that computed it.

    `+`, `==`, `&`, `x[key]` and so on are NumPy's, element by element, between tensors, arrays and numbers. A tensor is
    hashed by its identity, so that it can be a key or in a set; `is` tells whether two names stand for the same one.

    Args:
        data: the array; inside a step that is being recorded, the value in its record; or None for a symbolic tensor,
            which has a shape and a dtype only.
        spec: shape and dtype; taken from `data` where it is given.

    Example:
        >>> x = gpudl.convert_to_tensor([[1.0, 2.0]])
        >>> (x * 2 + 1).numpy()
        array([[3., 5.]], dtype=float32)
    """

    __slots__ = ("__weakref__", "data", "logits", "node", "out_number", "requires_grad", "spec")

    def __init__(self, data: Array, spec: Spec | None = None) -> None:
        self.data = data
        if spec is None:
            spec = data.spec if isinstance(data, Value) else Spec(data.shape, data.dtype)
        self.spec: Spec = spec
        self.node: Node | None = None
        self.out_number = 0  # which of the outs of its node this is
        self.requires_grad = False
        # What a softmax or sigmoid was computed from, for the losses that are more exact on logits.
        self.logits: Tensor | None = None

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
        """Whether it has values, or will have them when the step is replayed that is being recorded."""
        return self.data is not None and not (isinstance(self.data, Value) and self.data.recording.over)

    @property
    def on(self) -> Backend:
        """The backend of its device; the current one for a symbolic tensor."""
        if isinstance(self.data, Value):
            return self.data.recording.on
        return backend.current() if self.data is None else backend.of(self.data)

    def array(self) -> Array:
        """Return the array; raises TracingError for a tensor that has none: symbolic, recorded, or of a step before."""
        if self.data is None:
            raise TracingError("a symbolic tensor has a shape but no values: it stands for an input to come.")
        if isinstance(self.data, Value):
            if not self.data.recording.over:
                forbid_host_read()
            raise TracingError(
                "this tensor was computed inside a recorded step and used after it: its memory belongs to "
                "the plan. Return it from the step instead of keeping it."
            )
        return self.data

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle is made of: the values, in host memory, and no graph."""
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

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a tensor with memory of its own on the same device."""
        made = memo[id(self)] = type(self).__new__(type(self))
        with backend.within(self.on):
            made.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return made

    def numpy(self) -> np.ndarray:
        """Return a copy in host memory; raises TracingError while a step is being recorded."""
        forbid_host_read()
        return backend.of(self.array()).to_host(self.data)

    def item(self) -> Any:
        """Return the only element as a Python number."""
        return self.numpy().item()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.size > 1:
            raise ValueError(
                f"a tensor of shape {self.shape} is neither true nor false. Use gpudl.ops.any or gpudl.ops.all, or "
                "`is` to ask whether it is a certain tensor."
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

    # NumPy and CuPy, whose arrays have at most 100, leave `array + tensor` to the tensor.
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

    def __matmul__(self, other: Any) -> Tensor:
        return faces["__matmul__"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return faces["__matmul__"](other, self)

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return faces["floor_divide"](self, other), faces["mod"](self, other)

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return faces["floor_divide"](other, self), faces["mod"](other, self)

    def __getitem__(self, key: Any) -> Tensor:
        return faces["__getitem__"](self, key)

    def __repr__(self) -> str:
        name = type(self).__name__
        if not self.is_computed or state.recorder is not None:
            return f"<{name} shape={self.shape} dtype={self.dtype}>"
        return f"<{name} shape={self.shape} dtype={self.dtype}, value={self.numpy()!r}>"


class Variable(Tensor):
    """A tensor whose value changes in place and whose address stays.

    Args:
        initializer: the initial value, a number, an array or a tensor; or an initializer, by its name or itself.
        shape: what an initializer is asked for.
        dtype: by default that of the value, or `config.floatx` for an initializer.
        trainable: whether gradients are wanted.
        autocast: whether a layer of mixed precision sees it in the dtype that it computes in.
        aggregation, synchronization, layout: Keras's, for variables on several devices; without effect.
        name: a name for reports.

    Raises:
        ValueError: an initializer without a shape.

    Example:
        >>> v = gpudl.Variable([1.0, 2.0], name="v")
        >>> v.assign_add([1.0, 1.0])
        >>> v.value.numpy(), gpudl.Variable("ones", (3,)).numpy()
        (array([2., 3.], dtype=float32), array([1., 1., 1.], dtype=float32))
    """

    __slots__ = ("_trainable", "autocast", "constraint", "name", "path", "regularizer", "wanted")

    def __init__(
        self,
        initializer: Any,
        shape: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        synchronization: str | None = "auto",
        name: str | None = None,
        layout: Any = None,
    ) -> None:
        if callable(initializer) or isinstance(initializer, str):
            if shape is None:
                raise ValueError(f"a variable made by an initializer needs a shape, got {initializer!r} alone.")
            initializer = faces["initial"](initializer, tuple(shape), dtype)
        source = as_tensor(initializer).array()
        data = backend.current().empty(source.shape, source.dtype if dtype is None else np.dtype(dtype))
        data[...] = backend.current().asarray(source)
        self._adopt(data, bool(trainable), name or "variable")
        self.autocast = autocast

    @classmethod
    def over(cls, data: Array, *, trainable: bool = True, name: str = "variable") -> Variable:
        """Return a variable whose memory is `data` itself."""
        variable = cls.__new__(cls)
        variable._adopt(data, trainable, name)
        return variable

    def _adopt(self, data: Array, trainable: bool, name: str) -> None:
        Tensor.__init__(self, data)
        self.name = name
        self.path = name
        self.wanted = trainable  # what it is when its layer is not frozen
        self._trainable = trainable
        self.requires_grad = trainable and is_floating(self.dtype)
        self.autocast = True
        self.regularizer: Any = None
        self.constraint: Any = None

    @property
    def value(self) -> Tensor:
        """What the variable holds now, as a tensor that stays when the variable changes."""
        return faces["copy"](self)

    @property
    def trainable(self) -> bool:
        """Whether gradients are wanted; steps are recorded once for each choice."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if value != self._trainable:
            self._trainable = value
            self.requires_grad = value and is_floating(self.dtype)
            toggled(self)

    def assign(self, value: Any) -> None:
        """Set the value in place; raises ShapeError when the shape differs."""
        _update("assign_", self, value)

    def assign_add(self, value: Any) -> None:
        """Add to the value in place; raises ShapeError when the shape differs."""
        _update("assign_add_", self, value)

    def assign_sub(self, value: Any) -> None:
        """Subtract from the value in place; raises ShapeError when the shape differs."""
        _update("assign_add_", self, -as_tensor(value, like=self))

    def rebind(self, data: Array) -> None:
        """Move the value to other memory of the same shape; plans that know the old address become stale."""
        if state.recorder is not None:
            raise LayoutError(
                "a variable would have to move while a step is being recorded. Build the optimizer first: "
                "optimizer.build(variables)."
            )
        data[...] = self.data
        self.data = data
        layout_epoch[0] += 1


def _update(name: str, target: Variable, value: Any) -> None:
    tensor = as_tensor(value, like=target)
    if tensor.shape != target.shape:
        raise ShapeError(f"cannot assign shape {tensor.shape} to variable {target.name!r} of {target.shape}.")
    faces[name](target, tensor)


@lru_cache(maxsize=4096)  # more than a step has: a number that differs each time must not fill the memory
def _constant(text: str, value: float | bool, dtype: np.dtype, on: Backend) -> Tensor:
    return Tensor(on.asarray(np.array(value, dtype)))


def constant(value: float | bool, dtype: np.dtype, on: Backend) -> Tensor:
    """Return a 0-d tensor that is made once per value, dtype and device: a step uploads nothing."""
    # The text tells 1 from True, and 0.0 from -0.0.
    return _constant(repr(value), value, dtype, on)  # type: ignore[arg-type]


def as_tensor(value: Any, like: Tensor | None = None) -> Tensor:
    """Return `value` as a tensor; Python numbers take the dtype of `like`, and never widen it.

    Raises:
        TypeError: text, objects, or anything else that is not numbers.
    """
    if isinstance(value, Tensor):
        return value
    on = backend.current() if like is None else like.on
    if isinstance(value, bool | int | float) and not isinstance(value, np.generic):
        return constant(value, _scalar_dtype(value, like), on)
    is_array = hasattr(value, "dtype")
    array = value if on.owns(value) else backend.get("numpy").asarray(value)
    if not is_number(array.dtype):
        raise TypeError(
            f"expected numbers, got {type(value).__name__} of dtype {array.dtype}. "
            "Convert text and objects to numbers first."
        )
    if on.owns(value):
        return Tensor(value)
    if not is_array:
        array = _narrowed(array)
    return Tensor(on.asarray(array))


def _narrowed(array: np.ndarray) -> np.ndarray:
    """Return what NumPy makes of Python's numbers in 32 bits, unless they are integers that need more."""
    if array.dtype == np.float64:
        return array.astype(np.float32)
    fits = array.dtype == np.int64 and (not array.size or -(2**31) <= array.min() <= array.max() < 2**31)
    return array.astype(np.int32) if fits else array


def operand(value: Any, like: Tensor | None = None) -> Tensor:
    """Return what an op is given as a tensor, as `as_tensor`, but float64 from NumPy does not widen `like`.

    It is NumPy's default, and hardly ever a wish: beside a tensor of another dtype it is float32.
    """
    if isinstance(value, Tensor):
        return value
    if like is not None and like.dtype != np.float64 == getattr(value, "dtype", None):
        value = value.astype(np.float32)
    return as_tensor(value, like)


def convert_to_tensor(value: Any, dtype: Any = None) -> Tensor:
    """Return `value` as a tensor on the current backend, in `dtype` where one is given.

    Args:
        value: a tensor, an array, a number, or nested lists of numbers.
        dtype: a dtype or its name, ``"bfloat16"`` among them; by default that of an array or a tensor, float32 for
            Python's floats, int32 for a Python integer.

    Raises:
        TypeError: text, objects, or anything else that is not numbers; a dtype that there is not.

    Example:
        >>> gpudl.convert_to_tensor([1.0, 0.1], dtype="bfloat16").numpy()
        array([1, 0.100098], dtype=bfloat16)
    """
    tensor = as_tensor(value)
    if dtype is None or tensor.dtype == np.dtype(dtype):
        return tensor
    return faces["cast"](tensor, dtype=np.dtype(dtype))


def _scalar_dtype(value: float | bool, like: Tensor | None) -> np.dtype:
    if like is not None and (is_floating(like.dtype) or (isinstance(value, int) and like.dtype.kind in "iu")):
        return like.dtype
    if isinstance(value, bool):
        return np.dtype(bool)
    return np.dtype(np.float32 if isinstance(value, float) else np.int32)
