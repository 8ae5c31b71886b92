"""What dense and convolution layers share: a kernel, a bias, an activation."""

from __future__ import annotations

from typing import Any

from gpudl import activations, constraints, initializers, regularizers
from gpudl.engine.tensor import Variable
from gpudl.layers.base.layer import Layer


class Affine(Layer):
    """A layer that computes activation(a product with its kernel + bias); the arguments are those of `Dense`."""

    kernel: Variable
    bias: Variable | None

    def __init__(
        self,
        *,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        bias_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def add_kernel_and_bias(self, shape: tuple[int | None, ...]) -> None:
        """Create a kernel of `shape`, whose last axis is that of the outputs, and the bias if there is to be one."""
        self.kernel = self.add_weight(
            shape,
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape[-1:],
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
