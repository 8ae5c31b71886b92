"""Layers that work on the host: on text, and on numbers that plain Python looks up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpudl.engine.calls import Call
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import as_dtype
from gpudl.engine.state import TracingError, state
from gpudl.engine.symbol import KerasTensor, OpenShape, Pair, any_symbol
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves
from gpudl.layers.base.layer import Layer


class HostLayer(Layer):
    """The base of layers that compute on the host, outside recorded steps.

    They are called on arrays, mapped over data sets, and may be the first layers of a model of inputs and outputs:
    `fit`, `evaluate` and `predict` then call them on each batch before the step. A subclass implements `call` for
    arrays of NumPy's, `result_shape`, and says in `result_dtype` what it returns.

    Raises:
        TracingError: called inside a recorded step.
    """

    on_host = True
    result_dtype = "int64"

    def __call__(self, *args: object, training: bool | None = None, **kwargs: object) -> Any:
        """Return the results for arrays, numbers as tensors and text as an array; for symbols, symbols."""
        if any_symbol(args):
            return self._called_on_symbols(*args)  # type: ignore[arg-type]
        if state.recorder is not None or any(isinstance(leaf, Tensor) and leaf.data is None for leaf in leaves(args)):
            raise TracingError(
                f"{self._who()} works on the host, which a recorded step cannot: its results would be the same in "
                "every step. Map the data first, dataset.map(layer) or layer(x), or make it the first layer of a "
                "model of Input() and outputs, not of a model inside another one."
            )
        self.built = True
        return map_leaves(_result, self.call(*map(self._given, args), **kwargs))

    def _called_on_symbols(self, first: Nest[KerasTensor]) -> KerasTensor:
        shapes = map_leaves(lambda symbol: symbol.shape, first)
        shape = self.compute_output_shape(shapes)
        self.output_shape = shape
        outputs: KerasTensor = Call(self, (first,), {}, Pair.of(shape, as_dtype(self.result_dtype))).outputs
        return outputs

    def _given(self, value: object) -> np.ndarray | list[np.ndarray]:
        """Return an argument as what `call` gets."""
        return array_of(value, self._who())

    def compute_output_shape(self, *shapes: Nest[OpenShape], **named: Nest[OpenShape]) -> OpenShape:
        """Return the shape of the results for inputs of this shape, or nest of shapes; None means any size."""
        (shape,) = (*shapes, *named.values())
        return self.result_shape(shape)

    def result_shape(self, input_shape: Nest[int | None]) -> OpenShape:
        """Return the shape of the results for inputs of `input_shape`."""
        raise NotImplementedError(f"{type(self).__name__} must implement result_shape().")

    def compute_output_spec(self, inputs: Nest[KerasTensor]) -> KerasTensor:
        """Return a symbol for the result, which holds no call."""
        shape = self.compute_output_shape(map_leaves(lambda symbol: symbol.shape, inputs))
        return KerasTensor(shape, as_dtype(self.result_dtype))


def shape_of(shape: Nest[int | None]) -> OpenShape:
    """Return one shape, where a layer takes one array."""
    return tuple(shape)  # type: ignore[arg-type]


def leaves(nest: object) -> list[object]:
    """Return what a nest holds."""
    return flatten(nest)[0]


def _result(leaf: object) -> object:
    return as_tensor(leaf) if isinstance(leaf, np.ndarray) and leaf.dtype.kind not in "OSU" else leaf


def array_of(value: object, who: str) -> np.ndarray:
    """Return what a host layer is called on as an array on the host.

    Raises:
        ValueError: rows of different lengths.
    """
    if isinstance(value, Tensor):
        return value.numpy()
    value = value.to_numpy() if hasattr(value, "to_numpy") else value
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{who} takes an array, and rows of one length in it: {error}") from error


def texts_of(array: np.ndarray, who: str, encoding: str = "utf-8") -> np.ndarray:
    """Return an array of text or bytes as one of Python's text, of dtype object.

    Raises:
        ValueError: it holds something else, or bytes in another encoding.
    """
    if array.dtype.kind == "U":
        return array.astype(object)
    if array.dtype.kind not in "SOT" and array.size:
        raise ValueError(f"{who} takes text, got dtype {array.dtype}. Convert numbers first: x.astype(str).")
    return each(lambda item: _text(item, who, encoding), array, object)


def _text(item: object, who: str, encoding: str) -> str:
    if isinstance(item, bytes):
        try:
            return item.decode(encoding)
        except UnicodeDecodeError as error:
            raise ValueError(f"{who} takes text in the encoding {encoding!r}, got {item!r}: {error}") from error
    if not isinstance(item, str):
        raise ValueError(f"{who} takes text, got {item!r} of type {type(item).__name__} in it.")
    return item


def each(function: Callable[[Any], object], array: np.ndarray, dtype: type) -> np.ndarray:
    """Return an array of what `function` returns for each element."""
    made: np.ndarray = np.empty(array.size, dtype)
    for number, item in enumerate(array.ravel().tolist()):
        made[number] = function(item)
    return made.reshape(array.shape)
