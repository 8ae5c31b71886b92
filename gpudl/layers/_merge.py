"""What layers of several tensors share: the check of their number, and their masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from gpudl import ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.symbol import open_shape
from gpudl.engine.tensor import Tensor
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.masks import Masks

Tensors = Sequence[Tensor]


class Merge(Layer):
    """A layer of a list of tensors."""

    _exactly: int | None = None  # how many tensors it takes; None for any number
    _batched = True  # whether the first axis is that of the batch

    def call(self, inputs: Tensors) -> Tensor:
        """Return one tensor of the inputs."""
        listed = isinstance(inputs, list | tuple)
        if not listed or not inputs or self._exactly not in (None, len(inputs)):
            count = f"exactly {self._exactly} inputs" if self._exactly else "at least 1 input"
            got = f"{len(inputs)} of them" if listed else "one array"
            raise ValueError(f"{self._who()} should be called on a list of {count}, got {got}.")
        if self._batched and len({x.shape[:1] for x in inputs}) > 1:
            raise ShapeError(f"Cannot merge tensors with different batch sizes: got the shapes {shapes(inputs)}.")
        return self._merged(inputs)

    def compute_mask(self, inputs: Tensors, previous_mask: Masks = None) -> Masks:
        """Return the mask of the result; None where everything counts."""
        masks = previous_mask if isinstance(previous_mask, list | tuple) else [previous_mask] * len(inputs)
        if len(masks) != len(inputs):
            raise ValueError(
                f"{self._who()} takes a mask, or None, for each of {len(inputs)} inputs, got {len(masks)}."
            )
        known = [mask for mask in masks if isinstance(mask, Tensor)]
        return self._merged_mask(inputs, masks, known) if known else None

    def _merged(self, inputs: Tensors) -> Tensor:
        raise NotImplementedError

    def _merged_mask(self, inputs: Tensors, masks: Sequence[Masks], known: list[Tensor]) -> Masks:
        """Return the mask of the result, of inputs of which one at least has one."""
        return None


class Elementwise(Merge):
    """A layer that merges element by element; tensors of fewer axes get axes of size 1 after the batch."""

    _of_two: Callable[[Tensor, Tensor], Tensor]

    def _merged(self, inputs: Tensors) -> Tensor:
        most = max(x.ndim for x in inputs)
        try:
            return reduce(self._of_two, [_of_axes(x, most) for x in inputs])
        except ShapeError as error:
            raise ShapeError(f"the inputs have incompatible shapes: got {shapes(inputs)}.") from error

    def _merged_mask(self, inputs: Tensors, masks: Sequence[Masks], known: list[Tensor]) -> Masks:
        """Return what counts in one of the inputs at least."""
        return reduce(ops.logical_or, known) if len(known) == len(inputs) else None


def _of_axes(x: Tensor, count: int) -> Tensor:
    """Return x with `count` axes, those of size 1 that are missing after the batch."""
    return x if x.ndim == count else ops.reshape(x, (*x.shape[:1], *[1] * (count - x.ndim), *x.shape[1:]))


def shapes(inputs: Tensors) -> str:
    """Return the shapes of tensors, for errors."""
    return ", ".join(str(open_shape(x.shape)) for x in inputs)
