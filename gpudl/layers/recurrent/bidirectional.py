"""A recurrent layer in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, Unpack

import numpy as np

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten
from gpudl.layers.base.input_spec import Shape
from gpudl.layers.base.layer import LAYERS, Layer
from gpudl.layers.base.masks import Masks
from gpudl.layers.base.options import LayerOptions
from gpudl.registry import Config, serialize

__all__ = ["Bidirectional"]

_MERGED: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum": lambda y, back: y + back,
    "mul": lambda y, back: y * back,
    "ave": lambda y, back: (y + back) / 2,
    "concat": lambda y, back: ops.concatenate([y, back], axis=-1),
}
_OF_BOTH = ("return_sequences", "return_state", "stateful")


class Bidirectional(Layer):
    """Go through sequences forwards by one recurrent layer and backwards by another, and merge their outputs.

    With `return_state` the result is the outputs, the states of the forward layer and those of the backward one, in one
    tuple. With `return_sequences` the outputs of masked steps are 0.

    Args:
        layer: a recurrent layer, of which copies go forwards and, with the opposite `go_backwards`, backwards; or
            another layer with `go_backwards`, `return_sequences`, `return_state` and `stateful`.
        merge_mode: ``"concat"``, ``"sum"``, ``"mul"``, ``"ave"`` for the mean, or None for both outputs in a tuple.
        weights: initial weights of the forward layer and of the backward one, in one list.
        backward_layer: a layer to use backwards.
        **options: those of `Layer`.

    Raises:
        ValueError: something that is not a recurrent layer, an unknown `merge_mode`, layers that do not match, or
            initial states that cannot be split evenly.

    Example:
        >>> layer = gpudl.layers.Bidirectional(gpudl.layers.LSTM(4, return_sequences=True))
        >>> layer(np.ones((2, 5, 3))).shape
        (2, 5, 8)
    """

    supports_masking = True
    _obsolete = ("weights",)

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Sequence[np.ndarray] | None = None,
        backward_layer: Any = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        for given in (layer, *([] if backward_layer is None else [backward_layer])):
            _require_recurrent(given)
        if merge_mode is not None and merge_mode not in _MERGED:
            known = ", ".join(map(repr, _MERGED))
            raise ValueError(f"Bidirectional: merge_mode must be one of {known} or None, got {merge_mode!r}.")
        self.merge_mode = merge_mode
        self.forward_layer = _copied(layer, "forward_", layer.go_backwards)
        self.backward_layer = backward_layer or _copied(layer, "backward_", not layer.go_backwards)
        _require_alike(self.forward_layer, self.backward_layer)
        self.return_sequences, self.return_state, self.stateful = (getattr(layer, name) for name in _OF_BOTH)
        for each in (self.forward_layer, self.backward_layer):
            if hasattr(each, "zero_output_for_mask"):  # a masked step is not the last one of both directions
                each.zero_output_for_mask = self.return_sequences
        self.input_spec = layer.input_spec
        self._first_weights = weights

    @property
    def states(self) -> tuple[Tensor, ...] | None:
        """The states that stateful layers keep, those of the forward layer first; None before they are built."""
        first, second = (getattr(layer, "states", None) for layer in (self.forward_layer, self.backward_layer))
        return None if first is None or second is None else (*first, *second)

    def _keeps_batch(self) -> bool:
        return bool(self.stateful)

    def build(self, sequences_shape: Shape, initial_state_shape: Nest[Shape] | None = None) -> None:
        """Build both layers for sequences of this shape."""
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
        if self._first_weights is not None:
            self.set_weights(self._first_weights)

    def compute_mask(self, inputs: object, previous_mask: Masks = None) -> Masks:
        """Return the mask of the outputs, or of both outputs."""
        mask = flatten(previous_mask)[0][0] if self.return_sequences else None
        return (mask, mask) if self.merge_mode is None else mask

    def call(
        self,
        sequences: Tensor,
        initial_state: Nest[Tensor] | None = None,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor | tuple[Nest[Tensor], ...]:
        """Return the merged outputs, and with `return_state` the last states, in one tuple.

        Args:
            sequences: (batch, time, ...).
            initial_state: a list of the states of the forward layer and those of the backward one.
            mask: which steps count, (batch, time).
            training: whether there is dropout.
        """
        given = {} if mask is None else {"mask": mask}
        results = []
        for layer, states in zip((self.forward_layer, self.backward_layer), self._shared(initial_state), strict=True):
            begin = {} if states is None else {"initial_state": states}
            made = layer(sequences, training=training, **given, **begin)
            results.append(list(made) if self.return_state else [made])
        (y, *after), (back, *after_back) = results
        if self.return_sequences:
            back = back[:, ::-1]
        merged = (y, back) if self.merge_mode is None else (_MERGED[self.merge_mode](y, back),)
        whole = (*merged, *after, *after_back)
        return whole if len(whole) > 1 else whole[0]

    def _shared(self, states: Nest[Tensor] | None) -> tuple[Sequence[Nest[Tensor]] | None, ...]:
        """Return the initial states of each layer."""
        if states is None:
            return None, None
        given = states if isinstance(states, list | tuple) else [states]
        own = [len(x.state_size) for x in (self.forward_layer, self.backward_layer)]
        if len(given) != sum(own):
            raise ValueError(
                f"{self._who()}: initial_state is a list of the states of the forward layer, {own[0]}, and those of "
                f"the backward one, {own[1]}, got {len(given)}. Give both, as in [h, c, h, c] for an LSTM."
            )
        return given[: own[0]], given[own[0] :]

    def reset_state(self) -> None:
        """Set the states that stateful layers keep to 0."""
        for layer in (self.forward_layer, self.backward_layer):
            layer.reset_state()

    def reset_states(self) -> None:
        """Call `reset_state`."""
        self.reset_state()

    def get_config(self) -> Config:
        """Return the constructor's arguments, with the configs of both layers."""
        both = {"layer": self.forward_layer, "backward_layer": self.backward_layer}
        return {**super().get_config(), **{name: serialize(layer) for name, layer in both.items()}}

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, object] | None = None) -> Self:
        """Return a new layer of new layers."""
        made = {name: LAYERS.deserialize(config.get(name), custom_objects) for name in ("layer", "backward_layer")}
        return super().from_config({**config, **made})


