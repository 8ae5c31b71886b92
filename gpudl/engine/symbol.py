"""Symbols: tensors that stand for data to come, and know the calls that they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import DTypeLike

from gpudl.engine.spec import Shape, Spec
from gpudl.engine.tensor import Tensor, TensorLike, faces
from gpudl.engine.tree import flatten
from gpudl.engine.variable import Variable
from gpudl.names import auto_name

OpenShape = tuple[int | None, ...]
"""A shape in which None is a size that is not known."""


class Unknown(int):
    """A size that stands for one that is not known, while shapes are asked for; so does what is computed of it."""

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
    """Return `shape` with None for sizes that only stand for others."""
    if Unknown not in map(type, shape):
        return shape
    return tuple(None if type(size) is Unknown else size for size in shape)


def _sizes(axis: int) -> tuple[int, int]:
    """Return two sizes to stand for one along `axis` that is not known.

    Equal axes of several inputs get equal sizes, for they must often agree. But for the batch they are large, so that
    windows fit, can be halved and divided by three many times, and still differ then.
    """
    return (384 * (axis + 3), 576 * (axis + 3)) if axis else (2, 3)


@dataclass(frozen=True, slots=True)
class Pair:
    """What is known of a symbol: its specs for two sets of sizes that stand for those that are not known."""

    first: Spec
    second: Spec

    @classmethod
    def of(cls, shape: Iterable[int | None], dtype: np.dtype) -> Self:
        """Return the pair for a shape, in which None is a size that is not known."""
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
        """Return tensors without data, to ask for the shapes of results with."""
        return tuple(  # type: ignore[return-value]
            Tensor(None, Spec(tuple(Unknown(s[at]) if s[0] != s[1] else s[at] for s in self.sizes), self.first.dtype))
            for at in (0, 1)
        )


class SymbolError(TypeError):
    """A symbol was found where there must be values."""


class KerasTensor(Tensor):
    """A symbolic tensor: it has a shape and a dtype, and remembers the call of a layer or an op that returned it.

    `Input` makes the first ones; layers and the functions of `gpudl.ops` called on symbols return symbols; ``Model``
    makes of inputs and outputs a model that does the same with data.

    Args:
        shape: sizes; None where one is not known.
        dtype: of the elements.
        sparse: accepted; gpudl's tensors are dense.
        ragged: accepted only where it is false.
        record_history: accepted.
        name: a name for reports; ``keras_tensor`` by default, numbered.

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
        self._begin(Pair.of(shape, np.dtype(dtype)), name)
        self.sparse = bool(sparse)

    def _begin(self, pair: Pair, name: str | None) -> None:
        self.data = self.node = self.logits = None
        self.out_number = 0
        self.requires_grad = self.sparse = False
        self.pair = pair
        self.call: Any = None
        self.position = 0
        self.name = auto_name("keras_tensor") if name is None else name

    @classmethod
    def returned(cls, pair: Pair, call: Any, position: int) -> Self:
        """Return the symbol for the result of `call` at `position` among its results in a row."""
        made = cls.__new__(cls)
        made._begin(pair, None)
        made.call, made.position = call, position
        return made

    @property
    def shape(self) -> Any:
        """Size along each axis; None where it is not known."""
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
        """What tells this value from others, as long as it or its call is there."""
        return id(self if self.call is None else self.call), self.position

    def _refused(self, kind: type[Exception], what: str) -> Exception:
        return kind(
            f"a symbolic tensor {what}: {self!r} stands for data to come and has no values yet. Call layers and "
            "functions of gpudl.ops on it, make a Model of its inputs and outputs, and call that on data."
        )

    @property
    def spec(self) -> Spec:  # type: ignore[override]
        """Raise SymbolError: what computes asks for it."""
        raise self._refused(SymbolError, "was given to something that computes with values")

    @property
    def size(self) -> int:
        """Raise ValueError: it may not be known."""
        raise self._refused(ValueError, "has no number of elements")

    def array(self) -> NoReturn:
        """Raise ValueError."""
        raise self._refused(ValueError, "cannot be read as an array or a number")

    def numpy(self) -> NoReturn:
        """Raise ValueError."""
        self.array()

    def __truediv__(self, other: TensorLike) -> Tensor:
        return faces["true_divide"](self, other)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return faces["true_divide"](other, self)

    def __bool__(self) -> bool:
        raise self._refused(TypeError, "is neither true nor false (gpudl.ops.where chooses element by element)")

    def __len__(self) -> int:
        raise self._refused(TypeError, "has no length (its sizes are in .shape)")

    def __iter__(self) -> Iterator[Tensor]:
        raise self._refused(NotImplementedError, "cannot be iterated over (x[:, i] is a part of it)")

    def __index__(self) -> int:
        raise self._refused(TypeError, "cannot be an index")

    def __deepcopy__(self, memo: dict[int, object]) -> KerasTensor:
        return self  # it never changes

    def __reduce__(self) -> tuple[type[KerasTensor], tuple[object, ...]]:
        return KerasTensor, (self.shape, self.dtype, self.sparse, False, True, self.name)

    def __repr__(self) -> str:
        kind = f"shape={self.shape}, dtype={self.dtype}, sparse={self.sparse}, ragged=False, name={self.name}"
        return f"<KerasTensor {kind}>"

    def __format__(self, pattern: str) -> str:
        return format(repr(self), pattern)


def symbols(nest: object) -> list[KerasTensor]:
    """Return the symbols in a nest."""
    return [leaf for leaf in flatten(nest)[0] if type(leaf) is KerasTensor]


_PLAIN = {Tensor, Variable, np.ndarray, int, float, bool, str, type(None)}


def any_symbol(values: Iterable[object]) -> bool:
    """Tell whether there is a symbol among `values` or in a nest among them."""
    if _PLAIN.issuperset(map(type, values)):
        return False
    for value in values:
        if type(value) is KerasTensor:
            return True
        if isinstance(value, list | tuple | dict) and any_symbol(value.values() if isinstance(value, dict) else value):
            return True
    return False
