"""Python's operators on tensors: each is an op, applied by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpudl.engine.op import Op
    from gpudl.engine.tensor import Tensor

registry: dict[str, Op] = {}
"""The ops by name."""

faces: dict[str, Callable[..., Tensor]] = {}
"""Functions that tensors and variables need of those above them, such as indexing, which takes several ops."""

Method = Callable[[Any, Any], "Tensor"]


def _apply(name: str, *inputs: Any) -> Tensor:
    result: Tensor = registry[name](*inputs)
    return result


def _one(name: str) -> Callable[[Any], Tensor]:
    return lambda x: _apply(name, x)


def _two(name: str) -> Method:
    return lambda x, other: _apply(name, x, other)


def _turned(name: str) -> Method:
    return lambda x, other: _apply(name, other, x)


def _if_numbers(name: str) -> Callable[[Any, object], Any]:
    """Return a comparison that leaves to Python what are no numbers: nothing else equals a tensor."""

    def method(x: Any, other: object) -> Any:
        numbers = isinstance(other, bool | int | float | list | tuple | Operators) or hasattr(other, "dtype")
        return registry[name](x, other) if numbers else NotImplemented

    return method


class Operators:
    """What `+`, `==`, `&`, `x[key]` and so on mean between tensors, arrays and numbers: NumPy's, element by element.

    A tensor is hashed by its identity, so that it can be a key or in a set; `is` tells whether two names stand for the
    same tensor.
    """

    __slots__ = ()

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

    def __pos__(self) -> Any:
        return self

    def __matmul__(self, other: Any) -> Tensor:
        return faces["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return faces["matmul"](other, self)

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return _apply("floor_divide", self, other), _apply("mod", self, other)

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return _apply("floor_divide", other, self), _apply("mod", other, self)

    def __getitem__(self, key: Any) -> Tensor:
        return faces["getitem"](self, key)
