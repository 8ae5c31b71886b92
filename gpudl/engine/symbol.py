"""Symbols: placeholders for data, which hold the calls that they were returned by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import DTypeLike

from gpudl.engine.spec import TEXT, Shape, Spec, as_dtype
from gpudl.engine.tensor import Tensor, TensorLike, faces
from gpudl.engine.tree import flatten
from gpudl.engine.variable import Variable
from gpudl.names import auto_name

OpenShape = tuple[int | None, ...]
"""A shape in which None is an unknown size."""


class Unknown(int):
    """A placeholder for an unknown size in shape inference; arithmetic on it gives a placeholder again."""

    def __repr__(self) -> str:
        return "None"


def _staying_unknown(name: str) -> Callable[..., object]:
    plain = getattr(int, name)

    def method(self: int, *others: int) -> object:
        result = plain(self, *others)
        return Unknown(result) if isinstance(result, int) else result

    return method


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "floordiv", "rfloordiv", "mod", "neg"):
    setattr(Unknown, f"__{_name}__", _staying_unknown(f"__{_name}__"))


def open_shape(shape: Shape) -> OpenShape:
    """Return `shape` with None for the sizes that are `Unknown`."""
    if Unknown not in map(type, shape):
        return shape
    return tuple(None if type(size) is Unknown else size for size in shape)


def _sizes(axis: int) -> tuple[int, int]:
    """Return two sizes to use in shape inference for an unknown one along `axis`.

    The same axis of several inputs gets the same sizes, since these must often agree. Except for the batch they are
    large, so that windows fit, and can be divided by two and by three many times and still differ.
    """
    return (384 * (axis + 3), 576 * (axis + 3)) if axis else (2, 3)


@dataclass(frozen=True, slots=True)
class Pair:
    """The specs of a symbol for two sets of sizes in place of the unknown ones."""

    first: Spec
    second: Spec

    @classmethod
    def of(cls, shape: Iterable[int | None], dtype: np.dtype) -> Self:
        """Return the pair for a shape in which None is an unknown size."""
        sizes = [_sizes(axis) if n is None else (int(n), int(n)) for axis, n in enumerate(shape)]
        return cls(Spec(tuple(a for a, _ in sizes), dtype), Spec(tuple(b for _, b in sizes), dtype))

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The two sizes along each axis."""
        return list(zip(self.first.shape, self.second.shape, strict=True))

    @property
    def shape(self) -> OpenShape:
        """The sizes, with None where the two differ."""
        return tuple(a if a == b else None for a, b in self.sizes)

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return tensors without data, for shape inference."""
        return tuple(  # type: ignore[return-value]
            Tensor(None, Spec(tuple(Unknown(s[at]) if s[0] != s[1] else s[at] for s in self.sizes), self.first.dtype))
            for at in (0, 1)
        )


class SymbolError(TypeError):
    """A symbol was passed where values are required."""


def _bits(name: str, turned: bool = False) -> Callable[..., Tensor]:
    """Return an operator of bits, which among bools alone is remembered as one of logic."""

    def method(self: KerasTensor, *others: object) -> Tensor:
        truths = all(isinstance(each, bool) or getattr(each, "dtype", None) == np.bool_ for each in (self, *others))
        op = faces[f"{'logical' if truths else 'bitwise'}_{name}"]
        return op(*others, self) if turned else op(self, *others)

    return method


class KerasTensor(Tensor):
    """A symbolic tensor: a shape, a dtype, and the call of a layer or an op that returned it.

    `Input` creates the first ones; layers and the functions of `gpudl.ops` called on symbols return symbols; ``Model``
    creates a model from inputs and outputs that makes the same calls on data.

    Args:
        shape: sizes; None for an unknown one.
        dtype: dtype of the elements.
        sparse: accepted; gpudl's tensors are dense.
        ragged: accepted if false.
        record_history: accepted, without effect.
        name: a name for reports; by default ``keras_tensor`` with a number.

    Example:
        >>> x = gpudl.Input((4,), name="x")
        >>> x * 2 + 1, (x @ np.ones((4, 3))).shape
        (<KerasTensor shape=(None, 4), dtype=float32, sparse=False, ragged=False, name=keras_tensor_1>, (None, 3))
    """

    __slots__ = ("call", "name", "pair", "position", "sparse")

    def __init__(
        self,
        shape: Iterable[int | None],
        dtype: DTypeLike = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
    ) -> None:
        self._begin(Pair.of(shape, as_dtype(dtype)), name)
        self.sparse = bool(sparse)

    def _begin(self, pair: Pair, name: str | None) -> None:
        self.data = self.node = self.logits = self.mask = None
        self.out_number = 0
        self.requires_grad = self.sparse = False
        self.pair = pair
        self.call: Any = None
        self.position = 0
        self.name = auto_name("keras_tensor") if name is None else name

    @classmethod
    def returned(cls, pair: Pair, call: object, position: int) -> Self:
        """Return the symbol for the result of `call` at `position` among its flattened results."""
        made = cls.__new__(cls)
        made._begin(pair, None)
        made.call, made.position = call, position
        return made

    @property
    def shape(self) -> Any:
        """Size along each axis; None if it is unknown."""
        return self.pair.shape

    @property
    def dtype(self) -> np.dtype:
        """Element type."""
        return self.pair.first.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.pair.first.ndim

    @property
    def key(self) -> tuple[int, int]:
        """A key that identifies this value as long as it or its call is alive."""
        return id(self if self.call is None else self.call), self.position

    def _refused(self, kind: type[Exception], what: str) -> Exception:
        return kind(
            f"a symbolic tensor {what}: {self!r} is a placeholder for data and has no values. Call layers and "
            "functions of gpudl.ops on it, make a Model of its inputs and outputs, and call that on data."
        )

    @property
    def spec(self) -> Spec:  # type: ignore[override]
        """Raise SymbolError: only a computation with values needs it."""
        raise self._refused(SymbolError, "was passed to a function that computes with values")

    def reshape(self, newshape: Iterable[int | None]) -> Tensor:
        """Return the symbol in another shape, as by `ops.reshape`."""
        return faces["reshape"](self, newshape)

    def squeeze(self, axis: int | Iterable[int] | None = None) -> Tensor:
        """Return the symbol without axes of size 1, as by `ops.squeeze`."""
        return faces["squeeze"](self, axis)

    @property
    def size(self) -> int:
        """Raise ValueError: it may be unknown."""
        raise self._refused(ValueError, "has no number of elements")

    def array(self) -> NoReturn:
        """Raise ValueError."""
        raise self._refused(ValueError, "cannot be read as an array or a number")

    def numpy(self) -> NoReturn:
        """Raise ValueError."""
        self.array()

    __and__, __rand__ = _bits("and"), _bits("and", True)
    __or__, __ror__ = _bits("or"), _bits("or", True)
    __xor__, __rxor__ = _bits("xor"), _bits("xor", True)
    __invert__ = _bits("not")

    def __truediv__(self, other: TensorLike) -> Tensor:
        return faces["true_divide"](self, other)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return faces["true_divide"](other, self)

    def __bool__(self) -> bool:
        raise self._refused(TypeError, "has no truth value (gpudl.ops.where selects element by element)")

    def __len__(self) -> int:
        raise self._refused(TypeError, "has no length (its sizes are in .shape)")

    def __iter__(self) -> Iterator[Tensor]:
        raise self._refused(NotImplementedError, "cannot be iterated over (x[:, i] is a part of it)")

    def __index__(self) -> int:
        raise self._refused(TypeError, "cannot be an index")

    def __deepcopy__(self, memo: dict[int, object]) -> KerasTensor:
        return self  # it is immutable

    def __reduce__(self) -> tuple[type[KerasTensor], tuple[object, ...]]:
        return KerasTensor, (self.shape, self.dtype, self.sparse, False, True, self.name)

    def __repr__(self) -> str:
        dtype = "string" if self.dtype == TEXT else self.dtype
        kind = f"shape={self.shape}, dtype={dtype}, sparse={self.sparse}, ragged=False, name={self.name}"
        return f"<KerasTensor {kind}>"

    def __format__(self, pattern: str) -> str:
        return format(repr(self), pattern)


def symbols(nest: object) -> list[KerasTensor]:
    """Return the symbols in a nest."""
    return [leaf for leaf in flatten(nest)[0] if type(leaf) is KerasTensor]


_PLAIN = {Tensor, Variable, np.ndarray, int, float, bool, str, type(None)}


def any_symbol(values: Iterable[object]) -> bool:
    """Return whether `values`, or nests among them, contain a symbol."""
    if _PLAIN.issuperset(map(type, values)):
        return False
    for value in values:
        if type(value) is KerasTensor:
            return True
        if isinstance(value, list | tuple | dict) and any_symbol(value.values() if isinstance(value, dict) else value):
            return True
    return False
