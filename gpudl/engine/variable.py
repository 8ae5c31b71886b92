"""Variables: tensors whose values change in place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gpudl import backend
from gpudl.backend import Array
from gpudl.engine.convert import as_tensor
from gpudl.engine.default_float import float_dtype
from gpudl.engine.enclosing import path_of
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.state import LayoutError, changed, layout_epoch, state, toggled
from gpudl.engine.tensor import Tensor, TensorLike, faces
from gpudl.names import auto_name

_AGGREGATIONS = (None, "none", "mean", "sum", "only_first_replica")
_SYNCHRONIZATIONS = (None, "none", "on_read", "on_write", "auto")
_CALLED = {"constraint": "Constraint", "regularizer": "Regularizer"}
_LARGE = 1 << 16  # elements; initial values of fewer cost nothing
_READ = {"autocast", "constraint", "regularizer"}  # attributes of variables that steps depend on


class Variable(Tensor):
    """A tensor whose value changes in place, at a fixed address.

    Args:
        initializer: the initial value, a number, an array or a tensor; or an initializer, or its name.
        shape: the shape, required with an initializer.
        dtype: by default that of the value, or `config.floatx` for an initializer.
        trainable: whether gradients are computed.
        autocast: whether a layer of mixed precision casts it to its compute dtype.
        aggregation, synchronization, layout: accepted as in Keras, for variables on several devices; without effect.
        name: a name for reports; ``variable`` by default, numbered.

    Raises:
        ValueError: an initializer without a shape, a name with a slash, or an aggregation or synchronization that there
            is not.

    Example:
        >>> v = gpudl.Variable([1.0, 2.0], name="v")
        >>> v.assign_add([1.0, 1.0])
        >>> v.value.numpy(), gpudl.Variable("ones", (3,)).numpy()
        (array([2., 3.], dtype=float32), array([1., 1., 1.], dtype=float32))
    """

    __slots__ = (
        *("_trainable", "aggregation", "autocast", "constraint", "name", "path", "regularizer", "synchronization"),
        "wanted",
    )
    overwrite_with_gradient = False  # optimizers treat every gradient as one

    def __init__(
        self,
        initializer: object,
        shape: Sequence[int] | None = None,
        dtype: DTypeLike | None = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        synchronization: str | None = "auto",
        name: str | None = None,
        layout: object = None,
    ) -> None:
        _require_one_of("aggregation", aggregation, _AGGREGATIONS)
        _require_one_of("synchronization", synchronization, _SYNCHRONIZATIONS)
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(f"the name of a variable is text without a slash, got {name!r}.")
        if callable(initializer) or isinstance(initializer, str):
            if shape is None:
                raise ValueError(f"a variable with an initializer needs a shape, got {initializer!r} alone.")
            data = self._first_value(initializer, tuple(shape), dtype)
        else:
            data = _copied(as_tensor(initializer), dtype)
        self._adopt(data, bool(trainable), name or auto_name("variable"))
        self.path = path_of(None, self.name)
        self.autocast = autocast
        self.aggregation, self.synchronization = aggregation, synchronization

    @classmethod
    def over(cls, data: Array, *, trainable: bool = True, name: str = "variable") -> Variable:
        """Return a variable whose memory is `data` itself."""
        variable = cls.__new__(cls)
        variable._adopt(data, trainable, name)
        return variable

    def _first_value(self, initializer: object, shape: tuple[int, ...], dtype: DTypeLike | None) -> Array:
        """Return what an initializer makes; zeros in its place, where the weights of a file are awaited."""
        if state.awaited is None or prod(shape) < _LARGE:
            return _copied(faces["initial"](initializer, shape, dtype), dtype)
        state.awaited[id(self)] = self, initializer
        return backend.current().zeros(shape, np.dtype(dtype or float_dtype()))

    def _adopt(self, data: Array, trainable: bool, name: str) -> None:
        Tensor.__init__(self, data)
        self.name = name
        self.path = name
        self.wanted = trainable  # its value when its layer is not frozen
        self._trainable = trainable
        self.requires_grad = trainable and is_floating(self.dtype)
        self.autocast = True
        self.aggregation, self.synchronization = "none", "auto"
        self.regularizer: Any = None
        self.constraint: Any = None
        if state.recorder is not None:
            state.recorder.born.append(self)

    @property
    def value(self) -> Tensor:
        """The current value, as a tensor that does not change with the variable."""
        return faces["copy"](self)

    @property
    def trainable(self) -> bool:
        """Whether gradients are computed; steps are recorded once for either setting."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if value != self._trainable:
            self._trainable = value
            self.requires_grad = value and is_floating(self.dtype)
            toggled(self)

    def __setattr__(self, name: str, value: object) -> None:
        before = getattr(self, name, value) if name in _READ else value
        if name in _CALLED and value is not None and not callable(value):
            known = f"{name}s.{_CALLED[name]}"
            raise ValueError(f"the {name} of a variable is a function, such as a {known}, got {value!r}.")
        object.__setattr__(self, name, value)
        if before is not value:
            changed()

    def assign(self, value: TensorLike) -> None:
        """Set the value in place; raise ShapeError if the shape differs."""
        _update("assign_", self, value)

    def assign_add(self, value: TensorLike) -> None:
        """Add to the value in place; raise ShapeError if the shape differs."""
        _update("assign_add_", self, value)

    def assign_sub(self, value: TensorLike) -> None:
        """Subtract from the value in place; raise ShapeError if the shape differs."""
        _update("assign_add_", self, -as_tensor(value, like=self))

    def rebind(self, data: Array) -> None:
        """Move the value to other memory of the same shape; plans with the old address become stale."""
        if state.recorder is not None:
            raise LayoutError(
                "a variable would have to move while a step is being recorded. Build the optimizer first: "
                "optimizer.build(variables)."
            )
        data[...] = self.data
        self.data = data
        layout_epoch[0] += 1


def _update(name: str, target: Variable, value: TensorLike) -> None:
    tensor = as_tensor(value, like=target)
    if tensor.shape != target.shape:
        raise ShapeError(f"cannot assign shape {tensor.shape} to variable {target.name!r} of {target.shape}.")
    if state.stateless is not None:
        state.stateless.assign(target, tensor, add=name == "assign_add_")
    else:
        faces[name](target, tensor)


def _require_one_of(what: str, value: str | None, known: tuple[str | None, ...]) -> None:
    if value not in known:
        raise ValueError(f"the {what} of a variable is one of {', '.join(map(repr, known))}, got {value!r}.")


def _copied(source: Tensor, dtype: DTypeLike | None) -> Array:
    data = backend.current().empty(source.shape, source.dtype if dtype is None else np.dtype(dtype))
    data[...] = backend.current().asarray(source.array())
    return data


def initialize(besides: Iterable[Variable] = ()) -> None:
    """Give the weights that await a file their initial values, besides those that it has."""
    awaited, state.awaited = state.awaited, None if state.awaited is None else {}
    known = set(map(id, besides))
    for variable, initializer in (awaited or {}).values():
        if id(variable) not in known:
            variable.assign(faces["initial"](initializer, variable.shape, variable.dtype))
