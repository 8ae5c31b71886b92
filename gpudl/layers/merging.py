"""Layers that merge several tensors into one."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Unpack

from gpudl import ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.symbol import open_shape
from gpudl.engine.tensor import Tensor
from gpudl.layers._merge import Elementwise, Merge, Tensors, shapes
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.masks import Masks
from gpudl.layers.base.options import LayerOptions

__all__ = ["Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"]
__all__ += ["add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"]


class Add(Elementwise):
    """Add up tensors.

    Args:
        **options: those of `Layer`.

    Raises:
        ShapeError: the shapes do not broadcast to each other, or the batch sizes differ.

    Example:
        >>> gpudl.layers.Add()([np.ones((2, 3)), np.full((2, 3), 2.0)]).numpy()[0]
        array([3., 3., 3.], dtype=float32)
    """

    _of_two = staticmethod(ops.add)


class Subtract(Elementwise):
    """Subtract the second of two tensors from the first.

    Raises:
        ValueError: there are not two tensors.
        ShapeError: the shapes do not broadcast to each other, or the batch sizes differ.

    Example:
        >>> gpudl.layers.Subtract()([np.ones((1, 2)), np.full((1, 2), 3.0)]).numpy()
        array([[-2., -2.]], dtype=float32)
    """

    _exactly = 2
    _of_two = staticmethod(ops.subtract)


class Multiply(Elementwise):
    """Multiply tensors elementwise.

    Example:
        >>> gpudl.layers.Multiply()([np.full((1, 2), 2.0), np.full((1, 2), 3.0)]).numpy()
        array([[6., 6.]], dtype=float32)
    """

    _of_two = staticmethod(ops.multiply)


class Average(Elementwise):
    """Return the elementwise mean of tensors.

    Example:
        >>> gpudl.layers.Average()([np.zeros((1, 2)), np.ones((1, 2))]).numpy()
        array([[0.5, 0.5]], dtype=float32)
    """

    _of_two = staticmethod(ops.add)

    def _merged(self, inputs: Tensors) -> Tensor:
        return super()._merged(inputs) / len(inputs)


class Maximum(Elementwise):
    """Return the elementwise maximum of tensors.

    Example:
        >>> gpudl.layers.Maximum()([np.array([[1.0, 4.0]]), np.array([[2.0, 3.0]])]).numpy()
        array([[2., 4.]], dtype=float32)
    """

    _of_two = staticmethod(ops.maximum)


class Minimum(Elementwise):
    """Return the elementwise minimum of tensors.

    Example:
        >>> gpudl.layers.Minimum()([np.array([[1.0, 4.0]]), np.array([[2.0, 3.0]])]).numpy()
        array([[1., 3.]], dtype=float32)
    """

    _of_two = staticmethod(ops.minimum)


class Concatenate(Merge):
    """Concatenate tensors along an axis.

    Args:
        axis: the axis; their sizes along the others must be the same.
        **options: those of `Layer`.

    Raises:
        ShapeError: the shapes differ along another axis.

    Example:
        >>> gpudl.layers.Concatenate()([np.ones((2, 3)), np.ones((2, 5))]).shape
        (2, 8)
    """

    _batched = False

    def __init__(self, axis: int = -1, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.axis = axis

    def _merged(self, inputs: Tensors) -> Tensor:
        try:
            return ops.concatenate(inputs, axis=self.axis)
        except ShapeError as error:
            raise ShapeError(
                f"the inputs need matching shapes except for axis {self.axis}, along which they are concatenated: "
                f"got {shapes(inputs)}."
            ) from error

    def _merged_mask(self, inputs: Tensors, masks: Sequence[Masks], known: list[Tensor]) -> Masks:
        """Return the masks one after another, or what counts in one of the inputs where features are laid so."""
        columns = []
        for x, mask in zip(inputs, masks, strict=True):
            if isinstance(mask, Tensor) and mask.ndim != x.ndim - 1:
                raise ShapeError(
                    f"the mask of shape {mask.shape} does not fit inputs of shape {open_shape(x.shape)}: it "
                    "has a value for each step, and none for the features."
                )
            every = ops.ones_like(x[..., :1], dtype="bool")
            columns.append(ops.expand_dims(mask, -1) if isinstance(mask, Tensor) else every)
        return ops.any(ops.concatenate(columns, axis=self.axis), axis=-1)


class Dot(Merge):
    """Return the dot product of two tensors along an axis of each, sample by sample.

    The remaining axes of the first tensor come before those of the second; if there are none, each sample has one
    value.

    Args:
        axes: the axis of both, or that of each; not 0, the batch.
        normalize: whether to normalize both along their axis first, which gives the cosine of their angle.
        **options: those of `Layer`.

    Raises:
        TypeError: the axes are not integers.
        ValueError: there are not two axes, one is that of the batch, or there are not two tensors.
        ShapeError: the sizes along the axes differ, or a tensor does not have the axis.

    Example:
        >>> gpudl.layers.Dot(axes=1)([np.full((1, 3), 2.0), np.ones((1, 3))]).numpy()
        array([[6.]], dtype=float32)
        >>> gpudl.layers.Dot(axes=(2, 1))([np.ones((2, 4, 3)), np.ones((2, 3, 5))]).shape
        (2, 4, 5)
    """

    _exactly = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        if not isinstance(axes, int | list | tuple):
            raise TypeError(f"Dot: axes is an axis or two of them, got {axes!r}.")
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
        if len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
            raise ValueError(f"Dot: axes is an axis, or a list of two elements that are integers, got {axes!r}.")
        if 0 in pair:
            raise ValueError(f"Dot: axis 0 is that of the batch, along which nothing is summed, got axes={axes!r}.")
        self.axes = axes
        self.normalize = normalize

    def _merged(self, inputs: Tensors) -> Tensor:
        x, y = inputs
        pair = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        for tensor, axis in zip(inputs, pair, strict=True):
            if not -tensor.ndim < axis < tensor.ndim or tensor.ndim < 2:
                raise ShapeError(f"there is no axis {axis} of samples in inputs of shape {open_shape(tensor.shape)}.")
        along_x, along_y = (axis % tensor.ndim for axis, tensor in zip(pair, inputs, strict=True))
        if x.shape[along_x] != y.shape[along_y]:
            raise ShapeError(
                f"the inputs have incompatible sizes: {x.shape[along_x]} along axis {along_x} of the first and "
                f"{y.shape[along_y]} along axis {along_y} of the second, in shapes {shapes(inputs)}."
            )
        if self.normalize:
            x, y = _unit(x, along_x), _unit(y, along_y)
        rest_x, rest_y = _without(x.shape, along_x), _without(y.shape, along_y)
        rows = ops.reshape(_moved(x, along_x, -1), (x.shape[0], prod(rest_x), x.shape[along_x]))
        columns = ops.reshape(_moved(y, along_y, 1), (y.shape[0], y.shape[along_y], prod(rest_y)))
        return ops.reshape(rows @ columns, (x.shape[0], *([*rest_x, *rest_y] or [1])))


def _without(shape: Sequence[int], axis: int) -> list[int]:
    """Return the sizes of a sample except that along `axis` of the batch."""
    return [size for at, size in enumerate(shape) if at not in (0, axis)]


def _moved(x: Tensor, axis: int, to: int) -> Tensor:
    """Return x with `axis` moved to another position, 1 or the last."""
    others = [at for at in range(x.ndim) if at != axis]
    order = [*others, axis] if to < 0 else [*others[:to], axis, *others[to:]]
    return x if order == sorted(order) else ops.transpose(x, axes=order)


def _unit(x: Tensor, axis: int) -> Tensor:
    """Return x normalized along `axis`; vectors of zeros stay zero."""
    return x / ops.sqrt(ops.maximum(ops.sum(x * x, axis=axis, keepdims=True), 1e-12))


def add(inputs: Tensors, **options: Unpack[LayerOptions]) -> Tensor:
    """Add tensors, like `Add`."""
    return _called(Add(**options), inputs)


def subtract(inputs: Tensors, **options: Unpack[LayerOptions]) -> Tensor:
    """Subtract the second of two tensors from the first, like `Subtract`."""
    return _called(Subtract(**options), inputs)


def multiply(inputs: Tensors, **options: Unpack[LayerOptions]) -> Tensor:
    """Multiply tensors elementwise, like `Multiply`."""
    return _called(Multiply(**options), inputs)


def average(inputs: Tensors, **options: Unpack[LayerOptions]) -> Tensor:
    """Return the elementwise mean of tensors, like `Average`."""
    return _called(Average(**options), inputs)


def maximum(inputs: Tensors, **options: Unpack[LayerOptions]) -> Tensor:
    """Return the elementwise maximum of tensors, like `Maximum`."""
    return _called(Maximum(**options), inputs)


def minimum(inputs: Tensors, **options: Unpack[LayerOptions]) -> Tensor:
    """Return the elementwise minimum of tensors, like `Minimum`."""
    return _called(Minimum(**options), inputs)


def concatenate(inputs: Tensors, axis: int = -1, **options: Unpack[LayerOptions]) -> Tensor:
    """Concatenate tensors along an axis, like `Concatenate`."""
    return _called(Concatenate(axis, **options), inputs)


def dot(inputs: Tensors, axes: int | Sequence[int] = -1, **options: Unpack[LayerOptions]) -> Tensor:
    """Return the dot product of two tensors along an axis of each, like `Dot`."""
    return _called(Dot(axes, **options), inputs)


def _called(layer: Layer, inputs: Tensors) -> Tensor:
    merged: Tensor = layer(inputs)
    return merged