def _require_recurrent(layer: object) -> None:
    """Raise ValueError for something that is not a layer with what recurrent layers have."""
    absent = [name for name in ("go_backwards", *_OF_BOTH) if not hasattr(layer, name)]
    if not isinstance(layer, Layer) or absent:
        raise ValueError(
            f"Bidirectional wraps a recurrent layer, got {layer!r}, which has no {', '.join(absent) or 'weights'}. "
            "Give it one, such as LSTM(8)."
        )


def _require_alike(forward: Layer, backward: Layer) -> None:
    """Raise ValueError for layers that go the same way, or return something else."""
    both = [[getattr(layer, name) for name in ("go_backwards", *_OF_BOTH)] for layer in (forward, backward)]
    if both[0][0] == both[1][0]:
        raise ValueError(
            f"Bidirectional: layer and backward_layer both have go_backwards={both[0][0]}. Set it in one of them."
        )
    for name, one, other in zip(_OF_BOTH, both[0][1:], both[1][1:], strict=True):
        if one != other:
            raise ValueError(
                f"Bidirectional: layer has {name}={one}, but backward_layer has {name}={other}. Give both the same."
            )


def _copied(layer: Layer, prefix: str, backwards: bool) -> Any:
    """Return a new layer of the same config, but for its name and direction."""
    name = prefix + layer.name.removeprefix(prefix)
    return type(layer).from_config({**layer.get_config(), "name": name, "go_backwards": backwards})
