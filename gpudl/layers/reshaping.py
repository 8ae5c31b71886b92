"""Layers that change the shape of samples, but not their elements."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Unpack

import numpy as np

from gpudl import config, ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.layers.base.input_spec import InputSpec
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import LayerOptions
from gpudl.utils.checks import positive

__all__ = [
    "Flatten",
    "Permute",
    "RepeatVector",
    "Reshape",
]


class Flatten(Layer):
    """Flatten each sample: (batch, a, b, ...) becomes (batch, a * b * ...).

    Args:
        data_format: with ``"channels_first"`` axis 1 is first moved to the end, so that both layouts of an image
            give the same features.
        **options: those of `Layer`.

    Example:
        >>> gpudl.layers.Flatten()(np.zeros((2, 28, 28))).shape
        (2, 784)
    """

    def __init__(self, data_format: str | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.data_format = config.check_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1, hint="The first axis is that of the batch.")

    def call(self, x: Tensor) -> Tensor:
        """Return the flattened samples."""
        if self.data_format == "channels_first" and x.ndim > 1:
            x = ops.transpose(x, axes=(0, *range(2, x.ndim), 1))
        return ops.reshape(x, (x.shape[0], prod(x.shape[1:])))


class Reshape(Layer, complete=True):
    """Reshape each sample.

    Args:
        target_shape: the shape, without the batch axis; one size may be -1 or None, which is inferred.
        **options: those of `Layer`.

    Raises:
        ValueError: a size is below -1, or more than one is -1.
        ShapeError: the samples have another number of elements.

    Example:
        >>> gpudl.layers.Reshape((28, -1))(np.zeros((2, 784))).shape
        (2, 28, 28)
    """

    def __init__(self, target_shape: Iterable[int | None], **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        given = tuple(target_shape) if isinstance(target_shape, Iterable) else (target_shape,)
        sizes = tuple(-1 if n is None else n for n in given)
        if not all(isinstance(n, int | np.integer) and n >= -1 for n in sizes) or sizes.count(-1) > 1:
            raise ValueError(f"Reshape: target_shape must be sizes, at most one of them -1, got {target_shape!r}.")
        self.target_shape = tuple(map(int, sizes))

    def call(self, x: Tensor) -> Tensor:
        """Return the samples in the target shape."""
        sample, target = x.shape[1:], self.target_shape
        known = prod(n for n in target if n != -1)
        if -1 in target and known and prod(sample) % known == 0:
            target = tuple(prod(sample) // known if n == -1 else n for n in target)
        if prod(target) != prod(sample) or -1 in target:
            raise ShapeError(
                f"samples of shape {sample} have {prod(sample)} elements, which do not fill the target_shape "
                f"{self.target_shape}. Choose sizes whose product is {prod(sample)}."
            )
        return ops.reshape(x, (x.shape[0], *target))


class Permute(Layer):
    """Put the axes of each sample into another order.

    Args:
        dims: the axes in their new order, counted from 1; the batch stays first.
        **options: those of `Layer`.

    Raises:
        ValueError: `dims` is not a permutation of 1 to the number of axes.
        ShapeError: the samples have another number of axes.

    Example:
        >>> gpudl.layers.Permute((2, 1))(np.zeros((1, 10, 64))).shape
        (1, 64, 10)
    """

    def __init__(self, dims: Iterable[int], **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        order = tuple(dims) if isinstance(dims, Iterable) else (dims,)
        if sorted(order) != list(range(1, len(order) + 1)):
            raise ValueError(f"Permute: dims must be the axes 1 to {len(order)} in any order, got {dims!r}.")
        self.dims = tuple(map(int, order))
        self.input_spec = InputSpec(ndim=len(order) + 1, hint=f"dims {self.dims} are for samples of as many axes.")

    def call(self, x: Tensor) -> Tensor:
        """Return the samples with their axes in the new order."""
        return ops.transpose(x, axes=(0, *self.dims))


class RepeatVector(Layer):
    """Repeat each sample: (batch, features) becomes (batch, n, features).

    Args:
        n: how many times.
        **options: those of `Layer`.

    Raises:
        ValueError: `n` is not a positive integer.
        ShapeError: the inputs have other axes.

    Example:
        >>> gpudl.layers.RepeatVector(2)(np.array([[1.0, 2.0]])).numpy()
        array([[[1., 2.],
                [1., 2.]]], dtype=float32)
    """

    def __init__(self, n: int, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.n = positive("RepeatVector", n=n)
        self.input_spec = InputSpec(ndim=2, hint="Samples are vectors: (batch, features).")

    def call(self, x: Tensor) -> Tensor:
        """Return the repeated samples."""
        n, features = x.shape
        return ops.broadcast_to(ops.reshape(x, (n, 1, features)), (n, self.n, features))
