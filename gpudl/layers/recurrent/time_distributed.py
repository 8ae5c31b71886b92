"""A layer that is applied to each step by itself."""

from __future__ import annotations

from typing import Unpack

from gpudl import ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.symbol import open_shape
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, map_leaves
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import LayerOptions
from gpudl.layers.wrapping import Wrapper

__all__ = ["TimeDistributed"]


class TimeDistributed(Wrapper):
    """Apply a layer to each step of sequences by itself: (batch, time, ...) becomes (batch, time, ...).

    All steps are one batch for the layer, of batch * time samples: so it is called once, and a `BatchNormalization`
    takes its statistics of all of them.

    Args:
        layer: the layer, for one step (batch, ...).
        **options: those of `Layer`.

    Raises:
        ShapeError: inputs without an axis of time, or a mask that does not fit them.

    Example:
        >>> layer = gpudl.layers.TimeDistributed(gpudl.layers.Conv2D(8, 3))
        >>> layer(np.ones((2, 5, 28, 28, 1))).shape
        (2, 5, 26, 26, 8)
    """

    supports_masking = True

    def __init__(self, layer: Layer, **options: Unpack[LayerOptions]) -> None:
        super().__init__(layer, **options)
        self.input_spec = InputSpec(min_ndim=3, hint="Sequences are (batch, time, ...): add the axis that is missing.")

    def build(self, input_shape: Shape) -> None:
        """Build the layer inside for one step."""
        super().build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Nest[Tensor]:
        """Return the outputs of the layer for all steps.

        Args:
            inputs: (batch, time, ...).
            training: whether the layer is trained.
            mask: which steps count, (batch, time), or more axes, for a layer that has masks itself.
        """
        first = inputs.shape[:2]
        given = {}
        if mask is not None:
            if mask.shape[:2] != first:
                raise ShapeError(
                    f"the mask of shape {open_shape(mask.shape)} does not fit inputs of shape "
                    f"{open_shape(inputs.shape)}. Give one of shape {open_shape(first)}, or with more axes."
                )
            if "mask" in self.layer._mask_arguments:
                given["mask"] = _merged(mask)
        outputs: Nest[Tensor] = self.layer(_merged(inputs), training=training, **given)
        return map_leaves(lambda y: ops.reshape(y, (*first, *y.shape[1:])), outputs)


def _merged(x: Tensor) -> Tensor:
    """Return (batch, time, ...) as (batch * time, ...)."""
    return ops.reshape(x, (-1, *x.shape[2:]))
