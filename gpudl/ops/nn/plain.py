"""Functions for neural networks that are primitives as they are."""

from gpudl.ops.primitives.activation import relu, sigmoid

__all__ = ["relu", "sigmoid"]
