"""Layers and symbols: output shapes, and the symbols that a layer was called on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpudl.engine.calls import Call, calls_of, inferred, remember
from gpudl.engine.enclosing import inside
from gpudl.engine.symbol import KerasTensor, OpenShape, Pair, symbols
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, map_leaves
from gpudl.layers.base.build_shapes import inferred_shapes, open_batch, symbols_of
from gpudl.layers.base.derived import derived
from gpudl.layers.base.named import Named


class HasSymbols(Named):
    """The base of layers that implements calls on symbols."""

    __call__: Callable[..., Any]
    _build_for_symbols: Callable[[tuple[object, ...], dict[str, object]], None]
    built: bool
    _output_shape: Nest[OpenShape] = None  # type: ignore[assignment]
    _inputs_seen: tuple[OpenShape, np.dtype] | None = None
    compute_dtype: str

    @property
    def output_shape(self) -> Any:
        """The shape of the outputs, with None for the batch size; None before it is known."""
        if self._output_shape is None and self._inputs_seen is not None:
            with inside(self, self.name):  # no call of its own: the losses of the last one stay
                shape, dtype = self._inputs_seen
                self._output_shape = inferred_shapes(self, [shape], dtype)
        return self._output_shape

    @output_shape.setter
    def output_shape(self, shape: Any) -> None:
        self._output_shape, self._inputs_seen = shape, None

    def _note_inputs(self, inputs: Tensor) -> None:
        """Record the inputs' shape and dtype, from which `output_shape` is inferred when it is read."""
        self.output_shape = None
        self._inputs_seen = open_batch(inputs) or (), inputs.dtype

    @derived
    def input(self) -> Any:
        """The symbol, or the list of symbols, that the layer was first called on."""
        found = self._first_call("input").inputs
        return found[0] if len(found) == 1 else found

    @derived
    def output(self) -> Any:
        """The symbols that the layer's first call on symbols returned."""
        return self._first_call("output").outputs

    def _first_call(self, wanted: str) -> Call:
        calls = calls_of(self)
        if not calls:
            raise AttributeError(
                f"{self._who()} has no {wanted}: it was not called on symbols. Call it on Input(shape), or on what "
                "layers return for that."
            )
        return calls[0]

    def compute_output_shape(self, *shapes: Nest[OpenShape], **named: Nest[OpenShape]) -> Any:
        """Return the shape of the outputs for inputs of these shapes; None means any size.

        Args:
            *shapes: the shape, or nest of shapes, of each argument of `call`.
            **named: the same by name: ``query_shape`` is that of the argument ``query``.
        """
        return inferred_shapes(self, shapes, np.dtype(self.compute_dtype), named)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return symbols for the results of a call, which hold no call.

        Example:
            >>> layer = gpudl.layers.Dense(3)
            >>> layer.compute_output_spec(gpudl.KerasTensor((None, 2))).shape
            (None, 3)
        """
        if type(self).compute_output_shape is not HasSymbols.compute_output_shape:  # an override takes precedence
            given = (map_leaves(lambda leaf: getattr(leaf, "shape", None), arg) for arg in args)
            return symbols_of(self.compute_output_shape(*given), np.dtype(self.compute_dtype))
        return map_leaves(_symbol, inferred(self, args, kwargs))

    def _remembered(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Nest[Tensor]:
        """Return symbols for the results of a call, which hold the call.

        A layer that says itself what its results are, by its own `compute_output_spec`, is believed: `call` runs only
        where layers inside have to be built.
        """
        says = type(self).compute_output_spec is not HasSymbols.compute_output_spec
        outputs: Nest[Tensor] = remember(self, args, kwargs, self._specified if says else None)
        return outputs

    def _specified(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Return what `compute_output_spec` says, with a `Pair` in place of each symbol."""
        if not self.built:
            self._build_for_symbols(args, kwargs)
        said = self.compute_output_spec(*args, **kwargs)
        if not symbols(said):
            raise TypeError(
                f"{self._who()}: compute_output_spec() must return KerasTensor(shape, dtype), got {said!r}."
            )
        return map_leaves(lambda leaf: leaf.pair if isinstance(leaf, KerasTensor) else leaf, said)

    def symbolic_call(self, *args: object, **kwargs: object) -> Any:
        """Return symbols for the results of a call, which hold the call, for a `Model`."""
        return self._remembered(args, kwargs)


def _symbol(leaf: object) -> object:
    return KerasTensor(leaf.shape, leaf.first.dtype) if isinstance(leaf, Pair) else leaf
