"""The base of recurrent layers that make their cells themselves."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.recurrent.cell import Cell
from gpudl.layers.recurrent.rnn import RNN
from gpudl.names import snake_case
from gpudl.registry import Config
from gpudl.utils.options import defaults, spelled_out

_SEQUENCES = "Sequences are (batch, time, features): add the axis that is missing, e.g. x[:, :, None]."


class OfCell(RNN):
    """A recurrent layer with the arguments of its cell, which are attributes of it too.

    A subclass names the class of the cell, and a ``TypedDict`` of the arguments that both share::

        class LSTM(OfCell, cell=LSTMCell, options=LSTMOptions):

    Args:
        **options: those of the cell, and those of `RNN`.
    """

    _obsolete = Cell._obsolete
    _cell: ClassVar[type[Cell]]
    _of_cell: ClassVar[frozenset[str]] = frozenset()
    _features = -1  # the axis of the inputs whose size the weights depend on

    def __init_subclass__(cls, cell: type[Cell] | None = None, options: type | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cell is None or options is None:
            return
        parameters = list(inspect.signature(cell.__init__).parameters.values())[1:]
        cls._cell, cls._of_cell = (
            cell,
            frozenset(["implementation", *(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)]),
        )
        cls.__init__ = spelled_out(cls.__init__, defaults(options))  # type: ignore[method-assign]
        for name in cls._of_cell:
            setattr(cls, name, _of_the_cell(name))

    def __init__(self, **options: object) -> None:
        mine: Config = {k: v for k, v in options.items() if k not in self._of_cell and k != "use_cudnn"}
        given: Config = {k: v for k, v in options.items() if k in self._of_cell}
        typed: Config = {k: v for k, v in options.items() if k in ("autocast", "dtype", "trainable")}
        super().__init__(self._cell(**given, **typed, name=snake_case(self._cell.__name__)), **mine)
        self.input_spec = self._spec({})

    def build(self, sequences_shape: Shape, initial_state_shape: object = None) -> None:
        """Build the cell for the steps of sequences of this shape."""
        super().build(sequences_shape)
        self.input_spec = self._spec({self._features: sequences_shape[self._features]})

    def _spec(self, axes: dict[int, int | None]) -> InputSpec:
        """Return what the inputs are, with sizes that are known."""
        hint = f"Every step must have {axes[-1]} features, as in the first call." if axes else _SEQUENCES
        return InputSpec(ndim=3, axes=axes, hint=hint)

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data."""
        return {**super().get_config(), "unroll": self.unroll, "zero_output_for_mask": self.zero_output_for_mask}


def _of_the_cell(name: str) -> property:
    """Return a property that is an attribute of the cell."""

    def get(self: OfCell) -> object:
        return getattr(self.cell, name)

    def set_(self: OfCell, value: object) -> None:
        setattr(self.cell, name, value)

    return property(get, set_, doc=f"The `{name}` of the cell.")
